"""One service alone in this process, on a database of its own, and the ways to call it.

    settings = world.settings(Settings, tmp_path, name="support", database=await world.database_of(postgres, "support"))
    async with world.running(service(settings, sessions, clock), settings) as channel:
        await SupportServiceStub(channel).GetTicket(request, metadata=as_service("loyalty"))

People come from tests.tokens: `as_user(user, "agent", now=clock())`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import pytest
from google.protobuf.message import Message
from sqlalchemy import NullPool, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.access import SERVICES
from chassis.client import Metadata
from chassis.database import Sessions
from chassis.migrations import upgrade
from chassis.outbox import outbox
from chassis.refusal import Refused
from chassis.refusal import refused as read_refusal
from chassis.service import Service, serving
from chassis.settings import Secret, ServiceSettings
from deploy.local.credentials import id_token_key
from tests import tokens

S = TypeVar("S", bound=ServiceSettings)
E = TypeVar("E", bound=Message)
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
templates: set[str] = set()
copies: list[str] = []
MAIL_KEY = Secret("3a" * 32)
KEPT = 24  # databases of tests before: a test may hold several


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        self.now += by
        return self.now


def settings(cls: type[S], folder: Path, *, name: str, database: str, **others: Any) -> S:
    """What the service `name` is told: a free port, all peers known, and no NATS unless `others` say."""
    peers = folder / "peers.json"
    peers.write_text(json.dumps({peer: sha256(token_of(peer).encode()).hexdigest() for peer in SERVICES}))
    told: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "database_url": Secret(database),
        "nats_url": "nats://127.0.0.1:9",  # where nobody listens
        "nats_user": "",
        "nats_password": Secret(""),
        "service_token": Secret(token_of(name)),
        "peers": peers,
        "page_key": Secret("a page key for tests"),
        "mail_key": MAIL_KEY,
        "issuer": tokens.ISSUER,
        "drain_seconds": 0.0,
    }
    return cls(**told | others)


def identity_keys(signing_key: str) -> dict[str, Secret]:
    """What identity signs with: this, and what all tests share, because finding the primes takes a while."""
    return {
        "signing_key": Secret(signing_key),
        "id_token_key": Secret(rsa_key()),
        "oauth_key": Secret("6f" * 32),
        "factor_key": Secret("fa" * 32),
    }


rsa_key = cache(id_token_key)


@asynccontextmanager
async def running(service: Service, settings: ServiceSettings) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service, which runs until the block is left. It takes the tokens that tests.tokens mints."""
    service = service if service.keys else replace(service, keys=tokens.keys)
    async with (
        serving(service, settings) as served,
        grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel,
    ):
        yield channel


def as_service(name: str) -> Metadata:
    """The metadata of a call by that peer."""
    return (("x-rapport-service", token_of(name)),)


def token_of(peer: str) -> str:
    return f"token of {peer}"


@contextmanager
def refused(reason: str) -> Iterator[list[Refused]]:
    """Inside, a call is refused for this reason; the list then holds what else was said."""
    said: list[Refused] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield said
    said.append(read_refusal(caught.value))
    assert said[0].reason == reason


async def stated(sessions: Sessions, kind: type[E]) -> list[E]:
    """The events of a kind that were published so far, oldest first."""
    query = select(outbox.c.payload).where(outbox.c.type == kind.DESCRIPTOR.full_name)
    async with sessions() as session:
        return [kind.FromString(one) for one in await session.scalars(query.order_by(outbox.c.position))]


async def until_waiting(sessions: Sessions, most: int) -> None:
    """Until so many wait for a lock in this database."""
    async with asyncio.timeout(20), sessions() as session:
        while (await session.scalar(WAITING) or 0) < most:
            await session.rollback()  # or it would be told the same again


async def database_of(postgres: str, service: str) -> str:
    """The URL of a fresh database with the tables of a service."""
    template = f"template_{service}"
    if template not in templates:
        await ask(postgres, f"CREATE DATABASE {template}")
        await upgrade(postgres + template, service)
        templates.add(template)
    return await copied(postgres, template)


async def copied(postgres: str, template: str) -> str:
    """The URL of a fresh copy of a database. The oldest goes that nobody is connected to."""
    name = f"t{uuid4().hex}"
    await ask(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    copies.append(name)
    if len(copies) > KEPT:
        # Asked first, because PostgreSQL waits five seconds for the last to leave before it says that one is in use.
        used = await ask(postgres, "SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL")
        oldest = next((one for one in copies if one not in used and one != name), None)
        if oldest:
            await ask(postgres, f"DROP DATABASE {oldest}")
            copies.remove(oldest)
    return postgres + name


async def ask(postgres: str, statement: str) -> list[Any]:
    """The first of each row that the answer has."""
    url = make_url(f"{postgres}postgres").set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        said = await connection.execute(text(statement))
        return list(said.scalars()) if said.returns_rows else []
