"""Work that is needed again only when the code has changed: `python -m deploy.local.once rights|prepare PLAN`.

What the work needs to import takes a second of every start, so nothing of it is imported to find out that it is done.
"""

import hashlib
import json
import sys
from importlib import import_module
from pathlib import Path

from deploy.local.plan import Plan, saved
from deploy.local.state import CLONE

WORK = {"rights": "deploy.local.parties", "prepare": "deploy.local.layout"}  # each has main(plan) -> what was done
SOURCES = ("chassis", "services", "protos/gen", "deploy/local")


def main(name: str, plan: Plan) -> None:
    note = plan.folder / "secrets" / f"{name}.done"
    code = fingerprint()
    try:
        done = json.loads(note.read_text())
    except FileNotFoundError:
        done = {}
    # What was done elsewhere may have been undone there.
    if done.get("code") != code or not plan.own_engines:
        done = {"code": code, "says": import_module(WORK[name]).main(plan)}
        plan.state.told(note.name, json.dumps(done))
    print(done["says"])


def fingerprint() -> str:
    """Changes with any line that the work could depend on."""
    seen = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((CLONE / folder).rglob("*.py")):
            seen.update(path.read_bytes())
    return seen.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1], saved(Path(sys.argv[2])))
