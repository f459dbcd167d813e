"""Events that a consumer could not take in, set aside with their reason until a person has looked.

    python -m chassis.dead_letters list    --url-file FILE
    python -m chassis.dead_letters replay  --url-file FILE EVENT_ID... | --all
    python -m chassis.dead_letters discard --url-file FILE EVENT_ID...

FILE holds the URL of the service's database. A replay goes through the same handler and inbox, in a running process
of the service; an event that fails again stays here. A discarded one counts as seen.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from nats.aio.msg import Msg
from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, Row, Table, Text, Uuid, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import chassis_metadata, connect
from chassis.envelope import Envelope, from_stream, read
from chassis.inbox import CONSUMER, Heard
from chassis.outbox import CARRIED, NAMED
from chassis.personal_data import impersonal

dead_letter = Table(
    "dead_letter",
    chassis_metadata,
    impersonal(CONSUMER, "consumer", Text, primary_key=True).column,
    Column("event_id", Uuid, primary_key=True),
    impersonal("the full name of a message of the contracts", "type", Text, nullable=False).column,
    impersonal(NAMED, "key", Text, nullable=False).column,
    impersonal("a reason from the contracts, or from the code", "reason", Text, nullable=False).column,
    Column("attempts", BigInteger, nullable=False),
    impersonal("the name of a stream", "stream", Text, nullable=False).column,
    Column("sequence", BigInteger, nullable=False),
    # Not of what an outsider said, which may hold anything: that stays in their stream only, for a few days.
    impersonal(CARRIED, "headers", JSONB, nullable=False).column,
    impersonal(CARRIED, "payload", LargeBinary).column,
    Column("first_time", DateTime(timezone=True), nullable=False),
    Column("last_time", DateTime(timezone=True), nullable=False),
    Column("replay_time", DateTime(timezone=True)),  # when somebody asked for another try
)
Index("dead_letter_replay_idx", dead_letter.c.replay_time, postgresql_where=dead_letter.c.replay_time.is_not(None))

BURY = text("""
WITH failed AS (DELETE FROM setback WHERE consumer = :consumer AND event_id = :id RETURNING first_time)
INSERT INTO dead_letter (consumer, event_id, type, key, reason, attempts, stream, sequence, headers, payload,
    first_time, last_time)
VALUES (:consumer, :id, :type, :key, :reason, :attempts, :stream, :sequence, CAST(:headers AS jsonb), :payload,
    coalesce((SELECT first_time FROM failed), :now), :now)
ON CONFLICT (consumer, event_id) DO UPDATE SET
    reason = excluded.reason, attempts = dead_letter.attempts + 1, last_time = excluded.last_time, replay_time = NULL
""")
REPLAY = text("""
UPDATE dead_letter SET replay_time = clock_timestamp()
WHERE replay_time IS NULL AND (CAST(:ids AS uuid[]) IS NULL OR event_id = ANY(:ids))
RETURNING event_id
""")
DISCARD = text("""
WITH gone AS (DELETE FROM dead_letter WHERE event_id = ANY(:ids) RETURNING consumer, event_id)
INSERT INTO inbox (consumer, event_id) SELECT consumer, event_id FROM gone RETURNING event_id
""")
# The mark goes first: who takes over may end, and the letter is still there.
NEXT = text("""
UPDATE dead_letter SET replay_time = NULL WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM dead_letter WHERE replay_time IS NOT NULL AND consumer = ANY(:consumers)
    ORDER BY replay_time, event_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING *
""")
GONE = b"\xff"  # decodes as nothing


async def bury(session: AsyncSession, heard: Heard, *, reason: str, attempts: int, now: datetime) -> None:
    """Set an event aside."""
    envelope, is_ours = heard.envelope, not heard.handler.ingress
    said = {
        "type": heard.handler.event_type.DESCRIPTOR.full_name,
        "key": envelope.key if is_ours else "",
        "reason": reason,
        "attempts": attempts,
        "stream": envelope.stream,
        "sequence": envelope.sequence,
        "headers": json.dumps(envelope.headers if is_ours else {}),
        "payload": envelope.data if is_ours else None,
        "now": now,
    }
    await session.execute(BURY, heard.names | said)


async def letters(session: AsyncSession, *, limit: int = 1_000) -> Sequence[Row[Any]]:
    """What is set aside, the oldest first."""
    return (await session.execute(select(dead_letter).order_by(dead_letter.c.first_time).limit(limit))).all()


async def replay(session: AsyncSession, *ids: UUID) -> int:
    """Have the events `ids`, or all, taken in again by their consumers; how many there are."""
    return len((await session.execute(REPLAY, {"ids": list(ids) or None})).all())


async def discard(session: AsyncSession, *ids: UUID) -> int:
    """Give up the events `ids`: they count as seen."""
    return len((await session.execute(DISCARD, {"ids": list(ids)})).all())


async def next_replay(session: AsyncSession, consumers: Sequence[str]) -> Row[Any] | None:
    """Take over the next letter of these consumers that is to be taken in again."""
    return (await session.execute(NEXT, {"consumers": consumers})).one_or_none()


async def replayed(session: AsyncSession, letter: Row[Any]) -> None:
    names = {"consumer": letter.consumer, "id": letter.event_id}
    await session.execute(text("DELETE FROM dead_letter WHERE consumer = :consumer AND event_id = :id"), names)


def as_it_came(letter: Row[Any], said: Msg | None) -> Envelope:
    """The event in a letter, or in what an outsider `said` where their stream still has it."""
    if said is not None:
        envelope = from_stream(said)
    else:
        payload = letter.payload or GONE
        envelope = read(letter.headers, payload, stream=letter.stream, sequence=letter.sequence, stored="")
    return replace(envelope, id=letter.event_id)


# The command ---------------------------------------------------------------------------------------------------------


async def main(arguments: argparse.Namespace) -> str:
    engine, sessions = connect(arguments.url_file.read_text().strip(), name="dead_letters", most=1)
    try:
        async with sessions.begin() as session:
            match arguments.command:
                case "replay":
                    return f"{await replay(session, *arguments.events)} to be taken in again"
                case "discard":
                    return f"{await discard(session, *arguments.events)} given up"
                case _:
                    return "\n".join(line(letter) for letter in await letters(session)) or "no dead letters"
    finally:
        await engine.dispose()


def line(letter: Row[Any]) -> str:
    again = "  (to be taken in again)" if letter.replay_time else ""
    times = f"{letter.attempts} times since {letter.first_time:%Y-%m-%d %H:%M}"
    return f"{letter.event_id}  {letter.consumer}  {letter.type}  {letter.reason}  {times}{again}"


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chassis.dead_letters")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("list", "replay", "discard"):
        command = commands.add_parser(name)
        command.add_argument("--url-file", type=Path, required=True, help="holds the URL of the service's database")
        if name != "list":
            command.add_argument("events", type=UUID, nargs="*" if name == "replay" else "+")
        if name == "replay":
            command.add_argument("--all", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.command == "replay" and bool(arguments.events) == arguments.all:
        parser.error("name events, or --all")
    return arguments


if __name__ == "__main__":
    print(asyncio.run(main(parsed())))  # noqa: T201
