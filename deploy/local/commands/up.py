import json
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from deploy.local import launch
from deploy.local.furnish import furnish
from deploy.local.launch import Platform
from deploy.local.plan import Plan
from deploy.local.settings import Outside
from deploy.local.state import State
from deploy.local.terminal import LocalError, columns, step


def command(asked: Namespace, outside: Outside) -> int:
    """Start the platform, furnish it, say where everything is; unless detached, stay until Ctrl-C."""
    say = (lambda _: None) if asked.json else print
    state: State = asked.state
    state.make()
    if state.supervisor():
        return already(state, asked.json, reset=asked.reset)
    if asked.reset:
        if not outside.own_engines:
            raise LocalError("--reset throws data away, and does so only on engines that ./rapport started itself.")
        state.forget()
        state.make()
    plan = launch.plan_for(outside, state.folder, replicas=asked.replicas, ports=asked.ports, only=asked.only)
    return run(plan, outside, say, detached=asked.detach, as_json=asked.json)


def run(plan: Plan, outside: Outside, say: launch.Say, *, detached: bool, as_json: bool) -> int:
    say(f"\nRapport, {plan.folder}\n")
    start = time.monotonic()
    found = launch.preflight(plan)
    say(step("preflight", found, time.monotonic() - start))
    platform = launch.launch(plan, outside, say, detached=detached)
    try:
        if not platform.until_up():
            platform.supervisor.wait(launch.PATIENCE)
            raise LocalError("it did not come up, and nothing of it runs any more.")
        people = furnish(platform)
        seconds = since_typed()
        summary = {"ready": True, "seconds": round(seconds, 2), "urls": plan.urls, **people, "steps": platform.steps}
        print(json.dumps(summary) if as_json else shown(plan, people, seconds, detached=detached), flush=True)
        if detached:
            return 0
        platform.stay()
    except KeyboardInterrupt:
        say("\n Stopping ...")
        ended(platform, say)
        return 0
    except BaseException:
        platform.stop()
        raise
    raise LocalError("the supervisor has ended, and everything with it. Type: ./rapport up")


def ended(platform: Platform, say: launch.Say) -> None:
    """Stop in order; who presses Ctrl-C again does not want to wait."""
    start = time.monotonic()
    try:
        platform.stop()
    except KeyboardInterrupt:
        platform.supervisor.kill()
        platform.supervisor.wait()
    say(step("down", "everything has stopped, the data is kept", time.monotonic() - start))


def shown(plan: Plan, people: dict[str, Any], seconds: float, *, detached: bool) -> str:
    lines = [f"\n Ready in {seconds:.1f} s\n"]
    labels = {"store": "Store", "docs": "API docs", "mailbox": "Mailbox"}
    lines.append(columns([(labels[name], url) for name, url in plan.urls.items()], indent=3))
    if people:
        lines.append("")
        lines.append(columns([(one["name"], one["role"], one["email"]) for one in people["people"]], indent=3))
        lines.append(f"   All of them sign in with: {people['password']}")
    tries = ["./rapport call GET /v1/categories", "events tail", "clock advance 30d"]
    lines.append(f"\n   Try   {' · '.join(tries)}")
    stop = "./rapport down" if detached else "Ctrl-C"
    lines.append(f"   Logs  ./rapport logs -f · Stop  {stop} (the data is kept)\n")
    return "\n".join(lines)


def already(state: State, as_json: bool, *, reset: bool) -> int:
    if reset:
        raise LocalError("it is running, and --reset throws data away. Type: ./rapport down")
    known = state.known()
    if as_json:
        print(json.dumps({"ready": known.get("up", False), "already": True, "urls": known.get("urls", {})}))
        return 0
    print("It is already running." if known.get("up") else "It is starting already.")
    print(columns(known.get("urls", {}).items(), indent=3))
    return 0


def since_typed() -> float:
    """Seconds since this process was started, and it has been the same one since `./rapport` was typed."""
    began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began
