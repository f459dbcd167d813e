"""Tiers: the vectors, through events and the stub. Basic 0, Silver 500, Gold 1000; calendar years in Berlin."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import programme_pb2 as pb
from rapport.loyalty.v1.events_pb2 import TierChanged

from chassis.time import moment
from services.loyalty.tiers import Gain, Ladder, Refold, Tier, fold
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.test_orders import about, paid, refunded
from tests.world import refused

BERLIN = "Europe/Berlin"
TIERS: list[dict[str, Any]] = [
    {"id": "basic", "title": "Basic"},
    {"id": "silver", "title": "Silver", "qualifying_points": 500},
    {"id": "gold", "title": "Gold", "qualifying_points": 1000},
]
LADDER = {"tiers": TIERS, "grace_days": 30, "downgrade": "BALANCE_BASED"}


def local(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


async def set_ladder(world: World, **differs: Any) -> None:
    await world.set_rules(time_zone=BERLIN, tier_ladder=LADDER | differs)


async def buys(world: World, user: UUID, units: int, number: str = "1001") -> None:
    await world.hears(paid(world, user, units, number=number))


async def changes(world: World) -> list[tuple[str, str, datetime]]:
    await world.settle()
    return [(one.previous_tier, one.tier, moment(one.event_time)) for one in await world.stated(TierChanged)]


async def test_t1_exactly_the_points_of_a_tier_reach_it(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    await buys(world, ada, 499)
    told = await world.tier(ada)
    assert (told.tier, told.next_tier, told.next_tier_points) == ("basic", "silver", 1)
    assert not told.HasField("end_time")
    await buys(world, ada, 1, "1002")
    told = await world.tier(ada)
    assert (told.tier, told.title, told.qualifying_points) == ("silver", "Silver", 500)
    assert (told.next_tier, told.next_tier_points) == ("gold", 500)
    assert moment(told.end_time) == local(2028, 1, 1)  # to the end of the next year
    assert (moment(told.period_start_time), moment(told.period_end_time)) == (local(2026, 1, 1), local(2027, 1, 1))
    [event] = await world.stated(TierChanged)
    assert event == TierChanged(
        user=f"users/{ada}", member_tier=f"users/{ada}/tier", tier="silver", previous_tier="basic",
        event_time=about(world, ada, "")["event_time"],
    )  # fmt: skip


async def test_t2_spending_points_loses_no_tier(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    await buys(world, ada, 550)
    await world.spend(ada, 400)
    assert (await world.tier(ada)).tier == "silver"


async def test_t3_a_tier_is_lost_when_the_grace_is_over(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    world.clock.now = local(2026, 8, 1, 12)
    await buys(world, ada, 500)
    world.clock.now = local(2027, 5, 1, 12)
    await buys(world, ada, 400, "1002")
    world.clock.now = local(2028, 1, 1)
    told = await world.tier(ada)
    assert (told.tier, told.in_grace) == ("silver", True)
    world.clock.now = local(2028, 1, 31) - timedelta(seconds=1)
    assert (await world.tier(ada)).tier == "silver"
    world.clock.now = local(2028, 2, 5)
    assert (await world.tier(ada)).tier == "basic"
    assert moment((await world.tier(ada)).start_time) == local(2028, 1, 31)
    assert await changes(world) == [
        ("basic", "silver", local(2026, 8, 1, 12)), ("silver", "basic", local(2028, 1, 31)),
    ]  # fmt: skip


@pytest.mark.parametrize(("downgrade", "tier"), [("ONE_DOWN", "silver"), ("BALANCE_BASED", "basic")])
async def test_t4_gold_without_points_falls_as_the_ladder_says(world: World, downgrade: str, tier: str) -> None:
    ada = world.person()
    await set_ladder(world, downgrade=downgrade)
    await buys(world, ada, 1000)
    assert (await world.tier(ada)).tier == "gold"
    world.clock.now = local(2028, 1, 31)
    assert (await world.tier(ada)).tier == tier
    assert (await changes(world))[1:] == [("gold", tier, local(2028, 1, 31))]
    world.clock.now = local(2029, 1, 31)
    assert (await world.tier(ada)).tier == "basic"


async def test_t5_the_newsletters_points_count_towards_none(world: World) -> None:
    ada = world.person("ada@example.org")
    await set_ladder(world)
    await world.subscribe("ada@example.org", ada)
    await world.earn(ada, 1000)
    told = await world.tier(ada)
    assert (told.tier, told.qualifying_points) == ("basic", 0)
    assert await world.stated(TierChanged) == []


async def test_t5_an_order_told_in_the_grace_counts_in_the_period_it_is_of(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    await buys(world, ada, 500)
    world.clock.now = local(2027, 12, 31, 23)
    late = paid(world, ada, 500, number="1002")
    world.clock.now = local(2028, 1, 20)
    assert (await world.tier(ada)).in_grace
    await world.hears(late)
    world.clock.now = local(2028, 12, 1)
    told = await world.tier(ada)
    assert (told.tier, moment(told.end_time), told.qualifying_points) == ("silver", local(2029, 1, 1), 0)
    assert len(await changes(world)) == 1


async def test_points_taken_back_count_no_more_at_once(world: World) -> None:
    ada = world.person()
    await set_ladder(world, claw_back="IMMEDIATE")
    await buys(world, ada, 600)
    world.advance(days=3)
    await world.hears(refunded(world, ada, 200))
    assert (await world.tier(ada)).tier == "basic"
    assert [one[:2] for one in await changes(world)] == [("basic", "silver"), ("silver", "basic")]
    earlier = await world.tier(ada, world.now() - timedelta(days=1))
    assert earlier.tier == "silver"  # as of then nothing had been taken back


async def test_points_taken_back_count_to_the_end_of_the_period(world: World) -> None:
    ada = world.person()
    await set_ladder(world, claw_back="AT_PERIOD_END")
    await buys(world, ada, 600)
    await world.hears(refunded(world, ada, 200))
    assert (await world.tier(ada)).tier == "silver"
    world.clock.now = local(2027, 1, 1)
    assert (await world.tier(ada)).tier == "basic"
    assert [one[:2] for one in await changes(world)] == [("basic", "silver"), ("silver", "basic")]


async def test_points_taken_back_by_hand_count_no_more(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    await buys(world, ada, 600)
    by_hand = ledger_pb.ReversePointsRequest(
        name=(await world.grants(ada))[0].movement, points=200, policy=ledger_pb.ReversePointsRequest.UNLIMITED,
        request_id=str(uuid4()),
    )  # fmt: skip
    await world.ledger.ReversePoints(by_hand, metadata=OPERATOR)
    assert (await world.tier(ada)).tier == "basic"
    assert [one[:2] for one in await changes(world)] == [("basic", "silver"), ("silver", "basic")]


async def test_a_new_ladder_judges_everybody(world: World) -> None:
    ada, bo = world.person(), world.person()
    await buys(world, ada, 600)
    await buys(world, bo, 100)
    with refused("TIERS_NOT_SET"):
        await world.tier(ada)
    await set_ladder(world)
    assert [(one[0], one[1]) for one in await changes(world)] == [("basic", "silver")]
    assert (await world.tier(bo)).tier == "basic"
    await set_ladder(world, tiers=[TIERS[0], TIERS[1] | {"qualifying_points": 601}])
    assert [one[:2] for one in await changes(world)] == [("basic", "silver"), ("silver", "basic")]
    await world.set_rules()
    await world.settle()
    with refused("TIERS_NOT_SET"):
        await world.tier(ada)


async def test_who_was_erased_has_no_tier_that_changes(world: World) -> None:
    ada = world.person()
    await set_ladder(world)
    await buys(world, ada, 600)
    await world.ask_database("UPDATE account SET close_time = now(), available = 0")  # as erasure leaves it
    await world.ask_database("DELETE FROM member")
    world.clock.now = local(2030, 1, 1)
    await world.settle()
    assert len(await world.stated(TierChanged)) == 1
    assert await world.ask_database("SELECT due_time FROM member_tier") == [(None,)]


async def test_a_tier_is_for_its_member_and_agents_to_see(world: World) -> None:
    ada, eve = world.person(), world.person()
    await set_ladder(world)
    request = pb.GetTierRequest(name=f"users/{ada}/tier")
    with refused("FORBIDDEN"):
        await world.programme.GetTier(request, metadata=world.as_(eve))
    assert (await world.programme.GetTier(request, metadata=world.as_(eve, "agent"))).tier == "basic"
    with refused("INVALID_FIELD"):
        await world.tier(ada, world.now() + timedelta(days=1))


# The fold alone ------------------------------------------------------------------------------------------------------


def ladder(**differs: Any) -> Ladder:
    tiers = (Tier("basic", "", 0), Tier("silver", "", 500), Tier("gold", "", 1000))
    return Ladder(**{"tiers": tiers, "zone": ZoneInfo(BERLIN), "grace_days": 30, **differs})


def test_the_fold_does_not_mind_the_order_in_which_it_is_told() -> None:
    gains = [Gain(local(2026, 6, 1), 500), Gain(local(2027, 3, 1), 400), Gain(local(2028, 1, 10), 700)]
    for at in (local(2026, 7, 1), local(2028, 1, 5), local(2028, 1, 20), local(2031, 1, 1)):
        assert fold(ladder(), gains, at) == fold(ladder(), reversed(gains), at)


def test_points_of_the_grace_keep_the_tier_where_they_reach_it_alone() -> None:
    gains = [Gain(local(2026, 6, 1), 500), Gain(local(2028, 1, 10), 500)]
    standing = fold(ladder(), gains, local(2028, 6, 1))
    assert (standing.level, standing.since, standing.end) == (1, local(2026, 6, 1), local(2030, 1, 1))
    gains[1] = Gain(local(2028, 1, 10), 499)
    assert fold(ladder(), gains, local(2028, 6, 1)).level == 0


def test_a_higher_tier_falls_to_the_one_that_was_earned_meanwhile() -> None:
    gains = [Gain(local(2026, 6, 1), 1000), Gain(local(2027, 6, 1), 500)]
    standing = fold(ladder(), gains, local(2028, 2, 1))
    assert (standing.level, standing.end) == (1, local(2029, 1, 1))


def test_periods_may_be_months() -> None:
    by_quarter = ladder(period_months=3, grace_days=0)
    standing = fold(by_quarter, [Gain(local(2026, 2, 1), 500)], local(2026, 6, 30))
    assert (standing.level, standing.end) == (1, local(2026, 7, 1))
    assert fold(by_quarter, [Gain(local(2026, 2, 1), 500)], local(2026, 7, 1)).level == 0


def test_points_that_are_taken_back_at_the_end_of_a_period_are_due_then() -> None:
    gain = Gain(local(2026, 6, 1), 600, ((local(2026, 7, 1), 200),))
    later = ladder(refold=Refold.AT_PERIOD_END)
    assert fold(later, [gain], local(2026, 8, 1)).next_time == local(2027, 1, 1)
    assert fold(later, [gain], local(2026, 8, 1)).level == 1
    assert fold(ladder(), [gain], local(2026, 8, 1)).level == 0
