"""Group commit: what many callers ask at once is one batch, one transaction, one flush to the disk.

The writer takes whatever queued while it was busy, so batches grow with the load and a single caller waits for nobody;
among many, it waits some milliseconds for those it just answered to ask again. Each is answered after the commit. One
batch at a time: two would share accounts, and wait for each other where they are meant to overlap. The queue is
bounded: who finds it full is told to come again, and nothing of theirs was done. See docs/decisions/0136.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from chassis.database import DEADLOCK, SERIALIZATION_FAILURE, Sessions, sqlstate
from chassis.refusal import Refusal
from chassis.time import Clock
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.post import post, rehearse
from services.loyalty.ledger.requests import Request
from services.loyalty.refusals import LedgerBusy

MOST = 256  # requests of a batch
QUEUED = 4_096  # requests that wait: some tenths of a second
UNIQUE_VIOLATION = "23505"  # another process booked the same key for another account, or opened the same account
AGAIN = frozenset({SERIALIZATION_FAILURE, DEADLOCK, UNIQUE_VIOLATION})
ATTEMPTS = 4
BREATH, BREATHS = 0.001, 5  # seconds to wait for more, and how often at most


class Waiting(NamedTuple):
    requests: Sequence[Request]
    answer: "asyncio.Future[list[Result]]"


class Writer:
    """Posts for everybody who calls this process."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self.sessions, self.clock = sessions, clock
        self.queue: deque[Waiting] = deque()
        self.queued = 0
        self.usual = 0  # how many there are to expect, by how many there were
        self.writing: asyncio.Task[None] | None = None

    async def post(self, request: Request) -> Entry:
        """Do it, or raise why it is refused; both are committed by then."""
        [result] = await self.post_all([request])
        if isinstance(result, Refusal):
            raise result
        return result

    async def post_all(self, requests: Sequence[Request]) -> list[Result]:
        """Do them in their order, each done or refused on its own."""
        if self.queued + len(requests) > QUEUED:
            raise LedgerBusy("The ledger has more to do than it can take.", retry_after=timedelta(seconds=1))
        waiting = Waiting(requests, asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        self.queued += len(requests)
        if self.writing is None or self.writing.done():
            self.writing = asyncio.create_task(self.write(), name="ledger writer")
        return await waiting.answer

    async def rehearse(self, request: Request) -> Entry:
        """What would be done, or raise why it would be refused; nothing is."""
        async with self.sessions() as session:
            [result] = await rehearse(session, [request], now=self.clock())
            await session.rollback()
        if isinstance(result, Refusal):
            raise result
        return result

    async def write(self) -> None:
        while self.queue:
            await self.gather()
            batch = self.next_batch()
            if batch:
                await self.commit(batch)
                self.usual = (sum(len(waiting.requests) for waiting in batch) + self.queued) * 4 // 5

    async def gather(self) -> None:
        """Let who is just asking come along, as long as every turn brings more. A batch has a price of its own, however
        small it is: so where fewer ask than usual, the turns are longer."""
        seen = breaths = 0
        while seen < self.queued < MOST and breaths < BREATHS:
            seen, is_less = self.queued, self.queued < self.usual
            breaths += is_less
            await asyncio.sleep(BREATH if is_less else 0)

    def next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self.queue and (not batch or size + len(self.queue[0].requests) <= MOST):
            waiting = self.queue.popleft()
            self.queued -= len(waiting.requests)
            if not waiting.answer.done():  # whoever went away meanwhile wants nothing any more
                batch.append(waiting)
                size += len(waiting.requests)
        return batch

    async def commit(self, batch: list[Waiting]) -> None:
        """Do a batch; where something in it stops the whole, in halves, so that only what is at fault fails."""
        try:
            results = await self.posted([request for waiting in batch for request in waiting.requests])
        except DBAPIError as error:
            if error.connection_invalidated or len(batch) == 1:
                return fail(batch, error)
            middle = len(batch) // 2
            await self.commit(batch[:middle])
            await self.commit(batch[middle:])
        except Exception as error:
            if len(batch) == 1:
                return fail(batch, error)
            middle = len(batch) // 2
            await self.commit(batch[:middle])
            await self.commit(batch[middle:])
        else:
            place = 0
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_result(results[place : place + len(waiting.requests)])
                place += len(waiting.requests)

    async def posted(self, requests: Sequence[Request]) -> list[Result]:
        for attempt in range(ATTEMPTS):
            try:
                async with self.sessions.begin() as session:
                    return await post(session, requests, now=self.clock())
            except DBAPIError as error:
                if sqlstate(error) not in AGAIN or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")


def fail(batch: list[Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
