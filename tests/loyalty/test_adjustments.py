"""Points corrected by hand: why, by whom, and by whom else."""

import hashlib
from uuid import UUID, uuid4

import pytest
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsAdjusted
from sqlalchemy.exc import DBAPIError

from chassis.client import Metadata
from tests.loyalty.conftest import World
from tests.loyalty.ledger import Till
from tests.loyalty.test_erasure import erase, remaining
from tests.world import refused

ALMA, BEN = uuid4(), uuid4()
LIMIT = 1_000  # services.loyalty.settings


def admin(world: World, who: UUID = ALMA) -> Metadata:
    return world.as_(who, "admin")


async def ask(till: Till, points: int, *, by: UUID = ALMA, key: str = "", reason: str = "late parcel") -> pb.Adjustment:
    request = pb.CreateAdjustmentRequest(
        parent=till.account, points=points, reason=reason, request_id=key or str(uuid4())
    )
    return await till.world.finance.CreateAdjustment(request, metadata=admin(till.world, by))


async def approve(till: Till, name: str, *, by: UUID = BEN, key: str = "") -> pb.Adjustment:
    request = pb.ApproveAdjustmentRequest(name=name, request_id=key or str(uuid4()))
    return await till.world.finance.ApproveAdjustment(request, metadata=admin(till.world, by))


async def refuse(till: Till, name: str, *, by: UUID = BEN) -> pb.Adjustment:
    request = pb.RefuseAdjustmentRequest(name=name, request_id=str(uuid4()))
    return await till.world.finance.RefuseAdjustment(request, metadata=admin(till.world, by))


async def queue(world: World, **asked: object) -> list[str]:
    request = pb.ListAdjustmentsRequest(
        parent="users/-/pointsAccount",
        state=pb.Adjustment.WAITING,
        **asked,  # type: ignore[arg-type]
    )
    told = await world.finance.ListAdjustments(request, metadata=admin(world, BEN))
    return [one.name for one in told.adjustments]


async def test_a_small_correction_is_booked_at_once(world: World) -> None:
    till = Till.of(world)
    done = await ask(till, 250)
    assert (done.state, done.points, done.decided_by) == (pb.Adjustment.BOOKED, 250, "")
    assert (done.reason, done.asked_by) == ("late parcel", f"users/{ALMA}")
    assert await till.available() == 250
    [movement] = await world.movements(till.user)
    assert done.movement == movement.name
    await ask(till, -50)
    assert await till.available() == 200
    assert [one.points for one in await world.stated(PointsAdjusted)] == [250, -50]
    assert (await till.totals())["adjusted"] == -200


async def test_a_large_correction_waits_for_somebody_else(world: World) -> None:
    till = Till.of(world)
    assert (await ask(till, LIMIT)).state == pb.Adjustment.BOOKED
    other = Till.of(world)
    waits = await ask(other, LIMIT + 1)
    assert (waits.state, waits.movement, await other.available()) == (pb.Adjustment.WAITING, "", 0)
    assert await queue(world) == [waits.name]
    with refused("SECOND_PERSON_NEEDED"):
        await approve(other, waits.name, by=ALMA)
    with refused("SECOND_PERSON_NEEDED"):
        await refuse(other, waits.name, by=ALMA)
    done = await approve(other, waits.name)
    assert (done.state, done.decided_by, await other.available()) == (
        pb.Adjustment.BOOKED,
        f"users/{BEN}",
        LIMIT + 1,
    )
    assert await queue(world) == []


async def test_the_database_takes_no_decision_of_who_asked(world: World) -> None:
    till = Till.of(world)
    await ask(till, LIMIT + 1)
    with pytest.raises(DBAPIError, match="adjustment_two_people_check"):
        await world.ask_database("UPDATE adjustment SET decided_by = asked_by")


