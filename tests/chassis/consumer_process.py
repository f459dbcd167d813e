"""`python -m tests.chassis.consumer_process DATABASE_URL NATS_URL`: a consumer that ends over the event number 13."""

import asyncio
import os
import signal
import sys

from rapport.support.v1.events_pb2 import TicketReplied

from chassis import listener
from chassis.database import connect
from tests.chassis.events import Witness, listening, number_of

UNLUCKY = 13


async def main(database: str, nats: str) -> None:
    listener.MOST_ENDS = 1
    _, sessions = connect(database, name="consumer")
    witness = Witness()

    async def end(event: TicketReplied) -> None:
        if number_of(event) == UNLUCKY:
            os.kill(os.getpid(), signal.SIGKILL)

    witness.fail = end
    async with listening(nats, sessions, witness.handler):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
