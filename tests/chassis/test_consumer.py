"""Events on their way to an effect: once, in the order of their key, whatever happens on the way."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from nats.errors import Error as NatsError
from rapport.support.v1.events_pb2 import TicketReplied
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import consumer, inbox, listener, streams
from chassis.database import Sessions
from chassis.outbox import republish, uuid7
from chassis.telemetry import exposition, span
from chassis.time import moment
from tests import engines
from tests.chassis.events import (
    Witness,
    count,
    days_ago,
    holds,
    lay_out,
    letters,
    listening,
    number_of,
    operator,
    relaying,
    replied,
    say,
    send,
    ticket_of,
    until,
)

# Once ----------------------------------------------------------------------------------------------------------------


async def test_an_event_reaches_its_handler_with_what_is_known_of_it(
    sessions: Sessions, own_nats: str, relayed: None
) -> None:
    heard: list[tuple[TicketReplied, consumer.Arrival, str]] = []
    there = asyncio.Event()

    @consumer.on(TicketReplied)
    async def note(session: AsyncSession, event: TicketReplied, about: consumer.Arrival) -> None:
        work = span.get()
        heard.append((event, about, work.method if work else ""))
        there.set()

    await lay_out(own_nats, note)
    event = replied(ticket_of(), 7)
    await say(sessions, event)
    async with listening(own_nats, sessions, note), asyncio.timeout(20):
        await there.wait()
    ((got, about, method),) = heard
    assert got == event
    assert (about.key, about.version, about.time) == (event.ticket, 1, moment(event.event_time))
    assert about.now >= about.time
    assert method == "watch-note"


async def test_who_starts_late_hears_everything(sessions: Sessions, own_nats: str, relayed: None) -> None:
    ticket = ticket_of()
    await lay_out(own_nats)
    await say(sessions, *(replied(ticket, number) for number in range(100)))
    async with operator(own_nats) as js:
        await holds(js, 100)
    late = Witness()
    await late.lay(sessions)
    await lay_out(own_nats, late.handler)
    async with listening(own_nats, sessions, late.handler) as heard:
        assert await late.wait(sessions, 100) == list(range(100))

        async def is_quiet() -> bool:
            return not await heard.pending()

        await until(is_quiet)


async def test_an_event_that_comes_twice_takes_effect_once(sessions: Sessions, own_nats: str, witness: Witness) -> None:
    event, one = replied(ticket_of(), 1), uuid7()
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, event, id=one)
        await send(own_nats, event, id=one)
        await send(own_nats, replied(event.ticket, 2), previous=one)
        assert await witness.wait(sessions, 2) == [1, 2]
    assert witness.tries == [1, 2]
    assert 'event_duplicates_total{consumer="watch-note"}' in exposition().decode()


async def test_an_event_that_comes_again_after_its_effect_is_only_acknowledged(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ACK_WAIT", 0.5)
    one, witness = uuid7(), Witness()
    await witness.lay(sessions)
    await lay_out(own_nats, witness.handler)
    await send(own_nats, replied(ticket_of(), 1), id=one)
    async with operator(own_nats) as js:  # a replica that did the work and was gone before it could say so
        await (await js.pull_subscribe_bind("watch-note", "RAPPORT_SUPPORT_V1")).fetch(1)
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO inbox (consumer, event_id) VALUES ('watch-note', :id)"), {"id": one})
    async with listening(own_nats, sessions, witness.handler) as heard:

        async def is_quiet() -> bool:
            return not await heard.pending()

        await until(is_quiet)
    assert witness.tries == []
    assert await count(sessions, "setback") == 0


async def test_an_effect_that_could_not_be_acknowledged_happens_once(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, witness = engines.free_port(), Witness()
    url, begun, gone = f"nats://127.0.0.1:{port}", asyncio.Event(), asyncio.Event()
    await witness.lay(sessions)

    async def wait(_: TicketReplied) -> None:
        begun.set()
        await gone.wait()

    witness.fail = wait
    async with AsyncExitStack() as stack:
        with engines.nats(home=tmp_path, port=port):
            monkeypatch.setattr(streams, "ACK_WAIT", 0.5)
            await lay_out(url, witness.handler)
            await send(url, replied(ticket_of(), 1))
            heard = await stack.enter_async_context(listening(url, sessions, witness.handler))
            async with asyncio.timeout(20):
                await begun.wait()
        gone.set()
        assert await witness.wait(sessions, 1) == [1]
        with engines.nats(home=tmp_path, port=port):

            async def is_quiet() -> bool:
                try:
                    return not await heard.pending()
                except (NatsError, TimeoutError):
                    return False

            await until(is_quiet)
            await stack.aclose()
    assert await witness.seen(sessions) == witness.tries == [1]
    assert await count(sessions, "setback") == 0


async def test_an_acknowledgement_under_way_keeps_nobody_waiting(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.hearing.AT_ONCE", 1)
    monkeypatch.setattr(listener, "ACK_PATIENCE", 600.0)
    port, gone, witness = engines.free_port(), asyncio.Event(), Witness()
    await witness.lay(sessions)

    async def wait(_: TicketReplied) -> None:
        await gone.wait()

    witness.fail = wait
    async with AsyncExitStack() as stack:
        with engines.nats(home=tmp_path, port=port) as url:
            await lay_out(url, witness.handler)
            for number in range(3):
                await send(url, replied(ticket_of(), number))
            heard = await stack.enter_async_context(listening(url, sessions, witness.handler))

            async def are_in_hand() -> bool:
                return len(heard.listeners[0].in_hand) == 3

            await until(are_in_hand)
        gone.set()  # from here on nobody acknowledges
        assert sorted(await witness.wait(sessions, 3)) == [0, 1, 2]
        for task in heard.listeners[0].at_work:
            task.cancel()
        with engines.nats(home=tmp_path, port=port):  # a line that is broken cannot be closed in good order

            async def is_back() -> bool:
                try:
                    await heard.pending()
                except (NatsError, TimeoutError):
                    return False
                return True

            await until(is_back)
            await stack.aclose()


async def test_a_handler_that_takes_long_keeps_its_event(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ACK_WAIT", 0.5)
    monkeypatch.setattr(listener, "ACK_WAIT", 0.5)
    witness = Witness()
    await witness.lay(sessions)
    await lay_out(own_nats, witness.handler)

    async def dawdle(_: TicketReplied) -> None:
        await asyncio.sleep(2)  # longer than the stream waits: that is what is tested

    witness.fail = dawdle
    async with listening(own_nats, sessions, witness.handler) as heard:
        await send(own_nats, replied(ticket_of(), 1))
        await witness.wait(sessions, 1)
        async with operator(own_nats) as js:
            about = await js.consumer_info("RAPPORT_SUPPORT_V1", "watch-note")
            assert about.delivered
            assert about.delivered.consumer_seq == 1

        async def is_quiet() -> bool:
            return not await heard.pending()

        await until(is_quiet)
    assert witness.tries == [1]


# In order ------------------------------------------------------------------------------------------------------------


async def test_a_failure_holds_up_its_own_key_and_no_other(
    sessions: Sessions, own_nats: str, witness: Witness, relayed: None
) -> None:
    stuck, free, failed = ticket_of(), ticket_of(), asyncio.Event()

    async def fail_once(event: TicketReplied) -> None:
        if number_of(event) == 0 and not failed.is_set():
            failed.set()
            raise ValueError

    witness.fail = fail_once
    await say(sessions, replied(stuck, 0), *(replied(stuck, number) for number in (1, 2)))
    async with listening(own_nats, sessions, witness.handler):
        async with asyncio.timeout(20):
            await failed.wait()
        await say(sessions, *(replied(free, number) for number in (10, 11, 12)))
        assert await witness.wait(sessions, 3, free) == [10, 11, 12]
        assert await witness.wait(sessions, 3, stuck) == [0, 1, 2]
    assert await count(sessions, "setback") == 0


async def test_order_holds_over_two_replicas(
    sessions: Sessions, own_nats: str, witness: Witness, relayed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LADDER", (0.1, 0.2, 0.3, 0.4, 0.5))
    tickets, chance = [ticket_of() for _ in range(5)], random.Random(3)
    other = Witness()

    async def stumble(_: TicketReplied) -> None:
        await asyncio.sleep(chance.random() / 100)
        if chance.random() < 0.05:
            raise ConnectionResetError

    witness.fail = other.fail = stumble
    async with listening(own_nats, sessions, witness.handler), listening(own_nats, sessions, other.handler):
        for number in range(20):
            await say(sessions, *(replied(ticket, number) for ticket in tickets))
        for ticket in tickets:
            assert await witness.wait(sessions, 20, ticket) == list(range(20))
    assert witness.tries
    assert other.tries


async def test_an_event_waits_for_the_one_before_it(sessions: Sessions, own_nats: str, witness: Witness) -> None:
    ticket, first, second = ticket_of(), uuid7(), uuid7()
    async with listening(own_nats, sessions, witness.handler), operator(own_nats) as js:
        await send(own_nats, replied(ticket, 2), id=second, previous=first, version=2)

        async def is_parked() -> bool:
            return bool((await js.consumer_info("RAPPORT_SUPPORT_V1", "watch-note")).num_redelivered)

        await until(is_parked)
        assert await witness.seen(sessions) == []
        await send(own_nats, replied(ticket, 1), id=first)
        assert await witness.wait(sessions, 2) == [1, 2]


async def test_an_event_does_not_wait_for_ever_for_one_that_is_lost(
    sessions: Sessions, own_nats: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST_EARLY", 3)
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, replied(ticket_of(), 2), previous=uuid7())
        assert await witness.wait(sessions, 1) == [2]


async def test_an_event_does_not_wait_for_one_that_no_stream_keeps_any_more(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, replied(ticket_of(), 2), previous=uuid7(days_ago(98)))
        assert await witness.wait(sessions, 1) == [2]
    assert witness.tries == [2]


# People --------------------------------------------------------------------------------------------------------------


async def test_an_event_all_about_the_erased_is_done_and_has_no_effect(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    she = uuid4()
    async with sessions.begin() as session:
        await session.execute(text("INSERT INTO erased_subject VALUES (:id, now())"), {"id": she})

    @consumer.on(TicketReplied)
    async def note(session: AsyncSession, event: TicketReplied, about: consumer.Arrival) -> None:
        await session.execute(text("INSERT INTO effect (ticket, number) VALUES ('a', 1)"))
        person = UUID(event.user.removeprefix("users/"))
        await session.execute(text("SELECT refuse_erased(:person, true)"), {"person": person})

    async with listening(own_nats, sessions, note) as heard:
        await send(own_nats, replied(ticket_of(she), 1))
        await send(own_nats, replied(ticket_of(), 2))

        async def is_quiet() -> bool:
            return not await heard.pending()

        await until(is_quiet)
    assert await witness.seen(sessions) == [1]
    assert await count(sessions, "inbox") == 2
    assert await letters(sessions) == []
    assert 'result="erased"' in exposition().decode()


async def test_what_a_program_does_not_know_never_reaches_its_handler(sessions: Sessions, own_nats: str) -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @consumer.on(TicketReplied)
    async def note(session: AsyncSession, event: TicketReplied, about: consumer.Arrival) -> None:
        seen.set_result(event.SerializeToString())

    await lay_out(own_nats, note)
    event = replied(ticket_of(), 1)
    async with listening(own_nats, sessions, note), asyncio.timeout(20):
        await send(own_nats, event, event.SerializeToString() + b"\xfa\x7d\x05Eve's")
        assert await seen == event.SerializeToString()


# Over the end of a process -------------------------------------------------------------------------------------------


async def test_a_listener_that_stops_finishes_what_it_began_and_gives_back_the_rest(
    sessions: Sessions, own_nats: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.hearing.AT_ONCE", 1)
    begun, leave, other = asyncio.Event(), asyncio.Event(), Witness()

    async def wait(_: TicketReplied) -> None:
        begun.set()
        await leave.wait()

    witness.fail = wait
    for number in range(5):
        await send(own_nats, replied(ticket_of(), number))
    async with listening(own_nats, sessions, witness.handler) as heard:
        async with asyncio.timeout(20):
            await begun.wait()
        heard.listeners[0].stopping = True  # as the first thing that leaving does
        leave.set()
    assert await witness.seen(sessions) == witness.tries
    assert len(witness.tries) < 5
    async with listening(own_nats, sessions, other.handler):
        assert sorted(await other.wait(sessions, 5)) == [0, 1, 2, 3, 4]
    assert sorted(witness.tries + other.tries) == [0, 1, 2, 3, 4]


async def test_the_inbox_remembers_longer_than_a_stream(sessions: Sessions) -> None:
    """By the real time, whatever the platform's clock says."""
    async with sessions.begin() as session:
        for days in (91, 98):
            await session.execute(
                text("INSERT INTO inbox VALUES ('x', gen_random_uuid(), now() - make_interval(days => :days))"),
                {"days": days},
            )
    assert await inbox.forget_old_notes.work(sessions, datetime.now(UTC) + timedelta(days=400)) == 1
    assert await count(sessions, "inbox") == 1


async def test_a_lost_stream_is_filled_again_and_nobody_hears_twice(sessions: Sessions) -> None:
    ticket, witness, late = ticket_of(), Witness(), Witness()

    async def are_marked() -> bool:  # they are heard before they are
        return not await relay.pending()

    await witness.lay(sessions)
    with engines.nats() as url:
        await lay_out(url, witness.handler)
        async with relaying(url, sessions) as relay, listening(url, sessions, witness.handler):
            await say(sessions, *(replied(ticket, number) for number in range(5)))
            assert await witness.wait(sessions, 5) == [0, 1, 2, 3, 4]
            await until(are_marked)
    async with sessions.begin() as session:
        assert await republish(session) == 5
    with engines.nats() as url:
        newcomer = replace(late.handler, name="newcomer")
        await lay_out(url, witness.handler, newcomer)
        await say(sessions, replied(ticket, 5))
        async with relaying(url, sessions), listening(url, sessions, witness.handler, newcomer):
            await witness.wait(sessions, 12)
    assert witness.tries == late.tries == [0, 1, 2, 3, 4, 5]
