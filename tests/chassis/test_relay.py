import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rapport.commerce.v1.events_pb2 import OrderShipped
from rapport.identity.v1.events_pb2 import UserCreated
from rapport.support.v1.events_pb2 import TicketReplied
from sqlalchemy import text

from chassis import bus, leases, relay
from chassis.database import Sessions
from chassis.outbox import publish
from chassis.telemetry import exposition, working
from chassis.time import system_clock, timestamp
from tests import engines
from tests.chassis.events import (
    Told,
    count,
    created,
    holds,
    lay_out,
    line,
    number_of,
    operator,
    relaying,
    replied,
    say,
    stored,
    ticket_of,
    until,
)


def per_ticket(messages: Iterable[Any]) -> dict[str, list[int]]:
    """The versions of each ticket, in the order of the stream."""
    found = defaultdict(list)
    for message in messages:
        found[message.headers["ce-subject"]].append(int(message.headers["ce-sequence"]))
    return found


async def test_an_event_travels_as_a_cloud_event(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    event = replied(ticket_of())
    with working("a test", request_id="a-request-of-mine") as span:
        await say(sessions, event)
    async with operator(own_nats) as js, relaying(own_nats, sessions):
        (message,) = await holds(js, 1)
    said = message.headers
    assert TicketReplied.FromString(message.data) == event
    assert said.pop("Nats-Msg-Id") == said["ce-id"]
    assert UUID(said.pop("ce-id")).version == 7
    assert said == {
        "ce-specversion": "1.0",
        "ce-type": "rapport.support.v1.TicketReplied",
        "ce-source": "/support",
        "ce-subject": event.ticket,
        "ce-time": event.event_time.ToDatetime().isoformat() + "+00:00",
        "ce-partitionkey": event.user.removeprefix("users/"),
        "ce-sequence": "0000000000000000001",
        "ce-datacontenttype": "application/protobuf",
        "traceparent": span.traceparent,
        "x-request-id": "a-request-of-mine",
    }


async def test_what_no_header_may_hold_is_encoded(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats, packages=["rapport.commerce.v1"])
    order = 'users/a/orders/50% "x"\r\nce-id: é'
    await say(sessions, OrderShipped(user="users/a", order=order, event_time=timestamp(system_clock())))
    async with operator(own_nats) as js, relaying(own_nats, sessions):
        (message,) = await holds(js, 1, "RAPPORT_COMMERCE_V1")
    assert message.headers["ce-subject"] == "users/a/orders/50%25%20%22x%22%0D%0Ace-id:%20%C3%A9"


async def test_a_commit_wakes_the_relay(sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL", 3_600.0)
    await lay_out(own_nats)
    async with operator(own_nats) as js, relaying(own_nats, sessions) as relayed:

        async def is_held() -> bool:
            return relayed.lease.held

        await until(is_held)
        for number in range(1, 4):
            async with sessions.begin() as session:
                async with session.begin_nested():
                    await publish(session, created(ticket_of()))
                await session.execute(text("SELECT pg_sleep(0.02)"))
            await holds(js, number)


async def test_each_key_keeps_its_order(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    tickets = [ticket_of() for _ in range(10)]

    async def write(ticket: str) -> None:
        await say(sessions, created(ticket), *(replied(ticket, number) for number in range(29)))

    async with operator(own_nats) as js, relaying(own_nats, sessions):
        await asyncio.gather(*map(write, tickets))
        messages = await holds(js, 300)
    assert per_ticket(messages) == {ticket: list(range(1, 31)) for ticket in tickets}


async def test_an_outage_delays_events_and_loses_none(sessions: Sessions, tmp_path: Path) -> None:
    port, ticket = engines.free_port(), ticket_of()
    url = f"nats://127.0.0.1:{port}"
    async with (
        bus.connected(Told(url)) as there,  # as a process that was started before NATS was
        relay.running(there, sessions, source="support", replica="one") as relayed,
    ):
        await say(sessions, *(replied(ticket, number) for number in range(10)))
        assert await relayed.pending() == 10
        with engines.nats(home=tmp_path, port=port):
            await lay_out(url)
            async with operator(url) as js:
                await holds(js, 10)
                await say(sessions, *(replied(ticket, number) for number in range(10, 20)))
        await say(sessions, *(replied(ticket, number) for number in range(20, 30)))
        with engines.nats(home=tmp_path, port=port):
            async with operator(url) as js:
                messages = await holds(js, 30)
    assert [number_of(TicketReplied.FromString(one.data)) for one in messages] == list(range(30))


async def test_a_publication_repeated_is_kept_once(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    await say(sessions, created(ticket_of()))
    async with operator(own_nats) as js, relaying(own_nats, sessions) as relayed:

        async def is_done() -> bool:
            return not await relayed.pending()

        await until(is_done)
        async with sessions.begin() as session:
            await session.execute(text("UPDATE outbox SET published_at = NULL"))
        await until(is_done)
        assert len(await stored(js)) == 1


async def test_what_no_stream_takes_holds_up_its_own_key_and_no_other(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    early = UserCreated(user="users/a", event_time=timestamp(system_clock()))
    behind, beside = created("users/a"), created(ticket_of())
    await say(sessions, early, behind, beside)
    async with operator(own_nats) as js, relaying(own_nats, sessions) as relayed:

        async def are_left() -> bool:
            return await relayed.pending() == 2

        await until(are_left)
        (message,) = await stored(js)
        assert message.headers["ce-subject"] == beside.ticket
        await lay_out(own_nats, packages=["rapport.identity.v1"])
        messages = await holds(js, 2)
    assert messages[1].headers["ce-subject"] == behind.ticket
    assert messages[1].headers["ce-sequence"].endswith("02")


# One of several ------------------------------------------------------------------------------------------------------


async def test_one_relay_works_and_the_other_takes_over_at_once_when_it_stops(
    sessions: Sessions, own_nats: str
) -> None:
    await lay_out(own_nats)
    async with line(own_nats) as there, relay.running(there, sessions, source="support", replica="two") as second:
        async with relaying(own_nats, sessions) as first:

            async def is_one() -> bool:
                return first.lease.held != second.lease.held

            await until(is_one)
            winner = first if first.lease.held else second
            await winner.lease.take()
            await (second if winner is first else first).lease.take()
            assert first.lease.held != second.lease.held
        await second.lease.take()
        assert second.lease.held


async def test_a_lease_ends_by_itself(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SECONDS", 0.2)
    first, second = (leases.Lease("x", replica, sessions, taken=asyncio.Event()) for replica in ("one", "two"))
    await first.take()
    await second.take()
    assert first.held
    assert first.taken.is_set()
    assert not second.held
    assert not second.taken.is_set()

    async def is_taken() -> bool:
        await second.take()
        return second.held

    await until(is_taken)
    assert not first.held
    assert second.taken.is_set()
    assert second.fence == first.fence + 1


async def test_a_new_relay_begins_with_its_lease_and_not_with_its_next_look(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL", 60.0)
    await lay_out(own_nats)
    await say(sessions, created(ticket_of()))
    async with relaying(own_nats, sessions) as only:

        async def is_done() -> bool:
            return not await only.pending()

        await until(is_done)


async def test_a_relay_that_was_replaced_marks_nothing(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    await say(sessions, created(ticket_of()))
    async with line(own_nats) as there:
        late = relay.Relay(there, sessions, source="/support", replica="late")
        await late.lease.take()
        async with sessions.begin() as session:
            await session.execute(text("UPDATE lease SET holder = 'another', fence = fence + 1"))
        assert await late.pass_on()
        assert await late.pending() == 1
        late.lease.until = 0.0
        assert not await late.pass_on()


async def test_a_relay_that_was_paused_neither_loses_nor_reorders(sessions: Sessions, own_nats: str) -> None:
    await lay_out(own_nats)
    tickets = [ticket_of() for _ in range(10)]
    for number in range(40):
        async with sessions.begin() as session:
            for ticket in tickets:
                await publish(session, replied(ticket, number))
    database = sessions.kw["bind"].url.render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chassis.relay_process", database, own_nats,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        async with operator(own_nats) as js:
            await holds_at_least(js, 1)
            process.send_signal(signal.SIGSTOP)
            assert await count(sessions, "outbox WHERE published_at IS NULL") > 0
            async with relaying(own_nats, sessions) as relayed:

                async def is_done() -> bool:
                    return not await relayed.pending()

                await until(is_done)
                process.send_signal(signal.SIGCONT)
                await say(sessions, *(replied(ticket, 40) for ticket in tickets))
                await until(is_done)
            messages = await holds(js, 410)
    finally:
        process.kill()
        await process.wait()
    assert per_ticket(messages) == {ticket: list(range(1, 42)) for ticket in tickets}


async def holds_at_least(js: Any, many: int) -> None:
    async def are_there() -> bool:
        return bool((await js.stream_info("RAPPORT_SUPPORT_V1")).state.messages >= many)

    await until(are_there)


async def test_the_backlog_is_told(sessions: Sessions, own_nats: str) -> None:
    await say(sessions, created(ticket_of()), created(ticket_of()))
    async with line(own_nats) as there:
        assert await relay.Relay(there, sessions, source="", replica="").pending() == 2
    told = exposition().decode()
    assert "\noutbox_pending 2.0\n" in told
    assert "\noutbox_oldest_age_seconds 0.0\n" not in told


async def test_a_line_that_is_never_made_ends_when_told_to_though_a_library_kept_that_to_itself() -> None:
    async def attempts(line: bus.Bus) -> None:
        while True:
            with suppress(asyncio.CancelledError):  # as asyncio.wait_for does, when an attempt fails just then
                await asyncio.sleep(60)
            await line.on_error(ConnectionRefusedError())

    task = asyncio.create_task(attempts(bus.Bus()))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
