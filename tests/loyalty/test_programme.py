import asyncio

from rapport.loyalty.v1 import loyalty_pb2 as pb

from tests.loyalty.conftest import OPERATOR, World
from tests.world import refused


async def rules(world: World) -> pb.Programme:
    return await world.stub.GetProgramme(pb.GetProgrammeRequest())


async def test_the_rules_are_there_for_everybody_to_read(world: World) -> None:
    told = await rules(world)
    assert (told.currency, told.newsletter_bonus, told.points_per_unit, told.version) == ("R points", 500, 1, 1)


async def test_a_change_is_a_new_version_and_the_same_rules_are_none(world: World) -> None:
    assert (await world.set_rules(bonus=600)).version == 2
    assert (await world.set_rules(bonus=600)).version == 2
    assert (await rules(world)).newsletter_bonus == 600


async def test_a_change_of_what_somebody_changed_meanwhile_is_refused(world: World) -> None:
    seen = (await rules(world)).etag
    await world.set_rules(bonus=600, etag=seen)
    with refused("ETAG_MISMATCH"):
        await world.set_rules(bonus=700, etag=seen)
    assert (await rules(world)).newsletter_bonus == 600


async def test_changes_at_once_are_versions_one_after_another(world: World) -> None:
    told = await asyncio.gather(*(world.set_rules(bonus=bonus) for bonus in range(1, 9)))
    assert sorted(one.version for one in told) == list(range(2, 10))


async def test_without_rules_nothing_is_given(world: World) -> None:
    await world.ask_database("DELETE FROM programme")
    with refused("PROGRAMME_NOT_SET"):
        await rules(world)
    token = await world.link("ada@example.org", world.person("ada@example.org"))
    with refused("PROGRAMME_NOT_SET"):
        await world.confirm(token)
    await world.set_rules()
    assert (await world.confirm(token)).bonus_points == 500


async def test_only_an_admin_changes_the_rules(world: World) -> None:
    request = pb.UpdateProgrammeRequest(programme=pb.Programme(currency="R points"))
    with refused("FORBIDDEN"):
        await world.stub.UpdateProgramme(request, metadata=world.as_(world.person(), "agent"))
    with refused("SIGN_IN_NEEDED"):
        await world.stub.UpdateProgramme(request)
    assert (await world.stub.UpdateProgramme(request, metadata=OPERATOR)).version == 2
