"""What the story does to the platform itself: move its time, listen late, and search everything it has written."""

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import asyncpg
import nats
from nats.js.api import ConsumerConfig, DeliverPolicy
from rapport.identity.v1.events_pb2 import UserDeleted

from chassis.subjects import filter_of, stream_of
from deploy.local.commands import clock
from deploy.local.credentials import admin_url, for_nats
from deploy.local.plan import Plan
from deploy.local.ports import SERVICES
from deploy.local.postgres import INSTALLED, WHEEL
from tests.journeys.canary import Finding, Search
from tests.journeys.people import Missing


async def advance(plan: Plan, by: timedelta) -> None:
    """Move the platform's time, and come back when all work due by then is done."""
    await asyncio.to_thread(clock.advance, plan, by)


async def consume_late(plan: Plan, user: str) -> UserDeleted:
    """What a team hears that begins to listen only now, from the beginning."""
    told = for_nats(plan, "reader")
    password = await asyncio.to_thread(Path(told["RAPPORT_NATS_PASSWORD_FILE"]).read_text)
    name = told["RAPPORT_NATS_USER"]
    client = await nats.connect(
        told["RAPPORT_NATS_URL"], user=name, password=password, inbox_prefix=f"_INBOX_{name}".encode()
    )
    try:
        subscription = await client.jetstream().subscribe(
            filter_of(UserDeleted),
            stream=stream_of("rapport.identity.v1"),
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL),
        )
        async with asyncio.timeout(15):
            async for message in subscription.messages:
                event = UserDeleted.FromString(message.data)
                if event.user == user:
                    return event
    finally:
        await client.close()
    raise Missing("user.deleted for the late consumer")


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
