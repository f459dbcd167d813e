"""Listening without being remembered: for a browser's stream, a feed of revocations, a look at what goes on.

    async with aclosing(read(bus, filter_of(SessionRevoked), since=clock_start)) as events:
        async for event in events: ...

It needs no consumer and no right to make one: messages are read from the stream by their place, and the subject itself
tells when there is something new. After a break it goes on where it was, so an event may come twice, but never not.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from chassis.bus import Bus
from chassis.cancellation import heed
from chassis.envelope import Envelope, from_stream
from chassis.streams import Durable
from chassis.subjects import stream_of

log = structlog.get_logger()

BATCH = 64
POLL = 1.0  # seconds between looks that nobody asked for
PATIENCE = 2.0
HASTE = (0.003, 0.01, 0.03, 0.1, 0.3)  # a subject tells of a message a moment before the stream has it
SLACK = timedelta(seconds=5)  # between the clocks of publishers and the stream's
ALL = datetime(1970, 1, 1, tzinfo=UTC)


async def read(
    bus: Bus, *filters: str, since: UUID | datetime | None = None, poll: float = POLL
) -> AsyncGenerator[Envelope, None]:
    """What is published on `filters`, each within one package: after the event `since` (its id), from a time, from now.

    After an id that is not known any more, or lies in another package, comes everything since shortly before it. What
    the subject did not tell of, which happens while the line breaks, comes within `poll` seconds.
    """
    heard: asyncio.Queue[Envelope] = asyncio.Queue(BATCH)
    tasks = [asyncio.create_task(Reading(bus, one, since, poll).run(heard), name="reader") for one in filters]
    following = asyncio.gather(*tasks)
    try:
        while True:
            turn = asyncio.ensure_future(heard.get())
            both: set[asyncio.Future[Any]] = {turn, following}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                turn.cancel()
                following.result()
            yield turn.result()
    finally:
        following.cancel()
        await asyncio.gather(following, *tasks, return_exceptions=True)


class Reading:
    """One filter, followed along its stream."""

    def __init__(self, bus: Bus, filter: str, since: UUID | datetime | None, poll: float) -> None:
        self.bus, self.filter, self.since, self.poll = bus, filter, since, poll
        self.stream = stream_of(".".join(filter.split(".")[:3]))
        self.outages = bus.outages
        self.place: dict[str, Any] | None = None  # what to ask for next: from a sequence, or from a time
        self.last: tuple[UUID, str] | None = None  # the last event read, and when the stream had it
        self.news, self.haste = asyncio.Event(), len(HASTE)
        self.answers: Subscription | None = None
        self.asked = 0

    async def run(self, heard: asyncio.Queue[Envelope]) -> None:
        """Put everything into `heard`, until cancelled."""
        hints = None
        try:
            while True:
                self.news.clear()
                found: list[Envelope] = []
                try:
                    hints = hints or await self.bus.client.subscribe(self.filter, cb=self.on_hint)
                    found = await self.next_batch()
                except (NatsError, ConnectionError, TimeoutError) as error:
                    log.debug("reader_waits", kind=type(error).__name__)
                heed()
                for event in found:
                    await heard.put(event)
                if len(found) < BATCH:
                    await self.pause()
        finally:
            for subscription in (hints, self.answers):
                if subscription and not self.bus.client.is_closed:
                    await subscription.unsubscribe()

    async def on_hint(self, _: Msg) -> None:
        self.haste = 0
        self.news.set()

    async def pause(self) -> None:
        seconds = self.poll
        if self.haste < len(HASTE):  # also after a find: two may have been told of at once
            seconds, self.haste = HASTE[self.haste], self.haste + 1
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return

    async def next_batch(self) -> list[Envelope]:
        if self.outages != self.bus.outages:  # the stream may be another one now: sequences mean nothing
            self.outages = self.bus.outages
            if self.last:
                self.place = {"start_time": self.last[1]}
        if self.place is None:
            self.place = await self.first_place()
        found = []
        for message in await self.ask(self.place | {"batch": BATCH, "next_by_subj": self.filter}):
            event = from_stream(message)
            if not (self.last and event.id == self.last[0]):
                found.append(event)
            self.last = event.id, (message.headers or {})["Nats-Time-Stamp"]
            self.place = after(message)
        return found

    async def first_place(self) -> dict[str, Any]:
        match self.since:
            case None:
                newest = await self.ask({"last_by_subj": self.filter})
                return after(newest[0]) if newest else {"seq": 1}
            case datetime():
                return {"start_time": self.since.isoformat()}
            case UUID():
                return await self.place_after(self.since)

    async def place_after(self, id: UUID) -> dict[str, Any]:
        """Behind the event `id`: the stream had it after it was made, since the time is in the id."""
        start = datetime.fromtimestamp(max(0, (id.int >> 80) / 1_000), UTC) - SLACK
        place: dict[str, Any] = {"start_time": start.isoformat()}
        while batch := await self.ask(place | {"batch": BATCH, "next_by_subj": self.filter}):
            for message in batch:
                if from_stream(message).id == id:
                    return after(message)
            place = after(batch[-1])
        return {"start_time": start.isoformat()}

    async def ask(self, body: dict[str, Any]) -> list[Msg]:
        """The messages that the stream has for `body`."""
        if self.answers is None:
            self.answers = await self.bus.client.subscribe(f"{self.bus.client.new_inbox()}.*")
        self.asked += 1
        inbox = self.answers.subject.replace("*", str(self.asked))
        await self.bus.client.publish(f"$JS.API.DIRECT.GET.{self.stream}", json.dumps(body).encode(), inbox)
        found: list[Msg] = []
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self.answers.next_msg(timeout=PATIENCE)
                if message.subject != inbox:  # a late answer to a question given up
                    continue
                headers = message.headers or {}
                if "Nats-Sequence" in headers:
                    found.append(message)
                    if "batch" in body:
                        continue
                elif headers.get("Status") not in ("204", "404"):
                    raise ConnectionError(headers.get("Status"))
                return found


def after(message: Msg) -> dict[str, Any]:
    return {"seq": int((message.headers or {})["Nats-Sequence"]) + 1}


async def follow(bus: Bus, durable: Durable) -> AsyncGenerator[Envelope, None]:
    """What a durable consumer has not had yet. Each event is done with when the next one is asked for."""
    subscription = await bus.js.pull_subscribe_bind(durable.name, durable.stream)
    while True:
        try:
            (message,) = await subscription.fetch(1, timeout=PATIENCE)
        except (NatsError, TimeoutError, ConnectionError):
            heed()
            continue
        heed()
        yield from_stream(message)
        with suppress(NatsError, TimeoutError):  # it comes again
            await message.ack_sync(timeout=PATIENCE)
        heed()
