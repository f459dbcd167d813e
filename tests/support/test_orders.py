import asyncio
from collections.abc import Callable
from itertools import permutations
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from google.type.money_pb2 import Money
from rapport.commerce.v1 import commerce_pb2 as commerce_pb
from rapport.commerce.v1 import events_pb2 as facts
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis.database import Sessions
from chassis.personal_data.restrict import restrict
from tests.support.conftest import ADA, EVE, RAVI, SHOP, As, Shop, usd
from tests.world import Hands, as_service, refused, stated

Told: TypeAlias = dict[str, Any]


async def state_of(support: SupportServiceStub, as_: As, name: str) -> str:
    order = await support.GetOrder(pb.GetOrderRequest(name=name), metadata=as_(ADA))
    return pb.Order.State.Name(order.state)


async def test_an_order_is_learned_from_what_the_shop_tells(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    name = await shop.place(ADA, units=40)
    order = await support.GetOrder(pb.GetOrderRequest(name=name), metadata=as_(ADA))
    assert (order.name, pb.Order.State.Name(order.state)) == (f"users/{ADA}/orders/1001", "PLACED")
    assert (order.total, order.refunded) == (usd(40), usd(0))
    assert [(line.sku, line.title, line.quantity) for line in order.lines] == [("LAMP-1", "A lamp", 2)]


async def test_every_fact_is_published_to_whoever_listens(shop: Shop, sessions: Sessions) -> None:
    await shop.place(ADA)
    await shop.tell(paid=shop.paid(ADA))
    await shop.tell(shipped=shop.shipped(ADA))
    await shop.tell(refunded=shop.refunded(ADA, 40))
    await shop.tell(cancelled=shop.cancelled(ADA))
    assert await stated(sessions, facts.OrderPlaced) == [shop.placed(ADA)]
    assert await stated(sessions, facts.OrderPaid) == [shop.paid(ADA)]
    assert await stated(sessions, facts.OrderShipped) == [shop.shipped(ADA)]
    assert await stated(sessions, facts.OrderRefunded) == [shop.refunded(ADA, 40)]
    assert await stated(sessions, facts.OrderCancelled) == [shop.cancelled(ADA)]


async def test_a_dispute_is_told_once_and_decided_once(shop: Shop, sessions: Sessions) -> None:
    await shop.place(ADA)
    won, lost = facts.OrderDisputeResolved.WON, facts.OrderDisputeResolved.LOST
    for _ in range(2):
        await shop.tell(disputed=shop.disputed(ADA))
    for outcome in (won, lost, won):
        await shop.tell(dispute_resolved=shop.resolved(ADA, outcome))
    assert await stated(sessions, facts.OrderDisputed) == [shop.disputed(ADA)]
    assert await stated(sessions, facts.OrderDisputeResolved) == [shop.resolved(ADA, won)]
    with refused("INVALID_FIELD"):
        await shop.tell(dispute_resolved=facts.OrderDisputeResolved(**shop.about(ADA, "1001")))


async def test_amounts_are_exact(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    placed = shop.placed(ADA)
    placed.total.CopyFrom(Money(currency_code="EUR", units=9_223_372_036_854_775_807, nanos=999_999_999))
    await shop.tell(placed=placed)
    order = await support.GetOrder(pb.GetOrderRequest(name=placed.order), metadata=as_(ADA))
    assert order.total == placed.total


STATES: dict[str, Callable[[Shop, str], Told]] = {
    "PAID": lambda shop, number: {"paid": shop.paid(ADA, number)},
    "SHIPPED": lambda shop, number: {"shipped": shop.shipped(ADA, number)},
    "PARTLY_REFUNDED": lambda shop, number: {"refunded": shop.refunded(ADA, 10, number)},
    "REFUNDED": lambda shop, number: {"refunded": shop.refunded(ADA, 40, number)},
    "CANCELLED": lambda shop, number: {"cancelled": shop.cancelled(ADA, number)},
}


async def test_the_order_facts_come_in_does_not_matter(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    """What comes late never lowers what is known: the furthest state stands."""
    for number, order in enumerate(permutations(STATES, 3)):
        name = await shop.place(ADA, str(number), units=40)
        for state in order:
            await shop.tell(**STATES[state](shop, str(number)))
        assert await state_of(support, as_, name) == max(order, key=list(STATES).index), order


async def test_refunds_say_all_that_went_back(support: SupportServiceStub, shop: Shop, sessions: Sessions) -> None:
    await shop.place(ADA, units=40)
    for refunded in (10, 25, 10, 25, 5):
        await shop.tell(refunded=shop.refunded(ADA, refunded))
    assert [one.refunded for one in await stated(sessions, facts.OrderRefunded)] == [usd(10), usd(25)]


async def test_a_fact_told_twice_is_one_fact(shop: Shop, sessions: Sessions) -> None:
    for _ in range(2):
        await shop.place(ADA)
        await shop.tell(paid=shop.paid(ADA))
        await shop.tell(shipped=shop.shipped(ADA))
    assert len(await stated(sessions, facts.OrderPlaced)) == 1
    assert len(await stated(sessions, facts.OrderPaid)) == 1
    assert len(await stated(sessions, facts.OrderShipped)) == 1


async def test_a_request_told_twice_at_once_is_done_once(shop: Shop, sessions: Sessions) -> None:
    request_id = str(uuid4())
    await asyncio.gather(*(shop.tell(request_id, placed=shop.placed(ADA)) for _ in range(5)))
    assert len(await stated(sessions, facts.OrderPlaced)) == 1
    with refused("REQUEST_ID_REUSED"):
        await shop.tell(request_id, placed=shop.placed(EVE))


async def test_what_later_contracts_add_is_not_passed_on(shop: Shop, sessions: Sessions) -> None:
    """An unknown field could hold a person, and nobody would know."""
    newer = facts.OrderPlaced.FromString(shop.placed(ADA).SerializeToString() + b"\xfa\x3f\x0fada@example.org")
    await shop.tell(placed=newer)
    assert await stated(sessions, facts.OrderPlaced) == [shop.placed(ADA)]


# Refusals ------------------------------------------------------------------------------------------------------------


async def test_an_event_is_asked_for(shop: Shop) -> None:
    with refused("EVENT_MISSING") as said:
        await shop.tell()
    assert said[0].domain == "commerce.rapport.example"


async def test_an_order_stands_under_the_user_of_its_event(shop: Shop) -> None:
    placed = shop.placed(ADA)
    placed.user = f"users/{EVE}"
    with refused("ORDER_NOT_OF_USER"):
        await shop.tell(placed=placed)


@pytest.mark.parametrize(
    "money",
    [
        Money(units=1),
        Money(currency_code="usd", units=1),
        Money(currency_code="USD", units=-1),
        Money(currency_code="USD", units=1, nanos=1_000_000_000),
        Money(currency_code="USD", units=1, nanos=-1),
    ],
)
async def test_an_amount_that_is_none_is_refused(shop: Shop, money: Money) -> None:
    placed = shop.placed(ADA)
    placed.total.CopyFrom(money)
    with refused("AMOUNT_INVALID"):
        await shop.tell(placed=placed)


async def test_an_order_keeps_its_currency(shop: Shop) -> None:
    await shop.place(ADA)
    paid, refunded = shop.paid(ADA), shop.refunded(ADA, 1)
    paid.amount.currency_code = refunded.refunded.currency_code = "EUR"
    with refused("AMOUNT_INVALID"):
        await shop.tell(paid=paid)
    with refused("AMOUNT_INVALID"):
        await shop.tell(refunded=refunded)


@pytest.mark.parametrize("kind", list(STATES))
async def test_an_order_is_placed_first(shop: Shop, sessions: Sessions, kind: str) -> None:
    with refused("ORDER_UNKNOWN"):
        await shop.tell(**STATES[kind](shop, "1001"))
    assert await stated(sessions, facts.OrderPaid) == []


async def test_a_request_that_overtook_its_order_may_come_again(
    support: SupportServiceStub, shop: Shop, as_: As
) -> None:
    request_id = str(uuid4())
    with refused("ORDER_UNKNOWN") as said:
        await shop.tell(request_id, paid=shop.paid(ADA))
    assert said[0].retry_after is not None
    name = await shop.place(ADA)
    await shop.tell(request_id, paid=shop.paid(ADA))
    assert await state_of(support, as_, name) == "PAID"


async def test_all_that_is_missing_is_said_at_once(shop: Shop) -> None:
    with refused("INVALID_FIELD") as said:
        await shop.tell(placed=facts.OrderPlaced(user=f"users/{ADA}"))
    missing = {one.field for one in said[0].violations}
    assert missing == {"placed.order", "placed.lines", "placed.total", "placed.event_time"}


async def test_only_the_shop_and_the_operator_tell_of_orders(shop: Shop, as_: As) -> None:
    request = commerce_pb.StateOrderEventRequest(request_id=str(uuid4()), placed=shop.placed(ADA))
    for metadata in (as_(ADA), as_(RAVI, "admin"), as_service("loyalty")):
        with refused("FORBIDDEN"):
            await shop.stub.StateOrderEvent(request, metadata=metadata)
    await shop.stub.StateOrderEvent(request, metadata=SHOP)


# Reading -------------------------------------------------------------------------------------------------------------


async def test_orders_come_newest_first_a_page_at_a_time(
    support: SupportServiceStub, shop: Shop, as_: As, clock: Hands
) -> None:
    for day, number in ((3, "c"), (1, "a"), (2, "b")):
        shop.now = clock().replace(day=day)
        await shop.place(ADA, number)
    await shop.place(EVE, "hers")
    names: list[str] = []
    token = ""
    while token or not names:
        request = pb.ListOrdersRequest(parent=f"users/{ADA}", page_size=2, page_token=token)
        page = await support.ListOrders(request, metadata=as_(ADA))
        names += [order.name.rpartition("/")[2] for order in page.orders]
        token = page.next_page_token
    assert names == ["c", "b", "a"]


async def test_an_order_is_its_customers_and_an_agents_to_see(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    request = pb.GetOrderRequest(name=await shop.place(ADA))
    with refused("FORBIDDEN"):
        await support.GetOrder(request, metadata=as_(EVE))
    with refused("SIGN_IN_NEEDED"):
        await support.GetOrder(request)
    assert (await support.GetOrder(request, metadata=as_(RAVI, "agent"))).name == request.name


async def test_an_order_that_is_not_there_is_refused(support: SupportServiceStub, as_: As) -> None:
    with refused("ORDER_NOT_FOUND"):
        await support.GetOrder(pb.GetOrderRequest(name=f"users/{ADA}/orders/0"), metadata=as_(ADA))


async def test_the_orders_of_everyone_are_nobodys_to_list(support: SupportServiceStub, as_: As) -> None:
    with refused("MALFORMED_NAME"):
        await support.ListOrders(pb.ListOrdersRequest(parent="users/-"), metadata=as_(RAVI, "agent"))


async def test_agents_keep_off_the_orders_of_the_restricted(
    support: SupportServiceStub, shop: Shop, sessions: Sessions, as_: As, clock: Hands
) -> None:
    request = pb.ListOrdersRequest(parent=f"users/{ADA}")
    await shop.place(ADA)
    async with sessions.begin() as session:
        await restrict(session, ADA, restricted=True, now=clock())
    with refused("PERSON_RESTRICTED"):
        await support.ListOrders(request, metadata=as_(RAVI, "agent"))
    assert len((await support.ListOrders(request, metadata=as_(ADA))).orders) == 1
