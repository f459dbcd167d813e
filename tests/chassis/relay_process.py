"""`python -m tests.chassis.relay_process DATABASE_URL NATS_URL`: a relay, until it is killed."""

import asyncio
import sys

from chassis.database import connect
from tests.chassis.events import relaying


async def main(database: str, nats: str) -> None:
    _, sessions = connect(database, name="relay")
    async with relaying(nats, sessions, replica="another"):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
