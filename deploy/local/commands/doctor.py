"""Imports no package of others at its top: that one is missing may be what it is asked about."""

import asyncio
import locale
import os
import platform
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from deploy.local import bootstrap, credentials, launch, ports
from deploy.local.plan import Plan, saved
from deploy.local.ports import SERVICES
from deploy.local.settings import Outside
from deploy.local.state import State, engine_user
from deploy.local.terminal import step

ROOM, MEMORY = 1 << 30, 2 << 30  # bytes that are comfortable
Found = tuple[bool, str]


def command(asked: Namespace, outside: Outside) -> int:
    """What could stand in the way of `up`, whether it runs or not; or how safely what runs is set up. Exits with 0 when
    nothing is wrong."""
    if asked.security:
        return security(launch.running(asked.state))
    state: State = asked.state
    runs = state.supervisor() is not None
    checks: dict[str, Callable[[], Found]] = {
        "python": python,
        "packages": packages,
        "disk": lambda: disk(state),
        "memory": memory,
        "locale": terminal_locale,
        "user": user,
        "state": lambda: folder(state),
        "ports": lambda: free_ports(launch.plan_for(outside, state.folder, replicas=1, ports="usual"), runs=runs),
    }
    if runs:
        plan = saved(state.plan)
        checks["databases"] = lambda: databases(plan)
        if not plan.nats_url:
            checks["streams"] = lambda: streams(plan)
    results = {name: check() for name, check in checks.items()}
    for name, (good, says) in results.items():
        print(step(name, says, good=good))
    print("\n It runs. Type: ./rapport status" if runs else "\n It does not run. Type: ./rapport up")
    return 0 if all(good for good, _ in results.values()) else 1


def security(plan: Plan) -> int:
    from deploy.local.commands import security

    results = security.checks(plan)
    for name, (good, says) in results.items():
        print(step(name, says, good=good))
    return 0 if all(good for good, _ in results.values()) else 1


def python() -> Found:
    return sys.version_info >= (3, 11), f"{platform.python_version()} · {platform.machine()} · {sys.platform}"


def packages() -> Found:
    """Whether .venv still is what the lock says: somebody may have installed into it."""
    locks = [one for one in ("requirements-bench.lock", "requirements-dev.lock") if bootstrap.installed(one)]
    lock = bootstrap.CLONE / (locks or ["requirements-dev.lock"])[0]
    asked: list[str | Path] = [bootstrap.VENV / "bin/uv", "pip", "sync", "--dry-run", "--offline", lock]
    told = os.environ | {"VIRTUAL_ENV": str(bootstrap.VENV)}
    done = subprocess.run(asked, env=told, capture_output=True, text=True, check=False)
    if not locks or "no changes" not in done.stderr:
        return False, "not what the lock says; type: rm .venv/rapport.json && ./rapport doctor"
    return True, "as the lock says"


def disk(state: State) -> Found:
    place = next(one for one in (state.folder, *state.folder.parents) if one.exists())
    left = shutil.disk_usage(place).free
    return left > ROOM, f"{left / (1 << 30):.1f} GB left at {place}"


def memory() -> Found:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    left = int(lines["MemAvailable"].split()[0]) << 10
    return left > MEMORY, f"{left / (1 << 30):.1f} GB available"


def terminal_locale() -> Found:
    encoding = locale.getpreferredencoding(do_setlocale=False)
    good = encoding.lower().replace("-", "") == "utf8"
    return good, encoding if good else f"{encoding}; type: export LANG=C.UTF-8"


def user() -> Found:
    return True, "ordinary" if engine_user() is None else "root; the engines run as nobody"


def folder(state: State) -> Found:
    if not state.folder.exists():
        return True, f"{state.folder} is made by the first up"
    stat = state.folder.stat()
    good = stat.st_uid == os.getuid() and not stat.st_mode & 0o022
    return (
        good,
        f"{state.folder}" if good else f"{state.folder} belongs to somebody else; type: ./rapport up --state DIR",
    )


def free_ports(plan: Plan, *, runs: bool) -> Found:
    if runs:
        return True, "ours"
    taken = [port for name, port in plan.ports.items() if launch.listens(plan, name) and not ports.bindable(port)]
    return not taken, ports.complaint(taken[0]) if taken else f"{len(plan.ports)} free"


def databases(plan: Plan) -> Found:
    """Whether every database has taken the last step of its service."""
    behind = [service for service in SERVICES if asyncio.run(step_of(plan, service)) != last_step(service)]
    return not behind, f"{', '.join(behind)} behind; type: ./rapport down && ./rapport up" if behind else "up to date"


async def step_of(plan: Plan, service: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(credentials.database_url(plan, service))  # type: ignore[no-untyped-call]
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()


def last_step(service: str) -> str:
    from chassis import migrations

    return max(path.name for path in migrations.steps(service).glob("*.py")).partition("_")[0]


def streams(plan: Plan) -> Found:
    """How many streams there are, and how much nobody has taken from them yet."""
    import httpx

    answer = httpx.get(f"http://127.0.0.1:{plan.ports['nats-monitor']}/jsz?consumers=true", timeout=5).json()
    found = [stream for account in answer.get("account_details", []) for stream in account.get("stream_detail", [])]
    waiting = sum(one["num_pending"] for stream in found for one in stream.get("consumer_detail") or [])
    return bool(found), f"{len(found)} streams · {waiting} events not taken yet"
