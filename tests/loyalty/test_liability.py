"""What is owed in points, held against the books; and what it means in money."""

import csv
import io
from collections.abc import Mapping

import pytest
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2 import GOODWILL, ORIGIN_UNSPECIFIED, PROMOTION, PURCHASE, Origin

from chassis.time import timestamp
from services.loyalty import deferral
from services.loyalty.sheets import row
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.loyalty.test_adjustments import approve, ask
from tests.loyalty.test_erasure import erase
from tests.loyalty.test_orders import paid, refunded
from tests.world import refused

ADDS = ("issued", "adjusted", "transferred", "written_off")
TAKES = ("redeemed", "expired", "reversed", "forfeited")


async def report(till: Till, start: float, end: float) -> pb.LiabilityReport:
    request = pb.GetLiabilityReportRequest(start_time=timestamp(till.day(start)), end_time=timestamp(till.day(end)))
    told = await till.world.finance.GetLiabilityReport(request, metadata=OPERATOR)
    for one in (*told.rows, told.total):
        change = sum(getattr(one, name) for name in ADDS) - sum(getattr(one, name) for name in TAKES)
        assert one.opening + change == one.closing, one
    for name in (*ADDS, *TAKES, "opening", "closing"):
        assert sum(getattr(one, name) for one in told.rows) == getattr(told.total, name)
    return told


def row_of(told: pb.LiabilityReport, origin: Origin.ValueType) -> pb.LiabilityReport.Row:
    [found] = [one for one in told.rows if one.origin == origin]
    return found


def said(one: pb.LiabilityReport.Row) -> Mapping[str, int]:
    return {name: getattr(one, name) for name in ("opening", *ADDS, *TAKES, "closing") if getattr(one, name)}


async def busy(world: World) -> Till:
    """Everything that can happen to points, to several people."""
    till, other, gone = Till.of(world), Till.of(world), Till.of(world)
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    await world.hears(paid(world, ada, 100), refunded(world, ada, 30))
    await till.earn(1_000, ends=40)
    await till.earn(60, ends=5)
    waits = await till.earn(80, waits=30)
    spent = await till.redeem(300)
    await till.at(6).refund(spent.name, 100)  # 60 of them, taken first, stay spent
    hold = await till.hold(200)
    await till.capture(hold.name, 150, final=True)
    await till.transfer(other, 120)
    await till.reverse(waits.name, 30)
    earned = await other.earn(50)
    await other.redeem(170)
    await other.reverse(earned.name, 50)  # 50 are owed
    await other.earn(20)  # of which this settles 20
    await ask(till, 75)
    await ask(till, -25)
    await approve(till, (await ask(till, 5_000)).name)
    await gone.earn(33)
    await erase(world, gone.user)
    debtor = Till.of(world)
    first = await debtor.earn(40)
    await debtor.redeem(40)
    await debtor.reverse(first.name, 40)
    await erase(world, debtor.user)
    late = Till(world, world.person(), till.begin)
    await late.earn(90, ends=9)
    taken = await late.redeem(90)
    await late.at(20).refund(taken.name, 70, grace=30)
    await late.refund(taken.name, 20)
    await till.at(41).world.settle()
    return till


async def test_the_report_is_what_the_books_say(world: World) -> None:
    till = await busy(world)
    books = await world.books()
    assert books.balanced, books.findings
    told = (await report(till, -1, 50)).total
    assert {name: getattr(told, name) for name in (*TAKES, "issued", "written_off")} == {
        name: books.totals[name] for name in (*TAKES, "issued", "written_off")
    }
    assert (told.adjusted, told.transferred) == (-books.totals["adjusted"], 0)
    owed = books.totals["available"] + books.totals["pending"] + books.totals["held"] - books.totals["arrears"]
    assert (told.opening, told.closing) == (0, owed)
    assert all(getattr(told, name) for name in (*TAKES, "issued", "adjusted", "written_off", "closing"))


async def test_periods_add_up_whatever_they_are(world: World) -> None:
    till = await busy(world)
    whole = await report(till, -1, 50)
    first, second, third = await report(till, -1, 6), await report(till, 6, 20), await report(till, 20, 50)
    assert (first.total.closing, second.total.closing) == (second.total.opening, third.total.opening)
    for origin in (*Origin.values(),):
        rows = [row_of(one, origin) for one in (whole, first, second, third)]
        for name in (*ADDS, *TAKES):
            assert getattr(rows[0], name) == sum(getattr(one, name) for one in rows[1:])
        assert rows[0].closing == rows[3].closing


async def test_points_that_were_sold_are_told_from_gifts(world: World) -> None:
    till = Till.of(world)
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    await world.hears(paid(world, ada, 100), refunded(world, ada, 30))
    await till.earn(40, ends=3)
    await till.redeem(15)
    await till.at(5).world.settle()
    told = await report(till, 0, 6)
    assert said(row_of(told, PURCHASE)) == {"issued": 100, "reversed": 30, "closing": 70}
    assert said(row_of(told, PROMOTION)) == {"issued": 500, "closing": 500}
    assert said(row_of(told, GOODWILL)) == {"issued": 40, "redeemed": 15, "expired": 25}
    assert said(row_of(told, ORIGIN_UNSPECIFIED)) == {}
    later = await report(till, 6, 7)
    assert said(row_of(later, PURCHASE)) == {"opening": 70, "closing": 70}


