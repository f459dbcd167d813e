"""What the cluster asks a process over HTTP: is it alive, is it ready, what are its numbers.

GET only, one answer per connection, no bodies read: a server for machines that we run ourselves, and so a small one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

MOST_BYTES = 8 << 10  # of a request's head
SECONDS = 5.0  # for it to arrive
log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: str = "200 OK"
    kind: str = "text/plain; charset=utf-8"


Route = Callable[[], Awaitable[Answer]]
NOT_FOUND = Answer(b"There is no such thing here.\n", "404 Not Found")
FAILED = Answer(b"That did not work; the log says more.\n", "500 Internal Server Error")


@asynccontextmanager
async def answering(listen: str, routes: Mapping[str, Route]) -> AsyncIterator[int]:
    """Answer `routes` ("GET /healthz") at host:port until the block is left; gives the port."""

    meeting: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(meet(reader, writer, routes), name="probe")
        meeting.add(task)
        task.add_done_callback(meeting.discard)

    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(begin, host.strip("[]"), int(port), limit=MOST_BYTES, reuse_address=True)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(meeting):
            task.cancel()
        await asyncio.gather(*meeting, return_exceptions=True)


async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Mapping[str, Route]) -> None:
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        try:
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(written(await answer(head, routes)))
            async with asyncio.timeout(SECONDS):
                await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()


async def answer(head: bytes, routes: Mapping[str, Route]) -> Answer:
    method, target = [*head.split(b"\r\n", 1)[0].decode("latin-1").split(" "), "", ""][:2]
    route = routes.get(f"{method} {target.partition('?')[0]}")
    if route is None:
        return NOT_FOUND
    try:
        return await route()
    except Exception:
        log.exception("probe_failed", route=target.partition("?")[0])
        return FAILED


def written(one: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {one.status}\r\nContent-Type: {one.kind}\r\nContent-Length: {len(one.body)}\r\nConnection: close\r\n"
    )
    return f"{head}Cache-Control: no-store\r\n\r\n".encode() + one.body
