import asyncio
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from deploy.local import launch
from deploy.local.processes import table
from deploy.local.ready import answers
from deploy.local.settings import Outside
from deploy.local.terminal import columns, mark


def command(asked: Namespace, _: Outside) -> int:
    """What runs, whether it answers, and what it takes. Exits with 0 when everything answers."""
    if asked.state.supervisor() is None:
        print(json.dumps({"running": False}) if asked.json else "It is not running. Type: ./rapport up")
        return 1
    known = asked.state.known()
    asyncio.run(ask(asked, known["processes"]))
    good = all(one["answers"] for one in known["processes"])
    if asked.json:
        print(json.dumps({"running": True, "answers": good, **known}))
    else:
        print(shown(known))
    return 0 if good else 1


async def ask(asked: Namespace, processes: list[dict[str, Any]]) -> None:
    """Add to each process whether it answers now, and its memory."""
    addresses = {row.name: row.ready for row in table(launch.running(asked.state))}
    asked_all = [answers(addresses[one["name"]]) if addresses[one["name"]] else done(one) for one in processes]
    for one, good in zip(processes, await asyncio.gather(*asked_all), strict=True):
        one["answers"] = good
        one["memory"] = memory(one["pid"])


async def done(one: dict[str, Any]) -> bool:
    return bool(one["stage"] == "done")


def memory(pid: int | None) -> int:
    """Bytes that only this process and those it started would free by ending."""
    if pid is None:
        return 0
    try:
        rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = next((int(line.split()[1]) << 10 for line in rolled.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(memory(int(child)) for child in below)


def shown(known: dict[str, Any]) -> str:
    rows = []
    for one in known["processes"]:
        size = f"{one['memory'] / (1 << 20):.0f} MB" if one["memory"] else ""
        says = f"{one['says']} · restarted {one['restarts']}×" if one["restarts"] else one["says"]
        rows.append((mark(one["answers"]), one["name"], one["stage"], str(one["pid"] or ""), size, says))
    rows.append((mark(True), "supervisor", "ready", str(known["supervisor"]), "", ""))
    return f"{columns(rows)}\n\n{columns(known['urls'].items(), indent=3)}"
