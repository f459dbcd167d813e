"""Listening without being remembered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

import pytest
from rapport.support.v1.events_pb2 import TicketCreated, TicketReplied

from chassis import reader
from chassis.bus import Bus
from chassis.database import Sessions
from chassis.envelope import Envelope, message
from chassis.outbox import uuid7
from chassis.reader import ALL, read
from chassis.subjects import filter_of
from tests import engines
from tests.chassis.events import created, holds, lay_out, line, number_of, operator, relaying, replied, say, ticket_of

REPLIES = filter_of(TicketReplied)


@pytest.fixture
async def stream(sessions: Sessions, own_nats: str) -> AsyncIterator[Bus]:
    """A stream that what is said goes to, and a line to it."""
    await lay_out(own_nats)
    async with relaying(own_nats, sessions), line(own_nats) as there:
        yield there


async def take(events: AsyncIterator[Envelope], many: int) -> list[Envelope]:
    async with asyncio.timeout(20):
        return [await anext(events) for _ in range(many)]


def numbers(events: list[Envelope]) -> list[int]:
    return [number_of(message(event, TicketReplied)) for event in events]


async def test_a_reader_hears_everything_from_a_time_on_and_what_comes_after(
    sessions: Sessions, own_nats: str, stream: Bus
) -> None:
    ticket = ticket_of()
    await say(sessions, created(ticket), *(replied(ticket, number) for number in range(150)))
    async with operator(own_nats) as js, aclosing(read(stream, REPLIES, since=ALL)) as events:
        await holds(js, 151)
        assert numbers(await take(events, 150)) == list(range(150))
        await say(sessions, replied(ticket, 150))
        assert numbers(await take(events, 1)) == [150]


async def test_a_reader_without_a_time_hears_what_is_said_from_now_on(
    sessions: Sessions, own_nats: str, stream: Bus
) -> None:
    ticket = ticket_of()
    await say(sessions, replied(ticket, 0))
    async with operator(own_nats) as js:
        await holds(js, 1)
    async with aclosing(read(stream, REPLIES)) as events:
        first = asyncio.create_task(take(events, 2))
        before = asyncio.create_task(say_until(sessions, ticket, first))
        heard = numbers(await first)
        await before
    assert heard[0] > 0
    assert heard[1] == heard[0] + 1


async def say_until(sessions: Sessions, ticket: str, done: "asyncio.Task[list[Envelope]]") -> None:
    number = 0
    while not done.done():
        number += 1
        await say(sessions, replied(ticket, number))


async def test_a_reader_goes_on_after_the_event_it_names(sessions: Sessions, own_nats: str, stream: Bus) -> None:
    ticket = ticket_of()
    await say(sessions, *(replied(ticket, number) for number in range(200)))
    async with aclosing(read(stream, REPLIES, since=ALL)) as events:
        known = await take(events, 200)
    for place in (0, 64, 130):
        async with aclosing(read(stream, REPLIES, since=known[place].id)) as events:
            assert numbers(await take(events, 3)) == [place + 1, place + 2, place + 3]


async def test_a_reader_that_names_an_event_nobody_knows_hears_what_came_since(
    sessions: Sessions, own_nats: str, stream: Bus
) -> None:
    lost = uuid7()
    await say(sessions, replied(ticket_of(), 1))
    async with aclosing(read(stream, REPLIES, since=lost)) as events:
        assert numbers(await take(events, 1)) == [1]
    async with aclosing(read(stream, REPLIES, since=UUID(int=1))) as events:
        assert numbers(await take(events, 1)) == [1]


async def test_a_reader_hears_several_filters_and_one_persons_own(
    sessions: Sessions, own_nats: str, stream: Bus
) -> None:
    hers, others = ticket_of(), ticket_of()
    she = hers.split("/")[1]
    await say(sessions, created(others), created(hers), replied(others, 1), replied(hers, 2))
    filters = [filter_of(one, she) for one in (TicketCreated, TicketReplied)]
    async with aclosing(read(stream, *filters, since=ALL)) as events:
        heard = await take(events, 2)
    assert {event.type.rpartition(".")[2] for event in heard} == {"TicketCreated", "TicketReplied"}
    assert {event.owner for event in heard} == {she}


async def test_news_are_heard_without_waiting_for_the_next_look(
    sessions: Sessions, own_nats: str, stream: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "POLL", 3_600.0)
    ticket = ticket_of()
    await say(sessions, replied(ticket, 0))
    async with aclosing(read(stream, REPLIES, since=ALL)) as events:
        assert numbers(await take(events, 1)) == [0]
        for number in range(1, 6):
            await say(sessions, replied(ticket, number))
            assert numbers(await take(events, 1)) == [number]


async def test_a_reader_goes_on_after_an_outage(sessions: Sessions, tmp_path: Path) -> None:
    port, ticket = engines.free_port(), ticket_of()
    url = f"nats://127.0.0.1:{port}"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with engines.nats(home=tmp_path / "first", port=port):
        await lay_out(url)
        bus_line, relay_line = line(url), relaying(url, sessions)
        there = await bus_line.__aenter__()
        await relay_line.__aenter__()
        events = read(there, REPLIES, since=ALL)
        await say(sessions, replied(ticket, 0))
        assert numbers(await take(events, 1)) == [0]
    await say(sessions, replied(ticket, 1))
    # Another stream, where the sequences begin anew.
    with engines.nats(home=tmp_path / "second", port=port):
        await lay_out(url)
        assert numbers(await take(events, 1)) == [1]
        await events.aclose()
        await relay_line.__aexit__(None, None, None)
        await bus_line.__aexit__(None, None, None)


async def test_a_reader_that_comes_before_the_stream_waits_for_it(sessions: Sessions, own_nats: str) -> None:
    async with line(own_nats) as there, aclosing(read(there, REPLIES, since=ALL)) as events:
        waiting = asyncio.create_task(take(events, 1))
        await say(sessions, replied(ticket_of(), 1))
        await lay_out(own_nats)
        async with relaying(own_nats, sessions):
            assert numbers(await waiting) == [1]
