"""All four services in this process, each on a database of its own: what the contracts say is tried on every method."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from rapport.holder.v1 import holder_pb2

from chassis.database import connect
from chassis.settings import Secret
from deploy.local.credentials import signing_key
from gateway.__main__ import CONTRACTS
from services.identity.__main__ import service as identity
from services.identity.settings import Settings as IdentitySettings
from services.loyalty.__main__ import service as loyalty
from services.loyalty.settings import Settings as LoyaltySettings
from services.privacy.__main__ import service as privacy
from services.privacy.settings import Settings as PrivacySettings
from services.support.__main__ import service as support
from services.support.settings import Settings as SupportSettings
from tests import tokens, world
from tests.contract.calls import Callers
from tests.store import Store
from tests.world import Hands

NOWHERE = "ipv4:127.0.0.1:9"  # where nobody listens
URL = "https://store.example.org"
SERVED: Mapping[str, tuple[FileDescriptor, ...]] = {
    name: (*contracts, holder_pb2.DESCRIPTOR) for name, contracts in CONTRACTS.items()
}


@dataclass(frozen=True)
class Method:
    """One method of one service."""

    service: str
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    def __str__(self) -> str:
        return f"{self.service}:{self.descriptor.name}"


METHODS = [
    Method(service, method)
    for service, contracts in SERVED.items()
    for contract in contracts
    for one in contract.services_by_name.values()
    for method in one.methods
]


@pytest.fixture(scope="session")
def callers(store: Store) -> Callers:
    """Those who may call a route of the whole store, and those who may not."""
    return Callers(store, store.register("ada"))


@pytest.fixture
def clock() -> Hands:
    return Hands(datetime(2026, 7, 6, 12, tzinfo=UTC))


@pytest.fixture
async def channels(postgres: str, clock: Hands, tmp_path: Path) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """A channel to each running service, by its name."""
    async with running(postgres, clock, tmp_path) as found:
        yield found


@asynccontextmanager
async def running(postgres: str, clock: Hands, room: Path) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """Every service, until the block is left, and a channel to each by its name."""
    targets = {f"{name}_target": NOWHERE for name in SERVED}
    composed: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "identity": (IdentitySettings, identity, {"public_url": URL, **world.identity_keys(signing_key())}),
        "support": (SupportSettings, support, {}),
        "privacy": (PrivacySettings, privacy, {}),
        "loyalty": (LoyaltySettings, loyalty, {"public_url": URL, "bonus_key": Secret("00" * 32)}),
    }
    async with AsyncExitStack() as stack:
        found = {}
        for name, (settings_type, compose, others) in composed.items():
            engine, sessions = connect(await world.database_of(postgres, name), name="tests", most=4)
            stack.push_async_callback(engine.dispose)
            folder = room / name
            folder.mkdir()
            settings = world.settings(settings_type, folder, name=name, database="", **targets, **others)
            # Identity would ask for its own keys; here all take the tokens that tests.tokens mints.
            composition = replace(compose(settings, sessions, clock), keys=tokens.keys)
            found[name] = await stack.enter_async_context(world.running(composition, settings))
        yield found
