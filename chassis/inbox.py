"""What each consumer has seen, noted in the transaction of the effect: the guarantee that an effect happens once.

An event names the one of its type before it on the same key. As long as that one is neither seen nor set aside, this
one is early and waits: so order holds over redeliveries and over replicas, without a lock between them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import BigInteger, Column, DateTime, Index, Table, Text, Uuid, func, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, Handler
from chassis.database import Sessions, chassis_metadata, in_transaction
from chassis.envelope import Envelope
from chassis.jobs import job
from chassis.personal_data import impersonal
from chassis.personal_data.tombstone import refused_person
from chassis.time import Clock

REMEMBERED = 97 * 86_400.0  # seconds: longer than a stream keeps an event

CONSUMER = "a name in the code"

inbox = Table(
    "inbox",
    chassis_metadata,
    impersonal(CONSUMER, "consumer", Text, primary_key=True).column,
    Column("event_id", Uuid, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
Index("inbox_seen_at_idx", inbox.c.seen_at, postgresql_using="brin")  # rows come in the order of time: it stays tiny

# An event that failed, from the first failure until it succeeds or is set aside.
setback = Table(
    "setback",
    chassis_metadata,
    impersonal(CONSUMER, "consumer", Text, primary_key=True).column,
    Column("event_id", Uuid, primary_key=True),
    impersonal("names resources by their ids, which stay", "lane", Text, nullable=False).column,
    Column("attempts", BigInteger, nullable=False),
    impersonal("a reason from the code", "reason", Text, nullable=False).column,  # "" when a process ended over it
    Column("first_time", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),  # when it is tried again, by the database's clock
)
Index("setback_consumer_lane_idx", setback.c.consumer, setback.c.lane)


class Outcome(Enum):
    DONE = "done"
    DUPLICATE = "duplicate"
    EARLY = "early"  # nothing was done: the event before it comes first
    ERASED = "erased"  # it was all about somebody we promised to forget
    DEAD = "dead"  # set aside, for a person to look at
    FAILED = "failed"  # to be tried again


@dataclass(frozen=True)
class Heard:
    """One event on its way to one handler."""

    consumer: str
    handler: Handler
    envelope: Envelope
    event: Message | None  # None where it cannot be decoded

    @property
    def names(self) -> dict[str, Any]:
        before = self.envelope.previous
        return {
            "consumer": self.consumer,
            "id": self.envelope.id,
            # One too old to be in any stream is not waited for.
            "previous": None if before is None or is_forgotten(before) else before,
            "lane": "" if self.handler.ingress else self.envelope.lane,  # an outsider's words are not kept
        }


@dataclass(frozen=True)
class Standing:
    """What is known of an event that comes again."""

    seen: bool
    dead: bool
    due: bool
    hindered: float | None  # another event of its key has failed: the seconds until that is tried again
    failed: bool  # it has failed itself, and we know why


class Early(Exception):  # noqa: N818 - it is what the event is
    """The event before this one is neither seen nor set aside."""


# One round trip for the note and for the look at the event before.
SETTLED = """
(CAST(:previous AS uuid) IS NULL
    OR EXISTS (SELECT FROM inbox WHERE consumer = :consumer AND event_id = :previous)
    OR EXISTS (SELECT FROM dead_letter WHERE consumer = :consumer AND event_id = :previous))
