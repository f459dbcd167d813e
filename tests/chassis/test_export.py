import json
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert

from chassis.database import Sessions
from chassis.personal_data.export import export
from chassis.personal_data.retention import load
from tests.chassis.conftest import PLANTED, People
from tests.chassis.people import NOW, TABLES, Call, Ticket

CURSORS = "SELECT statement FROM pg_cursors WHERE name <> ''"
SECRETS = {"credential.hash"}


async def exported(sessions: Sessions, person: UUID) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    async with sessions() as session:
        async for row in export(session, TABLES, person, load()):
            found.setdefault(row.table, []).append(json.loads(row.json))
    return found


async def test_a_person_gets_all_that_is_theirs(held: Sessions, people: People) -> None:
    theirs = await exported(held, people.ada)
    said = json.dumps(theirs)
    assert {column for column, word in PLANTED.items() if word not in said} == SECRETS
    assert {message["body"]["value"] for message in theirs["message"]} == {"canary-body 1", "canary-body 2"}


async def test_a_value_says_what_it_is_why_and_for_how_long(held: Sessions, people: People) -> None:
    [user] = (await exported(held, people.ada))["user"]
    assert user["email"] == {
        "value": "canary-email@x",
        "category": "user.contact.email",
        "purpose": "essential.service.authentication",
        "retention": "until account end",
    }


async def test_rows_are_whole(held: Sessions, people: People) -> None:
    theirs = await exported(held, people.ada)
    [call], [ticket] = theirs["call"], theirs["ticket"]
    assert call["seconds"] == {"value": 61}
    assert ticket["queue"] == {"value": "returns"}
    assert ticket["create_time"] == {"value": NOW.isoformat()}
    assert theirs["user"][0]["birth_date"]["value"] == "1815-12-10"


async def test_rows_that_go_through_another_are_theirs(held: Sessions, people: People) -> None:
    theirs = await exported(held, people.ada)
    assert [row["points"]["value"] for row in theirs["entry"]] == [500]
    assert sorted(row["points"]["value"] for row in theirs["leg"]) == [-500, 500]
    assert theirs["entry"][0]["account_id"]["value"] == theirs["member"][0]["account_id"]["value"]


async def test_an_export_names_nobody_else(held: Sessions, people: People) -> None:
    theirs = await exported(held, people.ada)
    [answer] = [message for message in theirs["message"] if message["body"]["value"] == "canary-body 2"]
    assert answer["author_name"]["value"] == "[user.name]"
    assert answer["author_id"]["value"] == "[user.unique_id]"
    assert answer["customer_id"]["value"] == str(people.ada)
    assert "Eve" not in json.dumps(theirs)
    assert str(people.eve) not in json.dumps(theirs)


async def test_an_agents_export_has_their_name_and_not_the_customers_words(held: Sessions, people: People) -> None:
    theirs = await exported(held, people.eve)
    [message] = theirs["message"]
    assert (message["author_name"]["value"], message["body"]["value"]) == ("Eve", "[user.content.private]")
    assert "canary" not in json.dumps(theirs)
    assert str(people.ada) not in json.dumps(theirs)


async def test_a_secret_is_said_to_be_held_and_not_told(held: Sessions, people: People) -> None:
    [credential] = (await exported(held, people.ada))["credential"]
    assert credential["hash"]["value"] == "[user.authorization.credentials]"


async def test_what_nobody_can_be_told_from_is_in_no_export(held: Sessions, people: People) -> None:
    assert "mark" not in await exported(held, people.ada)


async def test_nobody_unknown_has_rows(held: Sessions, people: People) -> None:
    assert await exported(held, uuid4()) == {}


async def test_rows_come_as_they_are_read(held: Sessions) -> None:
    """However many there are, no more than a part of them is in memory."""
    ada = uuid4()
    async with held.begin() as session:
        rows = [{"customer_id": ada, "seconds": 1} for _ in range(1_000)]
        await session.execute(insert(Call), rows)
        await session.execute(insert(Ticket), [{"customer_id": ada, "title": "x" * 10_000} for _ in range(300)])
    async with held() as session:
        connection = await session.connection()
        begun = export(session, TABLES, ada, load())
        first = (await anext(begun)).table
        raw: Any = (await connection.get_raw_connection()).driver_connection
        assert any(f"FROM {first}" in row["statement"] for row in await raw.fetch(CURSORS))
        assert 1 + len([row async for row in begun]) == 1_300
