"""Facts leave by the same door as the rows they speak of.

    await publish(session, UserCreated(user=name, event_time=timestamp(now)))

The event is sent if and only if the transaction commits. Its version counts the events of its key, without holes:
whoever publishes about the same key waits for the row lock in `outbox_key` until this transaction ends.

Rows stay as long as the streams keep events. When a stream was lost, its consumers are laid out again and

    python -m chassis.outbox republish --url-file FILE [--since 2026-11-23T12:00:00+00:00]

has everything published once more; who has heard it already knows it by its id.
"""

import argparse
import asyncio
import random
import time
from asyncio import Event as Wake
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakSet

import orjson
from asyncpg.pgproto import pgproto
from google.protobuf.message import Message
from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, LargeBinary, Table, Text, Uuid, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from chassis.database import Sessions, chassis_metadata, connect, driver, fetch, told_as_ever
from chassis.jobs import job
from chassis.personal_data import impersonal
from chassis.subjects import key_of, subject_of
from chassis.telemetry import span
from chassis.time import moment

KEPT_MS = 97 * 86_400_000  # a week longer than the streams
MOST_BYTES = 256 * 1024  # what a stream takes

NAMED = "names resources by their ids, which stay when their person is erased"
CARRIED = "events carry ids; a check refuses a field that could hold a person"

outbox = Table(
    "outbox",
    chassis_metadata,
    Column("id", Uuid, primary_key=True),
    # In the order of writing, which for one key is that of its versions: it is drawn under the key's lock.
    Column("position", BigInteger, Identity(always=True), nullable=False),
    impersonal("the full name of a message of the contracts", "type", Text, nullable=False).column,
    impersonal(NAMED, "subject", Text, nullable=False).column,
    impersonal(NAMED, "key", Text, nullable=False).column,
    Column("version", BigInteger, nullable=False),
    Column("previous", Uuid),  # the event of this type before it on the key
    impersonal(CARRIED, "payload", LargeBinary, nullable=False).column,
    impersonal("an id of a trace", "traceparent", Text, nullable=False).column,
    impersonal("an id of a request", "request_id", Text, nullable=False).column,
    Column("event_time", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True)),
)
Index("outbox_unpublished_idx", outbox.c.position, postgresql_where=outbox.c.published_at.is_(None))

outbox_key = Table(
    "outbox_key",
    chassis_metadata,
    impersonal(NAMED, "key", Text, primary_key=True).column,
    Column("version", BigInteger, nullable=False),
    impersonal("the id of the last event by its type", "last", JSONB, nullable=False).column,
)

# All events of a key are numbered by one row of `outbox_key`, whose lock the transaction then holds.
NUMBER = """
INSERT INTO outbox_key (key, version, last)
SELECT key, events, last::jsonb FROM unnest($1::text[], $2::bigint[], $3::text[]) AS given (key, events, last)
ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    version = outbox_key.version + excluded.version,
    last = outbox_key.last || excluded.last
RETURNING new.key, coalesce(old.version, 0), old.last::text
"""
COLUMNS = ("id", "type", "subject", "key", "payload", "event_time", "version", "previous", "traceparent", "request_id")
# Of one event, which most transactions have, in one round trip.
ONE = f"""
WITH numbered AS (
    INSERT INTO outbox_key (key, version, last) VALUES ($7, 1, jsonb_build_object($2::text, $1::uuid))
    ON CONFLICT (key) DO UPDATE SET version = outbox_key.version + 1, last = outbox_key.last || excluded.last
    RETURNING new.version, old.last
)
INSERT INTO outbox ({", ".join(COLUMNS)})
SELECT $1, $2, $3, $4, $5, $6, version, (last ->> $2)::uuid, $8, $9 FROM numbered
"""  # noqa: S608 - our own words
FORGET = text("""
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE id < :oldest AND published_at IS NOT NULL ORDER BY id LIMIT 5000
) RETURNING id
""")
REPUBLISH = text("""
UPDATE outbox SET published_at = NULL WHERE id IN (
    SELECT id FROM outbox
    WHERE id > :after AND published_at IS NOT NULL
        AND (CAST(:since AS timestamptz) IS NULL OR published_at >= :since)
    ORDER BY id LIMIT 5000
) RETURNING id
""")


async def publish(session: AsyncSession, event: Message) -> None:
    """Send `event` if and only if this transaction commits."""
    await publish_all(session, [event])


async def publish_all(session: AsyncSession, events: Sequence[Message]) -> None:
    """Send them, in their order, if and only if this transaction commits."""
    await send(session, [row_of(event) for event in events])


class Row(NamedTuple):
    """An event as it is sent."""

    id: UUID
    type: str
    subject: str
    key: str
    payload: bytes
    event_time: datetime
    ordered_by: str


