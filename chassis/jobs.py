"""Work that is due by the clock: points expire, links end, mail leaves.

    @job(every=timedelta(minutes=1))
    async def expire_links(sessions: Sessions, now: datetime) -> int:
        ...  # one bounded batch, in a transaction of its own; returns how much it did, 0 when nothing is due

One replica at a time runs a job. A job that did something is asked again at once, until nothing is due; one that fails
is logged, counted and tried again. What is due is measured by the platform's clock: after an advance, `settle` does
at once all that would have been done meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from zlib import crc32

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cancellation import heed
from chassis.database import Sessions
from chassis.telemetry import JOB_SECONDS, JOB_WORK, working
from chassis.time import Clock

Work: TypeAlias = Callable[[Sessions, datetime], Awaitable[int]]

LOCKS = 4_712  # our class of advisory locks
TICK = 0.5  # seconds of real time between looks at the clock
RETRIES = (1, 5, 30, 120, 600)  # seconds of real time until a failed job is tried again
MOST_ROUNDS = 10_000
AT_ONCE = 2  # jobs under way in one process: each holds two connections, and calls need the rest

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """A piece of periodic work."""

    name: str
    every: timedelta
    work: Work


def job(*, every: timedelta) -> Callable[[Work], Job]:
    """Make a job of a function."""
    return lambda work: Job(getattr(work, "__name__", "job"), every, work)


async def run_jobs(jobs: Sequence[Job], sessions: Sessions, clock: Clock) -> None:
    """Run each job whenever it is due, until cancelled."""
    turns = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for one in jobs:
            group.create_task(keep_running(one, sessions, clock, turns), name=f"job {one.name}")


async def settle(jobs: Sequence[Job], sessions: Sessions, clock: Clock) -> int:
    """Run all jobs until none has anything to do, and return how much they did. What fails here is raised."""
    total = 0
    for _ in range(MOST_ROUNDS):
        done = sum([await run(one, sessions, clock, wait=True) for one in jobs])
        if not done:
            return total
        total += done
    raise RuntimeError(f"jobs that never end: {', '.join(one.name for one in jobs)}")


async def keep_running(one: Job, sessions: Sessions, clock: Clock, turns: asyncio.Semaphore) -> None:
    due, failures = clock(), 0
    while True:
        heed()
        pause = TICK
        if clock() >= due:
            began = clock()
            try:
                async with turns:
                    done = await run(one, sessions, clock, wait=False)
                failures = 0
                if done:
                    pause = 0.0  # there may be more; other tasks go first
                else:
                    due = began + one.every
            except Exception:
                log.exception("job_failed", job=one.name, failures=failures)
                pause = RETRIES[min(failures, len(RETRIES) - 1)]
                failures += 1
        await asyncio.sleep(pause)


async def run(one: Job, sessions: Sessions, clock: Clock, *, wait: bool) -> int:
    """One batch, unless another replica is at it: then nothing, or with `wait` when that one is done."""
    # The lock has a transaction of its own: it ends with the connection, however this process ends.
    async with sessions.begin() as holder:
        if not await take(holder, one.name, wait=wait):
            return 0
        began = time.perf_counter()
        try:
            with working(f"job/{one.name}"):
                done = await one.work(sessions, clock())
        except Exception:
            JOB_SECONDS.labels(one.name, "failed").observe(time.perf_counter() - began)
            raise
        JOB_SECONDS.labels(one.name, "done").observe(time.perf_counter() - began)
    JOB_WORK.labels(one.name).inc(done)
    return done


async def take(holder: AsyncSession, name: str, *, wait: bool) -> bool:
    key = crc32(name.encode()) - (1 << 31)  # of the size that PostgreSQL's integer has
    if wait:
        await holder.execute(select(func.pg_advisory_xact_lock(LOCKS, key)))
        return True
    return bool(await holder.scalar(select(func.pg_try_advisory_xact_lock(LOCKS, key))))
