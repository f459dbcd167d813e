"""From the outbox to the stream, in order, until the stream has it for certain.

One replica at a time relays. It reads what is unpublished, ends that transaction, publishes with one event of a key in
flight, and marks what was acknowledged. A publication whose end is unknown is repeated under the same id. When a
relay dies between publishing and marking, the next one publishes again: consumers know an event by its id.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import prometheus_client
import structlog
from nats.errors import Error as NatsError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from chassis.bus import Bus, Publications
from chassis.cancellation import heed
from chassis.database import Sessions, fetch
from chassis.envelope import headers
from chassis.leases import Lease
from chassis.outbox import asleep, outbox
from chassis.subjects import owner_of
from chassis.telemetry import EVENTS_PUBLISHED, OUTBOX_OLDEST_AGE, OUTBOX_PENDING

LEASE = "relay"
BATCH = 1_000
IN_FLIGHT = 128
POLL = 0.5  # seconds between looks that nobody asked for: after a commit the relay is woken
PATIENCE = 2.0  # seconds for an acknowledgement; then the event is published again
GAUGED = 5.0

log = structlog.get_logger()

IS_WAITING = outbox.c.published_at.is_(None)
UNPUBLISHED = """
SELECT id, type, subject, key, version, previous, payload, traceparent, request_id, event_time
FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT $1
"""
COUNT = select(
    func.count(), select(outbox.c.id).where(IS_WAITING).order_by(outbox.c.position).limit(1).scalar_subquery()
).where(IS_WAITING)
MARK = """
UPDATE outbox SET published_at = clock_timestamp()
WHERE id = ANY($1::uuid[]) AND EXISTS (SELECT FROM lease WHERE name = $2 AND fence = $3)
"""


class Unsent(NamedTuple):
    """An event that waits, as it stands in the outbox."""

    id: UUID
    type: str
    subject: str
    key: str
    version: int
    previous: UUID | None
    payload: bytes
    traceparent: str
    request_id: str
    event_time: datetime


class Relay:
    """Publishes for one service, while it holds the lease."""

    def __init__(self, bus: Bus, sessions: Sessions, *, source: str, replica: str) -> None:
        self.bus, self.sessions, self.source = bus, sessions, source
        self.publications = Publications(bus)
        self.wake = asyncio.Event()
        self.lease = Lease(LEASE, replica, sessions, taken=self.wake)

    async def run(self) -> None:
        """Publish what there is, and wait for more, until cancelled."""
        asleep.add(self.wake)
        pause = POLL
        while True:
            heed()
            self.wake.clear()
            try:
                if self.lease.held and self.bus.connected and await self.pass_on():
                    pause = POLL
                    continue
            except (SQLAlchemyError, NatsError, OSError, TimeoutError) as error:
                pause = min(pause * 2, 10 * POLL)
                log.warning("relay_failed", kind=type(error).__name__)
            try:
                async with asyncio.timeout(pause):
                    await self.wake.wait()
            except TimeoutError:
                continue

    async def pass_on(self) -> bool:
        """Publish one batch; whether that went on, so that more should be tried at once."""
        fence = self.lease.fence
        async with self.sessions() as session:
            rows = [Unsent(*row) for row in await fetch(session, UNPUBLISHED, BATCH)]
        if not rows:
            return False
        await self.publications.open()
        done = await self.send(rows)
        if done:
            async with self.sessions.begin() as session:
                await fetch(session, MARK, done, LEASE, fence)
        return bool(done)

    async def send(self, rows: Sequence[Unsent]) -> list[UUID]:
        """Publish, each key in its own order; what was acknowledged."""
        lanes: dict[tuple[str, str], list[Unsent]] = defaultdict(list)
        for row in rows:
            lanes[owner_of(row.subject), row.key].append(row)
        left, done, failures = iter(lanes.values()), list[UUID](), Counter[str]()

        async def work() -> None:
            for lane in left:
                for row in lane:
                    if not (self.lease.held and self.bus.connected):
                        return
                    try:
                        await self.publish(row)
                    except Exception as error:
                        failures[type(error).__name__] += 1
                        break  # what follows on this key must not overtake
                    done.append(row.id)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, len(lanes))):
                group.create_task(work())
        if failures:
            log.warning("events_not_published", count=failures.total(), kind=failures.most_common(1)[0][0])
        return done

    async def publish(self, row: Unsent) -> None:
        said = headers(
            id=row.id,
            type=row.type,
            source=self.source,
            key=row.key,
            owner=owner_of(row.subject),
            time=row.event_time,
            version=row.version,
            previous=row.previous,
            traceparent=row.traceparent,
            request_id=row.request_id,
        )
        result = "failed"
        try:
            await self.publications.send(row.subject, row.payload, said, patience=PATIENCE)
            result = "done"
        finally:
            published(row.type, result).inc()

    async def gauge(self) -> None:
        """Keep the gauges right, in every replica: an alert must not depend on the one that relays."""
        while True:
            try:
                await self.pending()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("outbox_not_counted", kind=type(error).__name__)
            await asyncio.sleep(GAUGED)

    async def pending(self) -> int:
        """How many events are not published yet."""
        async with self.sessions() as session:
            count, oldest = (await session.execute(COUNT)).one()
        OUTBOX_PENDING.set(count)
        OUTBOX_OLDEST_AGE.set(max(0.0, time.time() - (oldest.int >> 80) / 1_000) if oldest else 0.0)
        return int(count)


@lru_cache(maxsize=1_000)  # looking a child up by its labels costs more than counting does
def published(type: str, result: str) -> prometheus_client.Counter:
    return EVENTS_PUBLISHED.labels(type, result)


@asynccontextmanager
async def running(bus: Bus, sessions: Sessions, *, source: str, replica: str) -> AsyncIterator[Relay]:
    """Relay for the service `source` until the block is left, which frees the lease for others at once."""
    relay = Relay(bus, sessions, source=f"/{source}", replica=replica)
    tasks = [bus.start("relay", work) for work in (relay.run(), relay.gauge(), relay.lease.keep())]
    try:
        yield relay
    finally:
        for task in tasks:  # the lease is the last to go
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
