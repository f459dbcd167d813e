"""The marks that remember a bonus: the vectors of the programme's specification, and its keys."""

from datetime import UTC, datetime

import pytest

from services.loyalty.keys import BonusKeysError, Keys
from tests.loyalty.conftest import World
from tests.loyalty.shopper import set_reward_rules

# K = 00 01 .. 1f, campaign shop-eu/newsletter-500/v1: the first 16 bytes of the mark.
VECTORS = [
    ("janedoe@gmail.com", "c42559b650b187a7fed3597637b6de96"),
    ("jane+a@example.org", "6726e3b3622f0d165a45a75f03c18a28"),
    ("jane@example.org", "ba129022db8d40a66593c39f025ab438"),
]


async def marks(world: World) -> dict[str, str]:
    rows = await world.ask_database("SELECT form, encode(substr(mac, 1, 16), 'hex') FROM bonus_mark")
    return dict(tuple(row) for row in rows)


async def test_an_address_is_remembered_by_its_mark(world: World) -> None:
    for email, mark in VECTORS:
        await world.subscribe(email, world.person(email))
        assert await marks(world) == {"exact": mark, "canonical": mark}
        await world.ask_database("DELETE FROM bonus_mark")


async def test_an_alias_is_remembered_as_its_mailbox(world: World) -> None:
    await world.subscribe("Jane.Doe+x@Gmail.com", world.person("jane.doe+x@gmail.com"))
    found = await marks(world)
    assert found["canonical"] == "c42559b650b187a7fed3597637b6de96"
    assert found["exact"] != found["canonical"]


async def test_a_mark_tells_neither_the_day_nor_the_account(world: World) -> None:
    await world.subscribe("ada@example.org", world.person("ada@example.org"))
    columns = await world.ask_database(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'bonus_mark'"
    )
    assert {one for (one,) in columns} == {"campaign", "key_version", "form", "mac", "create_time", "delete_time"}
    [(month, end)] = await world.ask_database("SELECT DISTINCT create_time, delete_time FROM bonus_mark")
    assert (month.day, month.hour, month.minute) == (1, 0, 0)
    assert (end.year, end.month, end.day, end.hour) == (month.year + 2, month.month, 1, 0)


async def test_every_key_that_lives_is_asked_and_the_last_one_marks(world: World) -> None:
    await world.subscribe("ada@example.org", world.person("ada@example.org"))
    await world.ask_database("UPDATE bonus_mark SET key_version = 7")  # as if made by a version we do not have
    told = await world.subscribe("ada@example.org", world.person("ada@example.org"))
    assert told.bonus_points == 500
    assert await world.ask_database("SELECT DISTINCT key_version FROM bonus_mark ORDER BY 1") == [(1,), (7,)]


async def test_a_mark_ends_two_years_after_it_was_made(world: World) -> None:  # N7
    await world.subscribe("ada@example.org", world.person("ada@example.org"))
    world.advance(days=724)  # to 2028-06-29; it ends with the month
    await world.settle()
    assert await marks(world) != {}
    world.advance(days=2)
    await world.settle()
    assert await marks(world) == {}
    told = await world.subscribe("ada@example.org", world.person("ada@example.org"))
    assert told.bonus_points == 500


async def test_a_mark_ends_two_years_after_its_campaign_where_that_ends(world: World) -> None:  # N7
    await world.subscribe("ada@example.org", world.person("ada@example.org"))
    await set_reward_rules(world, end=datetime(2027, 1, 31, tzinfo=UTC), mark_months=13)
    [(end,)] = await world.ask_database("SELECT DISTINCT delete_time FROM bonus_mark")
    assert end == datetime(2028, 2, 29, tzinfo=UTC)
    await world.subscribe("bo@example.org", world.person("bo@example.org"))
    assert await world.ask_database("SELECT DISTINCT delete_time FROM bonus_mark") == [(end,)]


async def test_a_destroyed_key_has_forgotten_whom_it_marked(world: World) -> None:  # N7
    await world.subscribe("ada@example.org", world.person("ada@example.org"))
    await world.ask_database("UPDATE bonus_mark SET key_version = 2")  # a version that is destroyed
    told = await world.subscribe("ada@example.org", world.person("ada@example.org"))
    assert told.bonus_points == 500


def test_an_emptied_line_is_a_key_destroyed_and_the_others_keep_their_number() -> None:
    old, new = "aa" * 32, "bb" * 32
    assert Keys.read(f"{old}\n{new}\n").versions == {1: bytes.fromhex(old), 2: bytes.fromhex(new)}
    assert Keys.read(f"\n{new}").versions == {2: bytes.fromhex(new)}


@pytest.mark.parametrize("text", ["", "\n", "no hex", "aa" * 31])
def test_keys_that_are_none_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(BonusKeysError) as error:
        Keys.read(text)
    assert "RAPPORT_BONUS_KEY_FILE" in str(error.value)
    assert not text.strip() or text not in str(error.value)
