"""What the gateway is told."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chassis.settings import Secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field a thing that differs between two gateways."""

    listen: str  # host:port of HTTP
    metrics_listen: str  # host:port of /metrics, /healthz and /readyz, for the cluster's eyes only
    public_url: str  # what browsers call it, for links in pages and the origin that cookies are taken from
    allowed_origins: str = ""  # other origins that may call with a bearer token, parted by commas
    identity_target: str  # gRPC targets: "dns:///identity:9000"
    support_target: str
    privacy_target: str
    loyalty_target: str
    nats_url: str
    nats_user: str
    nats_password: Secret
    service_token: Secret  # what this process shows its peers
    form_key: Secret  # signs the tokens of forms; the same in all replicas
    replica: str = field(default_factory=socket.gethostname)
    log_format: Literal["json", "text"] = "json"
    drain_seconds: float = 5.0
    test_clock: str = ""  # the platform's clock file, locally and in tests
    store: str = "R store"  # its name, on every page
    mailbox_url: str = ""  # locally, where the mail can be read; a page shows the link
    peers: Path = Path()  # not read: a gateway has callers, no peers

    @property
    def origins(self) -> frozenset[str]:
        """The origins of our own pages and of those we trust, as browsers send them."""
        return frozenset(filter(None, [self.public_url.rstrip("/"), *map(str.strip, self.allowed_origins.split(","))]))
