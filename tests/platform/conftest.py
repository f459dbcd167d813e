"""The platform as a person at a terminal has it: commands in processes of their own, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.local.plan import Plan
from deploy.local.settings import outside
from deploy.local.state import CLONE, State
from deploy.local.throwaway import folder, platform

PATIENCE = 240.0


# Tests that run in the background are deaf to Ctrl-C, and what they start would be: a terminal's programs hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Terminal:
    """`./rapport` on a folder of its own."""

    state: State
    user: int | None = None  # instead of the one who runs the tests
    umask: int = -1
    environment: dict[str, str] = field(default_factory=lambda: dict(outside().inherited))
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, command: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", command, "--state", str(self.state.folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CLONE,
            env=self.environment | environment,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            umask=self.umask,
        )
        self.started.append(process)
        return process

    def type(self, command: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(command, *arguments, **environment)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def up(self, only: str, *arguments: str, **environment: str) -> dict[str, Any]:
        """Start detached, and give what is known of the platform."""
        done = self.type("up", "--detach", "--ports", "free", "--only", only, *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.state.known()

    def is_up(self) -> bool:
        known = self.state.known()  # the supervisor that was killed could not say that it is gone
        return bool(known.get("up")) and self.state.supervisor() == known["supervisor"]

    def pids(self) -> list[int]:
        """The processes that belong to the folder, whatever they are."""
        return [pid for pid in everybody() if mentions(pid, self.state.folder)]

    def process(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.state.known()["processes"] if one["name"] == name)
        return found

    def pid(self, name: str) -> int:
        return int(self.process(name)["pid"] or 0)

    def ready(self, name: str) -> bool:
        return bool(self.process(name)["stage"] == "ready")


def everybody() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def mentions(pid: int, home: Path) -> bool:
    """Whether the process was started for the folder, or works in it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return pid != os.getpid() and (str(home).encode() in words or within(os.readlink(f"/proc/{pid}/cwd"), home))
    except OSError:  # it has ended
        return False


def within(path: str, home: Path) -> bool:
    return Path(path).is_relative_to(home)


def eventually(holds: Callable[[], bool], *, within: float) -> None:
    """Wait for a thing, not for a time."""
    until = time.monotonic() + within
    while not holds():
        assert time.monotonic() < until, f"not within {within} s"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def engines() -> Iterator[Plan]:
    """Engines and mailbox with everything laid out and nobody to use them."""
    with platform(only=("prepare", "mail")) as (running, _):
        yield running.plan


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder whose platform comes and goes, and stays fit for the next."""
    with folder() as made:
        yield made


@pytest.fixture
def terminal(home: Path) -> Iterator[Terminal]:
    yield from cleared(Terminal(State(home)))


@pytest.fixture
def untouched() -> Iterator[Terminal]:
    """One whose folder is empty, for what leaves it worse."""
    with folder() as made:
        yield from cleared(Terminal(State(made)))


def cleared(one: Terminal) -> Iterator[Terminal]:
    try:
        yield one
    finally:
        clear(one)


def clear(one: Terminal) -> None:
    """End what a test leaves: everything hangs on the supervisor."""
    for process in one.started:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        process.wait()
    if pid := one.state.supervisor():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not one.pids(), within=10)
