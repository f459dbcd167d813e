"""What is to run, and where: decided once by `up`, handed to everything that starts or asks it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.ports import SERVICES, instances
from deploy.local.state import State


@dataclass(frozen=True, kw_only=True)
class Plan:
    folder: Path
    ports: Mapping[str, int]
    replicas: int = 1
    database_url: str = ""  # of an existing server, with the rights to make databases and roles; "" is our own
    nats_url: str = ""
    public_url: str = ""  # what browsers and programs call it, where that is not this machine: a proxy stands before it
    only: tuple[str, ...] = ()  # these processes and what they need; empty is all
    told: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # settings of services, over the usual ones

    @property
    def state(self) -> State:
        return State(self.folder)

    @property
    def own_engines(self) -> bool:
        """Only on engines that we started ourselves may time be moved and data be thrown away."""
        return not (self.database_url or self.nats_url)

    @property
    def origin(self) -> str:
        """The store's own address: the issuer of its tokens, and where its pages are."""
        return self.public_url or self.urls["store"]

    @property
    def urls(self) -> dict[str, str]:
        return {
            "store": f"http://localhost:{self.ports['gateway']}",
            "docs": f"http://localhost:{self.ports['gateway']}/docs",
            "mailbox": f"http://localhost:{self.ports['mail']}",
        }

    @property
    def social_url(self) -> str:
        """Where the stand-in for Google and Facebook is."""
        return f"http://localhost:{self.ports['social']}"

    def metrics(self) -> dict[str, str]:
        """Where each process of ours answers for itself, by its name."""
        return {
            instance: f"http://127.0.0.1:{self.ports[f'{instance}-metrics']}"
            for name in (*SERVICES, "gateway")
            for instance in instances(name, self.replicas)
        }

    def text(self) -> str:
        return json.dumps(asdict(self), default=str)


def saved(file: Path) -> Plan:
    """The plan as the supervisor keeps it."""
    found: dict[str, Any] = json.loads(file.read_text())
    return Plan(**found | {"folder": Path(found["folder"]), "only": tuple(found["only"])})
