"""Stands in for the cluster's load balancer: `python -m deploy.local.balancer PORT BEHIND...` hands each connection on
to the next of the ports behind, passing over those that do not answer."""

import asyncio
import contextlib
import itertools
import sys

CHUNK = 64 << 10
MOST = 512


async def main(port: int, behind: list[int]) -> None:
    turns = itertools.cycle(range(len(behind)))
    room = asyncio.Semaphore(MOST)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with room:
            first = next(turns)
            try:
                far_reader, far_writer = await connect(behind[first:] + behind[:first])
            except ConnectionError:
                writer.close()
                return
            with contextlib.closing(writer), contextlib.closing(far_writer):
                await asyncio.gather(pour(reader, far_writer), pour(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def connect(ports: list[int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first that answers."""
    for port in ports:
        with contextlib.suppress(ConnectionError):
            return await asyncio.open_connection("127.0.0.1", port)
    raise ConnectionError


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything from one side to the other, until one of them has enough."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except ConnectionError:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
