"""Identity alone in a process of its own, so that it can be measured, and killed; NATS is away.

As a program it serves anew for each line that it reads, in a fork of what has done all that takes time at a start, and
says process and port: python -m tests.identity.process DATABASE_URL KEYS_FILE MEMORY_KIB PASSES.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import uvloop

from chassis import collector, log
from chassis.database import connect
from chassis.service import serving
from chassis.settings import Secret
from chassis.time import system_clock
from services.identity.__main__ import service
from services.identity.settings import Settings
from tests import world

CHEAP = (64, 1)  # KiB and passes of a password that costs next to nothing


@dataclass(frozen=True)
class Nursery:
    """The program: what it starts is ended by the next start, or with it."""

    program: "subprocess.Popen[str]"

    def start(self) -> tuple[int, int]:
        """Process and port of another one."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        print(file=self.program.stdin, flush=True)
        process, port = map(int, self.program.stdout.readline().split())
        return process, port


@contextmanager
def nursery(url: str, keys: Path, price: tuple[int, int] = CHEAP) -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.identity.process", url, str(keys), *map(str, price)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield Nursery(program)


@contextmanager
def served(url: str, keys: Path, price: tuple[int, int] = CHEAP) -> Iterator[int]:
    """The port of one."""
    with nursery(url, keys, price) as made:
        yield made.start()[1]


def keys_file(folder: Path, signing_key: str) -> Path:
    """A file with the keys of the service, which are the same each time it starts."""
    keys = {name: secret.value for name, secret in world.identity_keys(signing_key).items()}
    (file := folder / "keys.json").write_text(json.dumps(keys))
    return file


# The program ---------------------------------------------------------------------------------------------------------


def rear(url: str, keys: Path, memory_kib: int, passes: int) -> None:
    secrets = {name: Secret(value) for name, value in json.loads(keys.read_text()).items()}
    with tempfile.TemporaryDirectory() as folder:
        told = world.settings(
            Settings, Path(folder), name="identity", database=url, public_url="https://store.example.org",
            password_memory_kib=memory_kib, password_passes=passes, **secrets,
        )  # fmt: skip
        child = 0
        for _ in sys.stdin:
            end(child)
            child = os.fork()
            if not child:
                live(told)
        end(child)


def live(told: Settings) -> NoReturn:
    try:
        uvloop.run(serve(told))
    finally:
        os._exit(1)  # what the program has begun is not ours to end


async def serve(told: Settings) -> None:
    """Say process and port, and serve until killed."""
    with open("/dev/null", "wb") as nowhere:  # noqa: ASYNC230 - at the start
        log.configure("identity", "alone", stream=nowhere)
        collector.work()
        _, sessions = connect(told.database_url.value, name="identity")
        # Without what is due by the clock, which at a start is everything: only what people ask is measured, or cut.
        alone = replace(service(told, sessions, system_clock), jobs=())
        async with serving(alone, told) as served:
            print(os.getpid(), served.port, flush=True)
            await asyncio.Event().wait()


def end(child: int) -> None:
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    rear(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
