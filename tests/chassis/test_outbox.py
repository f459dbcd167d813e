import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from rapport.support.v1.events_pb2 import TicketCreated, TicketReplied
from sqlalchemy import Row, select, text

from chassis import outbox
from chassis.database import Sessions
from chassis.outbox import forget_old_events, publish, republish, uuid7
from chassis.telemetry import working
from chassis.time import moment
from tests.chassis.events import count, created, replied, say, ticket_of

TABLE = outbox.outbox


async def rows(sessions: Sessions) -> Sequence[Row[Any]]:
    """The events, as they were written."""
    async with sessions() as session:
        return (await session.execute(select(TABLE).order_by(TABLE.c.position))).all()


async def take_back(sessions: Sessions, event: Message) -> None:
    """State an event in a transaction that does not commit."""
    async with sessions() as session:
        await publish(session, event)
        await session.rollback()


async def test_a_fact_is_stated_only_if_its_transaction_commits(sessions: Sessions) -> None:
    await take_back(sessions, created(ticket_of()))
    assert await count(sessions, "outbox") == 0
    await say(sessions, created(ticket_of()))
    assert await count(sessions, "outbox") == 1


async def test_versions_count_the_events_of_a_key_without_holes(sessions: Sessions) -> None:
    ticket, other = ticket_of(), ticket_of()
    await say(sessions, created(ticket), created(other), replied(ticket))
    await take_back(sessions, replied(ticket))
    await say(sessions, replied(ticket), replied(other))
    assert [row.version for row in await rows(sessions)] == [1, 1, 2, 3, 2]


async def test_an_event_names_the_one_of_its_type_before_it(sessions: Sessions) -> None:
    ticket = ticket_of()
    await say(sessions, replied(ticket), created(ticket), replied(ticket), replied(ticket), replied(ticket_of()))
    first, made, second, third, alone = await rows(sessions)
    before = [row.previous for row in (first, made, second, third, alone)]
    assert before == [None, None, first.id, second.id, None]


async def test_order_holds_under_concurrent_commits(sessions: Sessions) -> None:
    tickets, chance = [ticket_of() for _ in range(3)], random.Random(7)

    async def write(number: int) -> None:
        async with sessions.begin() as session:
            await publish(session, replied(tickets[number % 3], number))
            await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": chance.random() / 50})

    await asyncio.gather(*(write(number) for number in range(30)))
    written = await rows(sessions)
    for ticket in tickets:
        hers = [row for row in written if row.key == ticket]
        assert [row.version for row in hers] == list(range(1, 11))
        assert [row.previous for row in hers] == [None, *(row.id for row in hers[:-1])]


async def test_an_event_carries_the_ids_of_the_work_it_comes_from(sessions: Sessions) -> None:
    with working("a test", request_id="a-request-of-mine") as span:
        await say(sessions, created(ticket_of()))
    await say(sessions, created(ticket_of()))
    inside, outside = await rows(sessions)
    assert (inside.traceparent, inside.request_id) == (span.traceparent, "a-request-of-mine")
    assert (outside.traceparent, outside.request_id) == ("", "")


async def test_an_event_is_dated_by_itself(sessions: Sessions) -> None:
    event = created(ticket_of())
    event.event_time.FromJsonString("2031-05-06T07:08:09.123456Z")
    await say(sessions, event)
    (row,) = await rows(sessions)
    assert row.event_time == moment(event.event_time)
    assert TicketCreated.FromString(row.payload) == event


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (TicketCreated(user="users/a", ticket="users/a/tickets/b"), "event_time"),
        (replied("users/a/tickets/" + "b" * 300_000), "bytes"),
        (TicketReplied(user="users/a", event_time=created(ticket_of()).event_time), "name its owner and its key"),
    ],
)
async def test_what_no_stream_would_take_is_refused_at_once(
    sessions: Sessions, event: TicketCreated, problem: str
) -> None:
    async with sessions() as session:
        with pytest.raises(ValueError, match=problem):
            await publish(session, event)


def test_ids_begin_with_the_time() -> None:
    ids = [uuid7(number) for number in (0, 1, 1_700_000_000_000, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}
    assert abs((uuid7().int >> 80) / 1_000 - datetime.now(UTC).timestamp()) < 60


async def test_rows_stay_as_long_as_the_stream(sessions: Sessions) -> None:
    """By the real time, whatever the platform's clock says; and never unpublished."""
    await say(sessions, *(created(ticket_of()) for _ in range(4)))
    now = datetime.now(UTC)
    ages = [(timedelta(days=89), now), (timedelta(days=98), now), (timedelta(days=98), None), (timedelta(0), now)]
    async with sessions.begin() as session:
        for row, (age, published) in zip(await rows(sessions), ages, strict=True):
            old = uuid7(int((now - age).timestamp() * 1_000))
            await session.execute(TABLE.update().where(TABLE.c.id == row.id).values(id=old, published_at=published))
    assert await forget_old_events.work(sessions, datetime.now(UTC) + timedelta(days=400)) == 1
    assert await count(sessions, "outbox") == 3
    assert await forget_old_events.work(sessions, datetime.now(UTC)) == 0


async def test_everything_can_be_published_once_more(sessions: Sessions) -> None:
    await say(sessions, *(created(ticket_of()) for _ in range(3)))
    async with sessions.begin() as session:
        await session.execute(TABLE.update().values(published_at=datetime(2026, 1, 1, tzinfo=UTC)))
    async with sessions.begin() as session:
        assert await republish(session, datetime(2026, 1, 2, tzinfo=UTC)) == 0
        assert await republish(session) == 3
        assert await republish(session) == 0


async def test_the_command_says_what_it_did(sessions: Sessions, url_file: Path) -> None:
    await say(sessions, created(ticket_of()))
    async with sessions.begin() as session:
        await session.execute(TABLE.update().values(published_at=datetime(2026, 1, 1, tzinfo=UTC)))
    words = ["republish", "--url-file", str(url_file), "--since", "2025-12-31T23:00:00+00:00"]
    assert await outbox.main(outbox.parsed(words)) == "1 to be published once more"
