"""What the person's environment tells `./rapport`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from deploy.local.terminal import LocalError

PREFIX = "RAPPORT_"


@dataclass(frozen=True)
class Outside:
    """Servers to use instead of our own, and how to print."""

    database_url: str = ""  # RAPPORT_DATABASE_URL: of a role that may make databases and roles
    nats_url: str = ""  # RAPPORT_NATS_URL, with user and password in it where the server asks for them
    public_url: str = ""  # RAPPORT_PUBLIC_URL: what a proxy before the gateway is called
    colour: bool = False
    inherited: Mapping[str, str] = field(default_factory=dict)  # the rest, which processes are given

    @property
    def own_engines(self) -> bool:
        return not (self.database_url or self.nats_url)


def outside(environ: Mapping[str, str] | None = None) -> Outside:
    """Read the environment, or refuse a name in it that means nothing here."""
    environ = os.environ if environ is None else environ
    known = {f"{PREFIX}{one.name.upper()}" for one in fields(Outside) if one.name.endswith("_url")}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            raise LocalError(
                f"{name} is no setting of ./rapport, which takes {' and '.join(sorted(known))}. Type: unset {name}"
            )
    return Outside(
        database_url=environ.get("RAPPORT_DATABASE_URL", ""),
        nats_url=environ.get("RAPPORT_NATS_URL", ""),
        public_url=environ.get("RAPPORT_PUBLIC_URL", "").rstrip("/"),
        colour=sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb",
        inherited={name: value for name, value in environ.items() if not name.startswith((PREFIX, "PYTHON"))},
    )
