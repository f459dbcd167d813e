"""What the gateway is told."""

import socket
from dataclasses import dataclass, field
from typing import Literal

from chassis.settings import Secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field a thing that differs between two gateways."""

    listen: str  # host:port of HTTP
    metrics_listen: str  # host:port of /metrics, /healthz and /readyz, for the cluster's eyes only
    public_url: str  # what browsers call it: the origin that cookies are taken from
    allowed_origins: str = ""  # other origins whose pages may call, with a bearer token; parted by commas
    identity_target: str  # gRPC targets: "dns:///identity:9000"
    support_target: str
    privacy_target: str
    loyalty_target: str
    nats_url: str
    nats_user: str
    nats_password: Secret
    service_token: Secret  # what this process shows its peers
    replica: str = field(default_factory=socket.gethostname)
    log_format: Literal["json", "text"] = "json"
    drain_seconds: float = 5.0  # between saying "not ready" and closing: as long as the network takes to believe it
    patience_seconds: float = 10.0  # that a browser is kept waiting for a service
    heartbeat_seconds: float = 15.0  # on a stream of events: proxies close what is silent for long
    test_clock: str = ""  # the platform's clock file, locally and in tests
    store: str = "R store"  # its name, on every page
    mailbox_url: str = ""  # locally, where the mail can be read; every page links to it

    @property
    def origin(self) -> str:
        """The origin of our own pages, as browsers send it."""
        return self.public_url.rstrip("/")

    @property
    def origins(self) -> frozenset[str]:
        """The other origins that are allowed."""
        return frozenset(filter(None, map(str.strip, self.allowed_origins.split(","))))
