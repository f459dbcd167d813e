"""Periods of an account: what they add up to, and that they never change."""

import csv
import io
from uuid import uuid4

from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2

from chassis.time import timestamp
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.loyalty.test_adjustments import ask
from tests.world import refused

ADDS = ("corrected", "earned", "refunded", "adjusted", "transferred", "written_off")
TAKES = ("redeemed", "expired", "reversed", "forfeited")
Kind = loyalty_pb2.Movement.Kind


async def state(till: Till, start: float, end: float, *, key: str = "") -> pb.Statement:
    request = pb.CreateStatementRequest(
        parent=till.account,
        start_time=timestamp(till.day(start)),
        end_time=timestamp(till.day(end)),
        request_id=key or str(uuid4()),
    )
    return adds_up(await till.world.finance.CreateStatement(request, metadata=OPERATOR))


async def preview(till: Till, start: float, end: float) -> pb.Statement:
    request = pb.PreviewStatementRequest(
        parent=till.account, start_time=timestamp(till.day(start)), end_time=timestamp(till.day(end))
    )
    return adds_up(await till.world.finance.PreviewStatement(request, metadata=till.world.as_(till.user)))


async def again(till: Till, statement: pb.Statement) -> pb.Statement:
    request = pb.GetStatementRequest(name=statement.name)
    return await till.world.finance.GetStatement(request, metadata=till.world.as_(till.user))


async def lines_of(till: Till, statement: pb.Statement, **paging: int | str) -> list[pb.StatementLine]:
    request = pb.ListStatementLinesRequest(parent=statement.name, **paging)  # type: ignore[arg-type]
    found: list[pb.StatementLine] = []
    while True:
        told = await till.world.finance.ListStatementLines(request, metadata=till.world.as_(till.user))
        found += told.lines
        if not told.next_page_token:
            return found
        request.page_token = told.next_page_token


def adds_up(told: pb.Statement) -> pb.Statement:
    """The equation of the contract."""
    change = sum(getattr(told, name) for name in ADDS) - sum(getattr(told, name) for name in TAKES)
    assert told.opening.total + change == told.closing.total, told
    for one in (told.opening, told.closing):
        assert one.total == one.available + one.pending + one.held - one.arrears
    return told


