"""`python -m deploy.local.parties PLAN`: who may say and hear what on NATS, worked out from contracts and handlers.

To know a service's handlers is to compose it, which takes a second: so it is done again only when the code has changed.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from rapport.identity.v1.events_pb2 import UserDeleted

from chassis import nats_rights
from chassis.database import connect
from chassis.settings import load
from chassis.streams import Durable, Party
from chassis.subjects import filter_of, grammar
from chassis.time import system_clock
from deploy.local import credentials
from deploy.local.plan import Plan, saved
from deploy.local.ports import SERVICES, instances
from deploy.local.state import CLONE, State
from deploy.local.terminal import dot

FILE = "nats.json"


def main(plan: Plan) -> None:
    stamp = code()
    if read(plan.state).get("code") != stamp:
        write(plan, stamp)
    known = read(plan.state)
    print(dot().join([f"{len(known['users'])} users", f"{len(known['parties'])} speak or hear"]))


def read(state: State) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((state.folder / "secrets" / FILE).read_text())
    except FileNotFoundError:
        return {}
    return found


def write(plan: Plan, stamp: str) -> None:
    services = [party_of(plan, service) for service in SERVICES]
    stated = [f"{package}.>" for party in services for package in party.packages]
    deleted = Durable("mail", grammar(UserDeleted.DESCRIPTOR).stream, filter_of(UserDeleted))
    others = [Party("gateway", reads=stated), Party("reader", reads=stated), Party("mail", durables=[deleted])]
    parties = [*services, *others]
    users = {party.name: nats_rights.rights(party) for party in parties}
    users |= {"operator": nats_rights.operator(), "shop": nats_rights.outsider("shop", "ingress.commerce.>")}
    known = {"code": stamp, "users": users, "parties": [asdict(party) for party in parties]}
    plan.state.told(FILE, json.dumps(known, indent=1))


def party_of(plan: Plan, service: str) -> Party:
    """Compose the service with the settings it will have; nothing is connected to."""
    module = import_module(f"services.{service}.__main__")
    told = credentials.for_service(plan, service, instances(service, plan.replicas)[0])
    settings = load(module.Settings, told)
    _, sessions = connect(settings.database_url.value, name=service)
    return nats_rights.party_of(module.service(settings, sessions, system_clock))


def party(known: Mapping[str, Any]) -> Party:
    """One as it was written down."""
    return Party(**{**known, "durables": [Durable(**one) for one in known["durables"]]})


def code() -> str:
    """Changes with anything that rights are worked out from."""
    seen = hashlib.sha256()
    for folder in ("chassis", "services", "protos/gen", "deploy/local"):
        for path in sorted((CLONE / folder).rglob("*.py")):
            seen.update(path.read_bytes())
    return seen.hexdigest()


if __name__ == "__main__":
    main(saved(Path(sys.argv[1])))
