"""What support hears, by way of a real stream."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from nats.js import JetStreamContext
from rapport.commerce.v1 import events_pb2 as facts
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.identity.v1 import identity_pb2 as identity_pb
from rapport.identity.v1.events_pb2 import UserUpdated
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub
from sqlalchemy import select

from chassis.database import Sessions
from chassis.dead_letters import dead_letter
from chassis.inbox import inbox, setback
from chassis.nats_rights import party_of
from chassis.service import Service
from chassis.streams import Party, prepare
from chassis.subjects import subject_of
from chassis.time import timestamp
from services.support.settings import Settings
from tests import engines, tokens, world
from tests.chassis.events import operator, until
from tests.support.conftest import ADA, EVE, RAVI, As, Identity, Shop, question, register
from tests.world import Hands, stated

OTHERS = Party("others", ["rapport.identity.v1", "rapport.privacy.v1"])
PROTOBUF, JSON = "application/protobuf", "application/json"
MORE: Mapping[str, str] = {}


@pytest.fixture
def nats() -> Iterator[str]:
    """A NATS of each test's own: a consumer's place in a stream outlives the database it filled."""
    with engines.nats() as url:
        yield url


@pytest.fixture
def settings(settings: Settings, nats: str) -> Settings:
    return replace(settings, nats_url=nats)


@pytest.fixture
async def stream(made: Service, nats: str) -> AsyncIterator[JetStreamContext]:
    async with operator(nats) as js:
        await prepare(js, [party_of(made), OTHERS])
        yield js


@pytest.fixture
async def channel(made: Service, settings: Settings, stream: JetStreamContext) -> AsyncIterator[grpc.aio.Channel]:
    async with world.running(replace(made, keys=tokens.keys), settings) as channel:
        yield channel


class Told:
    """What others state, and what came of it."""

    def __init__(self, js: JetStreamContext, sessions: Sessions) -> None:
        self.js, self.sessions = js, sessions

    async def by_shop(
        self, event: Message, payload: bytes | None = None, kind: str = PROTOBUF, headers: Mapping[str, str] = MORE
    ) -> UUID:
        """The shop states `event` by message, or says that `payload` is one."""
        name = event.DESCRIPTOR.name.removeprefix("Order").lower()
        said = {"ce-id": str(uuid4()), "ce-type": event.DESCRIPTOR.full_name, "content-type": kind, **headers}
        data = event.SerializeToString() if payload is None else payload
        await self.js.publish(f"ingress.commerce.order.{name}", data, headers=said)
        return UUID(said["ce-id"])

    async def by_service(self, event: Message) -> UUID:
        event_id = uuid4()
        said = {"ce-id": str(event_id), "ce-type": event.DESCRIPTOR.full_name}
        await self.js.publish(subject_of(event), event.SerializeToString(), headers=said)
        return event_id

    async def heard(self, id: UUID) -> None:
        await self.rows(select(inbox).where(inbox.c.event_id == id))

    async def failed(self, id: UUID) -> str:
        [row] = await self.rows(select(setback).where(setback.c.event_id == id, setback.c.reason != ""))
        return str(row.reason)

    async def set_aside(self, id: UUID) -> str:
        [row] = await self.rows(select(dead_letter).where(dead_letter.c.event_id == id))
        return str(row.reason)

    async def rows(self, query: Any) -> Any:
        found: Any = []

        async def are_there() -> bool:
            nonlocal found
            async with self.sessions() as session:
                found = (await session.execute(query)).all()
            return bool(found)

        await until(are_there)
        return found


@pytest.fixture
def told(channel: grpc.aio.Channel, stream: JetStreamContext, sessions: Sessions) -> Told:
    return Told(stream, sessions)


async def order_of(support: SupportServiceStub, as_: As, number: str = "1001") -> pb.Order:
    return await support.GetOrder(pb.GetOrderRequest(name=f"users/{ADA}/orders/{number}"), metadata=as_(ADA))


# The shop's own systems ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_what_the_shop_states_by_message_is_kept_and_passed_on(
    support: SupportServiceStub, shop: Shop, told: Told, sessions: Sessions, as_: As, kind: str
) -> None:
    """As by call: the order is there, and every service hears of it."""
    for event in (shop.placed(ADA), shop.paid(ADA), shop.shipped(ADA), shop.refunded(ADA, 40), shop.cancelled(ADA)):
        payload = MessageToJson(event).encode() if kind == JSON else None
        await told.heard(await told.by_shop(event, payload, kind))
        assert await stated(sessions, type(event)) == [event]
    order = await order_of(support, as_)
    assert (order.state, order.total, order.refunded) == (pb.Order.CANCELLED, shop.placed(ADA).total, order.total)


async def test_a_message_that_comes_again_is_one_fact(shop: Shop, told: Told, sessions: Sessions) -> None:
    event_id = await told.by_shop(shop.placed(ADA))
    await told.heard(event_id)
    await told.by_shop(shop.placed(ADA), headers={"ce-id": str(event_id)})
    await told.heard(await told.by_shop(shop.paid(ADA)))
    assert len(await stated(sessions, facts.OrderPlaced)) == 1


async def test_what_the_contract_does_not_know_is_left_behind(
    support: SupportServiceStub, shop: Shop, told: Told, sessions: Sessions, as_: As
) -> None:
    said = json.loads(MessageToJson(shop.placed(ADA))) | {"customerEmail": "ada@example.org"}
    await told.heard(await told.by_shop(shop.placed(ADA), json.dumps(said).encode(), JSON))
    assert await stated(sessions, facts.OrderPlaced) == [shop.placed(ADA)]


async def test_a_payment_that_overtakes_its_order_waits_for_it(
    support: SupportServiceStub, shop: Shop, told: Told, as_: As
) -> None:
    paid = await told.by_shop(shop.paid(ADA))
    assert await told.failed(paid) == "ORDER_UNKNOWN"
    await told.by_shop(shop.placed(ADA))
    await told.heard(paid)
    assert (await order_of(support, as_)).state == pb.Order.PAID


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("AMOUNT_INVALID", lambda placed: placed.total.ClearField("currency_code")),
        ("ORDER_NOT_OF_USER", lambda placed: setattr(placed, "user", f"users/{EVE}")),
        ("INVALID_FIELD", lambda placed: placed.ClearField("lines")),
        ("MALFORMED_NAME", lambda placed: setattr(placed, "user", "users/ada@example.org")),
    ],
)
async def test_a_message_that_a_call_would_be_refused_for_is_set_aside(
    shop: Shop, told: Told, sessions: Sessions, reason: str, change: Callable[[facts.OrderPlaced], object]
) -> None:
    placed = shop.placed(ADA)
    change(placed)
    assert await told.set_aside(await told.by_shop(placed)) == reason
    assert await stated(sessions, facts.OrderPlaced) == []


@pytest.mark.parametrize(
    ("payload", "kind", "headers"),
    [
        (b"\xff\xff\xff", PROTOBUF, {}),
        (b"{", JSON, {}),
        (b'{"user": 5}', JSON, {}),
        (None, PROTOBUF, {"ce-type": "rapport.commerce.v1.OrderPaid"}),
    ],
)
async def test_what_cannot_be_read_is_set_aside(
    shop: Shop, told: Told, payload: bytes | None, kind: str, headers: dict[str, str]
) -> None:
    assert await told.set_aside(await told.by_shop(shop.placed(ADA), payload, kind, headers)) == "EVENT_UNDECODABLE"


# Other services ------------------------------------------------------------------------------------------------------


async def test_a_corrected_name_stands_beside_all_that_was_ever_said(
    support: SupportServiceStub, shop: Shop, told: Told, identity: Identity, as_: As, clock: Hands
) -> None:
    async with identity.there() as there:
        ada = await register(there, "Ada", "ada@example.org")
        ticket = await support.CreateTicket(question(ada, await shop.place(ada)), metadata=as_(ada))
        user = identity_pb.User(name=f"users/{ada}", display_name="Ada L.")
        correction = identity_pb.UpdateUserRequest(user=user, update_mask=FieldMask(paths=["display_name"]))
        await there.UpdateUser(correction, metadata=tokens.as_user(ada, now=clock()))
        updated = UserUpdated(user=user.name, paths=["display_name"], event_time=timestamp(clock()))
        await told.heard(await told.by_service(updated))
    reply = await support.ListMessages(pb.ListMessagesRequest(parent=ticket.name), metadata=as_(ada))
    assert [message.author_name for message in reply.messages] == ["Ada L."]


async def test_a_correction_waits_while_identity_is_away(told: Told, clock: Hands) -> None:
    updated = UserUpdated(user=f"users/{ADA}", paths=["display_name"], event_time=timestamp(clock()))
    assert await told.failed(await told.by_service(updated)) == "AioRpcError"


async def test_a_correction_of_something_else_asks_nobody(told: Told, clock: Hands) -> None:
    updated = UserUpdated(user=f"users/{ADA}", paths=["billing_address"], event_time=timestamp(clock()))
    await told.heard(await told.by_service(updated))


async def test_a_customer_is_erased_when_privacy_orders_it(
    support: SupportServiceStub, shop: Shop, told: Told, sessions: Sessions, as_: As, clock: Hands
) -> None:
    """What the shop still has to tell of them is passed on, and nothing of it is kept."""
    await support.CreateTicket(question(ADA, await shop.place(ADA)), metadata=as_(ADA))
    order = ErasureOrdered(
        user=f"users/{ADA}",
        erasure=f"erasures/{uuid4()}",
        holders=["holders/support"],
        event_time=timestamp(clock()),
    )
    await told.heard(await told.by_service(order))
    [done] = await stated(sessions, ErasureDone)
    assert (done.user, done.erasure, done.holder) == (order.user, order.erasure, "holders/support")
    assert {one.column: one.rows for one in done.outcomes if one.rows}["ticket.title"] == 1
    for late in (shop.placed(ADA, "1002"), shop.paid(ADA), shop.refunded(ADA, 40)):
        await told.heard(await told.by_shop(late))
    assert await stated(sessions, facts.OrderPaid) == [shop.paid(ADA)]
    assert (await support.ListOrders(pb.ListOrdersRequest(parent=f"users/{ADA}"), metadata=as_(ADA))).orders == []
    everyones = await support.ListTickets(pb.ListTicketsRequest(parent="users/-"), metadata=as_(RAVI, "agent"))
    assert list(everyones.tickets) == []
