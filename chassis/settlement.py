"""Doing at once all that is due by now: what `./rapport clock advance` waits for in every process."""

import asyncio
from collections.abc import Sequence

from nats.errors import TimeoutError as NatsTimeout

from chassis import jobs
from chassis.database import Sessions
from chassis.hearing import Listeners
from chassis.jobs import Job
from chassis.relay import Relay
from chassis.telemetry import EVENT_CONSUME_SECONDS, JOB_WORK
from chassis.time import Clock

SECONDS = 60.0  # for all of it
LOOK = 0.02


class Settlement:
    """Runs what is due, hands on what is stated by it, hears what is stated elsewhere, until there is nothing left.

    Called, it tells how much was done since it was called before, asked or not: the platform has settled when every
    process tells of nothing.
    """

    def __init__(
        self, work: Sequence[Job], sessions: Sessions, clock: Clock, relaying: Relay, heard: Listeners
    ) -> None:
        self.work, self.sessions, self.clock, self.relaying, self.heard = work, sessions, clock, relaying, heard
        self.told = work_so_far()

    async def __call__(self) -> int:
        async with asyncio.timeout(SECONDS):
            before = -1
            while before != (before := work_so_far()):  # until a round in which nothing happened
                await jobs.settle(self.work, self.sessions, self.clock)
                while await self.is_under_way():  # noqa: ASYNC110 - in other processes too
                    await asyncio.sleep(LOOK)
        done, self.told = before - self.told, before
        return done

    async def is_under_way(self) -> bool:
        try:
            return bool(await self.relaying.pending() or await self.heard.pending())
        except NatsTimeout:
            if not self.relaying.bus.connected:
                raise
            return True  # it is there and busy: nobody knows yet


def work_so_far() -> int:
    """How much jobs and handlers of this process have done."""
    kinds = [kind for numbers in (JOB_WORK, EVENT_CONSUME_SECONDS) for kind in numbers.collect()]
    counted = ("job_work_total", "event_consume_seconds_count")
    return int(sum(one.value for kind in kinds for one in kind.samples if one.name in counted))
