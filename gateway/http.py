"""A request as it came over HTTP, and an answer as it goes back.

Plain ASGI: the API is one path from bytes to bytes, and a framework between would cost as much as the path itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

from chassis.refusal import TryAgain
from gateway.refusals import BodyTooLarge, UnsupportedMediaType

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
Write: TypeAlias = Callable[[bytes], Awaitable[None]]

MOST_BYTES = 1 << 20  # of a body
PATIENCE = 30.0  # seconds for a body to arrive, and for a piece of an answer to be taken
BODILESS = (204, 304)
JSON = ("application/json", "application/merge-patch+json")
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 50


class Gone(Exception):  # noqa: N818 - it is what they are
    """Nobody is there any more, or nobody who reads what is sent."""


class Request:
    """One request."""

    __slots__ = ("headers", "method", "owed", "path", "peer", "query", "receive", "sent")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")  # still percent-encoded
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])  # of two of one name, the last
        self.sent: Headers = scope["headers"]
        self.peer: str = (scope.get("client") or ("",))[0]  # the address of whoever holds the other end of the line
        self.receive = receive
        self.owed: Headers = []  # what any answer to it says, a refusal too

    @property
    def is_safe(self) -> bool:
        """Whether it only asks (RFC 9110, 9.2.1)."""
        return self.method in ("GET", "HEAD", "OPTIONS")

    def header(self, name: bytes) -> str:
        """Its value; "" where it was not sent."""
        return self.headers.get(name, b"").decode("latin-1")

    def every(self, name: bytes) -> str:
        """All values of that name (RFC 9110, 5.3): of what may be sent once, two are none."""
        return ", ".join(value.decode("latin-1") for found, value in self.sent if found == name)

    def cookie(self, name: str) -> str:
        for one in self.header(b"cookie").split(";"):
            found, _, value = one.strip().partition("=")
            if found == name:
                return value.strip('"')
        return ""

    async def json(self) -> bytes:
        """The body, where it says that it is JSON; nothing where there is none."""
        body = await self.body()
        if body and self.header(b"content-type").partition(";")[0].strip().lower() not in JSON:
            raise UnsupportedMediaType("The body must be application/json.")
        return body

    async def form(self) -> list[tuple[str, str]]:
        """The fields of a form, each as often as it was sent."""
        body = await self.body()
        if body and self.header(b"content-type").partition(";")[0].strip().lower() != FORM:
            raise UnsupportedMediaType(f"The body must be {FORM}.")
        return pairs(body.decode("latin-1"))

    async def body(self) -> bytes:
        """All of it, or a refusal of what is too large or too slow."""
        declared = self.headers.get(b"content-length")
        if declared is None and b"transfer-encoding" not in self.headers:
            return b""
        if declared is not None and int(declared) > MOST_BYTES:
            raise too_large()
        pieces, size, more = [], 0, True
        try:
            async with asyncio.timeout(PATIENCE):
                while more:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    more = message.get("more_body", False)
                    if size > MOST_BYTES:
                        raise too_large()
        except TimeoutError:
            raise TryAgain("The body did not arrive in time.", retry_after=timedelta(seconds=1)) from None
        return b"".join(pieces)


def pairs(text: str) -> list[tuple[str, str]]:
    """What a query or a form says, in its order."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BodyTooLarge("There are too many fields.", max_fields=str(MOST_FIELDS)) from None


def too_large() -> BodyTooLarge:
    return BodyTooLarge("The body is too large.", max_bytes=str(MOST_BYTES))


class Answer(Protocol):
    """What goes back: `headers` may be added to until it is sent."""

    status: int
    headers: Headers

    async def send(self, receive: Receive, send: Send) -> None: ...


@dataclass(slots=True)
class Response:
    """An answer in one piece."""

    body: bytes = b""
    status: int = 200
    headers: Headers = field(default_factory=list)

    async def send(self, _: Receive, send: Send) -> None:
        if self.status not in BODILESS:
            self.headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(slots=True)
class Stream:
    """An answer in pieces, that `tell` writes until it has said everything. When it cannot, the answer breaks off: it
    must not look whole."""

    tell: Callable[[Write], Awaitable[None]]
    headers: Headers
    status: int = 200
    patience: float = PATIENCE

    async def send(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})

        async def write(piece: bytes) -> None:
            try:
                async with asyncio.timeout(self.patience):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                raise Gone from None

        telling = asyncio.ensure_future(self.tell(write))
        leaving = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not telling.done():
                raise Gone
            telling.result()
        finally:
            telling.cancel()
            leaving.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


Handler: TypeAlias = Callable[[Request, MutableMapping[str, str]], Awaitable[Answer]]
