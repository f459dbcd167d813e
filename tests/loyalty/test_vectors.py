"""What points do, case by case. A, B, C are earned in that order; days are counted from the beginning."""

import asyncio
from uuid import uuid4

from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.world import refused

ONLY_PENDING, WITHIN_BALANCE, UNLIMITED = (
    ledger_pb.ReversePointsRequest.ONLY_PENDING,
    ledger_pb.ReversePointsRequest.WITHIN_BALANCE,
    ledger_pb.ReversePointsRequest.UNLIMITED,
)


async def first_a_then_b(world: World) -> tuple[Till, str]:
    """V01: A of 100 until day 10, B of 50 until day 20, of which 120 are redeemed on day 5."""
    till = Till.of(world)
    await till.at(1).earn(100, ends=10)
    await till.at(2).earn(50, ends=20)
    return till, (await till.at(5).redeem(120)).name


async def spent_then_reversed(world: World) -> tuple[Till, str, str]:
    """V14: A of 100 until day 10, B of 50 until day 20; 80 are redeemed on day 5, and A is reversed on day 6."""
    till = Till.of(world)
    a = await till.earn(100, ends=10)
    await till.earn(50, ends=20)
    spent = await till.at(5).redeem(80)
    await till.at(6).reverse(a.name, 100)
    return till, a.name, spent.name


async def test_v01_what_ends_first_is_spent_first(world: World) -> None:
    till, _ = await first_a_then_b(world)
    assert await till.lots() == {20: 30}
    assert (await till.totals())["redeemed"] == 120


async def test_v02_the_end_goes_before_the_order_of_earning(world: World) -> None:
    till = Till.of(world)
    await till.at(1).earn(100, ends=20)
    await till.at(2).earn(50, ends=10)
    await till.at(5).redeem(60)
    assert await till.lots() == {20: 90}


async def test_v03_priority_goes_before_the_end(world: World) -> None:
    till = Till.of(world)
    await till.earn(30, ends=30, priority=0)
    await till.earn(30, ends=10, priority=1)
    await till.redeem(10)
    assert await till.lots() == {30: 20, 10: 30}


