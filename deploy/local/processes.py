"""The table of what runs. The supervisor knows nothing else: to run something more is to write a line here."""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.local import credentials
from deploy.local.plan import Plan
from deploy.local.ports import SERVICES, instances

ENGINES, SINK, PREPARATION, SERVICE, GATEWAY, BALANCER = range(6)


@dataclass(frozen=True, kw_only=True)
class Process:
    name: str
    command: Sequence[str]
    rank: int  # the highest stop first, those of one rank together
    after: Sequence[str] = ()  # starts when these are ready
    ready: str = ""  # the address that answers once it serves; without one it runs once, to its end
    says: str = ""
    settings: Callable[[], Mapping[str, str]] = dict  # asked when it starts: the files they name are written then
    death: signal.Signals = signal.SIGKILL  # what the kernel sends it when the supervisor is gone
    stop: signal.Signals = signal.SIGTERM
    grace: float = 10.0  # seconds between `stop` and SIGKILL


def table(plan: Plan) -> list[Process]:
    """Everything that the plan asks for, in no particular order."""
    rows = [*engines(plan), sink(plan), social(plan), *preparation(plan), *services(plan), *gateways(plan)]
    if not plan.only:
        return rows
    by_name = {row.name: row for row in rows}
    wanted: dict[str, Process] = {}

    def want(name: str) -> None:
        wanted[name] = by_name[name]
        for other in by_name[name].after:
            want(other)

    for name in plan.only:
        want(name)
    return list(wanted.values())


def python(module: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def engines(plan: Plan) -> list[Process]:
    ports = plan.ports
    rows = []
    if not plan.database_url:
        rows.append(
            Process(
                name="postgres",
                command=python("deploy.local.postgres", plan.state.plan),
                rank=ENGINES,
                ready=f"postgres://127.0.0.1:{ports['postgres']}",
                says=f"PostgreSQL 18 · port {ports['postgres']}",
                death=signal.SIGQUIT,  # it ends its own processes and leaves no shared memory; the log makes up for it
                stop=signal.SIGINT,
            )
        )
    if not plan.nats_url:
        rows.append(
            Process(
                name="nats",
                command=python("deploy.local.nats", plan.state.plan),
                rank=ENGINES,
                after=["rights"],
                ready=f"http://127.0.0.1:{ports['nats-monitor']}/healthz?js-enabled-only=true",
                says=f"NATS with JetStream · port {ports['nats']}",
            )
        )
    return rows


def sink(plan: Plan) -> Process:
    return Process(
        name="mail",
        command=python("deploy.local.mail_sink"),
        rank=SINK,
        ready=f"http://127.0.0.1:{plan.ports['mail']}/healthz",
        says=f"HTTP port {plan.ports['mail']} · SMTP port {plan.ports['smtp']}",
        settings=partial(credentials.for_sink, plan),
    )


def social(plan: Plan) -> Process:
    port = plan.ports["social"]
    return Process(
        name="social",
        command=python("deploy.local.social_provider"),
        rank=SINK,
        after=["prepare"] if plan.own_engines else [],  # which makes the clock that its tokens are dated by
        ready=f"http://127.0.0.1:{port}/healthz",
        says=f"plays Google, Facebook · HTTP port {port}",
        settings=partial(credentials.for_social, plan),
    )


def preparation(plan: Plan) -> list[Process]:
    return [
        Process(name="rights", command=python("deploy.local.once", "rights", plan.state.plan), rank=PREPARATION),
        Process(
            name="prepare",
            command=python("deploy.local.once", "prepare", plan.state.plan),
            rank=PREPARATION,
            after=["rights", *(engine.name for engine in engines(plan))],
        ),
    ]


def services(plan: Plan) -> list[Process]:
    return [
        Process(
            name=instance,
            command=python(f"services.{service}"),
            rank=SERVICE,
            after=["prepare"],
            ready=f"http://127.0.0.1:{plan.ports[f'{instance}-metrics']}/readyz",
            says=f"gRPC port {plan.ports[instance]}",
            settings=partial(credentials.for_service, plan, service, instance),
        )
        for service in SERVICES
        for instance in instances(service, plan.replicas)
    ]


def gateways(plan: Plan) -> list[Process]:
    names = instances("gateway", plan.replicas)
    rows = [
        Process(
            name=name,
            command=python("gateway"),
            rank=GATEWAY,
            after=["prepare"],
            ready=f"http://127.0.0.1:{plan.ports[f'{name}-metrics']}/readyz",
            says=f"HTTP port {plan.ports[name]}",
            settings=partial(credentials.for_gateway, plan, name),
        )
        for name in names
    ]
    if plan.replicas > 1:
        behind = [str(plan.ports[name]) for name in names]
        rows.append(
            Process(
                name="balancer",
                command=python("deploy.local.balancer", str(plan.ports["gateway"]), *behind),
                rank=BALANCER,
                after=names,
                ready=f"tcp://127.0.0.1:{plan.ports['gateway']}",
                says=f"HTTP port {plan.ports['gateway']}, to {plan.replicas} gateways in turn",
            )
        )
    return rows
