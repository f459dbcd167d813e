"""Decides what to run, has a supervisor run it, and shows how it goes."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import ports as places
from deploy.local.plan import Plan, saved
from deploy.local.processes import python, table
from deploy.local.settings import Outside
from deploy.local.state import State
from deploy.local.terminal import LocalError, step
from deploy.local.tied import tied

ROOM = 500 << 20  # bytes: a fresh platform takes about a fifth of it
PATIENCE = 30.0  # for all processes to end
PORTS: dict[str, Callable[[Mapping[str, int]], dict[str, int]]] = {
    "usual": dict,
    "auto": places.with_replacements,
    "free": places.free,
}
Say = Callable[[str], None]


@dataclass
class Platform:
    """A platform as seen by whoever started it."""

    plan: Plan
    supervisor: "subprocess.Popen[str]"
    say: Say
    steps: list[dict[str, Any]] = field(default_factory=list)

    def step(self, name: str, says: str, seconds: float) -> None:
        self.steps.append({"step": name, "detail": says, "seconds": round(seconds, 3)})
        self.say(step(name, says, seconds))

    def events(self) -> Iterator[dict[str, Any]]:
        """What the supervisor tells, until it ends."""
        for line in self.supervisor.stdout or ():
            yield json.loads(line)

    def until_up(self) -> bool:
        """Show what starts until everything has, or something did not."""
        for event in self.events():
            match event["what"]:
                case "ready":
                    self.step(event["name"], event["says"], event["seconds"])
                case "failed":
                    print(step(event["name"], event["how"], good=False), file=sys.stderr)
                    print(f"\nThe last lines of {event['log']}:\n{indented(event['last'])}\n", file=sys.stderr)
                case "up":
                    return True
                case "taken":
                    raise LocalError("Another ./rapport up was faster. Type: ./rapport status")
        return False

    def stay(self) -> None:
        """Show who ends and comes back, until all do."""
        for event in self.events():
            match event["what"]:
                case "ended":
                    self.say(step(event["name"], event["how"], good=False))
                case "stubborn":
                    self.say(step(event["name"], f"was killed, not ending within {event['grace']:.0f} s", good=False))
                case "back":
                    self.step(event["name"], "is back", event["seconds"])

    def stop(self) -> None:
        self.supervisor.terminate()
        self.stay()
        self.supervisor.wait(PATIENCE)
        self.let_go()

    def let_go(self) -> None:
        """Hear no more of it."""
        if self.supervisor.stdout is not None:
            self.supervisor.stdout.close()


def plan_for(outside: Outside, folder: Path, *, replicas: int, ports: str, only: tuple[str, ...] = ()) -> Plan:
    return Plan(
        folder=folder,
        ports=PORTS[ports](places.usual(replicas)),
        replicas=replicas,
        database_url=outside.database_url,
        nats_url=outside.nats_url,
        public_url=outside.public_url,
        only=only,
    )


def preflight(plan: Plan) -> str:
    """What could stand in the way, as a sentence that says what to type."""
    wanted = [plan.ports[name] for name in plan.ports if listens(plan, name)]
    for port in wanted:
        if not soon_bindable(port):
            raise LocalError(places.complaint(port))
    room = shutil.disk_usage(plan.folder).free
    if room < ROOM:
        raise LocalError(
            f"{plan.folder} has {room >> 20} MB left, and {ROOM >> 20} are needed. Make room, or name another folder "
            "with --state."
        )
    who = "root, engines as nobody" if os.getuid() == 0 else "not root"
    return f"{len(wanted)} ports free · {room / (1 << 30):.1f} GB free · {who}"


def listens(plan: Plan, name: str) -> bool:
    """Whether this platform opens that port: not an engine's when another server is used."""
    rows = {row.name for row in table(plan)}
    owner = {"smtp": "mail", "nats-monitor": "nats"}.get(name, name.removesuffix("-metrics"))
    return owner in rows or (name == "gateway" and "balancer" in rows)


def soon_bindable(port: int) -> bool:
    """A platform that was killed a moment ago is still letting go of its ports."""
    until = time.monotonic() + 1.0
    while not places.bindable(port):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def launch(plan: Plan, outside: Outside, say: Say, *, detached: bool) -> Platform:
    """Start a supervisor; unless detached it ends, and all with it, when this process does."""
    command = python("deploy.local.supervisor", plan.folder)
    with plan.state.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            command if detached else [*tied(signal.SIGTERM), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=plan.folder,
            env=dict(outside.inherited),
            start_new_session=True,  # Ctrl-C is for us, who then stop it in order
        )
    if supervisor.stdin is not None:
        with supervisor.stdin as told:
            told.write(plan.text())
    return Platform(plan, supervisor, say)


def running(state: State) -> Plan:
    """The plan of the platform that runs, or a sentence about how to start it."""
    if state.supervisor() is None:
        raise LocalError("It is not running. Type: ./rapport up")
    return saved(state.plan)


def stop(state: State) -> bool:
    """Stop the platform that runs, whoever started it. Whether there was one."""
    pid = state.supervisor()
    if pid is None:
        return False
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], PATIENCE)[0]:
            signal.pidfd_send_signal(process, signal.SIGKILL)  # the kernel ends the rest: see tied
            select.select([process], [], [])
    finally:
        os.close(process)
    return True


def indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
