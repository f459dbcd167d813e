from typing import Any
from uuid import uuid4

from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned

from chassis.personal_data import restrict
from tests.loyalty.conftest import OPERATOR, World
from tests.world import refused


async def test_everybody_has_an_account_and_an_untouched_one_holds_none(world: World) -> None:
    ada = world.person()
    name = f"users/{ada}/pointsAccount"
    account = await world.stub.GetPointsAccount(pb.GetPointsAccountRequest(name=name), metadata=world.as_(ada))
    assert account == pb.PointsAccount(name=name, currency="R points")
    assert await world.movements(ada) == []
    assert await world.ask_database("SELECT 1 FROM account") == []  # a look opens none


async def test_points_given_by_hand_are_a_movement_and_an_event(world: World) -> None:
    ada = world.person()
    movement = await world.earn(ada, 25)
    assert (movement.kind, movement.points, movement.balance_after) == (pb.Movement.GOODWILL, 25, 25)
    assert movement.name.startswith(f"users/{ada}/pointsAccount/movements/")
    assert await world.movements(ada) == [movement]
    [event] = await world.stated(PointsEarned)
    assert event == PointsEarned(
        user=f"users/{ada}",
        points_account=f"users/{ada}/pointsAccount",
        movement=movement.name,
        kind=pb.Movement.GOODWILL,
        points=25,
        event_time=movement.effective_time,
    )


async def test_a_statement_runs_newest_first_over_pages(world: World) -> None:
    ada = world.person()
    made = [await world.earn(ada, points) for points in (1, 2, 3, 4, 5)]
    found: list[pb.Movement] = []
    token = ""
    while True:
        page = await world.page(ada, page_size=2, page_token=token)
        assert len(page.movements) <= 2
        found += page.movements
        token = page.next_page_token
        if not token:
            break
    assert found == made[::-1]
    assert [one.balance_after for one in found] == [15, 10, 6, 3, 1]


async def test_a_page_token_is_good_for_its_own_statement_only(world: World) -> None:
    ada, bo = world.person(), world.person()
    for user in (ada, ada, bo, bo):
        await world.earn(user, 1)
    token = (await world.page(ada, page_size=1)).next_page_token
    with refused("PAGE_TOKEN_INVALID"):
        await world.page(bo, page_size=1, page_token=token)


async def test_another_persons_points_are_nobody_elses_to_see(world: World) -> None:
    ada, eve = world.person(), world.person()
    await world.earn(ada, 10)
    name = f"users/{ada}/pointsAccount"
    for metadata in (world.as_(eve), world.as_(eve, "privacy_officer")):
        with refused("FORBIDDEN"):
            await world.stub.GetPointsAccount(pb.GetPointsAccountRequest(name=name), metadata=metadata)
        with refused("FORBIDDEN"):
            await world.stub.ListMovements(pb.ListMovementsRequest(parent=name), metadata=metadata)
    agent = world.as_(eve, "agent")
    assert (await world.stub.GetPointsAccount(pb.GetPointsAccountRequest(name=name), metadata=agent)).available == 10


async def test_only_an_admin_gives_points_by_hand(world: World) -> None:
    ada = world.person()
    request = pb.EarnPointsRequest(parent=f"users/{ada}/pointsAccount", points=1, request_id=str(uuid4()))
    for metadata in (world.as_(ada), world.as_(ada, "agent")):
        with refused("FORBIDDEN"):
            await world.stub.EarnPoints(request, metadata=metadata)
    await world.stub.EarnPoints(request, metadata=world.as_(ada, "admin"))


async def test_what_is_no_gift_is_refused(world: World) -> None:
    right: dict[str, Any] = {"parent": f"users/{world.person()}/pointsAccount", "points": 1, "request_id": str(uuid4())}
    for field, value in (("points", 0), ("points", -5), ("points", 10**9 + 1), ("request_id", "no uuid")):
        with refused("INVALID_FIELD") as said:
            await world.stub.EarnPoints(pb.EarnPointsRequest(**right | {field: value}), metadata=OPERATOR)
        assert [one.field for one in said[0].violations] == [field]


async def test_nobody_but_the_person_works_with_points_that_are_restricted(world: World) -> None:
    ada, ravi = world.person(), world.person()
    await world.earn(ada, 10)
    async with world.sessions.begin() as session:
        await restrict.restrict(session, ada, restricted=True, now=world.now())
    name = f"users/{ada}/pointsAccount"
    with refused("PERSON_RESTRICTED"):
        await world.earn(ada, 10)
    with refused("PERSON_RESTRICTED"):
        await world.stub.GetPointsAccount(pb.GetPointsAccountRequest(name=name), metadata=world.as_(ravi, "agent"))
    assert await world.balance(ada) == (10, 0)
