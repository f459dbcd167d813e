"""Who may say and hear what on NATS, worked out from contracts and handlers: to know a service's handlers is to compose
it, with the settings it will have."""

import json
from dataclasses import asdict
from importlib import import_module
from typing import Any

from rapport.identity.v1.events_pb2 import UserDeleted

from chassis import nats_rights
from chassis.database import connect
from chassis.settings import load
from chassis.streams import Durable, Party
from chassis.subjects import filter_of, grammar
from chassis.time import system_clock
from deploy.local import credentials
from deploy.local.plan import Plan
from deploy.local.ports import SERVICES, instances


def main(plan: Plan) -> str:
    services = [party_of(plan, service) for service in SERVICES]
    stated = [f"{package}.>" for party in services for package in party.packages]
    deleted = Durable("mail", grammar(UserDeleted.DESCRIPTOR).stream, filter_of(UserDeleted))
    others = [Party("gateway", reads=stated), Party("reader", reads=stated), Party("mail", durables=[deleted])]
    parties = [*services, *others]
    users = {party.name: nats_rights.rights(party) for party in parties}
    users |= {"operator": nats_rights.operator(), "shop": nats_rights.outsider("shop", "ingress.commerce.>")}
    users["reader"]["subscribe"]["allow"].append("rapport.>")  # for a look at everything at once
    known = {"users": users, "parties": [asdict(party) for party in parties]}
    plan.state.told(plan.state.rights.name, json.dumps(known, indent=1))
    return f"{len(users)} NATS users, from the contracts"


def party_of(plan: Plan, service: str) -> Party:
    """Compose the service with the settings it will have; nothing is connected to."""
    module = import_module(f"services.{service}.__main__")
    told = credentials.for_service(plan, service, instances(service, plan.replicas)[0])
    settings = load(module.Settings, told)
    _, sessions = connect(settings.database_url.value, name=service)
    return nats_rights.party_of(module.service(settings, sessions, system_clock))


def parties(plan: Plan) -> list[Party]:
    """All of them, as they were written down."""
    known: list[dict[str, Any]] = json.loads(plan.state.rights.read_text())["parties"]
    return [Party(**{**one, "durables": [Durable(**durable) for durable in one["durables"]]}) for one in known]
