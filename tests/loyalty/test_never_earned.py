"""What is reversed was never earned: whoever paid in its place gets it back, and nobody pays twice."""

from uuid import uuid4

from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import timestamp
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till

UNLIMITED = ledger_pb.ReversePointsRequest.UNLIMITED


async def test_what_expired_counts_as_taken_though_other_parts_of_the_lot_were_owed(world: World) -> None:
    till = Till.of(world)
    earned = await till.earn(32, ends=17)
    await till.hold(28, lasts=17)
    await till.reverse(earned.name, 26)
    assert (await till.wallet()).arrears == 22
    await till.at(17).reverse(earned.name, 6)  # the 28 came back: 22 were owed, and 6 have expired
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears) == (0, 0)


async def test_what_expired_counts_as_taken_though_the_lot_paid_for_another(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(20, ends=5)
    b = await till.earn(50, ends=10)
    await till.redeem(20)
    await till.reverse(a.name, 20)  # b pays
    await till.earn(100, ends=90)
    await till.at(10).reverse(b.name, 25)  # 30 of b have expired: 25 of them count
    await till.reverse(b.name, 25)  # and the other 5, so that 20 are left to take
    assert await till.lots() == {90: 80}


async def test_the_grace_of_a_refund_is_for_who_paid_too(world: World) -> None:
    till = Till.of(world)
    a = await till.earn(6, ends=7)
    await till.earn(35, ends=11)
    spent = await till.at(3).redeem(12)
    await till.reverse(a.name, 6)
    await till.at(16).refund(spent.name, 12, grace=3)
    assert await till.lots() == {19: 12}


async def test_who_paid_for_a_payer_gets_it_back(world: World) -> None:
    till = Till.of(world)
    a, b, _ = await till.earn(10, ends=10), await till.earn(10, ends=20), await till.earn(10, ends=30)
    spent = await till.redeem(10)
    await till.reverse(a.name, 10)  # b pays
    await till.reverse(b.name, 10)  # and for b, the third
    await till.refund(spent.name, 10)
    assert await till.lots() == {30: 10}


async def test_of_two_who_paid_the_last_gets_it_back_first_though_both_paid_in_one_batch(world: World) -> None:
    tills = [Till.of(world) for _ in range(8)]
    reversals, spent = [], []
    for till in tills:
        a = await till.earn(10, ends=10)
        spent.append(await till.redeem(10))
        await till.earn(5, ends=20)
        await till.earn(5, ends=30)
        for _ in range(2):
            asked = ledger_pb.ReversePointsRequest(name=a.name, points=5, policy=UNLIMITED, request_id=str(uuid4()))
            reversals.append(ledger_pb.Posting(reverse=asked))
    await world.ledger.BatchPost(ledger_pb.BatchPostRequest(postings=reversals), metadata=OPERATOR)
    for till, one in zip(tills, spent, strict=True):
        await till.refund(one.name, 5)
        assert await till.lots() == {30: 5}


async def test_points_of_one_batch_are_spent_in_the_order_they_came(world: World) -> None:
    till, other = Till.of(world), Till.of(world)

    def earn(of: Till, points: int) -> ledger_pb.Posting:
        asked = pb.EarnPointsRequest(parent=of.account, points=points, request_id=str(uuid4()))
        asked.expire_time.CopyFrom(timestamp(till.day(29)))
        return ledger_pb.Posting(earn=asked)

    carry = ledger_pb.TransferPointsRequest(
        parent=other.account, destination=till.account, points=6, request_id=str(uuid4())
    )
    redeem = ledger_pb.RedeemPointsRequest(parent=till.account, points=9, request_id=str(uuid4()))
    postings = [earn(other, 6), earn(till, 9), ledger_pb.Posting(transfer=carry), ledger_pb.Posting(redeem=redeem)]
    await world.ledger.BatchPost(ledger_pb.BatchPostRequest(postings=postings), metadata=OPERATOR)
    request = ledger_pb.ListLotsRequest(parent=till.account)
    told = await world.ledger.ListLots(request, metadata=world.as_(till.user))
    assert [(lot.points, lot.open) for lot in told.lots] == [(6, 6)]


async def test_what_never_ends_is_spent_last(world: World) -> None:
    till = Till.of(world)
    await till.earn(10)
    await till.earn(10, ends=90)
    await till.redeem(10)
    assert await till.lots() == {-1: 10}


async def test_a_second_capture_goes_on_where_the_first_one_ended(world: World) -> None:
    till = Till.of(world)
    await till.earn(10, ends=50)
    await till.earn(10, ends=60)
    hold = await till.hold(20)
    await till.capture(hold.name, 10)
    await till.capture(hold.name, 5)
    await till.release(hold.name)
    assert await till.lots() == {60: 5}
