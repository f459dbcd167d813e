"""Caps and budgets: the vectors of both, in two replicas and at once."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from grpc.aio import AioRpcError
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1 import programme_pb2 as programme_pb

from chassis.refusal import refused as refusal
from services.loyalty import campaigns, orders
from services.loyalty.orders import Fact
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.test_orders import paid, refunded
from tests.loyalty.test_rules import BASE, PROMO, given
from tests.world import refused

A_DAY = {"id": "a-day", "period": "DAY", "points": 100}
DRAW = {"id": "draw", "budget": 100}


async def draw(world: World, user: UUID, points: int, *, key: str = "", dry: bool = False) -> pb.Movement:
    request = programme_pb.EarnFromCampaignRequest(
        parent=f"users/{user}/pointsAccount", campaign="draw", points=points, request_id=key or str(uuid4()),
        validate_only=dry,
    )  # fmt: skip
    return await world.programme.EarnFromCampaign(request, metadata=OPERATOR)


async def use(world: World, campaign: str = "draw") -> tuple[int, int | None]:
    request = programme_pb.GetCampaignUseRequest(name=f"campaigns/{campaign}/use")
    told = await world.programme.GetCampaignUse(request, metadata=OPERATOR)
    return told.granted, told.remaining if told.HasField("remaining") else None


# Caps ----------------------------------------------------------------------------------------------------------------


async def test_c1_what_is_over_the_cap_is_withheld(world: World) -> None:
    ada = world.person()
    await world.set_rules(caps=[A_DAY])
    await world.hears(paid(world, ada, 70), paid(world, ada, 50, number="1002"))
    assert await given(world, ada) == [("order", 70, 70, 0), ("order", 50, 30, 0)]
    told = (await world.grants(ada))[1]
    assert told.withheld == programme_pb.Grant.CAP
    await world.hears(paid(world, ada, 5, number="1003"))
    assert (await world.grants(ada))[2].granted == 0
    assert (await world.grants(ada))[2].movement == ""
    assert await world.balance(ada) == (100, 0)


@pytest.mark.parametrize(("zone", "first", "second", "together"), [
    ("Europe/Berlin", "2026-07-06T21:59:59", "2026-07-06T22:00:00", False),
    ("UTC", "2026-07-06T21:59:59", "2026-07-06T22:00:00", True),
    ("Europe/Berlin", "2026-10-24T22:00:00", "2026-10-25T22:59:59", True),  # one day of 25 hours
    ("Europe/Berlin", "2026-10-24T22:00:00", "2026-10-25T23:00:00", False),
])  # fmt: skip
async def test_c2_the_day_of_a_cap_is_local(
    world: World, zone: str, first: str, second: str, together: bool
) -> None:  # fmt: skip
    ada = world.person()
    await world.set_rules(caps=[A_DAY], time_zone=zone)
    for number, at in enumerate((first, second)):
        world.clock.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        await world.hears(paid(world, ada, 70, number=f"{number}"))
    assert await world.balance(ada) == (100 if together else 140, 0)


async def test_a_week_begins_on_monday_and_a_lifetime_never_ends(world: World) -> None:
    ada, bo = world.person(), world.person()
    await world.set_rules(caps=[{"id": "a-week", "period": "WEEK", "points": 100}])
    for number, days in enumerate((0, 6, 1)):  # Monday, Sunday, Monday
        world.advance(days=days)
        await world.hears(paid(world, ada, 70, number=f"{number}"))
    assert [one.granted for one in await world.grants(ada)] == [70, 30, 70]
    await world.set_rules(caps=[{"id": "ever", "period": "LIFETIME", "points": 100}])
    for number in range(3):
        world.advance(days=400)
        await world.hears(paid(world, bo, 70, number=f"{number}"))
    assert [one.granted for one in await world.grants(bo)] == [70, 30, 0]


async def test_what_is_taken_back_makes_room_and_what_was_withheld_stays_so(world: World) -> None:
    ada = world.person()
    await world.set_rules(caps=[A_DAY])
    await world.hears(paid(world, ada, 70), paid(world, ada, 50, number="1002"), refunded(world, ada, 70))
    assert await world.balance(ada) == (30, 0)
    await world.hears(paid(world, ada, 90, number="1003"))
    assert [one.granted for one in await world.grants(ada)] == [70, 30, 70]
    by_hand = ledger_pb.ReversePointsRequest(
        name=(await world.grants(ada))[2].movement, points=70, policy=ledger_pb.ReversePointsRequest.UNLIMITED,
        request_id=str(uuid4()),
    )  # fmt: skip
    await world.ledger.ReversePoints(by_hand, metadata=OPERATOR)
    await world.hears(paid(world, ada, 200, number="1004"))
    assert (await world.grants(ada))[3].granted == 70


async def test_a_refund_of_what_was_capped_keeps_what_is_left_of_the_order(world: World) -> None:
    ada = world.person()
    await world.set_rules(caps=[A_DAY])
    await world.hears(paid(world, ada, 250), refunded(world, ada, 100))
    assert await world.balance(ada) == (100, 0)  # 150 would still have given 100
    await world.hears(refunded(world, ada, 200))
    assert await world.balance(ada) == (50, 0)


async def test_a_cap_counts_the_rules_it_names(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[BASE, PROMO], caps=[A_DAY | {"rules": ["promo"]}])
    await world.hears(paid(world, ada, 80))
    assert await given(world, ada) == [("base", 80, 80, 0), ("promo", 160, 100, 0)]


async def test_orders_at_once_in_two_replicas_stay_under_the_cap(world: World) -> None:
    ada = world.person()
    await world.set_rules(caps=[A_DAY])
    await world.earn(ada, 1)  # the account is there

    async def buy(number: int) -> None:  # a session of its own is all that another replica would bring
        fact = Fact(ada, f"{number}", effective=world.now(), now=world.now())
        async with world.sessions.begin() as session:
            await orders.paid(session, fact, Decimal(30), "EUR")

    await asyncio.gather(*(buy(number) for number in range(8)))
    assert sorted(one.granted for one in await world.grants(ada)) == [0, 0, 0, 0, 10, 30, 30, 30]
    assert await world.balance(ada) == (101, 0)
    assert (await world.books()).balanced


# Budgets -------------------------------------------------------------------------------------------------------------


async def test_a_budget_gives_until_it_is_used_up(world: World) -> None:
    ada, bo = world.person(), world.person()
    await world.set_rules(campaigns=[DRAW])
    movement = await draw(world, ada, 70)
    assert (movement.kind, movement.points) == (pb.Movement.CAMPAIGN, 70)
    with refused("BUDGET_EXHAUSTED") as said:
        await draw(world, bo, 31)
    assert said[0].metadata["remaining"] == "30"
    assert (await draw(world, bo, 30)).points == 30
    assert await use(world) == (100, 0)
    assert [(one.rule, one.granted, one.order) for one in await world.grants(bo)] == [("draw", 30, "")]


async def test_a_budget_may_give_what_it_has_left(world: World) -> None:
    ada, bo = world.person(), world.person()
    await world.set_rules(campaigns=[DRAW | {"when_short": "PARTIAL"}])
    await draw(world, ada, 70)
    assert (await draw(world, bo, 50)).points == 30
    told = (await world.grants(bo))[0]
    assert (told.desired, told.granted, told.withheld) == (50, 30, programme_pb.Grant.BUDGET)
    with refused("BUDGET_EXHAUSTED"):
        await draw(world, bo, 50)


async def test_the_same_request_draws_once_and_a_refusal_stays_one(world: World) -> None:
    ada, key, late = world.person(), str(uuid4()), str(uuid4())
    await world.set_rules(campaigns=[DRAW | {"when_short": "PARTIAL"}])
    await draw(world, ada, 60)
    first = await draw(world, ada, 70, key=key)
    again = await draw(world, ada, 70, key=key)
    assert (first.points, again.points, again.name, again.replayed) == (40, 40, first.name, True)
    with refused("BUDGET_EXHAUSTED"):
        await draw(world, ada, 5, key=late)
    await world.set_rules(campaigns=[DRAW | {"budget": 1000}])
    with refused("BUDGET_EXHAUSTED"):
        await draw(world, ada, 5, key=late)
    with refused("REQUEST_ID_REUSED"):
        await draw(world, ada, 71, key=key)
    assert await use(world) == (100, 900)


async def test_many_at_once_never_draw_more_than_there_is(world: World) -> None:
    await world.set_rules(campaigns=[DRAW | {"when_short": "PARTIAL"}])
    people = [world.person() for _ in range(6)]

    async def claim(user: UUID) -> int:
        async with world.sessions.begin() as session:
            told = await campaigns.earn(
                session, user=user, campaign="draw", wanted=30, scope="request", key=str(uuid4()), now=world.now()
            )  # fmt: skip
        return getattr(told, "available", 0)

    there = [*(claim(one) for one in people), *(paying(draw(world, one, 30)) for one in people)]
    assert sorted(await asyncio.gather(*there)) == [*[0] * 8, 10, 30, 30, 30]
    assert await use(world) == (100, 0)
    assert (await world.books()).balanced


async def test_one_request_for_two_people_at_once_draws_for_one(world: World) -> None:
    await world.set_rules(campaigns=[DRAW])
    people, key = [world.person(), world.person()], str(uuid4())
    told = await asyncio.gather(*(draw(world, one, 30, key=key) for one in people), return_exceptions=True)
    assert sum(isinstance(one, pb.Movement) for one in told) == 1
    assert [refusal(one).reason for one in told if isinstance(one, AioRpcError)] == ["REQUEST_ID_REUSED"]
    assert await use(world) == (30, 70)


async def paying(call: object) -> int:
    told = (await asyncio.gather(call, return_exceptions=True))[0]  # type: ignore[call-overload]
    return told.points if isinstance(told, pb.Movement) else 0


async def test_orders_draw_on_two_budgets_at_once_without_a_circle(world: World) -> None:
    rules = [PROMO | {"campaign": "b"}, {"id": "extra", "points_per_unit": 1, "campaign": "a"}]
    turned = [{"id": "extra", "points_per_unit": 1, "campaign": "a"}, PROMO | {"campaign": "b"}]
    budgets = [{"id": "a", "budget": 50, "when_short": "PARTIAL"}, {"id": "b", "budget": 100, "when_short": "PARTIAL"}]
    await world.set_rules(earn_rules=rules, campaigns=budgets)
    people = [world.person() for _ in range(6)]
    early = world.now()
    world.advance(hours=1)
    await world.set_rules(earn_rules=turned, campaigns=budgets)

    async def buy(user: UUID, at: datetime) -> None:
        async with world.sessions.begin() as session:
            await orders.paid(session, Fact(user, "1", effective=at, now=world.now()), Decimal(20), "EUR")

    await asyncio.gather(*(buy(one, early if n % 2 else world.now()) for n, one in enumerate(people)))
    assert (await use(world, "a"), await use(world, "b")) == ((50, 0), (100, 0))


async def test_a_refund_gives_the_campaign_its_points_back(world: World) -> None:
    ada = world.person()
    await world.set_rules(earn_rules=[PROMO | {"campaign": "draw"}], campaigns=[DRAW])
    await world.hears(paid(world, ada, 50))
    assert await use(world) == (100, 0)
    await world.hears(paid(world, ada, 1, number="1002"))
    assert (await world.grants(ada))[1].withheld == programme_pb.Grant.BUDGET
    await world.hears(refunded(world, ada, 20))
    assert await use(world) == (60, 40)


async def test_a_campaign_that_is_none_or_over_or_capped_is_refused(world: World) -> None:
    ada = world.person()
    with refused("CAMPAIGN_NOT_FOUND"):
        await draw(world, ada, 5)
    with refused("CAMPAIGN_NOT_FOUND"):
        await use(world)
    over = {"id": "draw", "end_time": "2026-07-06T12:00:00Z"}
    await world.set_rules(campaigns=[over])
    with refused("CAMPAIGN_CLOSED"):
        await draw(world, ada, 5)
    await world.set_rules(campaigns=[{"id": "draw"}], caps=[A_DAY])
    assert (await draw(world, ada, 120)).points == 100
    with refused("CAP_REACHED") as said:
        await draw(world, ada, 5)
    assert said[0].metadata["cap"] == "a-day"
    assert await use(world) == (100, None)


async def test_a_dry_draw_says_what_would_be_and_does_nothing(world: World) -> None:
    ada = world.person()
    await world.set_rules(campaigns=[DRAW])
    assert (await draw(world, ada, 70, dry=True)).points == 70
    assert await use(world) == (0, 100)
    assert await world.movements(ada) == []
    assert await world.grants(ada) == []


async def test_points_of_a_campaign_live_as_it_says(world: World) -> None:
    ada = world.person()
    await world.set_rules(campaigns=[DRAW | {"term": {"months": 1}}])
    await draw(world, ada, 70)
    world.clock.now += timedelta(days=40)
    assert await world.balance(ada) == (0, 0)
