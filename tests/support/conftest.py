from collections.abc import AsyncIterator, Callable
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
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis.client import Metadata
from chassis.database import Sessions, connect
from chassis.service import Service
from chassis.time import timestamp
from services.support.__main__ import service
from services.support.settings import Settings
from tests import tokens, world
from tests.world import Hands, as_service

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
def made(settings: Settings, sessions: Sessions, clock: Hands) -> Service:
    return service(settings, sessions, clock)


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
