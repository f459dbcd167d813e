"""How long `./rapport up` takes to be ready, with nothing there and with all of it there, and what it holds at rest."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.state import CLONE
from deploy.local.throwaway import folder
from tests.bench.figures import ROUNDS, Figure


def measured() -> list[Figure]:
    cold: list[float] = []
    warm: list[float] = []
    memory: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        with folder() as home:
            for seconds in (cold, warm):
                told = json.loads(
                    rapport("up", "--detach", "--json", "--ports", "auto", "--state", str(home / "state"))
                )
                seconds.append(told["seconds"])
                if seconds is warm:
                    for name, held in at_rest(home / "state").items():
                        memory.setdefault(name, []).append(held)
                rapport("down", "--state", str(home / "state"))
    return [
        Figure("up with nothing there, until ready", "s", cold),
        Figure("up with everything there, until ready", "s", warm, bound=10),
        *(Figure(f"memory at rest, {name}", "MB", held) for name, held in sorted(memory.items())),
    ]


def rapport(*words: str) -> str:
    """What `./rapport` prints, its packages being installed."""
    command = [sys.executable, "-m", "deploy.local", *words]
    return subprocess.run(command, cwd=CLONE, check=True, capture_output=True, text=True, timeout=180).stdout


def at_rest(state: Path) -> dict[str, float]:
    """Megabytes of its own (PSS: shared pages are counted once) that each process and its children hold."""
    told = json.loads((state / "platform.json").read_text())
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    return {one["name"]: sum(map(held, family(one["pid"], children))) for one in told["processes"]}


def family(pid: int, children: dict[int, list[int]]) -> list[int]:
    return [pid, *(member for child in children.get(pid, []) for member in family(child, children))]


def held(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
