"""What cannot be taken in does not stand in the way: it is tried again, then set aside."""

import asyncio
import os
import sys
from typing import Any

import pytest
from rapport.support.v1.events_pb2 import TicketReplied

from chassis import listener, streams
from chassis.database import Sessions
from chassis.outbox import uuid7
from chassis.refusal import InvalidField
from tests.chassis.consumer_process import UNLUCKY
from tests.chassis.events import (
    Witness,
    count,
    days_ago,
    lay_out,
    letters,
    listening,
    number_of,
    one_letter,
    operator,
    replied,
    say,
    send,
    ticket_of,
    until,
)
from tests.conftest import ask


async def test_what_keeps_failing_is_set_aside_and_the_next_goes_on(
    sessions: Sessions, own_nats: str, witness: Witness, relayed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LADDER", (0.01, 0.02, 0.03))
    ticket = ticket_of()

    async def fail(event: TicketReplied) -> None:
        if number_of(event) == 0:
            raise ValueError("her words, which nobody may write down")

    witness.fail = fail
    event = replied(ticket, 0)
    await say(sessions, event, replied(ticket, 1))
    async with listening(own_nats, sessions, witness.handler):
        assert await witness.wait(sessions, 1) == [1]
    (letter,) = await letters(sessions)
    assert (letter.reason, letter.attempts, letter.consumer) == ("ValueError", 4, "watch-note")
    assert (letter.type, letter.key) == ("rapport.support.v1.TicketReplied", ticket)
    assert TicketReplied.FromString(letter.payload) == event
    assert letter.headers["ce-subject"] == ticket
    assert letter.first_time < letter.last_time
    assert witness.tries.count(0) == 4
    assert await count(sessions, "setback") == 0


async def test_what_is_wrong_in_itself_is_set_aside_at_once(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    async def refuse(_: TicketReplied) -> None:
        raise InvalidField("No.")

    witness.fail = refuse
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, replied(ticket_of(), 1))
        letter = await one_letter(sessions)
    assert (letter.reason, letter.attempts) == ("INVALID_FIELD", 1)
    assert witness.tries == [1]


@pytest.mark.parametrize(
    ("data", "other"),
    [
        (b"\xff\xff", {}),
        (b"", {}),  # names nothing
        (b"\n\x07users/a\x12\x03\xff\xfe\xfd", {}),  # no UTF-8
        (None, {"type": "rapport.support.v1.TicketCreated"}),
    ],
)
async def test_what_cannot_be_decoded_is_set_aside_at_once(
    sessions: Sessions, own_nats: str, witness: Witness, data: bytes | None, other: dict[str, Any]
) -> None:
    event, one = replied(ticket_of(), 1), uuid7()
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, event, data, id=one, **other)
        await send(own_nats, replied(event.ticket, 2), previous=one)
        assert await witness.wait(sessions, 1) == [2]
    (letter,) = await letters(sessions)
    assert (letter.reason, letter.event_id, letter.attempts) == ("EVENT_UNDECODABLE", one, 1)
    assert letter.payload == (event.SerializeToString() if data is None else data)


async def test_an_event_that_ends_processes_is_set_aside(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ACK_WAIT", 0.5)
    witness = Witness()
    await witness.lay(sessions)
    await lay_out(own_nats, witness.handler)
    await send(own_nats, replied(ticket_of(), UNLUCKY))
    await send(own_nats, replied(ticket_of(), 1))
    database = sessions.kw["bind"].url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.chassis.consumer_process", database, own_nats]
    ends = 0

    async def letter_and_effect() -> None:
        await one_letter(sessions)
        await witness.wait(sessions, 1)

    while not await letters(sessions):
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        ended = asyncio.create_task(process.wait())
        buried = asyncio.create_task(letter_and_effect())
        await asyncio.wait({ended, buried}, return_when=asyncio.FIRST_COMPLETED)
        buried.cancel()
        if not ended.done():
            process.kill()
            await ended
            break
        ends += 1
    (letter,) = await letters(sessions)
    assert letter.reason == "PROCESS_ENDED"
    assert ends == 2
    assert await witness.seen(sessions) == [1]


async def test_what_is_older_than_the_inbox_remembers_is_set_aside(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    async with listening(own_nats, sessions, witness.handler):
        await send(own_nats, replied(ticket_of(), 1), id=uuid7(days_ago(98)))
        assert (await one_letter(sessions)).reason == "TOO_OLD"
    assert witness.tries == []


async def test_while_the_database_is_away_nothing_is_set_aside(
    sessions: Sessions, own_nats: str, witness: Witness, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "AGAIN", 0.1)
    name = sessions.kw["bind"].url.database
    end_all = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608
    async with listening(own_nats, sessions, witness.handler), operator(own_nats) as js:
        await ask(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await ask(postgres, end_all)
        for number in range(3):
            await send(own_nats, replied(ticket_of(), number))

        async def were_tried() -> bool:
            about = await js.consumer_info("RAPPORT_SUPPORT_V1", "watch-note")
            return bool(about.delivered and about.delivered.consumer_seq > 9)

        await until(were_tried)
        await ask(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert sorted(await witness.wait(sessions, 3)) == [0, 1, 2]
    assert await letters(sessions) == []
