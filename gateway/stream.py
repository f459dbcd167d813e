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
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import orjson
from google.protobuf.descriptor import Descriptor
from rapport.identity.v1.events_pb2 import SessionRevoked, UserDeleted, UserDeletionRequested
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chassis.bus import Bus
from chassis.envelope import JSON, Envelope
from chassis.reader import read
from chassis.refusal import TryAgain
from chassis.subjects import partition, stream_of
from gateway.codec import Codec, Decode
from gateway.sessions import Sessions

HEARTBEAT = 15.0  # seconds; proxies close what is silent for long
WAITING = 500  # events a slow browser may be behind: it is let go then, and comes back with its id
HEADERS = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


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
    def read(cls, text: str, streams: frozenset[str]) -> "Cursor | None":
        began, *seen = text[:2000].split(";")
        try:
            pairs = [one.partition("=") for one in seen]
            told = {stream: UUID(last) for stream, _, last in pairs if stream in streams}
            return cls(datetime.fromtimestamp(int(began) / 1000, UTC), told)
        except (ValueError, OverflowError, OSError):
            return None


class Facts:
    """Gives each signed-in browser its own person's events."""

    def __init__(self, bus: Bus, sessions: Sessions, codec: Codec, events: Mapping[str, Descriptor]) -> None:
        self.bus, self.sessions = bus, sessions
        self.decoders: dict[str, Decode] = {name: codec.decoder(message) for name, message in events.items()}
        self.streams = {stream_of(message.file.package): message.file.package for message in events.values()}

    async def serve(self, request: Request) -> Response:
        """The stream, or a refusal: nobody is signed in, or NATS is away just now."""
        person = await self.sessions.signed_in(request)
        if not self.bus.connected:
            raise TryAgain("Events are not to be had just now.", retry_after=timedelta(seconds=2))
        given = request.headers.get("last-event-id", "")
        cursor = Cursor.read(given, frozenset(self.streams)) if given else None
        stream = self.told(request, person.session, cursor or Cursor(datetime.now(UTC)))
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    async def told(self, request: Request, session: str, cursor: Cursor) -> AsyncIterator[bytes]:
        user = session.split("/")[1]
        queue: asyncio.Queue[tuple[str, Envelope]] = asyncio.Queue(WAITING)
        readers = [
            asyncio.create_task(self.read(stream, package, user, cursor, queue), name=f"events {stream}")
            for stream, package in self.streams.items()
        ]
        try:
            yield f"retry: 1000\nid: {cursor}\nevent: hello\ndata: {{}}\n\n".encode()
            while not any(reader.done() for reader in readers):
                try:
                    stream, envelope = await asyncio.wait_for(queue.get(), HEARTBEAT)
                except TimeoutError:
                    if not await self.is_signed_in(request):
                        return
                    yield b": still here\n\n"
                    continue
                cursor.seen[stream] = envelope.id
                yield self.written(envelope, cursor)
                if ends(envelope, session):
                    return
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def read(
        self, stream: str, package: str, user: str, cursor: Cursor, queue: asyncio.Queue[tuple[str, Envelope]]
    ) -> None:
        """Put the person's events of one service in the queue, from after the last one shown."""
        subject = f"{package}.*.*.{partition(user)}.{user}.*"
        async for envelope in read(self.bus, subject, since=cursor.seen.get(stream, cursor.since)):
            queue.put_nowait((stream, envelope))

    async def is_signed_in(self, request: Request) -> bool:
        """As identity last said; a service that does not answer just now ends nobody's stream."""
        try:
            await self.sessions.signed_in(request)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAUTHENTICATED
        return True

    def written(self, envelope: Envelope, cursor: Cursor) -> bytes:
        decode = self.decoders.get(envelope.type)
        event = "{}" if envelope.content_type == JSON or decode is None else decode(envelope.data)
        told = {
            "id": str(envelope.id),
            "type": envelope.type,
            "time": envelope.time.isoformat() if envelope.time else None,
            "event": orjson.Fragment(event),
        }
        return b"id: %b\nevent: fact\ndata: %b\n\n" % (str(cursor).encode(), orjson.dumps(told))


def ends(envelope: Envelope, session: str) -> bool:
    """Whether the person is not signed in here any more, from this event on."""
    return envelope.type in GOODBYES or (envelope.type == REVOKED and envelope.key == session)
