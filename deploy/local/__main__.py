"""The commands of `./rapport`."""

import argparse
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from deploy.local.settings import outside
from deploy.local.state import State, own_folder
from deploy.local.terminal import LocalError, speak_plainly

# Each is a module of its own, loaded when it is asked for, with `command(asked, outside) -> exit code`.
COMMANDS = {
    "up": "start the platform",
    "down": "stop it; the data is kept",
    "status": "what runs",
    "doctor": "what could stand in the way",
    "demo": "a customer's whole story, on a platform of its own",
    "test": "the tests",
    "check": "everything that can be checked without running it",
    "apply": "bring the store's data in",
    "balances": "bring opening balances of points in",
    "import-users": "bring users in, with the hashes of their passwords",
    "logs": "what the processes wrote",
    "events": "the events as they happen, and samples of the shop's",
    "clock": "the platform's time, and moving it forward",
    "call": "one request to the API, signed in as somebody",
    "bench": "measure",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="./rapport", description="An online store's customer side, on this machine.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made = {}
    for name, does in COMMANDS.items():
        made[name] = commands.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False
        )
        made[name].add_argument("--state", type=Path, metavar="DIR", help="the folder that everything is kept in")
    up = made["up"]
    up.add_argument("--detach", action="store_true", help="go on in the background")
    up.add_argument("--json", action="store_true", help="print one object at the end")
    up.add_argument("--reset", action="store_true", help="throw all data away first")
    up.add_argument(
        "--ports",
        choices=["usual", "auto", "free"],
        default="usual",
        help="auto: others where somebody has the usual ones",
    )
    up.add_argument(
        "--replicas", type=int, choices=range(1, 5), default=1, metavar="N", help="of each service, up to 4"
    )
    up.add_argument("--only", type=lambda names: tuple(names.split(",")), default=(), help=argparse.SUPPRESS)
    for name in ("status", "demo", "bench"):
        made[name].add_argument("--json", action="store_true")
    made["test"].add_argument("--long", action="store_true", help="with the big property and fault runs")
    made["test"].add_argument(
        "--replicas", type=int, choices=range(1, 5), default=1, metavar="N", help="whole stores have so many of each"
    )
    made["test"].epilog = "Everything else is for pytest: ./rapport test tests/platform -k clock"
    made["doctor"].add_argument("--security", action="store_true", help="how safely what runs is set up (RFC 9700)")
    made["check"].add_argument("names", nargs="*", metavar="NAME", help="only these")
    made["apply"].add_argument("folder", type=Path)
    made["balances"].add_argument("file", type=Path, help="CSV: user,points,expire_time,origin")
    made["balances"].add_argument("--dry-run", action="store_true", help="say what would be booked, and what not")
    made["import-users"].add_argument("file", type=Path, help="CSV, or JSON Lines: docs/import-users.md")
    made["import-users"].add_argument("--dry-run", action="store_true", help="say what would become of every row")
    made["import-users"].add_argument("--json", action="store_true", help="print one object at the end")
    made["logs"].add_argument("service", nargs="?", help="only this one's")
    made["logs"].add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    events = made["events"].add_subparsers(dest="action", required=True)
    events.add_parser("tail", help="print what comes").add_argument("subject", nargs="?", default="rapport.>")
    send = events.add_parser("send", help="tell of an order, as the shop's own systems do")
    send.add_argument("event", choices=["order.placed", "order.paid", "order.shipped", "order.refunded"])
    send.add_argument("--as", dest="person", default="ada", help="whose order: ada, bo ...")
    send.add_argument("--order", default="S-1001", help="the shop's number of it")
    send.add_argument("--amount", type=int, default=40, help="in dollars")
    clock = made["clock"].add_subparsers(dest="action")
    clock.add_parser("show")
    clock.add_parser("advance").add_argument("duration", help="30d, 2h, 1d12h: days, hours, minutes, seconds")
    made["call"].add_argument("method", type=str.upper)
    made["call"].add_argument("path")
    made["call"].add_argument("--as", dest="person", help="ada, bo, ravi, pia or alma")
    made["call"].add_argument("--data", help="the body, as JSON")
    made["bench"].add_argument("name")
    return top


def main(arguments: list[str]) -> int:
    speak_plainly()
    top = parser()
    if not arguments:
        top.print_help()
        return 2
    asked, rest = top.parse_known_args(arguments)
    if rest and asked.command != "test":
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    asked.rest = rest
    asked.state = State((asked.state or own_folder()).absolute())
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, interrupted)
    try:
        return int(importlib.import_module(module_of(asked.command)).command(asked, outside()))
    except LocalError as problem:
        if getattr(asked, "json", False):
            print(json.dumps({"error": str(problem)}))
        print(f"rapport: {problem}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        print(
            f"rapport: {missing.name} is missing here. Type: rm .venv/rapport.json && ./rapport doctor", file=sys.stderr
        )
        return 1
    except BrokenPipeError:  # whoever read what we print has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def module_of(name: str) -> str:
    return f"deploy.local.commands.{name.replace('-', '_')}"


def interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
