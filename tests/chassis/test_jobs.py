import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import jobs
from chassis.database import Sessions
from chassis.jobs import Job, job, run_jobs, settle
from chassis.telemetry import REGISTRY
from chassis.time import Clock, TestClock, system_clock

HOUR = timedelta(hours=1)


@asynccontextmanager
async def running(*work: Job, sessions: Sessions, clock: Clock = system_clock) -> AsyncIterator[None]:
    task = asyncio.create_task(run_jobs(work, sessions, clock))
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class Heap:
    """Work to do, and how often somebody came for it."""

    def __init__(self, work: int) -> None:
        self.work, self.seen, self.came = work, list[datetime](), asyncio.Event()

    def job(self, name: str, every: timedelta = HOUR) -> Job:
        async def take(sessions: Sessions, now: datetime) -> int:
            self.seen.append(now)
            self.came.set()
            done = min(self.work, 10)
            self.work -= done
            return done

        return Job(name, every, take)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                self.came.clear()
                await self.came.wait()


def test_a_function_becomes_a_job() -> None:
    @job(every=HOUR)
    async def tidy(sessions: Sessions, now: datetime) -> int:
        return 0

    assert (tidy.name, tidy.every) == ("tidy", HOUR)


async def test_settling_does_all_that_is_due_and_says_how_much(sessions: Sessions) -> None:
    heap, empty = Heap(25), Heap(0)
    assert await settle([heap.job("heap"), empty.job("empty")], sessions, system_clock) == 25
    assert heap.work == 0
    assert await settle([heap.job("heap")], sessions, system_clock) == 0


async def test_a_job_runs_when_the_platforms_clock_says_so(sessions: Sessions, tmp_path: Path) -> None:
    clock, heap = TestClock.create(tmp_path / "clock"), Heap(0)
    async with running(heap.job("hourly"), sessions=sessions, clock=clock):
        await heap.until(lambda: len(heap.seen) == 1)
        then = clock.advance(2 * HOUR)
        await heap.until(lambda: len(heap.seen) == 2)
    assert heap.seen[1] >= then


async def test_a_job_that_did_something_is_asked_again_at_once(sessions: Sessions) -> None:
    heap = Heap(35)
    async with running(heap.job("busy"), sessions=sessions):
        await heap.until(lambda: len(heap.seen) == 5)
    assert heap.work == 0


async def test_one_replica_at_a_time_runs_a_job(sessions: Sessions) -> None:
    inside, most, runs = 0, 0, 0
    enough = asyncio.Event()

    async def work(sessions: Sessions, now: datetime) -> int:
        nonlocal inside, most, runs
        inside, runs = inside + 1, runs + 1
        most = max(most, inside)
        async with sessions() as session:  # long enough for the others to come in, were they let
            await session.execute(select(1))
        inside -= 1
        if runs >= 20:
            enough.set()
        return 1

    mine = Job("exclusive", HOUR, work)
    async with running(mine, sessions=sessions), running(mine, sessions=sessions), asyncio.timeout(20):
        await enough.wait()
    assert most == 1


async def test_settling_waits_for_the_replica_that_is_at_it(sessions: Sessions) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(sessions: Sessions, now: datetime) -> int:
        entered.set()
        await leave.wait()
        return 0

    one = Job("slow", HOUR, slow)
    async with running(one, sessions=sessions), asyncio.timeout(20):
        await entered.wait()
        settled = asyncio.create_task(settle([one], sessions, system_clock))
        async with sessions() as session:
            while not await somebody_waits(session):
                assert not settled.done()
        leave.set()
        assert await settled == 0


async def somebody_waits(session: AsyncSession) -> bool:
    waiting = text("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
    return bool(await session.scalar(waiting))


async def test_a_failed_job_is_counted_and_tried_again(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "RETRIES", (0.01,))
    heap = Heap(0)

    async def stumble(sessions: Sessions, now: datetime) -> int:
        await heap.job("").work(sessions, now)
        if len(heap.seen) < 3:
            raise RuntimeError("ada@example.org stood in the way")
        return 0

    async with running(Job("stumbling", HOUR, stumble), sessions=sessions):
        await heap.until(lambda: len(heap.seen) == 3)
    assert REGISTRY.get_sample_value("job_seconds_count", {"job": "stumbling", "result": "failed"}) == 2


async def test_settling_says_what_failed(sessions: Sessions) -> None:
    async def fall(sessions: Sessions, now: datetime) -> int:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await settle([Job("falling", HOUR, fall)], sessions, system_clock)


async def test_a_slow_job_does_not_stop_the_others(sessions: Sessions) -> None:
    async def hang(sessions: Sessions, now: datetime) -> int:
        await asyncio.Event().wait()
        return 0

    heap = Heap(0)
    async with running(Job("hanging", HOUR, hang), heap.job("quick"), sessions=sessions):
        await heap.until(lambda: len(heap.seen) == 1)


async def test_jobs_end_when_told_to_though_a_library_kept_that_to_itself(sessions: Sessions) -> None:
    at_work = asyncio.Event()

    async def deaf(_: Sessions, __: datetime) -> int:
        at_work.set()
        with suppress(asyncio.CancelledError):  # as asyncio.wait_for does, when what it waits for is done just then
            await asyncio.sleep(60)
        return 0

    async with asyncio.timeout(10), running(Job("deaf", HOUR, deaf), sessions=sessions):
        await at_work.wait()
