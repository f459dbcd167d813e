from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import text

from chassis.database import Sessions
from chassis.personal_data.erase import erase
from chassis.personal_data.residue import find
from tests.chassis.conftest import PLANTED, People
from tests.chassis.people import NOW, TABLES

NEEDLE = "Ada.Lovelace+shop@example.org"
WRITTEN = {
    "plain": NEEDLE,
    "within": f"write to {NEEDLE} please",
    "lower": NEEDLE.lower(),
    "upper": NEEDLE.upper(),
    "hex": NEEDLE.encode().hex(),
    "upper hex": NEEDLE.encode().hex().upper(),
    "base64": b64encode(NEEDLE.encode()).decode(),
    "base64 for urls": urlsafe_b64encode(NEEDLE.encode()).decode().rstrip("="),
    "base64 of a sentence": b64encode(f"from {NEEDLE} today".encode()).decode(),
    "base64 of another": b64encode(f"to: {NEEDLE}, today".encode()).decode(),
    "base64 of a third": b64encode(f"to {NEEDLE}!".encode()).decode(),
    "url": quote(NEEDLE),
    "url, all of it": quote(NEEDLE, safe=""),
    "form": quote_plus(NEEDLE),
}


async def planted(sessions: Sessions, kind: str, value: object) -> dict[str, int]:
    """What is found where `value` lies in a column of that kind, that no model knows."""
    async with sessions.begin() as session:
        await session.execute(text(f"CREATE TABLE forgotten (note {kind})"))
        insert = f"INSERT INTO forgotten VALUES (CAST(CAST(:it AS text) AS {kind}))"  # noqa: S608 - ours
        await session.execute(text(insert), {"it": value})
        return await find(session, NEEDLE)


@pytest.mark.parametrize("value", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("kind", ["text", "bytea"])
async def test_whichever_way_it_is_written(held: Sessions, kind: str, value: str) -> None:
    assert await planted(held, kind, value) == {"forgotten.note": 1}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("varchar(100)", NEEDLE),
        ("json", f'{{"a": ["{NEEDLE}"]}}'),
        ("jsonb", f'{{"{NEEDLE}": 1}}'),
        ("text[]", f'{{x,"{NEEDLE}"}}'),
        ("bytea[]", f"{{x,{NEEDLE}}}"),
        ("tsvector", NEEDLE.lower()),
    ],
)
async def test_whatever_the_column_is(held: Sessions, kind: str, value: str) -> None:
    assert await planted(held, kind, value) == {"forgotten.note": 1}


async def test_a_quoted_word_in_json(held: Sessions) -> None:
    async with held.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql('CREATE TABLE "odd:name" ("a ""b"":c" json)')
        await connection.exec_driver_sql("""INSERT INTO "odd:name" VALUES ('{"a": "M\\u00fcller"}')""")
        assert await find(session, "Müller") == {'odd:name.a "b":c': 1}


async def test_words_of_a_full_text_index(held: Sessions) -> None:
    async with held.begin() as session:
        await session.execute(text("CREATE TABLE indexed (words tsvector)"))
        await session.execute(
            text("INSERT INTO indexed VALUES (to_tsvector('english', 'She wrote programming notes'))")
        )
        assert await find(session, "programming notes") == {"indexed.words": 1}


async def test_in_other_schemas_too(held: Sessions) -> None:
    async with held.begin() as session:
        await session.execute(text("CREATE SCHEMA aside"))
        await session.execute(text("CREATE TABLE aside.copy AS SELECT :it AS email"), {"it": NEEDLE})
        assert await find(session, NEEDLE) == {"aside.copy.email": 1}


async def test_a_birthday_is_found(held: Sessions, people: People) -> None:
    async with held() as session:
        assert await find(session, "1815-12-10") == {"user.birth_date": 1}


async def test_everything_planted_is_found_where_it_is(held: Sessions, people: People) -> None:
    async with held() as session:
        for column, word in PLANTED.items():
            assert column in await find(session, word)


async def test_after_an_erasure_only_what_is_kept_is_found(held: Sessions, people: People) -> None:
    async with held.begin() as session:
        await erase(session, TABLES, people.ada, NOW)
    async with held() as session:
        assert await find(session, "canary") == {"bill.address": 1}


async def test_rows_are_counted(held: Sessions, people: People) -> None:
    async with held() as session:
        assert await find(session, "canary-body") == {"message.body": 2}
        assert await find(session, "nobody of that name") == {}


async def test_nothing_is_not_looked_for(held: Sessions) -> None:
    async with held() as session:
        with pytest.raises(ValueError, match="finds everything"):
            await find(session, "")
