"""What could not be taken in, and how a person deals with it."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rapport.commerce.v1.events_pb2 import OrderPaid
from rapport.support.v1.events_pb2 import TicketReplied
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters
from chassis.consumer import Arrival, on
from chassis.database import Sessions
from chassis.refusal import InvalidField
from chassis.telemetry import exposition
from tests.chassis.events import (
    Witness,
    count,
    lay_out,
    listening,
    number_of,
    operator,
    relaying,
    replied,
    say,
    stored,
    ticket_of,
    until,
)


async def command(*words: str) -> str:
    return await dead_letters.main(dead_letters.parsed(words))


async def letters(sessions: Sessions) -> list[Any]:
    async with sessions() as session:
        return list(await dead_letters.letters(session))


async def wait_for_letters(sessions: Sessions, many: int) -> list[Any]:
    async def are_there() -> bool:
        return len(await letters(sessions)) == many

    await until(are_there)
    return await letters(sessions)


@pytest.fixture
async def witness(sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """A handler that refuses what is numbered below 10."""
    monkeypatch.setattr("chassis.hearing.LOOK", 0.02)
    made = Witness()
    await made.lay(sessions)
    await lay_out(own_nats, made.handler)

    async def refuse(event: TicketReplied) -> None:
        if number_of(event) < 10:
            raise InvalidField("No.")

    made.fail = refuse
    return made


async def test_a_letter_is_taken_in_again_by_the_same_handler(
    sessions: Sessions, own_nats: str, witness: Witness, url_file: Path
) -> None:
    ticket = ticket_of()
    await say(sessions, replied(ticket, 1), replied(ticket, 10))
    async with relaying(own_nats, sessions), listening(own_nats, sessions, witness.handler):
        assert await witness.wait(sessions, 1) == [10]
        (letter,) = await letters(sessions)
        witness.fail = None
        said = await command("replay", "--url-file", str(url_file), str(letter.event_id))
        assert said == "1 to be taken in again"
        assert await witness.wait(sessions, 2) == [10, 1]
        await wait_for_letters(sessions, 0)
        await say(sessions, replied(ticket, 11))
        assert await witness.wait(sessions, 3) == [10, 1, 11]
    async with sessions() as session:
        versions = (await session.scalars(text("SELECT version FROM effect ORDER BY place"))).all()
    assert versions == [2, 1, 3]


async def test_all_letters_can_be_taken_in_again_and_what_fails_stays(
    sessions: Sessions, own_nats: str, witness: Witness, url_file: Path
) -> None:
    await say(sessions, *(replied(ticket_of(), number) for number in (1, 2, 3)))
    async with relaying(own_nats, sessions), listening(own_nats, sessions, witness.handler):
        await wait_for_letters(sessions, 3)

        async def refuse(event: TicketReplied) -> None:
            if number_of(event) == 2:
                raise KeyError(event.ticket)

        witness.fail = refuse
        assert await command("replay", "--url-file", str(url_file), "--all") == "3 to be taken in again"
        await wait_for_letters(sessions, 1)

        async def was_tried() -> bool:
            return bool((await letters(sessions))[0].attempts == 2)

        await until(was_tried)
    (letter,) = await letters(sessions)
    assert (letter.reason, letter.attempts, letter.replay_time) == ("KeyError", 2, None)
    assert sorted(await witness.seen(sessions)) == [1, 3]


async def test_a_letter_whose_event_was_seen_meanwhile_just_goes(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    await say(sessions, replied(ticket_of(), 1))
    async with relaying(own_nats, sessions), listening(own_nats, sessions, witness.handler):
        (letter,) = await wait_for_letters(sessions, 1)
        async with sessions.begin() as session:
            seen = {"consumer": letter.consumer, "id": letter.event_id}
            await session.execute(text("INSERT INTO inbox (consumer, event_id) VALUES (:consumer, :id)"), seen)
            assert await dead_letters.replay(session, letter.event_id) == 1
        await wait_for_letters(sessions, 0)
    assert witness.tries == [1]


async def test_an_event_that_was_set_aside_is_not_taken_in_because_it_comes_again(
    sessions: Sessions, own_nats: str, witness: Witness
) -> None:
    ticket = ticket_of()
    await say(sessions, replied(ticket, 1))
    async with listening(own_nats, sessions, witness.handler) as heard, operator(own_nats) as js:
        async with relaying(own_nats, sessions):
            await wait_for_letters(sessions, 1)
        witness.fail = None
        (message,) = await stored(js)
        del message.headers["Nats-Msg-Id"]
        await js.publish(message.subject, message.data, headers=message.headers)
        await quiet(heard)
    assert witness.tries == [1]
    assert await count(sessions, "inbox") == 0


async def test_a_discarded_letter_counts_as_seen(
    sessions: Sessions, own_nats: str, witness: Witness, url_file: Path
) -> None:
    ticket = ticket_of()
    await say(sessions, replied(ticket, 1))
    async with relaying(own_nats, sessions), listening(own_nats, sessions, witness.handler):
        (letter,) = await wait_for_letters(sessions, 1)
        assert await command("discard", "--url-file", str(url_file), str(letter.event_id)) == "1 given up"
        await say(sessions, replied(ticket, 10))
        assert await witness.wait(sessions, 1) == [10]
    assert witness.tries == [1, 10]
    assert await count(sessions, "dead_letter") == 0


async def test_letters_are_listed_with_their_reason(
    sessions: Sessions, own_nats: str, witness: Witness, url_file: Path
) -> None:
    assert await command("list", "--url-file", str(url_file)) == "no dead letters"
    await say(sessions, replied(ticket_of(), 1))
    async with relaying(own_nats, sessions), listening(own_nats, sessions, witness.handler):
        (letter,) = await wait_for_letters(sessions, 1)

        async def is_told() -> bool:
            return 'dead_letters{consumer="watch-note"} 1.0' in exposition().decode()

        await until(is_told)
    said = await command("list", "--url-file", str(url_file))
    assert said.startswith(f"{letter.event_id}  watch-note  rapport.support.v1.TicketReplied  INVALID_FIELD  1 times")
    assert await command("replay", "--url-file", str(url_file), "--all")
    assert (await command("list", "--url-file", str(url_file))).endswith("(to be taken in again)")


@pytest.mark.parametrize("words", [["replay"], ["replay", "--all", str(uuid4())], ["discard"], ["list", "x"], []])
def test_the_command_must_say_what_it_means(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        dead_letters.parsed([*words, "--url-file", "x"])


# Of outsiders --------------------------------------------------------------------------------------------------------

PAID = b'{"user": "users/a", "order": "users/a/orders/R.1", "eventTime": "2026-11-23T12:00:00Z", "name": "canary"}'


class Till:
    """What hears the shop say that an order was paid."""

    def __init__(self) -> None:
        self.heard: list[tuple[OrderPaid, Arrival]] = []
        self.refusing = False

        @on(OrderPaid, ingress=True)
        async def ring(session: AsyncSession, event: OrderPaid, about: Arrival) -> None:
            if self.refusing:
                raise InvalidField("No.")
            self.heard.append((event, about))

        self.handler = ring


async def tell(url: str, data: bytes, **headers: str) -> None:
    async with operator(url) as js:
        await js.publish("ingress.commerce.order.paid", data, headers={"content-type": "application/json", **headers})


async def quiet(heard: Any) -> None:
    async def is_quiet() -> bool:
        return not await heard.pending()

    await until(is_quiet)


async def test_an_outsider_may_speak_json_and_what_we_do_not_know_is_dropped(sessions: Sessions, own_nats: str) -> None:
    till = Till()
    await lay_out(own_nats, till.handler)
    async with listening(own_nats, sessions, till.handler) as heard:
        for _ in range(2):
            await tell(
                own_nats,
                PAID,
                **{"ce-id": "shop-1", "ce-source": "/shop", "ce-sequence": "7", "ce-previous": str(uuid4())},
            )
        await tell(own_nats, PAID)
        await quiet(heard)
    (first, about), (second, other) = till.heard
    assert first == second
    assert first.order == about.key == "users/a/orders/R.1"
    assert about.version == 0
    assert about.id != other.id
    assert b"canary" not in first.SerializeToString()


async def test_of_what_an_outsider_said_a_letter_keeps_nothing(sessions: Sessions, own_nats: str) -> None:
    till = Till()
    till.refusing = True
    await lay_out(own_nats, till.handler)
    async with listening(own_nats, sessions, till.handler) as heard:
        await tell(own_nats, b'{"order": canary', traceparent="canary", **{"ce-subject": "canary", "ce-type": "canary"})
        await tell(own_nats, PAID.replace(b"R.1", b"canary"), **{"x-request-id": "canary"})
        await quiet(heard)
    undecodable, refused = await letters(sessions)
    assert (undecodable.reason, refused.reason) == ("EVENT_UNDECODABLE", "INVALID_FIELD")
    for letter in (undecodable, refused):
        assert letter.type == "rapport.commerce.v1.OrderPaid"
        assert (letter.headers, letter.payload, letter.key) == ({}, None, "")
    async with sessions() as session:
        for table in ("dead_letter", "setback", "inbox"):
            dump = await session.scalar(text(f"SELECT string_agg(t::text, ' ') FROM {table} t"))  # noqa: S608
            assert "canary" not in (dump or "")


async def test_what_an_outsider_said_is_taken_in_again_from_their_stream(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.hearing.LOOK", 0.02)
    till = Till()
    till.refusing = True
    await lay_out(own_nats, till.handler)
    async with listening(own_nats, sessions, till.handler) as heard:
        await tell(own_nats, PAID)
        (letter,) = await wait_for_letters(sessions, 1)
        till.refusing = False
        async with sessions.begin() as session:
            await dead_letters.replay(session)
        await wait_for_letters(sessions, 0)
        await quiet(heard)
    ((event, about),) = till.heard
    assert event.order == "users/a/orders/R.1"
    assert about.id == letter.event_id


async def test_what_is_gone_from_an_outsiders_stream_stays_a_letter(
    sessions: Sessions, own_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.hearing.LOOK", 0.02)
    till = Till()
    await lay_out(own_nats, till.handler)
    async with listening(own_nats, sessions, till.handler):
        await tell(own_nats, b"{")
        (letter,) = await wait_for_letters(sessions, 1)
        async with sessions.begin() as session:
            await session.execute(text("UPDATE dead_letter SET sequence = 99"))
            await dead_letters.replay(session)

        async def was_tried() -> bool:
            return bool((await letters(sessions))[0].attempts == 2)

        await until(was_tried)
    assert (await letters(sessions))[0].event_id == letter.event_id
