from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.database import Sessions, connect
from services.identity.__main__ import service
from services.identity.settings import Settings
from services.identity.tokens import read
from tests import world
from tests.identity import businesses
from tests.identity import social as elsewhere
from tests.identity.businesses import Trade
from tests.identity.conformance.party import Party, party
from tests.identity.oauth import Provider
from tests.identity.people import ADA, Identity
from tests.identity.social import Social
from tests.store import Store
from tests.world import Hands


def new_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def clock() -> Hands:
    return Hands(datetime(2026, 7, 6, 12, tzinfo=UTC))


@pytest.fixture
async def settings(postgres: str, tmp_path: Path) -> Settings:
    return world.settings(
        Settings,
        tmp_path,
        name="identity",
        database=await world.database_of(postgres, "identity"),
        public_url="https://store.example.org/",
        **world.identity_keys(new_key()),
        payment_providers="paypal, stripe",
        password_memory_kib=64,  # cheap: what a guess costs is not what most tests are about
        password_passes=1,
    )


@pytest.fixture
async def sessions(settings: Settings) -> AsyncIterator[Sessions]:
    engine, made = connect(settings.database_url.value, name="tests")
    yield made
    await engine.dispose()


@pytest.fixture
async def identity(settings: Settings, sessions: Sessions, clock: Hands) -> AsyncIterator[Identity]:
    async with served(settings, sessions, clock) as identity:
        yield identity


@asynccontextmanager
async def served(
    settings: Settings, sessions: Sessions, clock: Hands, *, jobs: Container[str] = ()
) -> AsyncIterator[Identity]:
    """The service as these settings make it, with only these of its jobs: what is due when a test moves the clock is
    done by the test, when it wants to."""
    made = service(settings, sessions, clock)
    made = replace(made, jobs=[one for one in made.jobs if one.name in jobs])
    async with world.running(made, settings) as channel:
        key = read(settings.signing_key.value)[0]
        yield Identity(IdentityServiceStub(channel), sessions, clock, key, channel)


@pytest.fixture
async def rp(store: Store) -> AsyncIterator[Party]:
    """A client of a whole store, over HTTP, and somebody who is not signed in yet."""
    async with party(store, store.register("ada")) as made:
        yield made


@pytest.fixture
async def social(settings: Settings, sessions: Sessions, clock: Hands, tmp_path: Path) -> AsyncIterator[Social]:
    """The service with Google and Facebook, for which another process's program stands in."""
    async with elsewhere.running(clock) as (there, stop):
        told = replace(settings, social_providers=elsewhere.providers_file(there, tmp_path))
        async with served(told, sessions, clock) as identity:
            yield Social(identity, there, stop)


@pytest.fixture
async def provider(identity: Identity) -> Provider:
    """A provider with a public client, and Ada signed in in a browser."""
    await identity.create(ADA, display_name="Ada")
    made = Provider(identity)
    await made.register()
    await made.sign_in()
    return made


@pytest.fixture
async def trade(identity: Identity) -> Trade:
    """Businesses, and somebody to review them."""
    return await businesses.make(identity)
