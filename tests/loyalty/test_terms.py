"""How long points live by the local calendar: the vectors of time, and the days on which clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import moment
from services.loyalty.terms import start_of
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.loyalty.test_orders import paid

BERLIN, KATHMANDU, NEW_YORK = "Europe/Berlin", "Asia/Kathmandu", "America/New_York"
MONTH_END = {"round_up_to": "MONTH"}
VECTORS = [
    ("E1 a day of 25 hours", "2025-04-26T10:00:00", BERLIN, {"months": 6}, "2025-10-26T23:00:00"),
    ("E2 a second before midnight", "2025-09-30T21:59:59", BERLIN, {"months": 6}, "2026-03-30T22:00:00"),
    ("E3 a second later", "2025-09-30T22:00:00", BERLIN, {"months": 6}, "2026-04-01T22:00:00"),
    ("E4 a shorter month", "2026-01-31T12:00:00", BERLIN, {"months": 1}, "2026-02-28T23:00:00"),
    ("E5 a zone of quarters", "2026-01-31T18:15:00", KATHMANDU, {"months": 1}, "2026-03-01T18:15:00"),
    ("E6 to the end of the month", "2020-07-06T12:00:00", "UTC", {"months": 12, **MONTH_END}, "2021-08-01T00:00:00"),
    ("to the end of the quarter", "2026-02-10T12:00:00", BERLIN, {"months": 1, "round_up_to": "QUARTER"},
     "2026-03-31T22:00:00"),
    ("to the end of the year", "2026-02-10T12:00:00", BERLIN, {"months": 1, "round_up_to": "YEAR"},
     "2026-12-31T23:00:00"),
    ("a leap day", "2024-02-29T12:00:00", "UTC", {"months": 12}, "2025-03-01T00:00:00"),
    ("spring in New York", "2026-02-07T12:00:00", NEW_YORK, {"months": 1}, "2026-03-08T05:00:00"),
    ("autumn in New York", "2026-10-01T12:00:00", NEW_YORK, {"months": 1}, "2026-11-02T05:00:00"),
    ("no midnight in Santiago", "2026-08-05T12:00:00", "America/Santiago", {"months": 1}, "2026-09-06T04:00:00"),
]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def ends(world: World, till: Till) -> list[datetime | None]:
    request = ledger_pb.ListLotsRequest(parent=till.account)
    told = await world.ledger.ListLots(request, metadata=world.as_(till.user))
    return [moment(one.expire_time) if one.HasField("expire_time") else None for one in told.lots]


@pytest.mark.parametrize(
    ("earned", "zone", "term", "end"), [one[1:] for one in VECTORS], ids=[one[0] for one in VECTORS]
)
async def test_points_end_as_a_local_day_does(
    world: World, earned: str, zone: str, term: dict[str, object], end: str
) -> None:  # fmt: skip
    world.clock.now = utc(earned)
    await world.set_rules(time_zone=zone, default_term=term)
    till = Till.of(world)
    await till.earn(10)
    assert await ends(world, till) == [utc(end)]
    world.clock.now = utc(end) - timedelta(seconds=1)
    assert await till.available() == 10
    world.clock.now = utc(end)
    assert await till.available() == 0
    await world.settle()
    [expired, _] = await world.movements(till.user)
    assert (expired.kind, moment(expired.effective_time)) == (pb.Movement.EXPIRE, utc(end))


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        (BERLIN, date(2026, 3, 29), "2026-03-28T23:00:00"),
        (NEW_YORK, date(2026, 11, 1), "2026-11-01T04:00:00"),
        ("America/Santiago", date(2026, 9, 6), "2026-09-06T04:00:00"),  # begins at one o'clock
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00:00"),  # begins twice: the first counts
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00:00"),  # does not exist: the next one begins
        ("America/Toronto", date(1919, 3, 31), "1919-03-31T04:30:00"),  # begins at half past twelve
    ],
)
def test_a_day_begins_with_its_first_instant(zone: str, day: date, start: str) -> None:
    assert start_of(day, ZoneInfo(zone)) == utc(start)


async def test_without_a_term_points_never_end(world: World) -> None:
    till = Till.of(world)
    await till.earn(10)
    assert await ends(world, till) == [None]


async def test_an_end_that_is_said_goes_before_the_programmes(world: World) -> None:
    await world.set_rules(default_term={"months": 1})
    till = Till.of(world)
    await till.earn(10, ends=3)
    assert await ends(world, till) == [till.day(3)]


async def test_the_same_request_after_another_term_is_the_same_request(world: World) -> None:
    till, key = Till.of(world), "0b0b6f0e-6f6c-4c5e-9d51-0d8c3a1c7a22"
    first = await till.earn(10, key=key)
    await world.set_rules(default_term={"months": 1})
    again = await till.at(1).earn(10, key=key)
    assert (again.name, again.replayed) == (first.name, True)
    assert await ends(world, till) == [None]


async def test_points_of_an_earlier_day_have_the_term_of_that_day(world: World) -> None:
    await world.set_rules(default_term={"months": 1})
    till = Till.of(world)
    await world.set_rules(default_term={"months": 2})
    till.at(10)
    await world.set_rules(default_term={"months": 3})
    await till.earn(10, since=5)
    assert await ends(world, till) == [utc("2026-09-12T00:00:00")]  # 11 July and two months


async def test_what_was_earned_long_ago_has_ended_as_it_is_told(world: World) -> None:
    await world.set_rules(default_term={"months": 1})
    till = Till.of(world)
    await till.at(100).earn(10, since=1)
    assert await till.available() == 0
    assert (await till.totals())["expired"] == 10


async def test_orders_and_the_bonus_have_terms_of_their_own(world: World) -> None:
    rule = {"id": "base", "points_per_unit": 1, "term": {"months": 12, **MONTH_END}}
    await world.set_rules(
        time_zone=NEW_YORK,
        default_term={"months": 1},
        newsletter_term={"months": 6},
        earn_rules=[rule, {"id": "kept", "points_per_order": 1, "term": {"months": 0}}],
    )
    ada = world.person("ada@example.org")
    till = Till(world, ada, world.now())
    await world.subscribe("ada@example.org", ada)
    await world.hears(paid(world, ada, 50))
    assert await ends(world, till) == [utc("2027-01-07T05:00:00"), utc("2027-08-01T04:00:00"), None]


async def test_what_comes_back_too_late_lives_on_as_the_programme_says(world: World) -> None:
    await world.set_rules(refund_grace_days=30)
    till = Till.of(world)
    await till.earn(100, ends=10)
    spent = await till.at(5).redeem(60)
    kept, gone = str(spent.name), "0b0b6f0e-6f6c-4c5e-9d51-0d8c3a1c7a33"
    await till.at(15).refund(kept, 20)
    assert await till.lots() == {45: 20}
    none_at_all = ledger_pb.RefundPointsRequest(name=kept, points=20, grace_days=0, request_id=gone)
    await world.ledger.RefundPoints(none_at_all, metadata=OPERATOR)
    assert await till.lots() == {45: 20}
    assert (await till.totals())["expired"] == 60  # 40 were never spent, 20 came back to no grace
