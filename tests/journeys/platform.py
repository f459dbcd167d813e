"""What the story does to the platform itself: move its time, listen late, and search everything it has written."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rapport.identity.v1.events_pb2 import UserDeleted

from chassis import bus
from chassis.envelope import message
from chassis.reader import ALL, read
from chassis.settings import Secret
from chassis.subjects import filter_of
from deploy.local.commands import clock
from deploy.local.credentials import admin_url, for_nats
from deploy.local.plan import Plan
from deploy.local.ports import SERVICES
from deploy.local.postgres import INSTALLED, WHEEL
from tests.journeys.canary import Finding, Search
from tests.journeys.people import Missing, eventually, gateway_client

HANDLED = re.compile(r'^grpc_server_handled_total\{.*grpc_service="rapport\.[^"]*".*\} ([0-9.e+]+)$', re.MULTILINE)
SERVED = re.compile(r"^http_server_requests_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)


async def advance(plan: Plan, by: timedelta) -> None:
    """Move the platform's time, and come back when all work due by then is done."""
    await asyncio.to_thread(clock.advance, plan, by)


@dataclass(frozen=True)
class Team:
    """An internal team's line: its own user, which may read and say nothing."""

    nats_url: str
    nats_user: str
    nats_password: Secret
    replica: str = "latecomer"


async def consume_late(plan: Plan, user: str) -> UserDeleted:
    """What a team hears that begins to listen only now, from the beginning."""
    told = for_nats(plan, "reader")
    password = await asyncio.to_thread(Path(told["RAPPORT_NATS_PASSWORD_FILE"]).read_text)
    team = Team(told["RAPPORT_NATS_URL"], told["RAPPORT_NATS_USER"], Secret(password))
    async with bus.connected(team) as line, asyncio.timeout(15):
        await eventually(lambda: is_connected(line), "a line to NATS")
        async for envelope in read(line, filter_of(UserDeleted), since=ALL):
            event = message(envelope, UserDeleted)
            if event.user == user:
                return event
    raise Missing("user.deleted for the late consumer")


async def until_served(plan: Plan, patience: float) -> None:
    """Wait until the gateway reaches every service."""
    paths = ("/v1/availability", "/v1/policies/latest", "/v1/programme", "/v1/jwks", "/v1/dataMap")

    async def all_answer() -> bool:
        try:
            return all([(await store.get(path)).status_code == 200 for path in paths])
        except httpx.TransportError:
            return False

    async with gateway_client(plan) as store:
        await eventually(all_answer, "every service", patience=patience)


def asked(plan: Plan) -> dict[str, int]:
    """How many calls or requests each instance has answered."""
    found = {}
    for name, address in plan.metrics().items():
        told = httpx.get(f"{address}/metrics").raise_for_status().text
        pattern = SERVED if name.startswith("gateway") else HANDLED
        found[name] = round(sum(float(count) for count in pattern.findall(told)))
    return found


async def is_connected(line: bus.Bus) -> bool:
    return line.connected


async def find_left(plan: Plan, canaries: Mapping[str, str]) -> tuple[list[Finding], str]:
    """Every canary in a dump of every database and in every file the platform wrote: JetStream's, all logs, mailbox,
    spool and temporary files; then in PostgreSQL's data directory, once what is deleted is really gone from it."""
    search = Search(canaries)
    found: list[Finding] = []
    for service in SERVICES:
        found += await asyncio.to_thread(in_dump, search, plan, service)
    for sink in ("logs", "mail", "tmp", "nats"):
        found += await asyncio.to_thread(in_files, search, plan, sink)
    await rewrite(plan)
    found += await asyncio.to_thread(in_files, search, plan, "postgres")
    files, size = measured(plan.folder)
    return found, f"{len(SERVICES)} dumps and {files} files of {size >> 20} MB"


def in_dump(search: Search, plan: Plan, service: str) -> list[Finding]:
    pg_dump = WHEEL / INSTALLED / "bin/pg_dump"
    return list(search.dump(pg_dump, database_of(plan, service), service))


def in_files(search: Search, plan: Plan, sink: str) -> list[Finding]:
    return list(search.files(sink, plan.folder / sink))


async def rewrite(plan: Plan) -> None:
    """Have PostgreSQL write its tables anew, so that deleted rows are in no file but the write-ahead log's."""
    for service in (*SERVICES, "postgres"):
        connection = await asyncpg.connect(database_of(plan, service))  # type: ignore[no-untyped-call]
        try:
            await until_unseen(connection)
            await connection.execute("VACUUM FULL")
        finally:
            await connection.close()
    connection = await asyncpg.connect(database_of(plan, "postgres"))  # type: ignore[no-untyped-call]
    try:
        await connection.execute("CHECKPOINT")
        await connection.execute("SELECT pg_switch_wal()")
        await connection.execute("CHECKPOINT")  # files of rewritten tables are unlinked by the one after
    finally:
        await connection.close()


async def until_unseen(connection: Any) -> None:
    """Wait until no transaction is under way that still sees what was deleted by now: for those it would be kept."""
    now = await connection.fetchval("SELECT pg_current_xact_id()::text")
    seen = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND age(backend_xmin) > age($1::text::xid8::xid)
    """

    async def is_unseen() -> bool:
        return not await connection.fetchval(seen, now)

    await eventually(is_unseen, "the end of what was under way")


def database_of(plan: Plan, name: str) -> str:
    return admin_url(plan).rpartition("/")[0] + f"/{name}"


def measured(folder: Path) -> tuple[int, int]:
    """How many files there are, and their size in bytes."""
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(place) / name).stat().st_size
                files += 1
            except FileNotFoundError:
                continue
    return files, size
