"""What orders earn, whatever comes first and however often."""

import asyncio
from itertools import permutations
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.type.money_pb2 import Money
from rapport.commerce.v1.events_pb2 import OrderCancelled, OrderPaid, OrderRefunded
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned, PointsReversed

from chassis.time import timestamp
from tests.chassis.events import until
from tests.loyalty.conftest import World

M = pb.Movement


def about(world: World, user: UUID, number: str) -> dict[str, Any]:
    order = f"users/{user}/orders/{number}"
    return {"user": f"users/{user}", "order": order, "event_time": timestamp(world.now())}


def money(units: int, cents: int = 0, currency: str = "EUR") -> Money:
    return Money(currency_code=currency, units=units, nanos=cents * 10_000_000)


def paid(world: World, user: UUID, units: int, cents: int = 0, number: str = "1001", currency: str = "EUR") -> Message:
    return OrderPaid(**about(world, user, number), amount=money(units, cents, currency))


def refunded(world: World, user: UUID, units: int, cents: int = 0, number: str = "1001") -> Message:
    return OrderRefunded(**about(world, user, number), refunded=money(units, cents))


def cancelled(world: World, user: UUID, number: str = "1001") -> Message:
    return OrderCancelled(**about(world, user, number))


async def test_a_paid_order_earns_its_whole_units(world: World) -> None:  # RD1
    ada = world.person()
    await world.hears(paid(world, ada, 99, 97))
    assert await world.balance(ada) == (99, 0)
    [movement] = await world.movements(ada)
    assert (movement.kind, movement.order) == (M.ORDER, f"users/{ada}/orders/1001")
    [event] = await world.stated(PointsEarned)
    assert (event.kind, event.points) == (M.ORDER, 99)


async def test_refunds_line_by_line_take_back_what_was_earned_and_no_more(world: World) -> None:  # RD1
    ada = world.person()
    await world.hears(paid(world, ada, 99, 97))
    for units, cents in ((19, 99), (49, 98), (99, 97)):
        await world.hears(refunded(world, ada, units, cents))
    assert [one.points for one in await world.movements(ada)] == [-49, -30, -20, 99]
    assert await world.balance(ada) == (0, 0)


async def test_a_refund_goes_by_the_rules_that_the_order_earned_by(world: World) -> None:  # RD2
    ada = world.person()
    await world.hears(paid(world, ada, 50))
    world.advance(hours=1)
    await world.set_rules(per_unit=2)
    await world.hears(refunded(world, ada, 20))
    assert await world.balance(ada) == (30, 0)
    await world.hears(refunded(world, ada, 50))
    assert await world.balance(ada) == (0, 0)


async def test_an_order_earns_by_the_rules_of_when_it_was_paid(world: World) -> None:
    ada = world.person()
    late = paid(world, ada, 50)
    world.advance(hours=1)
    await world.set_rules(per_unit=2)
    await world.hears(late, paid(world, ada, 50, number="1002"))
    assert [one.points for one in await world.movements(ada)] == [100, 50]


async def test_the_same_facts_in_any_order_leave_the_same_points(world: World) -> None:
    for order in permutations(range(4)):
        ada = world.person()
        facts = [
            paid(world, ada, 100),
            refunded(world, ada, 30),
            refunded(world, ada, 55, 50),
            paid(world, ada, 10, number="1002"),
        ]
        await world.hears(*(facts[place] for place in order))
        assert await world.balance(ada) == (54, 0), order  # rule(44.50) + 10
    assert (await world.books()).balanced


async def test_a_cancelled_order_earns_nothing_whenever_that_is_told(world: World) -> None:
    for order in permutations(range(3)):
        ada = world.person()
        facts = [paid(world, ada, 100), refunded(world, ada, 30), cancelled(world, ada)]
        await world.hears(*(facts[place] for place in order))
        assert await world.balance(ada) == (0, 0), order
    assert (await world.books()).balanced


async def test_the_facts_of_an_order_at_once_leave_the_same_points(world: World) -> None:
    people = [world.person() for _ in range(10)]
    facts = [
        fact
        for ada in people
        for fact in (
            paid(world, ada, 100),
            refunded(world, ada, 30),
            refunded(world, ada, 55, 50),
            paid(world, ada, 100),
        )
    ]
    await asyncio.gather(*(world.hears(fact) for fact in facts))
    assert {await world.balance(ada) for ada in people} == {(44, 0)}
    assert (await world.books()).balanced


async def test_the_same_event_again_changes_nothing(world: World) -> None:
    ada = world.person()
    fact = paid(world, ada, 100)
    stated = await world.told(fact)
    await world.hears(refunded(world, ada, 30))
    await world.told(fact, stated)
    await world.hears(refunded(world, ada, 30))
    assert [one.points for one in await world.movements(ada)] == [-30, 100]


async def test_an_order_in_two_currencies_waits_for_somebody_to_look(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 100, currency="USD"))
    stated = await world.told(refunded(world, ada, 30))

    async def is_set_aside() -> bool:
        return await world.ask_database("SELECT reason FROM dead_letter WHERE event_id = :id", id=stated) == [
            ("INVALID_FIELD",)
        ]

    await until(is_set_aside)
    assert await world.balance(ada) == (100, 0)


async def test_a_fact_told_again_under_another_id_changes_nothing(world: World) -> None:  # C4
    ada = world.person()
    facts = [paid(world, ada, 100), refunded(world, ada, 30), refunded(world, ada, 10)]
    for _ in range(3):
        await world.hears(*facts)
    assert [one.points for one in await world.movements(ada)] == [-30, 100]
    await world.hears(paid(world, ada, 500))  # the first statement counts
    assert await world.balance(ada) == (70, 0)
    assert len(await world.stated(PointsEarned)) == len(await world.stated(PointsReversed)) == 1


async def test_what_is_not_there_any_more_is_owed_and_settled_first(world: World) -> None:  # V14, V15
    ada = world.person()
    await world.hears(paid(world, ada, 100))
    await world.spend(ada, 80)
    await world.hears(refunded(world, ada, 100))
    assert await world.balance(ada) == (0, 80)
    await world.earn(ada, 50)
    assert await world.balance(ada) == (0, 30)
    movement = await world.earn(ada, 100)
    assert (movement.points, movement.balance_after) == (70, 70)
    assert await world.balance(ada) == (70, 0)
    assert [(one.points, one.balance_after) for one in await world.movements(ada)] == [
        (70, 70), (0, 0), (-20, 0), (-80, 20), (100, 100),
    ]  # fmt: skip
    told = await world.books()
    assert told.balanced, told.findings


async def test_a_refund_of_more_than_was_paid_takes_back_what_was_earned(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 10), refunded(world, ada, 500))
    assert await world.balance(ada) == (0, 0)


async def test_less_than_a_unit_earns_nothing(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 0, 99))
    assert await world.movements(ada) == []
    assert (await world.books()).balanced


async def test_orders_of_two_people_with_one_number_are_two(world: World) -> None:
    ada, bo = world.person(), world.person()
    await world.hears(paid(world, ada, 10), paid(world, bo, 20))
    assert (await world.balance(ada), await world.balance(bo)) == ((10, 0), (20, 0))
