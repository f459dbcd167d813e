"""What rules make of an order: the vectors of rounding and campaigns, through events and the stub."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

from rapport.commerce.v1.events_pb2 import OrderShipped
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import moment
from services.loyalty.models import Programme
from services.loyalty.rules import Member, Order, Rules, evaluate, hash_of
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.test_erasure import erase
from tests.loyalty.test_orders import about, paid, refunded

BASE = {"id": "base", "points_per_unit": 1, "qualifying": True}
PROMO = {"id": "promo", "percent": 200, "promotion": True}


async def lots(world: World, user: UUID) -> list[ledger_pb.Lot]:
    request = ledger_pb.ListLotsRequest(parent=f"users/{user}/pointsAccount")
    return list((await world.ledger.ListLots(request, metadata=world.as_(user))).lots)


async def given(world: World, user: UUID) -> list[tuple[str, int, int, int]]:
    return [(one.rule, one.desired, one.granted, one.taken_back) for one in await world.grants(user)]


# Rounding ------------------------------------------------------------------------------------------------------------


async def test_rd1_an_order_is_rounded_as_a_whole_and_refunds_add_up(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 99, 97))
    assert await given(world, ada) == [("order", 99, 99, 0)]
    for units, cents, back in ((19, 99, 20), (49, 98, 50), (99, 97, 99)):
        await world.hears(refunded(world, ada, units, cents))
        assert await given(world, ada) == [("order", 99, 99, back)]
    assert await world.balance(ada) == (0, 0)


async def test_rd2_a_refund_takes_back_by_the_rule_as_it_was_granted(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE])
    await world.hears(paid(world, ada, 50))
    await world.set_rules(earn_rules=[{"id": "other", "points_per_unit": 2}])  # and the old rule is gone altogether
    await world.hears(refunded(world, ada, 50))
    assert await world.balance(ada) == (0, 0)
    assert await given(world, ada) == [("base", 50, 50, 50)]


async def test_rd3_points_are_whole_and_earning_rounds_down(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[{"id": "half", "percent": 150}])
    await world.hears(paid(world, ada, 7))
    assert await world.balance(ada) == (10, 0)  # 10.5


# Several rules -------------------------------------------------------------------------------------------------------


async def test_c3_the_sum_of_two_rules_is_a_lot_of_each(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE, PROMO])
    await world.hears(paid(world, ada, 50))
    assert await world.balance(ada) == (150, 0)
    assert [(one.origin, one.points) for one in await lots(world, ada)] == [(pb.PURCHASE, 50), (pb.PROMOTION, 100)]


async def test_c3_the_best_of_two_rules_is_one_lot(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE, PROMO], stacking="BEST")
    await world.hears(paid(world, ada, 50))
    assert await given(world, ada) == [("promo", 100, 100, 0)]


async def test_of_two_that_give_as_much_the_later_one_counts(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE, {"id": "newer", "points_per_unit": 1}], stacking="BEST")
    await world.hears(paid(world, ada, 50))
    assert await given(world, ada) == [("newer", 50, 50, 0)]


async def test_of_an_exclusive_group_one_counts_beside_the_others(world: World) -> None:
    ada = world.person()
    group = [PROMO | {"exclusive_group": "x"}, {"id": "welcome", "points_per_order": 60, "exclusive_group": "x"}]
    await world.set_rules(earn_rules=[BASE, *group])
    await world.hears(paid(world, ada, 50), paid(world, ada, 20, number="1002"))
    assert await given(world, ada) == [
        ("base", 50, 50, 0), ("promo", 100, 100, 0), ("base", 20, 20, 0), ("welcome", 60, 60, 0),
    ]  # fmt: skip


async def test_c4_the_same_order_under_other_rules_earns_once_by_the_first(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE])
    fact = paid(world, ada, 50)
    await world.hears(fact)
    version = (await world.grants(ada))[0].programme_version
    await world.set_rules(earn_rules=[BASE, PROMO])
    await world.hears(fact)
    assert await given(world, ada) == [("base", 50, 50, 0)]
    assert (await world.grants(ada))[0].programme_version == version
    assert len(await world.movements(ada)) == 1


async def test_a_campaign_gives_in_its_time_and_not_at_its_end(world: World) -> None:
    ada = world.person()
    await world.set_rules(
        earn_rules=[PROMO | {"campaign": "week"}],
        campaigns=[{"id": "week", "start_time": "2026-07-07T00:00:00Z", "end_time": "2026-07-08T00:00:00Z"}],
    )
    for number, hours in enumerate((11, 1, 23, 1)):  # an hour before, as it begins, an hour before its end, at its end
        world.advance(hours=hours)
        await world.hears(paid(world, ada, 10, number=f"{number}"))
    assert [one.order.rpartition("/")[2] for one in await world.grants(ada)] == ["1", "2"]


async def test_a_rule_for_small_orders_or_other_members_gives_nothing(world: World) -> None:
    ada = world.person()
    tiers = [{"id": "basic"}, {"id": "silver", "qualifying_points": 100}]
    rules = [BASE, {"id": "big", "points_per_order": 5, "minimum_units": 100}]
    rules += [{"id": "silver-thanks", "percent": 50, "tiers": ["silver"]}]
    await world.set_rules(earn_rules=rules, tier_ladder={"tiers": tiers})
    await world.hears(paid(world, ada, 99, 99), paid(world, ada, 100, number="1002"), paid(world, ada, 10, number="3"))
    assert await given(world, ada) == [
        ("base", 99, 99, 0), ("base", 100, 100, 0), ("big", 5, 5, 0), ("base", 10, 10, 0), ("silver-thanks", 5, 5, 0),
    ]  # fmt: skip


async def test_partial_refunds_take_back_from_the_lot_of_each_rule(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE, PROMO, {"id": "fixed", "points_per_order": 7}])
    await world.hears(paid(world, ada, 50), refunded(world, ada, 10, 50))
    assert await given(world, ada) == [("base", 50, 50, 11), ("promo", 100, 100, 22), ("fixed", 7, 7, 0)]
    assert sorted(one.open for one in await lots(world, ada)) == [7, 39, 78]
    await world.hears(refunded(world, ada, 50))
    assert await world.balance(ada) == (0, 0)
    assert (await world.books()).balanced


async def test_the_facts_of_an_order_with_several_lots_come_in_any_order(world: World) -> None:
    await world.set_rules(earn_rules=[BASE, PROMO], release="SHIPPED")
    for order in permutations(range(3)):
        ada = world.person()
        facts = [paid(world, ada, 50), refunded(world, ada, 20), OrderShipped(**about(world, ada, "1001"))]
        await world.hears(*(facts[place] for place in order))
        assert await world.balance(ada) == (90, 0), order
    assert (await world.books()).balanced


async def test_what_was_taken_back_by_hand_is_not_taken_back_twice(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 100))
    [movement] = await world.movements(ada)
    by_hand = ledger_pb.ReversePointsRequest(
        name=movement.name, points=60, policy=ledger_pb.ReversePointsRequest.UNLIMITED,
        request_id="6f1b2f0e-6f6c-4c5e-9d51-0d8c3a1c7a11",
    )  # fmt: skip
    await world.ledger.ReversePoints(by_hand, metadata=OPERATOR)
    await world.hears(refunded(world, ada, 100))
    assert await world.balance(ada) == (0, 0)
    assert (await world.books()).balanced


async def test_an_order_of_before_grants_were_kept_is_taken_back_as_it_was_earned(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 100))
    await world.ask_database("DELETE FROM rule_grant")
    await world.ask_database("ALTER TABLE operation DISABLE TRIGGER journal_is_kept")
    await world.ask_database("UPDATE operation SET key = replace(key, '/order', '') WHERE kind = 'ORDER'")
    await world.ask_database("ALTER TABLE operation ENABLE TRIGGER journal_is_kept")
    await world.hears(refunded(world, ada, 30))
    assert await world.balance(ada) == (70, 0)


# Release -------------------------------------------------------------------------------------------------------------


async def test_points_wait_until_the_order_is_shipped_and_for_the_days_after(world: World) -> None:
    ada = world.person()
    await world.set_rules(
        earn_rules=[BASE, PROMO | {"pending_days": 14}], release="SHIPPED", time_zone="America/New_York"
    )
    await world.hears(paid(world, ada, 50))
    world.advance(days=40)
    assert await world.balance(ada) == (0, 0)
    assert not any(one.HasField("available_time") for one in await lots(world, ada))
    await world.hears(OrderShipped(**about(world, ada, "1001")))
    assert await world.balance(ada) == (50, 0)
    world.clock.now = datetime(
        2026, 8, 29, 3, 59, 59, tzinfo=UTC
    )  # the 14th local day after the 15th is about to begin
    await world.settle()
    assert await world.balance(ada) == (50, 0)
    world.advance(hours=1)
    await world.settle()
    assert await world.balance(ada) == (150, 0)
    assert moment((await world.movements(ada))[0].effective_time) == datetime(2026, 8, 29, 4, tzinfo=UTC)
    assert (await world.books()).balanced


async def test_points_of_a_paid_order_wait_for_the_days_of_their_rule(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE | {"pending_days": 2}])
    await world.hears(paid(world, ada, 50))
    assert await world.balance(ada) == (0, 0)
    world.advance(hours=36)
    assert await world.balance(ada) == (50, 0)


async def test_what_waits_for_an_order_of_somebody_erased_is_forfeited(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE], release="SHIPPED")
    await world.hears(paid(world, ada, 50))
    await erase(world, ada)
    await world.hears(OrderShipped(**about(world, ada, "1001")), refunded(world, ada, 20))
    told = await world.books()
    assert told.balanced, told.findings
    assert (told.totals["pending"], told.totals["available"], told.totals["forfeited"]) == (0, 0, 50)


async def test_a_cancelled_order_gives_back_what_waits(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE], release="SHIPPED")
    await world.hears(paid(world, ada, 50), refunded(world, ada, 50), OrderShipped(**about(world, ada, "1001")))
    assert await world.balance(ada) == (0, 0)
    assert (await world.books()).balanced


# Claw-back -----------------------------------------------------------------------------------------------------------


async def test_the_programme_says_what_a_refund_may_take(world: World) -> None:
    left: dict[str, tuple[int, int]] = {}
    for mode in ("ONLY_PENDING", "WITHIN_BALANCE", "UNLIMITED"):
        ada = world.person()
        await world.set_rules(order_claw_back=mode)
        await world.hears(paid(world, ada, 100))
        await world.earn(ada, 10)
        await world.spend(ada, 80)
        await world.hears(refunded(world, ada, 60), refunded(world, ada, 100))
        left[mode] = await world.balance(ada)
    assert left == {"ONLY_PENDING": (30, 0), "WITHIN_BALANCE": (0, 0), "UNLIMITED": (0, 70)}
    assert (await world.books()).balanced


# Purity --------------------------------------------------------------------------------------------------------------


def rules(**terms: Any) -> Rules:
    return Rules.of(Programme(version=1, currency="R", newsletter_bonus=0, points_per_unit=1, terms=terms))


async def test_what_went_into_an_evaluation_has_a_hash_that_is_kept(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE])
    await world.hears(paid(world, ada, 50))
    [(kept,)] = await world.ask_database("SELECT inputs_hash FROM purchase")
    order = Order(Decimal(50), "EUR", world.now())
    said = {"points_per_unit": "1", "id": "base", "qualifying": True}
    assert kept == hash_of(order, Member(), rules(earn_rules=[said]))
    assert kept != hash_of(order, Member(tier="gold"), rules(earn_rules=[said]))
    assert kept != hash_of(order, Member(), rules(earn_rules=[said | {"id": "other"}]))


def test_no_money_earns_nothing() -> None:
    fixed = {"id": "fixed", "points_per_order": "5"}
    order = Order(Decimal(0), "EUR", datetime(2026, 1, 1, tzinfo=UTC))
    assert evaluate(order, Member(), rules(earn_rules=[fixed])) == []


async def test_orders_at_once_under_several_rules_keep_the_books_right(world: World) -> None:
    await world.set_rules(earn_rules=[BASE, PROMO])
    people = [world.person() for _ in range(5)]
    facts = [one for ada in people for one in (paid(world, ada, 100), refunded(world, ada, 30), paid(world, ada, 100))]
    await asyncio.gather(*(world.hears(fact) for fact in facts))
    assert {await world.balance(ada) for ada in people} == {(210, 0)}
    assert (await world.books()).balanced
