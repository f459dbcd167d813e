"""Owns the processes of the table: starts them in order, brings back whoever ends, and stops all of them in order.

A process of its own (`python -m deploy.local.supervisor FOLDER`, the plan on its input), so that it outlives a terminal
when it should. Should it be killed, the kernel ends every child: see tied. What happens is told line by line, as JSON,
to whoever started it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deploy.local.plan import Plan, saved
from deploy.local.processes import Process, table
from deploy.local.ready import answers
from deploy.local.state import State
from deploy.local.tied import tied

PATIENCE = 120.0  # for a process to answer after it was started
LOOK_EVERY = 0.05
BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)
STEADY = 10.0  # seconds of running after which an end counts as the first again
LARGEST_LOG = 8 << 20
LAST_LINES = 15

Stage = Literal["waiting", "starting", "ready", "done", "ended", "failed", "stopped"]


@dataclass
class Child:
    process: Process
    stage: Stage = "waiting"
    pid: int | None = None
    restarts: int = 0
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.subprocess.Process | None = None
    log_from: int = 0  # where in its log this run begins


class Supervisor:
    def __init__(self, plan: Plan, rows: list[Process]) -> None:
        self.plan, self.state = plan, plan.state
        self.children = {row.name: Child(row) for row in rows}
        self.begun = time.monotonic()
        self.ends = asyncio.Event()  # somebody asked, or a start failed
        self.failed = False

    async def run(self) -> bool:
        """Everything, from start to end. Whether it came up and was asked to end."""
        loop = asyncio.get_running_loop()
        for asked in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(asked, self.ends.set)
        work = [asyncio.create_task(self.keep(child)) for child in self.children.values()]
        work += [asyncio.create_task(self.tell_ready()), asyncio.create_task(self.bound_logs())]
        for task in work:
            task.add_done_callback(self.end_if_broken)
        await self.ends.wait()
        await self.stop()
        for task in work:
            task.cancel()
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        self.tell("stopped")
        return not self.failed

    def end_if_broken(self, task: asyncio.Task[None]) -> None:
        """A mistake of our own ends everything, and is raised once it has."""
        if not task.cancelled() and task.exception():
            self.failed = True
            self.ends.set()

    async def keep(self, child: Child) -> None:
        """One process: after those it needs, and again whenever it ends."""
        for name in child.process.after:
            await self.children[name].was_ready.wait()
        attempt = 0
        while not self.ends.is_set():
            start = time.monotonic()
            code = await self.once(child, start)
            if self.ends.is_set() or child.stage == "done":
                return
            if not child.was_ready.is_set():
                self.fail(child, f"exit {code}" if code is not None else f"no answer within {PATIENCE:.0f} s")
                return
            self.put(child, "ended")
            self.tell("ended", name=child.process.name, how=ending(code))
            # Who was killed is not at fault, and comes back at once; who ends by itself might do nothing else.
            attempt = 0 if code == -signal.SIGKILL or time.monotonic() - start > STEADY else attempt + 1
            await asyncio.sleep(BACKOFF[min(attempt, len(BACKOFF) - 1)])
            child.restarts += 1

    async def once(self, child: Child, start: float) -> int | None:
        """Start a process and see it to its end. Its exit code, or nothing when it never answered."""
        process = child.process
        running = await self.spawn(child)
        ended = asyncio.create_task(running.wait())
        if not process.ready:
            code = await ended
            if code == 0:
                self.arrived(child, "done", start, tail(self.state.log(process.name), 1, child.log_from))
            return code
        while not ended.done() and time.monotonic() - start < PATIENCE:
            if await answers(process.ready) and not ended.done():
                self.arrived(child, "ready", start, process.says)
                return await ended
            await asyncio.wait([ended], timeout=LOOK_EVERY)
        if not ended.done():
            running.kill()
            await ended
            return None
        return ended.result()

    async def spawn(self, child: Child) -> asyncio.subprocess.Process:
        process = child.process
        with self.state.log(process.name).open("ab") as log:  # to append is to survive being cut short
            child.log_from = log.tell()
            child.running = await asyncio.create_subprocess_exec(
                *tied(process.death),
                *process.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.plan.folder,
                env=environment(self.state, process.settings()),
            )
        child.pid = child.running.pid
        self.put(child, "starting")
        return child.running

    def arrived(self, child: Child, stage: Stage, start: float, says: str) -> None:
        again = child.was_ready.is_set()
        child.was_ready.set()
        self.put(child, stage)
        took = time.monotonic() - start
        self.tell("back" if again else "ready", name=child.process.name, seconds=took, says=says)

    def fail(self, child: Child, how: str) -> None:
        self.failed = True
        self.put(child, "failed")
        path = self.state.log(child.process.name)
        self.tell(
            "failed", name=child.process.name, how=how, log=str(path), last=tail(path, LAST_LINES, child.log_from)
        )
        self.ends.set()

    async def stop(self) -> None:
        """The highest rank first: nobody loses whom it still needs."""
        self.tell("stopping")
        for rank in sorted({child.process.rank for child in self.children.values()}, reverse=True):
            await asyncio.gather(*(self.end(one) for one in self.children.values() if one.process.rank == rank))

    async def end(self, child: Child) -> None:
        running = child.running
        if running is None or running.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(child.process.stop)
            try:
                await asyncio.wait_for(running.wait(), child.process.grace)
            except TimeoutError:
                self.tell("stubborn", name=child.process.name, grace=child.process.grace)
                running.kill()
                await running.wait()
        self.put(child, "stopped")
        self.tell("gone", name=child.process.name)

    async def tell_ready(self) -> None:
        for child in self.children.values():
            await child.was_ready.wait()
        self.tell("up", seconds=time.monotonic() - self.begun)
        self.note()

    async def bound_logs(self) -> None:
        """No log grows without end: the last part is kept beside, and the file goes on from its beginning."""
        while True:
            for name in [*self.children, "supervisor"]:
                path = self.state.log(name)
                if path.exists() and path.stat().st_size > LARGEST_LOG:
                    shutil.copyfile(path, path.with_suffix(".1.log"))
                    os.truncate(path, 0)
            await asyncio.sleep(1)

    def put(self, child: Child, stage: Stage) -> None:
        child.stage = stage
        if stage in ("ended", "done", "failed", "stopped"):
            child.pid = None
        self.note()

    def note(self) -> None:
        processes = [
            {"name": name, "stage": one.stage, "pid": one.pid, "restarts": one.restarts, "says": one.process.says}
            for name, one in self.children.items()
        ]
        self.state.note(
            {
                "up": not self.ends.is_set() and all(one.was_ready.is_set() for one in self.children.values()),
                "supervisor": os.getpid(),
                "urls": self.plan.urls,
                "ports": dict(self.plan.ports),
                "replicas": self.plan.replicas,
                "processes": processes,
            }
        )

    def tell(self, what: str, **details: Any) -> None:
        line = json.dumps({"what": what, "time": round(time.monotonic() - self.begun, 3), **details})
        print(line, file=sys.stderr, flush=True)  # its own log
        with contextlib.suppress(BrokenPipeError):  # they have seen enough
            os.write(1, line.encode() + b"\n")


def environment(state: State, settings: Mapping[str, str]) -> dict[str, str]:
    """What we were given, a temporary folder that is part of the platform's own, and the process's settings."""
    return {**os.environ, "TMPDIR": str(state.temporary), **settings}


def ending(code: int | None) -> str:
    if code is None:
        return "hung"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def tail(path: Path, lines: int, start: int) -> str:
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - 64_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def main(folder: Path) -> None:
    lock = State(folder).locked()
    if lock is None:
        print(json.dumps({"what": "taken"}), flush=True)
        return
    os.umask(0o022)  # the engines' user must be able to reach what we make for it; secrets say so themselves
    with lock:
        plan = saved(State(folder).told(State(folder).plan.name, sys.stdin.read()))
        sys.exit(0 if asyncio.run(Supervisor(plan, table(plan)).run()) else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
