"""A client's own server, as the provider calls it: a real one, on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

PATIENCE = 10.0


@dataclass
class Listener:
    """What it was told, and what it answers: each of `answers` once, then 200."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    asked: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/signed-out?of=us"

    async def token(self) -> str:
        """The next logout token."""
        async with asyncio.timeout(PATIENCE):
            request = await self.asked.get()
        head, _, body = request.partition("\r\n\r\n")
        assert head.startswith("POST /signed-out?of=us HTTP/1.1\r\n")
        assert "content-type: application/x-www-form-urlencoded" in head.lower()
        [token] = parse_qs(body, strict_parsing=True)["logout_token"]
        return token

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length")]
        body = await reader.readexactly(sum(lengths))
        status = self.answers.pop(0) if self.answers else 200
        self.asked.put_nowait(head + body.decode())
        # A place to go on to, and more than anybody should read.
        writer.write(f"HTTP/1.1 {status} X\r\nlocation: {self.uri}\r\ncontent-length: 9000000\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    made = Listener()
    server = await asyncio.start_server(made.answer, "127.0.0.1")
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made
