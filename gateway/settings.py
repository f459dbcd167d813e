"""What the gateway is told."""

import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from chassis.settings import Secret, SettingsError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field a thing that differs between two gateways."""

    listen: str  # host:port of HTTP
    metrics_listen: str  # host:port of /metrics, /healthz and /readyz, for the cluster's eyes only
    public_url: str  # what browsers call it: the origin that cookies are taken from
    # Networks of the proxies in front, whose X-Forwarded-For is believed: "10.0.0.0/8, fd00::/8"; parted by commas.
    trusted_proxies: str = ""
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

    def __post_init__(self) -> None:
        _ = self.proxies  # refused now, and not at somebody's sign-in

    @property
    def origin(self) -> str:
        """The origin of our own pages, as browsers send it."""
        return self.public_url.rstrip("/")

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks of the proxies in front; SettingsError where one is none."""
        try:
            return [ip_network(one.strip()) for one in self.trusted_proxies.split(",") if one.strip()]
        except ValueError:
            raise SettingsError("RAPPORT_TRUSTED_PROXIES has to hold networks, parted by commas: 10.0.0.0/8.") from None

    @property
    def origins(self) -> frozenset[str]:
        """The other origins that are allowed."""
        return frozenset(filter(None, map(str.strip, self.allowed_origins.split(","))))
