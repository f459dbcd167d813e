"""What was asked before is answered as it was, whatever happened since; and anything else under its id is refused."""

from uuid import uuid4

from tests.loyalty.conftest import World
from tests.loyalty.ledger import Till
from tests.loyalty.test_erasure import erase
from tests.world import refused


async def test_points_that_ended_since_are_answered_as_they_were_given(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    first = await till.earn(100, ends=10, key=key)
    again = await Till(world, till.user, till.begin).at(11).earn(100, ends=10, key=key)
    assert (again.name, again.replayed) == (first.name, True)
    with refused("REQUEST_ID_REUSED") as said:
        await till.earn(100, ends=9, key=key)
    assert [one.field for one in said[0].violations] == ["expire_time"]
    with refused("INVALID_FIELD"):
        await till.earn(100, ends=10)


async def test_another_destination_is_another_transfer(world: World) -> None:
    till, bo, cy, key = Till.of(world), Till.of(world), Till.of(world), str(uuid4())
    await till.earn(100)
    first = await till.transfer(bo, 40, key=key)
    with refused("REQUEST_ID_REUSED") as said:
        await till.transfer(cy, 40, key=key)
    assert [one.field for one in said[0].violations] == ["destination"]
    assert (await till.transfer(bo, 40, key=key)).name == first.name
    assert [await one.available() for one in (till, bo, cy)] == [60, 40, 0]


async def test_a_transfer_to_somebody_erased_since_is_answered_as_it_was(world: World) -> None:
    till, bo, key = Till.of(world), Till.of(world), str(uuid4())
    await till.earn(100)
    first = await till.transfer(bo, 40, key=key)
    await erase(world, bo.user)
    again = await till.transfer(bo, 40, key=key)
    assert (again.name, again.replayed) == (first.name, True)
    assert await till.available() == 60


async def test_another_time_is_another_earning(world: World) -> None:
    till, key = Till.of(world), str(uuid4())
    await till.at(5).earn(100, since=1, key=key)
    with refused("REQUEST_ID_REUSED") as said:
        await till.earn(100, since=2, key=key)
    assert [one.field for one in said[0].violations] == ["effective_time"]
    assert await till.available() == 100