async def test_many_small_corrections_are_a_large_one(world: World) -> None:
    till = Till.of(world)
    assert (await ask(till, LIMIT - 100)).state == pb.Adjustment.BOOKED
    assert (await ask(till, -100)).state == pb.Adjustment.BOOKED
    assert (await ask(till, 1)).state == pb.Adjustment.WAITING
    assert (await ask(Till.of(world), 1)).state == pb.Adjustment.BOOKED
    assert (await ask(till, 1, by=BEN)).state == pb.Adjustment.BOOKED
    world.advance(days=1)
    assert (await ask(till, 1)).state == pb.Adjustment.BOOKED


async def test_what_is_refused_is_not_booked_and_is_decided_once(world: World) -> None:
    till = Till.of(world)
    waits = await ask(till, 5_000)
    assert (await refuse(till, waits.name)).state == pb.Adjustment.REFUSED
    for decide in (approve, refuse):
        with refused("ADJUSTMENT_DECIDED") as said:
            await decide(till, waits.name)
        assert said[0].metadata["state"] == "REFUSED"
    assert await till.available() == 0


async def test_of_two_who_approve_at_once_the_points_are_booked_once(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    waits = await ask(till, 5_000)
    first = await approve(till, waits.name, key=key)
    assert await approve(till, waits.name, key=key) == first
    with refused("ADJUSTMENT_DECIDED"):
        await approve(till, waits.name, by=uuid4())
    assert await till.available() == 5_000


async def test_the_same_request_is_one_correction_for_ever(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    first = await ask(till, 100, key=key)
    world.advance(days=4_000)
    assert await ask(till, 100, key=key) == first
    assert await till.available() == 100
    with refused("REQUEST_ID_REUSED") as said:
        await ask(till, 101, key=key, by=BEN)
    assert [one.field for one in said[0].violations] == ["points", "caller"]


async def test_more_than_there_is_cannot_be_taken(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    await till.earn(50)
    with refused("INSUFFICIENT_POINTS"):
        await ask(till, -51, key=key)
    await till.earn(50)
    with refused("INSUFFICIENT_POINTS"):  # the answer to that request stays
        await ask(till, -51, key=key)
    waits = await ask(till, -5_000)
    with refused("INSUFFICIENT_POINTS"):
        await approve(till, waits.name)
    assert await queue(world) == [waits.name]
    await till.earn(4_900)
    assert (await approve(till, waits.name)).state == pb.Adjustment.BOOKED


async def test_a_correction_is_found_under_its_own_account_only(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    waits = await ask(till, 5_000)
    with refused("ADJUSTMENT_NOT_FOUND"):
        await approve(other, waits.name.replace(str(till.user), str(other.user)))


async def test_the_queue_is_read_by_pages(world: World) -> None:
    names: list[str] = []
    for _ in range(3):
        names.insert(0, (await ask(Till.of(world), 5_000)).name)
        world.advance(seconds=1)
    request = pb.ListAdjustmentsRequest(parent="users/-/pointsAccount", page_size=2)
    first = await world.finance.ListAdjustments(request, metadata=admin(world))
    request.page_token = first.next_page_token
    second = await world.finance.ListAdjustments(request, metadata=admin(world))
    assert [one.name for one in (*first.adjustments, *second.adjustments)] == names
    assert second.next_page_token == ""


async def test_the_reason_goes_with_its_person_and_the_books_stay_right(world: World) -> None:
    till = Till.of(world)
    await ask(till, 100, reason="the courier of Ada Lovelace was late")
    waits = await ask(till, 5_000)
    [(reason, salt, hashed)] = await world.ask_database(
        "SELECT reason, salt, asked ->> 'reason' FROM adjustment JOIN operation ON operation.id = operation_id"
    )
    assert hashlib.sha256(salt + reason.encode()).hexdigest() == hashed
    await erase(world, till.user)
    assert await world.ask_database("SELECT user_id, reason, salt FROM adjustment WHERE points = 100") == [
        (None, None, None)
    ]
    assert await world.ask_database("SELECT asked_by FROM adjustment WHERE points = 100") == [(ALMA,)]
    assert await remaining(world, till.user) == []
    told = await world.books()
    assert told.balanced, told.findings
    assert await queue(world) == []
    with refused("ADJUSTMENT_NOT_FOUND"):
        await approve(till, waits.name)
