from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import grpc
import pytest
from google.type.money_pb2 import Money
from rapport.commerce.v1 import commerce_pb2 as commerce_pb
from rapport.commerce.v1 import events_pb2 as facts
from rapport.commerce.v1.commerce_pb2_grpc import CommerceServiceStub
from rapport.identity.v1 import identity_pb2 as identity_pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis import client
from chassis.client import Metadata
from chassis.database import Sessions, connect
from chassis.names import parse
from chassis.service import Service
from chassis.time import timestamp
from services.identity.__main__ import service as identity_service
from services.identity.settings import Settings as IdentitySettings
from services.support.__main__ import service
from services.support.settings import Settings
from tests import tokens, world
from tests.engines import free_port
from tests.identity.conftest import new_key
from tests.world import Hands, as_service, token_of

ADA, EVE, RAVI = (UUID(int=number, version=4) for number in (0xADA, 0xE0E, 0x5A71))
OPERATOR, SHOP = as_service("operator"), as_service("shop")
NOWHERE = "ipv4:127.0.0.1:9"  # where nobody listens
As: TypeAlias = Callable[..., Metadata]


@pytest.fixture
def clock() -> Hands:
    return Hands(datetime(2026, 7, 6, 12, tzinfo=UTC))  # a Monday


@pytest.fixture
async def database(postgres: str) -> str:
    return await world.database_of(postgres, "support")


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[Sessions]:
    engine, made = connect(database, name="tests", most=4)
    yield made
    await engine.dispose()


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    return world.settings(Settings, tmp_path, name="support", database=database, identity_target=NOWHERE)


@pytest.fixture
async def identity(postgres: str, tmp_path: Path, clock: Hands) -> "AsyncIterator[Identity]":
    made = Identity(postgres, tmp_path, clock)
    async with made.channel:
        yield made


@pytest.fixture
def made(settings: Settings, sessions: Sessions, clock: Hands, identity: "Identity") -> Service:
    return service(settings, sessions, clock, identity.channel)


@pytest.fixture
async def channel(made: Service, settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    async with world.running(made, settings) as channel:
        yield channel


@pytest.fixture
def support(channel: grpc.aio.Channel) -> SupportServiceStub:
    return SupportServiceStub(channel)


@pytest.fixture
def shop(channel: grpc.aio.Channel) -> "Shop":
    return Shop(CommerceServiceStub(channel), datetime(2026, 7, 1, tzinfo=UTC))


@pytest.fixture
def as_(clock: Hands) -> As:
    """The metadata of a call by that person."""
    return lambda user, *roles: tokens.as_user(user, *roles, now=clock())


class Identity:
    """The identity service, which is away until it is called."""

    def __init__(self, postgres: str, folder: Path, clock: Hands) -> None:
        self.postgres, self.folder, self.clock = postgres, folder, clock
        self.listen = f"127.0.0.1:{free_port()}"
        self.database, self.key = "", new_key()
        self.channel = client.channel(f"ipv4:{self.listen}", service_token=token_of("support"), name="support")

    @asynccontextmanager
    async def there(self) -> AsyncIterator[IdentityServiceStub]:
        self.database = self.database or await world.database_of(self.postgres, "identity")
        settings = world.settings(
            IdentitySettings,
            self.folder,
            name="identity",
            database=self.database,
            listen=self.listen,
            public_url="https://store.example.org/",
            **world.identity_keys(self.key),
            password_memory_kib=64,
            password_passes=1,
        )
        engine, sessions = connect(self.database, name="tests")
        made = replace(identity_service(settings, sessions, self.clock), keys=tokens.keys)
        async with world.running(made, settings) as channel:
            await self.channel.channel_ready()
            yield IdentityServiceStub(channel)
        await engine.dispose()


async def register(identity: IdentityServiceStub, name: str, email: str) -> UUID:
    user = identity_pb.User(email=email, display_name=name)
    request = identity_pb.CreateUserRequest(user=user, password="brass kettle at dawn")
    made = await identity.CreateUser(request, metadata=OPERATOR)
    user_id: UUID = parse("users/{user}", made.name)
    return user_id


class Shop:
    """The shop's own systems, which call."""

    def __init__(self, stub: CommerceServiceStub, now: datetime) -> None:
        self.stub, self.now = stub, now

    async def tell(self, request_id: str = "", **event: Any) -> None:
        request = commerce_pb.StateOrderEventRequest(request_id=request_id or str(uuid4()), **event)
        await self.stub.StateOrderEvent(request, metadata=SHOP)

    async def place(self, user: UUID, number: str = "1001", units: int = 40) -> str:
        placed = self.placed(user, number, units)
        await self.tell(placed=placed)
        return placed.order

    def placed(self, user: UUID, number: str = "1001", units: int = 40) -> facts.OrderPlaced:
        return facts.OrderPlaced(
            user=f"users/{user}",
            order=f"users/{user}/orders/{number}",
            lines=[facts.OrderLine(sku="LAMP-1", title="A lamp", quantity=2)],
            total=usd(units),
            event_time=timestamp(self.now),
        )

    def paid(self, user: UUID, number: str = "1001", units: int = 40) -> facts.OrderPaid:
        return facts.OrderPaid(**self.about(user, number), amount=usd(units))

    def refunded(self, user: UUID, units: int, number: str = "1001") -> facts.OrderRefunded:
        return facts.OrderRefunded(**self.about(user, number), refunded=usd(units))

    def shipped(self, user: UUID, number: str = "1001") -> facts.OrderShipped:
        return facts.OrderShipped(**self.about(user, number))

    def disputed(self, user: UUID, number: str = "1001") -> facts.OrderDisputed:
        return facts.OrderDisputed(**self.about(user, number))

    def resolved(
        self, user: UUID, outcome: "facts.OrderDisputeResolved.Outcome.ValueType", number: str = "1001"
    ) -> facts.OrderDisputeResolved:
        return facts.OrderDisputeResolved(**self.about(user, number), outcome=outcome)

    def cancelled(self, user: UUID, number: str = "1001") -> facts.OrderCancelled:
        return facts.OrderCancelled(**self.about(user, number))

    def about(self, user: UUID, number: str) -> dict[str, Any]:
        return {
            "user": f"users/{user}",
            "order": f"users/{user}/orders/{number}",
            "event_time": timestamp(self.now),
        }


def usd(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="USD", units=units, nanos=nanos)


def question(user: UUID, order: str, **said: Any) -> pb.CreateTicketRequest:
    """A ticket that asks where an order is."""
    words: dict[str, Any] = {"kind": pb.Ticket.QUERY, "title": "Where is it?", "body": "It has not come."} | said
    return pb.CreateTicketRequest(parent=f"users/{user}", ticket=pb.Ticket(order=order, **words))
