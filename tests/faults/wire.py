"""The line between a service and PostgreSQL, which counts the statements and can be told to act at one of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum

SSL_REQUEST = 80_877_103  # PostgreSQL's protocol, 55.7
ASKS = {b"Q", b"S"}  # a simple query; the end of an extended one (Sync)
READY = b"Z"
PATIENCE = 10.0  # seconds of a statement


class When(Enum):
    """On which side of a statement."""

    BEFORE = "the statement never arrives"
    AFTER = "it is done, and its answer is lost"


class Wire:
    """Passes everything on, until the statement that was named: then it calls `cut`, once, and passes nothing on."""

    def __init__(self, host: str, port: int, cut: Callable[[], None]) -> None:
        self.host, self.port, self.cut = host, port, cut
        self.left = 0  # statements until the one that was named; 0: none is
        self.when = When.BEFORE
        self.is_named = False
        self.was_cut = asyncio.Event()

    def arm(self, number: int, when: When) -> None:
        self.left, self.when, self.is_named = number, when, False
        self.was_cut.clear()

    async def disarm(self) -> bool:
        """Whether the statement that was named came by, and so was the last: its answer may still be under way."""
        self.left = 0
        if self.is_named:
            async with asyncio.timeout(PATIENCE):
                await self.was_cut.wait()
        return self.is_named

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port that is as good as the server's."""
        lines: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = asyncio.create_task(self.pass_on(reader, writer))
            lines.add(line)
            line.add_done_callback(lines.discard)

        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*lines)  # whoever was served has gone

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        from_server, to_server = await asyncio.open_connection(self.host, self.port)
        line = Line(self)
        ways = [asyncio.create_task(line.ask(reader, to_server)), asyncio.create_task(line.answer(from_server, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            told = await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, to_server):
                end.close()
        for problem in told:
            if isinstance(problem, BaseException) and not isinstance(problem, OVER):
                raise problem


class Cut(Exception):  # noqa: N818 - what was wanted
    """Nothing more goes over this line."""


OVER = (Cut, asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError)


class Line:
    """One connection."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.is_named = wire, False

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:  # what comes first has no kind
            body = await reader.readexactly(4)
            body += await reader.readexactly(int.from_bytes(body) - 4)
            writer.write(body)
            if int.from_bytes(body[4:8]) != SSL_REQUEST:
                break
        while True:
            kind, message = await next_message(reader)
            if kind in ASKS and self.counts():
                self.cut_when(When.BEFORE)
                self.is_named = True
            writer.write(message)
            await writer.drain()

    def counts(self) -> bool:
        """Whether this is the statement that was named."""
        if not self.wire.left:
            return False
        self.wire.left -= 1
        self.wire.is_named = self.wire.left == 0
        return self.wire.is_named

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        writer.write(first)
        if first != b"N":  # no TLS; what follows is as usual
            head = await reader.readexactly(4)
            writer.write(head + await reader.readexactly(int.from_bytes(head) - 4))
        while True:
            kind, message = await next_message(reader)
            if self.is_named and kind == READY:
                self.cut_when(When.AFTER)
            if not self.is_named:
                writer.write(message)
                await writer.drain()

    def cut_when(self, when: When) -> None:
        if self.wire.when is when:
            self.wire.cut()
            self.wire.was_cut.set()
            raise Cut


async def next_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:]) - 4)
