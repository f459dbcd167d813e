import asyncio
from typing import Any

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


BASE = {"id": "base", "points_per_unit": 1}
TIERS: list[dict[str, Any]] = [{"id": "basic"}, {"id": "silver", "qualifying_points": 500}]
MISFITS: list[tuple[str, dict[str, Any]]] = [
    ("time_zone", {"time_zone": "Mars/Olympus"}),
    ("earn_rules[0]", {"earn_rules": [{"id": "nothing"}]}),
    ("earn_rules[0].id", {"earn_rules": [BASE | {"id": "Not A Word"}]}),
    ("earn_rules[1].id", {"earn_rules": [BASE, BASE]}),
    ("campaigns[0].id", {"earn_rules": [BASE], "campaigns": [{"id": "base"}]}),
    ("earn_rules[0].tiers", {"earn_rules": [BASE | {"tiers": ["gold"]}], "tier_ladder": {"tiers": TIERS}}),
    ("earn_rules[0].campaign", {"earn_rules": [BASE | {"campaign": "none"}]}),
    ("earn_rules[0].points_per_unit", {"earn_rules": [BASE | {"points_per_unit": -1}]}),
    ("campaigns[0].end_time", {"campaigns": [{"id": "c", "start_time": "2026-07-02T00:00:00Z",
                                              "end_time": "2026-07-02T00:00:00Z"}]}),
    ("caps[0].rules", {"caps": [{"id": "c", "period": "DAY", "points": 1, "rules": ["none"]}]}),
    ("caps[0].period", {"caps": [{"id": "c", "points": 1}]}),
    ("tier_ladder.tiers[0].qualifying_points", {"tier_ladder": {"tiers": [TIERS[1]]}}),
    ("tier_ladder.tiers", {"tier_ladder": {"tiers": [TIERS[0], TIERS[1], TIERS[1] | {"id": "gold"}]}}),
    ("tier_ladder.period_months", {"tier_ladder": {"tiers": TIERS, "period_months": 5}}),
    ("refund_grace_days", {"refund_grace_days": 366}),
]  # fmt: skip


async def test_rules_that_do_not_fit_together_are_refused_by_field(world: World) -> None:
    for field, terms in MISFITS:
        with refused("INVALID_FIELD") as said:
            await world.set_rules(**terms)
        assert [one.field for one in said[0].violations] == [f"programme.{field}"], field
    assert (await rules(world)).version == 1


async def test_all_that_is_set_is_there_to_read_and_a_change_of_any_part_is_a_version(world: World) -> None:
    terms: dict[str, Any] = {
        "time_zone": "America/New_York",
        "default_term": {"months": 12, "round_up_to": "MONTH"},
        "earn_rules": [BASE | {"campaign": "c", "start_time": "2026-07-02T00:00:00Z", "priority": 0}],
        "campaigns": [{"id": "c", "budget": 0, "when_short": "PARTIAL"}],
        "caps": [{"id": "day", "period": "DAY", "points": 10}],
        "tier_ladder": {"tiers": TIERS, "grace_days": 30},
        "release": "SHIPPED",
        "order_claw_back": "WITHIN_BALANCE",
    }
    told = await world.set_rules(**terms)
    assert await rules(world) == told
    assert told.earn_rules[0].HasField("priority")
    assert told.campaigns[0].HasField("budget")
    assert (await world.set_rules(**terms)).version == told.version
    terms["tier_ladder"]["grace_days"] = 31
    assert (await world.set_rules(**terms)).version == told.version + 1
