import re
import time
from argparse import Namespace
from datetime import datetime, timedelta
from typing import Any

import httpx

from chassis.time import TestClock
from deploy.local import launch
from deploy.local.plan import Plan
from deploy.local.settings import Outside
from deploy.local.terminal import LocalError

UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION = re.compile(r"(?:\d+[wdhms])+")
MOST_ROUNDS = 200
PATIENCE = 90.0  # seconds for one answer: there may be much work due
RETURN = 15.0  # seconds for a process to come back that is just being started again


def command(asked: Namespace, _: Outside) -> int:
    plan = launch.running(asked.state)
    if not plan.own_engines:
        raise LocalError("time can be moved only on engines that ./rapport started itself.")
    if asked.action == "advance":
        print(f"{advance(plan, duration(asked.duration)):%Y-%m-%d %H:%M:%S} UTC, and all work due by now is done.")
    else:
        print(f"{TestClock(plan.state.clock)():%Y-%m-%d %H:%M:%S} UTC")
    return 0


def duration(text: str) -> timedelta:
    if not DURATION.fullmatch(text):
        raise LocalError(f"{text} is no duration. Type one as 30d, 2h or 1d12h: weeks, days, hours, minutes, seconds.")
    parts = re.findall(r"(\d+)([wdhms])", text)
    return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())


def advance(plan: Plan, by: timedelta) -> datetime:
    """Move the platform's time forward. When it returns, every process reports the new time and nothing is due."""
    now = TestClock(plan.state.clock).advance(by)
    processes = plan.metrics()
    with httpx.Client(timeout=PATIENCE) as client:
        for name, address in processes.items():
            if datetime.fromisoformat(ask(client, "GET", name, f"{address}/clock")["now"]) < now:
                raise LocalError(f"{name} did not follow the clock. Type: ./rapport logs {name}")
        for _ in range(MOST_ROUNDS):  # what one process does may give another something to do
            if not sum(ask(client, "POST", name, f"{at}/settle")["work"] for name, at in processes.items()):
                return now
    raise LocalError("work due at the new time does not come to an end. Type: ./rapport logs")


def ask(client: httpx.Client, method: str, name: str, address: str) -> dict[str, Any]:
    """What a process answers; one that is just starting is waited for, and asked again where it was cut off."""
    began = time.monotonic()
    while True:
        try:
            answer: dict[str, Any] = client.request(method, address).raise_for_status().json()
            return answer
        except (httpx.NetworkError, httpx.RemoteProtocolError) as problem:
            if time.monotonic() > began + RETURN:
                raise not_following(name, problem) from None
            time.sleep(0.1)
        except httpx.HTTPError as problem:
            raise not_following(name, problem) from None


def not_following(name: str, problem: httpx.HTTPError) -> LocalError:
    said = f"the clock has moved, but {name} does not follow ({type(problem).__name__})"
    return LocalError(f"{said}. Type: ./rapport logs {name}")