async def test_v04_the_end_is_exclusive(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    await till.at(9.999).redeem(1)
    assert await till.available() == 99
    with refused("INSUFFICIENT_POINTS") as said:
        await till.at(10).redeem(1)
    assert said[0].metadata["available"] == "0"
    assert (await till.totals())["expired"] == 99


async def test_v05_what_ends_is_gone_at_its_time_whenever_that_is_booked(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    await till.at(15).world.settle()
    assert (await till.wallet(effective=9)).available == 100
    assert (await till.wallet(effective=10)).available == 0
    assert (await till.wallet(effective=10, known=14)).available == 100
    assert await till.history() == [("GOODWILL", 0, 100), ("EXPIRE", 10, -100)]
    assert (await till.totals())["expired"] == 100


async def test_v05_and_before_anybody_booked_it(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    assert (await till.at(10).wallet()).available == 0
    assert (await till.wallet(effective=10)).available == 0
    assert await till.lots() == {}


async def test_v06_what_is_held_does_not_end(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    hold = await till.at(8).hold(60, lasts=4)
    await till.at(11).capture(hold.name, 60)
    assert {name: (await till.totals())[name] for name in ("redeemed", "expired")} == {"redeemed": 60, "expired": 40}


async def test_v07_what_comes_back_after_its_end_ends_then(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=10)
    hold = await till.at(8).hold(60, lasts=4)
    await till.at(11).release(hold.name)
    ended = [(day, points) for kind, day, points in await till.history() if kind == "EXPIRE"]
    assert ended == [(10, -40), (11, -60)]
    assert await till.available() == 0


async def test_v08_a_final_capture_lets_go_of_the_rest(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=50)
    hold = await till.hold(80)
    await till.capture(hold.name, 30, final=True)
    assert await till.available() == 70
    assert (await till.totals())["redeemed"] == 30
    assert (await till.get_hold(hold.name)).state == ledger_pb.Hold.CAPTURED


async def test_v09_a_hold_is_captured_twice_and_released(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=50)
    hold = await till.hold(80)
    await till.capture(hold.name, 30)
    await till.capture(hold.name, 40)
    await till.release(hold.name)
    assert await till.available() == 30
    assert (await till.totals())["redeemed"] == 70
    kept = await till.get_hold(hold.name)
    assert (kept.points, kept.captured, kept.released, kept.state) == (80, 70, 10, ledger_pb.Hold.RELEASED)


async def test_v10_no_more_is_captured_than_is_held(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, ends=50)
    hold = await till.hold(80)
    with refused("EXCEEDS_HOLD") as said:
        await till.capture(hold.name, 90)
    assert said[0].metadata["remaining"] == "80"
    assert (await till.wallet()).held == 80


async def test_v11_the_last_taken_comes_back_first(world: World) -> None:
    till, spent = await first_a_then_b(world)
    await till.at(6).refund(spent, 40)
    assert await till.lots() == {10: 20, 20: 50}
    assert (await till.totals())["redeemed"] == 80


async def test_v12_what_comes_back_after_its_end_ends(world: World) -> None:
    till, spent = await first_a_then_b(world)
    await till.at(15).refund(spent, 120)
    assert await till.available() == 50
    assert (await till.totals())["expired"] == 100


async def test_v12_or_lives_on_for_the_grace_that_is_given(world: World) -> None:
    till, spent = await first_a_then_b(world)
    await till.at(15).refund(spent, 120, grace=30)
    assert await till.lots() == {20: 50, 45: 100}
    assert "expired" not in await till.totals()


async def test_v13_what_is_unspent_is_reversed(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(100)
    await till.reverse(a.name, 100)
    assert await till.available() == 0
    assert (await till.totals())["reversed"] == 100


async def test_v14_others_pay_for_what_was_spent_and_the_rest_is_owed(world: World) -> None:
    till, _, _ = await spent_then_reversed(world)
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears) == (0, 30)


async def test_v14_who_paid_gets_it_back_first_when_that_is_refunded(world: World) -> None:
    till, _, spent = await spent_then_reversed(world)
    await till.at(7).refund(spent, 80)
    assert await till.lots() == {20: 50}
    assert (await till.wallet()).arrears == 0


async def test_v15_what_is_owed_is_settled_by_the_next_points(world: World) -> None:
    till, _, _ = await spent_then_reversed(world)
    await till.at(7).earn(100, ends=40)
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears) == (70, 0)
    assert await till.lots() == {40: 70}


async def test_v16_only_what_waits_is_taken_where_the_policy_says_so(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(100, ends=10)
    await till.earn(50, ends=20)
    await till.at(5).redeem(80)
    await till.at(6).reverse(a.name, 100, ONLY_PENDING)
    assert await till.available() == 70
    other = Till.of(world)
    waits = await other.earn(100, waits=4)
    await other.reverse(waits.name, 40, ONLY_PENDING)
    assert (await other.wallet()).pending == 60
    assert (await other.at(10).wallet()).available == 60


async def test_v16_within_the_balance_nothing_is_owed(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(100, ends=10)
    await till.earn(50, ends=20)
    await till.at(5).redeem(80)
    await till.at(6).reverse(a.name, 100, WITHIN_BALANCE)
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears) == (0, 0)
    assert (await till.totals())["reversed"] == 70


async def test_v17_what_waits_cannot_be_spent_before_its_time(world: World) -> None:
    till = Till.of(world)
    await till.earn(100, waits=14)
    with refused("INSUFFICIENT_POINTS"):
        await till.at(5).redeem(1)
    await till.at(14).redeem(30)
    assert await till.available() == 70


async def test_v18_of_two_who_spend_the_same_points_one_does(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    told = await asyncio.gather(till.redeem(80), till.redeem(80), return_exceptions=True)
    assert sum(isinstance(one, pb.Movement) for one in told) == 1
    assert await till.available() == 20


async def test_v19_the_same_request_is_one_movement(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    await till.earn(100)
    told = [await till.redeem(10, key=key) for _ in range(3)]
    assert len({one.name for one in told}) == 1
    assert [one.replayed for one in told] == [False, True, True]
    assert await till.available() == 90


async def test_v20_another_request_under_its_id_is_refused_by_what_differs(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    await till.earn(100)
    await till.redeem(10, key=key)
    with refused("REQUEST_ID_REUSED") as said:
        await till.redeem(11, key=key)
    assert [one.field for one in said[0].violations] == ["points"]
    with refused("REQUEST_ID_REUSED") as said:
        await till.hold(10, key=key)
    assert [one.field for one in said[0].violations] == ["kind", "lasts"]
    assert await till.available() == 90


async def test_v21_the_same_request_twice_in_a_batch_is_one_movement(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    redeem = ledger_pb.RedeemPointsRequest(parent=till.account, points=10, request_id=str(uuid4()))
    twice = ledger_pb.BatchPostRequest(postings=[ledger_pb.Posting(redeem=redeem)] * 2)
    first, second = (await world.ledger.BatchPost(twice, metadata=OPERATOR)).posted
    assert first.movement.name == second.movement.name != ""
    assert await till.available() == 90


async def test_v22_points_are_carried_over_with_their_ends(world: World) -> None:
    till = Till.of(world)
    await till.at(1).earn(100, ends=10)
    await till.at(2).earn(50, ends=20)
    other = Till(world, world.person(), till.begin)
    await till.at(5).transfer(other, 120)
    assert await other.lots() == {10: 100, 20: 20}
    assert await till.lots() == {20: 30}
    assert (await till.totals())["issued"] == 150


async def test_v25_what_is_held_is_not_broken_by_a_reversal(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(100)
    hold = await till.at(2).hold(80)
    await till.at(3).reverse(a.name, 100)
    await till.at(4).release(hold.name)
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears, wallet.held) == (0, 0, 0)
    assert (await till.totals())["reversed"] == 100
