"""One stream of a person's own events for their browser (Server-Sent Events), which goes on where it broke off.

    GET /events

    id: 1763928000000;RAPPORT_SUPPORT_V1=0193...
    event: fact
    data: {"id": "0193...", "type": "rapport.support.v1.TicketReplied", "time": "...", "event": {...}}

An `id` is when the stream began, and the last event that was shown of each service: an event id and never a position
in a NATS stream, so that it outlives a stream that was rebuilt. Within a service order is kept and nothing is shown
twice; between services there is no order to keep.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import orjson
from google.protobuf.descriptor import Descriptor
from rapport.identity.v1.events_pb2 import SessionRevoked, UserDeleted, UserDeletionRequested

from chassis.bus import Bus
from chassis.envelope import JSON, Envelope
from chassis.reader import read
from chassis.refusal import QuotaExceeded, TryAgain
from chassis.subjects import partition, stream_of
from chassis.time import system_clock
from gateway.codec import Codec, Decode
from gateway.http import Headers, Request, Stream, Write
from gateway.sessions import Person, Sessions

MOST = 500  # streams of one gateway: each listens to every service
MOST_EACH = 6  # of one session: a browser opens no more connections
POLL = 5.0  # seconds: a look that nobody asked for costs each stream one question a service
HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
REVOKED = SessionRevoked.DESCRIPTOR.full_name
GOODBYES = (UserDeletionRequested.DESCRIPTOR.full_name, UserDeleted.DESCRIPTOR.full_name)


@dataclass
class Cursor:
    """How far a browser has been shown its events."""

    since: datetime
    seen: dict[str, UUID] = field(default_factory=dict)  # the last event of each NATS stream

    def __str__(self) -> str:
        began = str(round(self.since.timestamp() * 1000))
        return ";".join([began, *(f"{stream}={last}" for stream, last in sorted(self.seen.items()))])

    @classmethod
    def read(cls, text: str, streams: Mapping[str, str]) -> "Cursor | None":
        began, *seen = text[:2000].split(";")
        try:
            pairs = [one.partition("=") for one in seen]
            told = {stream: UUID(last) for stream, _, last in pairs if stream in streams}
            return cls(datetime.fromtimestamp(int(began) / 1000, UTC), told)
        except (ValueError, OverflowError, OSError):
            return None


class Facts:
    """Gives each signed-in browser its own person's events."""

    def __init__(
        self, bus: Bus, sessions: Sessions, codec: Codec, events: Mapping[str, Descriptor], *, heartbeat: float
    ) -> None:
        self.bus, self.sessions, self.heartbeat = bus, sessions, heartbeat
        self.decoders: dict[str, Decode] = {name: codec.decoder(message) for name, message in events.items()}
        self.streams = {stream_of(message.file.package): message.file.package for message in events.values()}
        self.open: Counter[str] = Counter()  # by session
        self.ending = asyncio.Event()  # set, it ends every stream: a browser comes back to another gateway

    async def serve(self, request: Request, _: MutableMapping[str, str]) -> Stream:
        """The stream, or a refusal: nobody is signed in, they have too many, or NATS is away just now."""
        person = await self.sessions.signed_in(request)
        if self.open[person.session] >= MOST_EACH:
            quota = f"{MOST_EACH} streams of a session"
            raise QuotaExceeded("Close a stream first.", retry_after=timedelta(seconds=5), quota=quota)
        if not self.bus.connected or self.ending.is_set() or self.open.total() >= MOST:
            raise TryAgain("Events are not to be had just now.", retry_after=timedelta(seconds=2))
        cursor = Cursor.read(request.header(b"last-event-id"), self.streams) or Cursor(system_clock())
        return Stream(Telling(self, request, person, cursor).tell, [*HEADERS])

    async def is_signed_in(self, request: Request) -> bool:
        """As identity last said; a service that does not answer just now ends nobody's stream."""
        try:
            await self.sessions.signed_in(request)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAUTHENTICATED
        return True

    def written(self, envelope: Envelope) -> bytes:
        decode = self.decoders.get(envelope.type)
        event = b"{}" if envelope.content_type == JSON or decode is None else decode(envelope.data)[0]
        told = {
            "id": str(envelope.id),
            "type": envelope.type,
            "time": envelope.time.isoformat() if envelope.time else None,
            "event": orjson.Fragment(event),
        }
        return orjson.dumps(told)


class Telling:
    """One open stream."""

    def __init__(self, facts: Facts, request: Request, person: Person, cursor: Cursor) -> None:
        self.facts, self.request, self.person, self.cursor = facts, request, person, cursor
        # Who is slow to read is slow to be asked for: what they have not had waits in NATS.
        self.heard: asyncio.Queue[tuple[str, Envelope]] = asyncio.Queue(1)

    async def tell(self, write: Write) -> None:
        work = [self.listen(stream, package) for stream, package in self.facts.streams.items()]
        tasks = [asyncio.create_task(one, name="events") for one in (*work, self.until_ending())]
        self.facts.open[self.person.session] += 1
        try:
            await write(f"retry: 1000\nid: {self.cursor}\nevent: hello\ndata: {{}}\n\n".encode())
            await self.pass_on(write, tasks)
        finally:
            self.facts.open[self.person.session] -= 1
            self.facts.open += Counter()  # forgets who has none
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def pass_on(self, write: Write, tasks: list[asyncio.Task[None]]) -> None:
        """Write what is heard, until the session ends or one of the `tasks` does."""
        turn = asyncio.create_task(self.heard.get())
        try:
            while True:
                both: set[asyncio.Task[Any]] = {turn, *tasks}
                done, _ = await asyncio.wait(both, timeout=self.facts.heartbeat, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    if not await self.facts.is_signed_in(self.request):
                        return
                    await write(b": still here\n\n")
                elif turn in done:
                    stream, envelope = turn.result()
                    turn = asyncio.create_task(self.heard.get())
                    self.cursor.seen[stream] = envelope.id
                    told = self.facts.written(envelope)
                    await write(b"id: %b\nevent: fact\ndata: %b\n\n" % (str(self.cursor).encode(), told))
                    if ends(envelope, self.person.session):
                        return
                else:
                    done.pop().result()
                    return
        finally:
            turn.cancel()

    async def listen(self, stream: str, package: str) -> None:
        """Hear the person's events of one service, from after the last one shown."""
        user = self.person.user.removeprefix("users/")
        subject = f"{package}.*.*.{partition(user)}.{user}.*"
        since = self.cursor.seen.get(stream, self.cursor.since)
        async with aclosing(read(self.facts.bus, subject, since=since, poll=POLL)) as events:
            async for envelope in events:
                await self.heard.put((stream, envelope))

    async def until_ending(self) -> None:
        await self.facts.ending.wait()


def ends(envelope: Envelope, session: str) -> bool:
    """Whether the person is not signed in here any more, from this event on."""
    return envelope.type in GOODBYES or (envelope.type == REVOKED and envelope.key == session)
