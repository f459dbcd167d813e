"""A stream, a database and what goes from one to the other, for the tests of events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import nats as nats_client
from nats.js import JetStreamContext
from rapport.support.v1.events_pb2 import TicketCreated, TicketReplied
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import bus, hearing, relay
from chassis.bus import Bus
from chassis.consumer import Arrival, Handler, on
from chassis.database import Sessions
from chassis.envelope import headers
from chassis.outbox import publish, uuid7
from chassis.settings import Secret
from chassis.streams import Durable, Party, prepare
from chassis.time import moment, system_clock, timestamp

PATIENCE = 20.0


@dataclass(frozen=True)
class Told:
    """What a process is told about NATS."""

    nats_url: str
    nats_user: str = ""
    nats_password: Secret = Secret("")  # noqa: RUF009
    replica: str = "one"


async def until(is_so: Callable[[], Awaitable[Any]]) -> None:
    """Wait for what happens elsewhere."""
    async with asyncio.timeout(PATIENCE):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def line(url: str, user: str = "", password: str = "") -> AsyncIterator[Bus]:
    """A connection that is there."""
    async with bus.connected(Told(url, user, Secret(password))) as made:

        async def is_there() -> bool:
            return made.connected

        await until(is_there)
        yield made


@asynccontextmanager
async def operator(url: str) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(url)
    yield client.jetstream(timeout=2)
    await client.close()


async def lay_out(url: str, *handlers: Handler, packages: Sequence[str] = ("rapport.support.v1",)) -> None:
    """Lay out the streams of `packages`, and a consumer for each of `handlers` of a service named `watch`."""
    durables = [Durable(one.durable("watch"), one.stream, one.filter) for one in handlers]
    async with operator(url) as js:
        await prepare(js, [Party("watch", packages, durables)])


@asynccontextmanager
async def relaying(url: str, sessions: Sessions, replica: str = "one") -> AsyncIterator[relay.Relay]:
    async with line(url) as there, relay.running(there, sessions, source="support", replica=replica) as made:
        yield made


@asynccontextmanager
async def listening(url: str, sessions: Sessions, *handlers: Handler) -> AsyncIterator[hearing.Listeners]:
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(line(url))
        yield await stack.enter_async_context(hearing.running(there, "watch", handlers, sessions, system_clock))


# What is said --------------------------------------------------------------------------------------------------------


def ticket_of(user: UUID | None = None) -> str:
    return f"users/{user or uuid4()}/tickets/{uuid4()}"


def created(ticket: str) -> TicketCreated:
    return TicketCreated(user=owner(ticket), ticket=ticket, event_time=timestamp(system_clock()))


def replied(ticket: str, number: int = 0) -> TicketReplied:
    said = f"{ticket}/messages/{UUID(int=number)}"
    return TicketReplied(user=owner(ticket), ticket=ticket, message=said, event_time=timestamp(system_clock()))


def owner(ticket: str) -> str:
    return "/".join(ticket.split("/")[:2])


def number_of(event: TicketReplied) -> int:
    return UUID(event.message.rpartition("/")[2]).int


async def say(sessions: Sessions, *events: Any) -> None:
    """State each event in a transaction of its own."""
    for event in events:
        async with sessions.begin() as session:
            await publish(session, event)


async def count(sessions: Sessions, table: str) -> int:
    async with sessions() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608


class Witness:
    """A handler with an effect: one row for each event. It can be told to fail."""

    def __init__(self) -> None:
        self.tries: list[int] = []
        self.fail: Callable[[TicketReplied], Awaitable[None]] | None = None

        @on(TicketReplied)
        async def note(session: AsyncSession, event: TicketReplied, about: Arrival) -> None:
            self.tries.append(number_of(event))
            await session.execute(
                text("INSERT INTO effect (ticket, number, version) VALUES (:ticket, :number, :version)"),
                {"ticket": event.ticket, "number": number_of(event), "version": about.version},
            )
            if self.fail:
                await self.fail(event)

        self.handler = note

    async def lay(self, sessions: Sessions) -> None:
        async with sessions.begin() as session:
            await session.execute(
                text("CREATE TABLE effect (place serial PRIMARY KEY, ticket text, number int, version int)")
            )

    async def seen(self, sessions: Sessions, ticket: str = "%") -> list[int]:
        """The numbers whose effect is there, in its order."""
        asked = text("SELECT number FROM effect WHERE ticket LIKE :ticket ORDER BY place")
        async with sessions() as session:
            return list((await session.scalars(asked, {"ticket": ticket})).all())

    async def wait(self, sessions: Sessions, many: int, ticket: str = "%") -> list[int]:
        async def are_there() -> bool:
            return len(await self.seen(sessions, ticket)) >= many

        await until(are_there)
        return await self.seen(sessions, ticket)


async def stored(js: JetStreamContext, stream: str = "RAPPORT_SUPPORT_V1") -> list[Any]:
    """All that a stream holds, in its order."""
    last = (await js.stream_info(stream)).state.last_seq
    return [await js.get_msg(stream, number) for number in range(1, last + 1)]


async def holds(js: JetStreamContext, many: int, stream: str = "RAPPORT_SUPPORT_V1") -> list[Any]:
    """Wait until a stream holds so many messages, and give them."""

    async def are_there() -> bool:
        return (await js.stream_info(stream)).state.messages >= many

    await until(are_there)
    return await stored(js, stream)


def said(event: TicketReplied, **other: Any) -> dict[str, str]:
    """The headers of an event that comes from elsewhere."""
    known: dict[str, Any] = {
        "id": uuid7(),
        "type": event.DESCRIPTOR.full_name,
        "source": "/support",
        "key": event.ticket,
        "owner": event.user.removeprefix("users/"),
        "time": moment(event.event_time),
        "version": 1,
        "previous": None,
        "traceparent": "",
        "request_id": "",
    }
    return headers(**known | other)


async def send(url: str, event: TicketReplied, data: bytes | None = None, **other: Any) -> None:
    """Publish without an outbox, and without the stream's own look at the id."""
    names = said(event, **other)
    del names["Nats-Msg-Id"]
    async with operator(url) as js:
        subject = f"rapport.support.v1.ticket.replied.p00.a.{uuid4()}"
        await js.publish(subject, event.SerializeToString() if data is None else data, headers=names)


async def letters(sessions: Sessions) -> list[Any]:
    async with sessions() as session:
        return list((await session.execute(text("SELECT * FROM dead_letter ORDER BY first_time"))).all())


async def one_letter(sessions: Sessions) -> Any:
    async def is_there() -> list[Any]:
        return await letters(sessions)

    await until(is_there)
    return (await letters(sessions))[0]


def days_ago(days: float) -> int:
    return int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1_000)
