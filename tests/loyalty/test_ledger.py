"""What holds for every operation, whatever it does."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from rapport.loyalty.v1 import events_pb2 as events
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import timestamp
from services.loyalty.ledger import writer
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.world import refused


async def test_a_refusal_is_kept_for_its_request(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    for _ in range(2):
        with refused("INSUFFICIENT_POINTS") as said:
            await till.redeem(10, key=key)
        assert said[0].metadata["available"] == "0"
        await till.earn(50)  # too late for that request
    assert (await till.redeem(10)).points == -10


async def test_what_would_be_done_is_answered_and_not_done(world: World) -> None:
    till = Till.of(world)
    assert (await till.earn(100, dry=True)).points == 100
    assert await till.available() == 0
    await till.earn(100)
    assert (await till.redeem(30, dry=True)).balance_after == 70
    assert (await till.hold(30, dry=True)).points == 30
    with refused("INSUFFICIENT_POINTS"):
        await till.redeem(101, dry=True)
    assert await till.available() == 100
    assert len(await world.movements(till.user)) == 1


async def test_a_hold_whose_time_is_over_is_released_at_that_time(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    hold = await till.hold(60, lasts=2)
    assert (await till.at(3).get_hold(hold.name)).state == ledger_pb.Hold.EXPIRED
    assert (await till.wallet()).available == 100
    with refused("HOLD_ENDED") as said:
        await till.capture(hold.name, 10)
    assert said[0].metadata["state"] == "EXPIRED"
    assert ("RELEASE", 2, 60) in await till.history()


async def test_a_hold_can_be_released_once(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    hold = await till.hold(60)
    await till.release(hold.name)
    with refused("HOLD_ENDED"):
        await till.release(hold.name)
    with refused("HOLD_NOT_FOUND"):
        await till.release(f"{till.account}/holds/{uuid4()}")
    with refused("HOLD_NOT_FOUND"):
        await till.get_hold(f"{till.account}/holds/{uuid4()}")


async def test_a_hold_of_another_person_is_nobodys(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    await till.earn(100)
    hold = (await till.hold(60)).name.replace(str(till.user), str(other.user))
    with refused("HOLD_NOT_FOUND"):
        await other.capture(hold, 10)


@pytest.mark.parametrize("days", [0, 31])
async def test_a_hold_lasts_neither_no_time_nor_for_ever(world: World, days: int) -> None:
    till = Till.of(world)
    await till.earn(100)
    with refused("INVALID_FIELD"):
        await till.hold(10, lasts=days)


async def test_no_more_comes_back_than_was_spent(world: World) -> None:
    till = Till.of(world)
    await till.earn(100)
    spent = await till.redeem(50)
    await till.refund(spent.name, 30)
    with refused("EXCEEDS_REDEEMED") as said:
        await till.refund(spent.name, 21)
    assert said[0].metadata["remaining"] == "20"
    await till.refund(spent.name, 20)
    assert await till.available() == 100
    with refused("MOVEMENT_NOT_FOUND"):
        await till.refund(f"{till.account}/movements/{uuid4()}", 1)


async def test_no_more_is_reversed_than_was_earned(world: World) -> None:
    till = Till.of(world)
    earned = await till.earn(100)
    await till.reverse(earned.name, 60)
    with refused("EXCEEDS_EARNED") as said:
        await till.reverse(earned.name, 41)
    assert said[0].metadata["remaining"] == "40"
    with refused("MOVEMENT_NOT_FOUND"):
        await till.reverse(f"{till.account}/movements/{uuid4()}", 1)


async def test_what_has_expired_is_not_taken_twice(world: World) -> None:
    till = Till.of(world)
    earned = await till.earn(100, ends=10)
    await till.earn(50)
    await till.at(11).reverse(earned.name, 100)
    wallet = await till.wallet()
    assert (wallet.available, wallet.arrears) == (50, 0)


async def test_points_are_carried_over_to_somebody_else(world: World) -> None:
    till = Till.of(world)
    await till.earn(10)
    with refused("SAME_ACCOUNT"):
        await till.transfer(till, 5)
    assert await till.available() == 10


async def test_points_told_late_obey_their_own_time(world: World) -> None:
    till = Till.of(world)
    await till.at(20).earn(100, since=1, ends=10)
    assert await till.history() == [("GOODWILL", 1, 100), ("EXPIRE", 10, -100)]
    assert (await till.wallet(effective=5)).available == 100
    assert (await till.wallet(effective=5, known=19)).available == 0


async def test_points_that_would_end_before_they_begin_are_refused(world: World) -> None:
    till = Till.of(world)
    with refused("INVALID_FIELD"):
        await till.earn(100, ends=-1)
    with refused("INVALID_FIELD"):
        await till.earn(100, since=1)  # that is to come


async def test_other_points_of_the_programme_are_kept_apart(world: World) -> None:
    rules = pb.Programme(
        currency="R points", newsletter_bonus=500, points_per_unit=1, other_currencies={"stars": "Stars"}
    )
    await world.stub.UpdateProgramme(pb.UpdateProgrammeRequest(programme=rules), metadata=OPERATOR)
    till = Till.of(world)
    await till.earn(10)
    earned = pb.EarnPointsRequest(parent=till.account, points=7, request_id=str(uuid4()), currency="stars")
    movement = await world.stub.EarnPoints(earned, metadata=OPERATOR)
    stars = pb.GetPointsAccountRequest(name=till.account, currency="stars")
    told = await world.stub.GetPointsAccount(stars, metadata=world.as_(till.user))
    assert (told.available, told.currency) == (7, "Stars")
    assert await till.available() == 10
    await till.reverse(movement.name, 7)
    assert (await world.stub.GetPointsAccount(stars, metadata=world.as_(till.user))).available == 0
    with refused("CURRENCY_UNKNOWN"):
        await world.stub.EarnPoints(
            pb.EarnPointsRequest(parent=till.account, points=7, request_id=str(uuid4()), currency="moons"),
            metadata=OPERATOR,
        )


async def test_each_of_a_batch_is_done_or_refused_on_its_own(world: World) -> None:
    till = Till.of(world)

    def posting(**which: object) -> ledger_pb.Posting:
        return ledger_pb.Posting(**which)  # type: ignore[arg-type]

    earn = pb.EarnPointsRequest(parent=till.account, points=50, request_id=str(uuid4()))
    redeem = ledger_pb.RedeemPointsRequest(parent=till.account, points=40, request_id=str(uuid4()))
    more = ledger_pb.RedeemPointsRequest(parent=till.account, points=40, request_id=str(uuid4()))
    hold = ledger_pb.CreateHoldRequest(parent=till.account, points=5, request_id=str(uuid4()))
    postings = [posting(earn=earn), posting(redeem=redeem), posting(redeem=more), posting(), posting(hold=hold)]
    told = (await world.ledger.BatchPost(ledger_pb.BatchPostRequest(postings=postings), metadata=OPERATOR)).posted
    assert [one.WhichOneof("outcome") for one in told] == ["movement", "movement", "refused", "refused", "hold"]
    assert told[2].refused.message == "There are 10 to spend."
    assert await till.available() == 5


async def test_a_stream_answers_each_operation_in_its_order(world: World) -> None:
    till = Till.of(world)
    earn = [pb.EarnPointsRequest(parent=till.account, points=n, request_id=str(uuid4())) for n in range(1, 6)]
    asked = (ledger_pb.StreamPostRequest(posting=ledger_pb.Posting(earn=one)) for one in earn)
    told = [one.posted.movement.points async for one in world.ledger.StreamPost(asked, metadata=OPERATOR)]
    assert told == [1, 2, 3, 4, 5]


async def test_a_ledger_that_is_full_says_when_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    till = Till.of(world)
    monkeypatch.setattr(writer, "QUEUED", 3)
    told = await asyncio.gather(*(till.earn(1) for _ in range(60)), return_exceptions=True)
    done = [one for one in told if isinstance(one, pb.Movement)]
    assert await till.available() == len(done)
    monkeypatch.setattr(writer, "QUEUED", 0)
    with refused("LEDGER_BUSY") as said:
        await till.earn(1)
    assert said[0].retry_after is not None


async def test_a_member_with_many_lots_spends_them_all(world: World) -> None:
    till = Till.of(world)
    for part in range(3):
        many = [
            ledger_pb.Posting(
                earn=pb.EarnPointsRequest(
                    parent=till.account, points=1, request_id=str(uuid4()), expire_time=timestamp(till.day(50 + part))
                )
            )
            for _ in range(40)
        ]
        await world.ledger.BatchPost(ledger_pb.BatchPostRequest(postings=many), metadata=OPERATOR)
    spent = await till.redeem(100)
    assert await till.lots() == {52: 20}
    await till.refund(spent.name, 90)
    assert await till.available() == 110
    assert await till.totals() == {"available": 110, "issued": 120, "redeemed": 10}


async def test_every_movement_is_stated(world: World) -> None:
    till = Till.of(world)
    earned = await till.earn(100, ends=10)
    await till.earn(5, waits=1)
    spent = await till.redeem(10)
    await till.refund(spent.name, 4)
    hold = await till.hold(20)
    await till.capture(hold.name, 5)
    await till.release(hold.name)
    await till.reverse(earned.name, 3)
    await till.transfer(Till.of(world), 2)
    await till.at(11).world.settle()
    kinds: dict[type[Any], list[int]] = {
        events.PointsEarned: [100, 5],
        events.PointsRedeemed: [10, 5],
        events.PointsRefunded: [4],
        events.PointsHeld: [20],
        events.PointsReleased: [15],
        events.PointsReversed: [3],
        events.PointsTransferred: [-2, 2],
        events.PointsActivated: [5],
        events.PointsExpired: [84, 2],
    }
    told = {kind: [one.points for one in await world.stated(kind)] for kind in kinds}
    assert {kind.DESCRIPTOR.name: sorted(points) for kind, points in told.items()} == {
        kind.DESCRIPTOR.name: sorted(points) for kind, points in kinds.items()
    }