async def test_s1_what_ended_in_a_period_is_in_it(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    till.at(15)
    whole, part = await preview(till, 0, 15), await preview(till, 0, 10)
    assert (whole.earned, whole.expired, whole.closing.total) == (100, 100, 0)
    assert (part.earned, part.expired, part.closing.total) == (100, 0, 100)


async def test_periods_that_were_stated_follow_each_other(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    first = await state(till.at(15), 0, 10)
    with refused("PERIOD_NOT_NEXT") as said:
        await state(till, 11, 15)
    assert said[0].metadata["start_time"] == till.day(10).isoformat()
    with refused("PERIOD_OPEN"):
        await state(till, 10, 16)
    second = await state(till, 10, 15)
    assert first.closing == second.opening
    assert (second.expired, second.corrected, second.closing.total) == (100, 0, 0)
    listed = await world.finance.ListStatements(
        pb.ListStatementsRequest(parent=till.account), metadata=world.as_(till.user)
    )
    assert list(listed.statements) == [second, first]


async def test_what_is_told_late_is_a_correction_in_the_next_one(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    first = await state(till.at(10), 0, 10)
    await till.at(12).earn(70, since=5)
    await till.earn(7)
    assert await again(till, first) == first
    assert [one.points for one in await lines_of(till, first)] == [100]
    second = await state(till.at(20), 10, 20)
    assert (second.opening.total, second.corrected, second.earned, second.closing.total) == (100, 70, 7, 177)
    told = [(one.points, one.balance, one.correction) for one in await lines_of(till, second)]
    assert told == [(70, 170, True), (7, 177, False)]
    assert (await preview(till, 0, 10)).earned == 170  # as it is known now
    third = await state(till.at(30), 20, 30)
    assert (third.opening, third.corrected) == (second.closing, 0)


async def test_every_kind_of_movement_is_in_its_column(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    await till.earn(1_000)
    await till.earn(40, ends=5)
    await till.earn(60, waits=3)
    spent = await till.redeem(140)  # 40 of them would have ended
    await till.refund(spent.name, 30)
    hold = await till.hold(200)
    await till.capture(hold.name, 50)
    await till.release(hold.name)
    earned = await till.earn(25)
    await till.reverse(earned.name, 25)
    await ask(till, 300)
    await ask(till, -10)
    await till.transfer(other, 70)
    told = await state(till.at(8), 0, 8)
    found = {name: getattr(told, name) for name in (*ADDS, *TAKES, "released", "set_aside") if getattr(told, name)}
    assert found == {
        "earned": 1_125, "refunded": 30, "redeemed": 190, "reversed": 25, "adjusted": 290, "transferred": -70,
        "released": 210, "set_aside": 200,
    }  # fmt: skip
    wallet = await till.wallet()
    closing = told.closing
    assert (closing.available, closing.pending, closing.held, closing.arrears) == (wallet.available, 0, 0, 0)
    rows = await lines_of(till, told, page_size=3)
    assert [one.balance for one in rows] == [sum(one.points for one in rows[: n + 1]) for n in range(len(rows))]
    assert rows[-1].balance == told.closing.total
    assert sum(one.available for one in rows) == wallet.available
    arrived = await state(other.at(8), 0, 8)
    assert (arrived.transferred, arrived.closing.total) == (70, 70)


async def test_what_is_owed_lessens_the_total(world: World) -> None:  # V14, V15
    till = Till.of(world)
    a = await till.earn(100, ends=10)
    await till.earn(50, ends=20)
    await till.at(5).redeem(80)
    await till.at(6).reverse(a.name, 100)
    first = await state(till.at(7), 0, 7)
    assert (first.closing.total, first.closing.arrears, first.reversed) == (-30, 30, 100)
    await till.earn(100)
    second = await state(till.at(8), 7, 8)
    assert (second.opening.total, second.earned, second.closing.total) == (-30, 100, 70)


async def test_a_statement_asked_for_twice_is_one(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    await till.earn(5)
    first = await state(till.at(3), 0, 2, key=key)
    await till.earn(5, since=1)
    assert await state(till, 0, 2, key=key) == first


async def test_an_account_that_was_never_used_has_an_empty_statement(world: World) -> None:
    till = Till.of(world)
    assert (await preview(till, 0, 1)).closing.total == 0
    told = await state(till.at(2), 0, 1)
    assert (told.closing.total, await lines_of(till, told)) == (0, [])
    with refused("STATEMENT_NOT_FOUND"):
        await again(till, pb.Statement(name=f"{till.account}/statements/{uuid4()}"))
    with refused("INVALID_FIELD"):
        await preview(till, 2, 2)


async def test_a_statement_of_another_person_is_nobodys(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    told = await state(till.at(2), 0, 1)
    stolen = pb.Statement(name=told.name.replace(str(till.user), str(other.user)))
    with refused("STATEMENT_NOT_FOUND"):
        await again(other, stolen)


async def test_a_statement_is_a_sheet_that_adds_up(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    spent = await till.redeem(30)
    told = await state(till.at(2), 0, 1)
    request = pb.DownloadStatementRequest(name=told.name)
    pieces = [one async for one in world.finance.DownloadStatement(request, metadata=world.as_(till.user))]
    assert {one.content_type for one in pieces} == {"text/csv; charset=utf-8"}
    rows = list(csv.reader(io.StringIO(b"".join(one.data for one in pieces).decode())))
    at = next(number for number, cells in enumerate(rows) if cells[:1] == ["effective_time"])
    names = rows[at]
    lines = [dict(zip(names, cells, strict=True)) for cells in rows[at + 1 : rows.index([], at)]]
    assert [(one["kind"], one["points"], one["balance"]) for one in lines] == [
        ("GOODWILL", "100", "100"),
        ("REDEEM", "-30", "70"),
    ]
    assert lines[1]["movement"] == spent.name.rpartition("/")[2]
    assert rows[-1] == ["closing", "70"]


async def test_two_currencies_are_stated_apart(world: World) -> None:
    rules = loyalty_pb2.Programme(currency="R points", points_per_unit=1, other_currencies={"stars": "Stars"})
    await world.stub.UpdateProgramme(loyalty_pb2.UpdateProgrammeRequest(programme=rules), metadata=OPERATOR)
    till = Till.of(world)
    await till.earn(10)
    stars = loyalty_pb2.EarnPointsRequest(parent=till.account, points=7, request_id=str(uuid4()), currency="stars")
    await world.stub.EarnPoints(stars, metadata=OPERATOR)
    redeem = ledger_pb.RedeemPointsRequest(parent=till.account, points=2, request_id=str(uuid4()), currency="stars")
    await world.ledger.RedeemPoints(redeem, metadata=OPERATOR)
    till.at(2)
    request = pb.CreateStatementRequest(
        parent=till.account, start_time=timestamp(till.day(0)), end_time=timestamp(till.day(1)),
        request_id=str(uuid4()), currency="stars",
    )  # fmt: skip
    told = await world.finance.CreateStatement(request, metadata=OPERATOR)
    assert (told.currency, told.closing.total) == ("Stars", 5)
    assert (await state(till, 0, 1)).closing.total == 10