def row_of(event: Message) -> Row:
    """The event as it is sent: made beforehand by who has time for it while something else is written."""
    key, ordered_by = key_of(event)
    happened = moment(getattr(event, "event_time"))  # noqa: B009 - of an unknown type
    name = event.DESCRIPTOR.full_name
    return Row(uuid7(), name, subject_of(event), key, payload_of(event), happened, ordered_by)


async def send(session: AsyncSession, events: Sequence[Row]) -> None:
    """Send what `row_of` made, in its order, if and only if this transaction commits."""
    if not events:
        return
    session.info[STAGED] = True
    now = span.get()
    ids = (now.traceparent, now.request_id) if now else ("", "")
    if len(events) == 1:
        await fetch(session, ONE, *events[0], *ids)
        return
    numbers = await numbered(session, events)
    rows = [(*one[:-1], *number, *ids) for one, number in zip(events, numbers, strict=True)]
    line = await driver(session)
    with told_as_ever("COPY outbox"):
        await line.copy_records_to_table(outbox.name, records=rows, columns=COLUMNS)


async def numbered(session: AsyncSession, events: Sequence[Row]) -> list[tuple[int, UUID | None]]:
    """The version of each, and the event of its type before it on the key."""
    added: dict[str, int] = {}
    last: dict[str, dict[str, Any]] = {}
    for one in events:
        added[one.ordered_by] = added.get(one.ordered_by, 0) + 1
        last.setdefault(one.ordered_by, {})[one.type] = str(one.id)
    given = list(added), list(added.values()), [orjson.dumps(one).decode() for one in last.values()]
    before = {
        key: [version, orjson.loads(types or "{}")] for key, version, types in await fetch(session, NUMBER, *given)
    }
    numbers = []
    for one in events:
        place = before[one.ordered_by]
        place[0] += 1
        numbers.append((place[0], place[1].get(one.type)))
        place[1][one.type] = one.id
    return numbers


def payload_of(event: Message) -> bytes:
    payload = event.SerializeToString(deterministic=True)
    if len(payload) > MOST_BYTES:
        raise ValueError(f"A {event.DESCRIPTOR.full_name} of {len(payload)} bytes is more than a stream takes.")
    if not event.HasField("event_time"):
        raise ValueError(f"A {event.DESCRIPTOR.full_name} must say when it happened: event_time.")
    return payload


def uuid7(milliseconds: int | None = None) -> UUID:
    """An id that begins with the time: the real one, since retention and the stream go by that."""
    made_at = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    chance = random.getrandbits(74)
    number = made_at << 80 | 0x7 << 76 | chance >> 62 << 64 | 0b10 << 62 | chance & (1 << 62) - 1
    return pgproto.UUID(number.to_bytes(16))  # the driver's: a uuid.UUID, at a fifth of the price


# As long as the stream -----------------------------------------------------------------------------------------------


@job(every=timedelta(hours=1))
async def forget_old_events(sessions: Sessions, _: datetime) -> int:
    """Drop what no stream keeps any more. Streams go by the real time, and so do the ids."""
    oldest = uuid7(time.time_ns() // 1_000_000 - KEPT_MS)
    async with sessions.begin() as session:
        return len((await session.execute(FORGET, {"oldest": oldest})).all())


async def republish(session: AsyncSession, since: datetime | None = None) -> int:
    """Have everything published once more, or what was published at `since` or later; how much that is."""
    total, after = 0, UUID(int=0)
    while batch := (await session.scalars(REPUBLISH, {"after": after, "since": since})).all():
        total, after = total + len(batch), max(batch)
    return total


# Waking the relay ----------------------------------------------------------------------------------------------------

STAGED = "an event was published"
asleep: WeakSet[Wake] = WeakSet()  # what the relays of this process wait for


@event.listens_for(Session, "after_commit")
def wake(session: Session) -> None:
    """Also after a savepoint, when there is nothing to see yet: the commit wakes again."""
    if STAGED in session.info:
        for one in asleep:
            one.set()


# The command ---------------------------------------------------------------------------------------------------------


async def main(arguments: argparse.Namespace) -> str:
    engine, sessions = connect(arguments.url_file.read_text().strip(), name="outbox", most=1)
    try:
        async with sessions.begin() as session:  # all at once: the relay goes by the order of writing
            return f"{await republish(session, arguments.since)} to be published once more"
    finally:
        await engine.dispose()


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chassis.outbox")
    parser.add_argument("command", choices=["republish"])
    parser.add_argument("--url-file", type=Path, required=True, help="holds the URL of the service's database")
    parser.add_argument("--since", type=lambda word: datetime.fromisoformat(word).astimezone(UTC))
    return parser.parse_args(words)


if __name__ == "__main__":
    print(asyncio.run(main(parsed())))  # noqa: T201
