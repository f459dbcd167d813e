"""What it takes a fact to travel: commit to commit at a steady pace, and how fast a backlog is handed over."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import nats as nats_client
import uvloop
from rapport.support.v1.events_pb2 import TicketCreated
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from chassis.consumer import Arrival, on
from chassis.database import Sessions, connect
from chassis.migrations import keepers, lay
from chassis.outbox import publish
from chassis.subjects import subject_of
from tests import engines
from tests.bench.figures import ROUNDS, Figure, ratio
from tests.chassis.events import created, lay_out, listening, relaying, ticket_of, until

PACE, SECONDS = 200, 5.0
BACKLOG = 4_000
IN_FLIGHT = 128


@asynccontextmanager
async def database(postgres: str) -> AsyncIterator[Sessions]:
    """A fresh one, with the tables of the chassis."""
    name = f"b{uuid4().hex}"
    admin = create_async_engine(
        make_url(f"{postgres}postgres").set(drivername="postgresql+asyncpg"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    engine, sessions = connect(postgres + name, name="bench")
    async with engine.begin() as connection:
        await connection.run_sync(lay, [keepers()])
    yield sessions
    await engine.dispose()


async def latency(postgres: str, nats: str) -> tuple[float, float]:
    """Milliseconds from the publisher's commit to the consumer's, at 200 events a second: median and p99."""
    said: dict[str, float] = {}
    heard: dict[str, float] = {}

    @on(TicketCreated)
    async def note(session: AsyncSession, event: TicketCreated, about: Arrival) -> None:
        listen(session.sync_session, "after_commit", lambda _: heard.setdefault(event.ticket, time.monotonic()))

    async with database(postgres) as sessions:
        await lay_out(nats, note)

        async def state(ticket: str) -> None:
            async with sessions.begin() as session:
                await publish(session, created(ticket))
            said[ticket] = time.monotonic()

        async with relaying(nats, sessions), listening(nats, sessions, note), asyncio.TaskGroup() as group:
            began = time.monotonic()
            for number in range(int(PACE * SECONDS)):
                await asyncio.sleep(max(0.0, began + number / PACE - time.monotonic()))
                group.create_task(state(ticket_of()))

            async def all_heard() -> bool:
                return len(heard) == int(PACE * SECONDS)

            await until(all_heard)
    took = sorted((heard[ticket] - at) * 1e3 for ticket, at in said.items())
    return statistics.median(took), took[int(len(took) * 0.99)]


async def drain(postgres: str, nats: str) -> float:
    """Events a second, of a backlog that an outage left."""
    async with database(postgres) as sessions:
        await lay_out(nats)
        async with sessions.begin() as session:
            for _ in range(BACKLOG):
                await publish(session, created(ticket_of()))
        began = time.monotonic()
        async with relaying(nats, sessions) as relay:

            async def is_done() -> bool:
                return not await relay.pending()

            await until(is_done)
            return BACKLOG / (time.monotonic() - began)


async def bare(nats: str) -> float:
    """Events a second, by nothing but JetStream's own pipelined publishing of the same messages."""
    await lay_out(nats)
    events = [created(ticket_of()) for _ in range(BACKLOG)]
    messages = [(subject_of(event), event.SerializeToString(), {"Nats-Msg-Id": str(uuid4())}) for event in events]
    client = await nats_client.connect(nats)
    js = client.jetstream(publish_async_max_pending=IN_FLIGHT)
    began = time.monotonic()
    for subject, data, headers in messages:
        await js.publish_async(subject, data, headers=headers, wait_stall=10)
    await js.publish_async_completed()
    rate = BACKLOG / (time.monotonic() - began)
    await client.close()
    return rate


def measured() -> list[Figure]:
    durable = ("fsync=on", "full_page_writes=on", "synchronous_commit=on")
    medians, tails, drained, published = [], [], [], []
    with engines.postgres(*durable) as postgres:
        for _ in range(ROUNDS):
            with engines.nats() as nats:
                median, tail = uvloop.run(latency(postgres, nats))
                medians.append(median)
                tails.append(tail)
            with engines.nats() as nats:
                drained.append(uvloop.run(drain(postgres, nats)))
            with engines.nats() as nats:
                published.append(uvloop.run(bare(nats)))
    return [
        Figure(f"commit to consumer's commit at {PACE} events/s, median", "ms", medians),
        Figure(f"commit to consumer's commit at {PACE} events/s, p99", "ms", tails),
        ratio("relay draining a backlog / bare pipelined publishing", drained, published, bound=0.6, is_least=True),
    ]
