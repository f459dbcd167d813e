"""A whole store of separate processes, as `./rapport up` runs it, for tests that call it over HTTP as a frontend does.

It is started once a worker, so its tests share one worker and each makes its own people:

    pytestmark = pytest.mark.xdist_group("store")

    async def test_a_stranger_sees_nothing(store: Store) -> None:
        async with store.http() as http:
            assert (await http.get(f"/v1/{user()}")).status_code == 401
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import OKPKey

from chassis.time import TestClock
from deploy.local import credentials, ports
from deploy.local.plan import Plan
from deploy.local.settings import outside
from services.identity.tokens import read
from tests import tokens

PATIENCE = 20.0
PASSWORD = "brass kettle at dawn"
CLIENT = {"x-rapport-client": "tests"}


class Registered(NamedTuple):
    """Somebody with an account."""

    user: str
    email: str

    @property
    def sign_in(self) -> dict[str, str]:
        return {"email": self.email, "password": PASSWORD}


@dataclass(frozen=True)
class Store:
    """One running store, or another gateway in front of it."""

    plan: Plan
    password: str
    url: str

    def http(self, **headers: str) -> httpx.AsyncClient:
        """A client that keeps nothing; `headers` go with every request."""
        return httpx.AsyncClient(base_url=self.url, headers=CLIENT | headers, timeout=PATIENCE)

    def register(self, name: str = "ada", *roles: str) -> "Registered":
        """A new person who can sign in."""
        email = f"{name}-{uuid4().hex[:12]}@example.org"
        operator = self.peer("operator") | CLIENT
        with httpx.Client(base_url=self.url, headers=operator, timeout=PATIENCE) as http:
            asked = {"user": {"email": email, "displayName": name.capitalize()}, "password": PASSWORD}
            made = http.post("/v1/users", json=asked).raise_for_status().json()
            if roles:
                http.post(f"/v1/{made['name']}:setRoles", json={"roles": roles}).raise_for_status()
        return Registered(made["name"], email)

    # Tokens of people whom identity need not know -----------------------------------------------------------------

    @cached_property
    def key(self) -> OKPKey:
        """What identity signs with."""
        return read(self.plan.state.secret("signing-key").read_text())[0]

    @cached_property
    def clock(self) -> TestClock:
        return TestClock(self.plan.state.clock)

    def bearer(self, user: str, *roles: str, age: timedelta = timedelta(), **how: Any) -> dict[str, str]:
        """The header of somebody who signed in just now, with a token that is so old."""
        now = self.clock()
        said = {"signed_in": now, "iss": self.plan.urls["store"], **how}
        minted = tokens.mint(UUID(user.removeprefix("users/")), *roles, now=now - age, key=self.key, **said)
        return {"authorization": f"Bearer {minted}"}

    def peer(self, name: str) -> dict[str, str]:
        """The header of another of our systems."""
        return {"x-rapport-service": self.plan.state.secret(f"token-{name}").read_text()}

    # What the processes wrote -------------------------------------------------------------------------------------

    def logged(self, process: str, **said: Any) -> list[dict[str, Any]]:
        """The lines of a service, or of the gateway, that say all of this."""
        found = [json.loads(line) for line in self.written(process).splitlines() if line.startswith("{")]
        return [line for line in found if said.items() <= line.items()]

    async def until_logged(self, process: str, **said: Any) -> list[dict[str, Any]]:
        """The same, once there are any: the gateway says what it has answered when it has."""
        async with asyncio.timeout(PATIENCE):
            while not (found := self.logged(process, **said)):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        return found

    def written(self, process: str) -> str:
        """The log of a service, or of the gateway: of every instance."""
        return "".join(self.plan.state.log(one).read_text() for one in ports.instances(process, self.plan.replicas))

    def settings_of_gateway(self) -> dict[str, str]:
        """What the gateway is told: the first where there are many."""
        return credentials.for_gateway(self.plan, ports.instances("gateway", self.plan.replicas)[0])

    # Another gateway ----------------------------------------------------------------------------------------------

    @contextmanager
    def gateway(self, **settings: str) -> Iterator["OtherGateway"]:
        """One more gateway in front of the same services, told differently; ended on leaving."""
        found = ports.free({"http": 0, "metrics": 0})
        told = self.settings_of_gateway() | {
            "RAPPORT_LISTEN": f"127.0.0.1:{found['http']}",
            "RAPPORT_METRICS_LISTEN": f"127.0.0.1:{found['metrics']}",
            "RAPPORT_REPLICA": f"gateway-{found['http']}",
            "RAPPORT_DRAIN_SECONDS": "0",
        }
        told |= {f"RAPPORT_{name.upper()}": value for name, value in settings.items()}
        log = self.plan.state.log(f"gateway-{found['http']}")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway"],
                env={**outside().inherited, **told},
                stdout=output,
                stderr=output,
            )
            other = OtherGateway(
                self.plan,
                self.password,
                f"http://127.0.0.1:{found['http']}",
                f"http://127.0.0.1:{found['metrics']}",
                process,
                log,
            )
            try:
                other.until_ready()
                yield other
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)


@dataclass(frozen=True)
class OtherGateway(Store):
    """A gateway of one test's own."""

    metrics: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def until_ready(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self.answers("/readyz"):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def written(self, process: str = "gateway") -> str:
        """Its own log, or that of a service."""
        return self.log.read_text() if process == "gateway" else super().written(process)

    def numbers(self) -> str:
        return httpx.get(f"{self.metrics}/metrics").raise_for_status().text

    def answers(self, path: str) -> bool:
        """Whether it says yes there."""
        try:
            return httpx.get(f"{self.metrics}{path}").is_success
        except httpx.TransportError:
            return False


def user() -> str:
    """The name of somebody nobody knows."""
    return f"users/{uuid4()}"
