"""Whether a process answers yet."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from deploy.local.postgres import INSTALLED, WHEEL

PATIENCE = 2.0  # for one question: a process that hangs must not hang the one who asks


async def answers(address: str) -> bool:
    """Ask once: http for 200, tcp for a connection, postgres for whether it takes queries."""
    there = urlsplit(address)
    host, port = there.hostname or "", there.port or 0
    try:
        async with asyncio.timeout(PATIENCE):
            if there.scheme == "postgres":
                return await takes_queries(host, port)
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                if there.scheme == "tcp":
                    return True
                path = f"{there.path}?{there.query}"
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {there.netloc}\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
    except (OSError, TimeoutError):
        return False


async def takes_queries(host: str, port: int) -> bool:
    asked = await asyncio.create_subprocess_exec(
        WHEEL / INSTALLED / "bin/pg_isready", "-q", "-h", host, "-p", str(port), "-U", "postgres"
    )
    return await asked.wait() == 0