async def test_what_people_owe_lessens_what_is_owed_to_them(world: World) -> None:  # V14, V15
    till = Till.of(world)
    a = await till.earn(100)
    await till.earn(50)
    await till.redeem(80)
    await till.reverse(a.name, 100)
    told = await report(till, 0, 1)
    assert said(row_of(told, ORIGIN_UNSPECIFIED)) == {"reversed": 30, "closing": -30}
    assert said(told.total) == {"issued": 150, "redeemed": 80, "reversed": 100, "closing": -30}
    await till.at(2).earn(100)
    told = await report(till, 1, 3)
    assert said(row_of(told, ORIGIN_UNSPECIFIED)) == {"opening": -30, "reversed": -30}
    assert said(told.total) == {"opening": -30, "issued": 100, "closing": 70}


async def test_a_month_that_was_closed_stays_as_it_was(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    till.at(31)
    before = await report(till, 0, 31)
    await till.earn(50, since=5)  # told late
    assert await report(till, 0, 31) == before
    assert (await report(till, 31, 62)).total.issued == 50


async def test_a_cohort_is_expected_to_go_the_way_of_those_before_it(world: World) -> None:
    till = Till.of(world)  # July
    await till.earn(100, ends=20)
    await till.redeem(75)
    await till.at(31).earn(1_000)  # August
    await till.redeem(200)
    told = await report(till, 0, 32)
    july, august = sorted(told.cohorts, key=lambda one: one.month)
    assert (july.month, july.issued, july.redeemed, july.expired, july.outstanding) == ("2026-07", 100, 75, 25, 0)
    # 275 of 300 points whose way has ended were redeemed: 733.3 of 800.
    assert (august.month, august.outstanding) == ("2026-08", 800)
    assert (august.expected_redemption, august.expected_breakage) == (733, 67)


async def test_points_that_were_carried_over_stay_in_their_cohort(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    await till.earn(100)
    await till.at(31).transfer(other, 60)
    [july] = (await report(till, 0, 32)).cohorts
    assert (july.month, july.issued, july.removed, july.outstanding) == ("2026-07", 100, 0, 100)


async def test_a_period_ends_after_it_begins(world: World) -> None:
    with refused("INVALID_FIELD"):
        await report(Till.of(world), 1, 1)


async def test_the_report_is_a_sheet(world: World) -> None:
    till = await busy(world)
    told = await report(till, -1, 50)
    request = pb.DownloadLiabilityReportRequest(start_time=timestamp(till.day(-1)), end_time=timestamp(till.day(50)))
    pieces = [one async for one in world.finance.DownloadLiabilityReport(request, metadata=OPERATOR)]
    rows = list(csv.reader(io.StringIO(b"".join(one.data for one in pieces).decode())))
    [names] = [cells for cells in rows if cells[:1] == ["origin"]]
    [whole] = [cells for cells in rows if cells[:1] == ["TOTAL"]]
    assert dict(zip(names[1:], map(int, whole[1:]), strict=True)) == {
        name: getattr(told.total, name) for name in names[1:]
    }
    [owed] = [cells for cells in rows if cells[:1] == ["OWED"]]
    assert int(owed[-1]) == row_of(told, ORIGIN_UNSPECIFIED).closing < 0
    assert rows[-1][0] == told.cohorts[-1].month


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(a)", "\tx", "\r=1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    [[cell, number]] = csv.reader(io.StringIO(row([text, -1]).decode(), newline=""))
    assert (cell, number) == (f"'{text}", "-1")


# What it is in money: KPMG's handbook on IFRS 15, example 10 ----------------------------------------------------------


def test_a_price_is_shared_by_what_each_part_would_sell_for() -> None:
    # KPMG rounds the share to 9 %: 9,000 of 100,000; exactly it is 8,842.
    assert deferral.allocate(100_000, 100_000, 9_700) == 8_842
    # The other published example has 158, by rounding the share, too; exactly it is 156.68.
    assert deferral.allocate(2_000, 2_000, 170) == 157
    assert deferral.allocate(1_999, 1_999, 0) == 0


@pytest.mark.parametrize(("expected", "third"), [(9_900, 3_552), (9_200, 4_140)])
def test_revenue_follows_redemption_and_the_estimate(expected: int, third: int) -> None:
    second = deferral.revenue(9_000, 4_500, 9_700, 0)
    assert second == 4_175
    assert deferral.revenue(9_000, 8_500, expected, second) == third


def test_the_parts_of_all_periods_are_the_whole() -> None:
    done = 0
    for redeemed in range(0, 10_001, 7):
        done += deferral.revenue(9_000, min(redeemed, 9_700), 9_700, done)
    assert done == 9_000
    assert deferral.recognised(9_000, 9_800, 9_700) == 9_000
    assert deferral.recognised(9_000, 0, 0) == 9_000  # nobody is expected to redeem any


def test_nothing_is_released_before_there_is_a_reason_to() -> None:
    assert deferral.expected_redemption(800, 0, 0) == 800
    assert deferral.expected_redemption(800, 0, 5) == 0
    assert deferral.expected_redemption(800, 275, 25) == 733