"""
NOTE = text(f"""
WITH noted AS (
    INSERT INTO inbox (consumer, event_id)
    SELECT :consumer, :id
    WHERE :anyway OR NOT EXISTS (SELECT FROM dead_letter WHERE consumer = :consumer AND event_id = :id)
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT EXISTS (SELECT FROM noted), {SETTLED}
""")  # noqa: S608 - our own words
STANDING = text(f"""
SELECT EXISTS (SELECT FROM inbox WHERE consumer = :consumer AND event_id = :id),
    EXISTS (SELECT FROM dead_letter WHERE consumer = :consumer AND event_id = :id),
    {SETTLED},
    (SELECT CAST(extract(epoch FROM max(due_at) - clock_timestamp()) AS float8) FROM setback
        WHERE consumer = :consumer AND lane = :lane AND event_id <> :id),
    EXISTS (SELECT FROM setback WHERE consumer = :consumer AND event_id = :id AND reason <> '')
""")  # noqa: S608 - our own words
TRY = text("""
INSERT INTO setback (consumer, event_id, lane, attempts, reason, first_time, due_at)
VALUES (:consumer, :id, :lane, 1, '', :now, clock_timestamp())
ON CONFLICT (consumer, event_id) DO UPDATE SET attempts = setback.attempts + 1
RETURNING attempts, reason
""")
FAIL = text("""
INSERT INTO setback (consumer, event_id, lane, attempts, reason, first_time, due_at)
VALUES (:consumer, :id, :lane, 1, :reason, :now, clock_timestamp() + make_interval(secs => :first))
ON CONFLICT (consumer, event_id) DO UPDATE SET
    reason = :reason,
    due_at = clock_timestamp() + make_interval(secs => coalesce((CAST(:ladder AS float8[]))[setback.attempts], 0))
RETURNING attempts
""")
SWEEP = text("""
DELETE FROM inbox WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM inbox WHERE seen_at < now() - make_interval(secs => :seconds) LIMIT 5000
) RETURNING event_id
""")
FORGET = text("DELETE FROM setback WHERE consumer = :consumer AND event_id = :id")


async def take_in(sessions: Sessions, heard: Heard, clock: Clock, *, again: bool, anyway: bool = False) -> Outcome:
    """Run the handler and note the event, both or neither.

    `again` when it may have failed before; `anyway` though the event before it is missing, or it was set aside itself.
    """
    envelope, names = heard.envelope, heard.names | {"anyway": anyway}
    if anyway:
        names["previous"] = None

    async def work(session: AsyncSession) -> Outcome:
        is_new, is_due = (await session.execute(NOTE, names)).one()
        if not is_new:
            return Outcome.DUPLICATE
        if not is_due:
            raise Early
        if again:
            await session.execute(FORGET, names)
        now = clock()
        about = Arrival(envelope.id, envelope.time or now, envelope.key, envelope.version, now)
        await heard.handler.function(session, heard.event, about)
        return Outcome.DONE

    try:
        return await in_transaction(sessions, work)
    except Early:
        return Outcome.EARLY
    except Exception as error:
        if refused_person(error) is None:
            raise
        await let_go(sessions, heard)
        return Outcome.ERASED


async def let_go(sessions: Sessions, heard: Heard) -> None:
    """Note the event without an effect."""
    async with sessions.begin() as session:
        await session.execute(NOTE, heard.names | {"anyway": True})
        await session.execute(FORGET, heard.names)


async def standing(sessions: Sessions, heard: Heard) -> Standing:
    async with sessions() as session:
        return Standing(*(await session.execute(STANDING, heard.names)).one())


async def begin_again(sessions: Sessions, heard: Heard, now: datetime) -> tuple[int, str]:
    """Count one more try of an event, before it: how many there were, and why the last failed ("": nobody knows)."""
    async with sessions.begin() as session:
        attempts, reason = (await session.execute(TRY, heard.names | {"now": now})).one()
        return attempts, reason


async def note_failure(sessions: Sessions, heard: Heard, reason: str, now: datetime, ladder: Sequence[float]) -> int:
    """Note why a try failed, and when the next one comes: `ladder` has the seconds. How many tries there were."""
    said = {"now": now, "reason": reason, "ladder": ladder, "first": ladder[0]}
    async with sessions.begin() as session:
        return int((await session.execute(FAIL, heard.names | said)).scalar_one())


@job(every=timedelta(hours=1))
async def forget_old_notes(sessions: Sessions, _: datetime) -> int:
    """Drop the notes of events that no stream keeps any more: by the real time, as streams do."""
    async with sessions.begin() as session:
        return len((await session.execute(SWEEP, {"seconds": REMEMBERED})).all())


def is_forgotten(id: UUID) -> bool:
    """Whether an event was made so long ago that the inbox would not know it. Only ids of ours hold a time."""
    return id.version == 7 and made_at(id) < time.time() - REMEMBERED


def made_at(id: UUID) -> float:
    """When an id of version 7 was made, by the real time."""
    return (id.int >> 80) / 1_000
