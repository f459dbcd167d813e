"""The way of a request over HTTP to its service and back: everything from the contract, worked out once a route."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import FileDescriptor
from rapport.annotations.v1.access_pb2 import access as access_option

from chassis.client import Metadata
from chassis.masking import MASKED
from chassis.refusal import refused
from gateway.binding import Binding
from gateway.codec import Codec
from gateway.http import Answer, Headers, Request, Response, Stream, Write
from gateway.routes import Rule, rules
from gateway.sessions import COOKIE, Sessions

LONGEST = 300.0  # seconds that a download may take
JSON = (b"content-type", b"application/json")
PLAIN: Headers = [JSON, (b"cache-control", b"no-store")]


@dataclass(frozen=True)
class Backend:
    """The contracts of one service, and the channel to it."""

    contracts: Sequence[FileDescriptor]
    channel: grpc.aio.Channel


def ways(backends: Sequence[Backend], sessions: Sessions, codec: Codec, patience: float) -> "Iterator[Way]":
    """The way to every method that may be called over HTTP."""
    for backend in backends:
        for rule in rules(backend.contracts):
            yield Way(rule, codec, backend.channel, sessions, patience)


class Way:
    """How one method is asked."""

    def __init__(
        self, rule: Rule, codec: Codec, channel: grpc.aio.Channel, sessions: Sessions, patience: float
    ) -> None:
        gives = rule.method.output_type
        self.rule, self.sessions, self.patience = rule, sessions, patience
        self.binding = Binding(rule, codec)
        said = rule.method.GetOptions().Extensions[access_option]
        self.is_public = said.public
        # What a newer token may mend. Who has just become a member of a business has one that does not know it yet.
        self.mended = frozenset({"TOKEN_INVALID", "FORBIDDEN"} if said.member else {"TOKEN_INVALID"})
        self.is_stream, self.is_content = rule.method.server_streaming, gives.full_name == HttpBody.DESCRIPTOR.full_name
        if self.is_stream and not self.is_content:
            raise ValueError(f"{rule.method.full_name}: a stream over HTTP is a download, of google.api.HttpBody.")
        self.decode = codec.decoder(gives)
        # Bytes in, bytes out: nothing is read twice.
        make = channel.unary_stream if self.is_stream else channel.unary_unary
        self.call: Any = make(rule.path, request_serializer=None, response_deserializer=None)

    async def answer(self, request: Request, captured: MutableMapping[str, str]) -> Answer:
        """What the service says to `request`."""
        asked = await self.binding.read(request, captured)
        metadata = await self.sessions.metadata(request, is_public=self.is_public)
        try:
            return await self.carried(request, asked, metadata)
        except grpc.aio.AioRpcError as error:
            said = refused(error)
            if said.reason not in self.mended or not metadata or b"authorization" in request.headers:
                raise self.binding.problem(said, request, asked) from None
        # The token ended between two looks at the clock, or its session was revoked: identity knows which.
        self.sessions.forget(request.cookie(COOKIE))
        metadata = await self.sessions.metadata(request, is_public=self.is_public)
        try:
            return await self.carried(request, asked, metadata)
        except grpc.aio.AioRpcError as error:
            raise self.binding.problem(refused(error), request, asked) from None

    async def carried(self, request: Request, asked: bytes, metadata: Metadata) -> Answer:
        if self.is_stream:
            return await self.download(request, asked, metadata)
        calling = self.call(asked, timeout=self.patience, metadata=metadata)
        told: bytes = await calling
        hidden = self.binding.hidden(dict(await calling.trailing_metadata()).get(MASKED, ""))
        if self.is_content:
            content = HttpBody.FromString(told)
            return Response(content.data, headers=kind_of(content))
        body, etag = self.decode(told)
        if not etag:
            return Response(body, headers=[*PLAIN, *hidden])
        headers = [JSON, (b"cache-control", b"private, no-cache"), (b"etag", f'"{etag}"'.encode()), *hidden]
        if request.is_safe and is_known(etag, request.header(b"if-none-match")):
            return Response(status=304, headers=headers[1:])
        return Response(body, headers=headers)

    async def download(self, request: Request, asked: bytes, metadata: Metadata) -> Answer:
        """The content in pieces; a refusal comes before the first, and later the answer breaks off."""
        call = self.call(asked, timeout=LONGEST, metadata=metadata)
        piece = await call.read()
        first = HttpBody.FromString(b"" if piece is grpc.aio.EOF else piece)
        headers = [*kind_of(first), (b"content-disposition", b"attachment")]

        async def tell(write: Write) -> None:
            try:
                await write(first.data)
                while request.method != "HEAD" and (piece := await call.read()) is not grpc.aio.EOF:
                    await write(HttpBody.FromString(piece).data)
            finally:
                call.cancel()

        return Stream(tell, headers)


def kind_of(content: HttpBody) -> Headers:
    return [(b"content-type", content.content_type.encode()), (b"cache-control", b"no-store")]


def is_known(etag: str, header: str) -> bool:
    return header.strip() == "*" or f'"{etag}"' in header
