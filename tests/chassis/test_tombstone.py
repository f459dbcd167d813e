import asyncio
from collections.abc import Awaitable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import SERIALIZATION_FAILURE, Sessions, connect, sqlstate
from chassis.personal_data.erase import erase
from chassis.personal_data.tombstone import (
    ERASED,
    Unguarded,
    erased_subject,
    guard,
    guards,
    is_erased,
    lock,
    refused_person,
    verify,
)
from tests.chassis.conftest import People
from tests.chassis.people import NOW, TABLES, Base, Call, Message, Ticket, User

WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = 4711")


async def forget(sessions: Sessions, person: UUID) -> None:
    async with sessions.begin() as session:
        await erase(session, TABLES, person, NOW)


async def write(sessions: Sessions, row: Base) -> None:
    async with sessions.begin() as session:
        session.add(row)


async def run(sessions: Sessions, statement: str, **values: object) -> None:
    async with sessions.begin() as session:
        await session.execute(text(statement), values)


async def until_it_waits(watcher: AsyncSession, task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(10):
        while not task.done() and not await watcher.scalar(WAITING):  # noqa: ASYNC110 - the event is the database's
            await asyncio.sleep(0)
    assert not task.done()


async def refused(doing: Awaitable[None], person: UUID) -> None:
    with pytest.raises(DBAPIError) as caught:
        await doing
    assert sqlstate(caught.value) == ERASED
    assert refused_person(caught.value) == person
    assert str(person) not in str(caught.value.orig)  # the message goes to places where the detail does not


async def test_an_erased_person_does_not_come_back(held: Sessions, people: People) -> None:
    ada = people.ada
    await forget(held, ada)
    await refused(write(held, User(id=ada, email="back")), ada)
    await refused(write(held, Ticket(customer_id=ada, title="back")), ada)
    await refused(write(held, Call(customer_id=ada, seconds=1)), ada)
    await refused(run(held, "UPDATE ticket SET title = 'back' WHERE customer_id = :who", who=ada), ada)
    await refused(run(held, "UPDATE bill SET address = 'back' WHERE buyer_id = :who", who=ada), ada)
    await refused(run(held, "UPDATE call SET customer_id = :who", who=ada), ada)
    await refused(run(held, "INSERT INTO restricted_subject VALUES (:who, now())", who=ada), ada)


async def test_others_are_not_held_up(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    await write(held, Call(customer_id=people.eve, seconds=1))
    await write(held, Call(customer_id=None, seconds=1))
    await run(held, "UPDATE message SET author_name = 'Eva' WHERE author_id = :eve", eve=people.eve)


async def test_what_is_nobodys_in_a_kept_row_can_change(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    await run(held, "UPDATE ticket SET queue = 'closed', title = NULL WHERE customer_id = :ada", ada=people.ada)


async def test_forgetting_is_never_refused(held: Sessions, people: People) -> None:
    """What the law keeps ends one day, long after its person was erased."""
    await forget(held, people.eve)
    await run(held, "UPDATE message SET author_name = 'someone', author_id = NULL")
    async with held.begin() as session:
        await session.execute(text("ALTER TABLE bill ALTER address DROP NOT NULL"))
        await session.execute(erased_subject.insert().values(id=people.ada, erase_time=NOW))
    await run(held, "UPDATE bill SET address = NULL")


async def test_the_eraser_waits_for_a_writer_it_cannot_see(held: Sessions) -> None:
    ada = uuid4()
    async with held() as writer, held() as watcher:
        writer.add(Call(customer_id=ada, seconds=1))
        await writer.flush()  # in, and not committed
        eraser = asyncio.create_task(forget(held, ada))
        await until_it_waits(watcher, eraser)
        await writer.commit()
        await eraser
        assert (await watcher.scalars(select(Call).where(Call.customer_id == ada))).all() == []


async def test_a_writer_waits_for_the_eraser_and_is_refused(held: Sessions) -> None:
    ada = uuid4()
    async with held() as eraser, held() as watcher:
        await erase(eraser, TABLES, ada, NOW)  # done, and not committed
        writer = asyncio.create_task(write(held, Call(customer_id=ada, seconds=1)))
        await until_it_waits(watcher, writer)
        await eraser.commit()
        await refused(writer, ada)


async def test_a_changer_does_not_wait_with_the_row_in_hand(held: Sessions, people: People) -> None:
    """The eraser wants the row: it would be a deadlock, and half of the time the eraser its victim."""
    change = "UPDATE ticket SET title = 'back' WHERE customer_id = :who"
    async with held() as eraser:
        await lock(eraser, people.ada)
        with pytest.raises(DBAPIError) as caught:
            await run(held, change, who=people.ada)
        assert sqlstate(caught.value) == SERIALIZATION_FAILURE  # come again
        await erase(eraser, TABLES, people.ada, NOW)
        await eraser.commit()
    await refused(run(held, change, who=people.ada), people.ada)


async def test_writers_of_one_person_do_not_wait_for_each_other(held: Sessions) -> None:
    ada = uuid4()
    async with held() as first, held() as second:
        for session in (first, second):
            session.add(Call(customer_id=ada, seconds=1))
            await session.flush()
        await first.commit()
        await second.commit()


async def test_a_writer_after_a_rolled_back_erasure_is_let_in(held: Sessions) -> None:
    ada = uuid4()
    async with held() as eraser, held() as watcher:
        await erase(eraser, TABLES, ada, NOW)
        writer = asyncio.create_task(write(held, Call(customer_id=ada, seconds=1)))
        await until_it_waits(watcher, writer)
        await eraser.rollback()
        await writer
        assert not await is_erased(watcher, ada)


async def test_an_old_view_of_the_world_is_refused(place: str, people: People) -> None:
    """At REPEATABLE READ a writer would not see the tombstone that it waited for."""
    engine, _ = connect(place, name="tests")
    async with engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        with pytest.raises(DBAPIError, match="READ COMMITTED"):
            await connection.execute(
                text("INSERT INTO call (id, customer_id, seconds, create_time) VALUES (:id, :ada, 1, now())"),
                {"id": uuid4(), "ada": people.ada},
            )
    await engine.dispose()


# Start-up ------------------------------------------------------------------------------------------------------------


async def verified(sessions: Sessions) -> str:
    async with sessions() as session:
        try:
            await verify(session, TABLES)
        except Unguarded as problem:
            return str(problem)
    return ""


async def test_a_guarded_database_will_do(held: Sessions) -> None:
    assert await verified(held) == ""


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (
            "DROP FUNCTION call_customer_id_refuses_erased CASCADE",
            "call: the trigger customer_id_refuses_erased_insert",
        ),
        ("ALTER TABLE message DISABLE TRIGGER USER", "message: the trigger author_id_refuses_erased"),
        ("ALTER TABLE restricted_subject DISABLE TRIGGER ALL", "restricted_subject: the trigger id_refuses_erased"),
        (
            "ALTER FUNCTION refuse_erased RENAME TO refuses_nobody",
            "the function refuse_erased is missing or is another",
        ),
        (
            "UPDATE pg_proc SET prosrc = 'BEGIN END' WHERE proname = 'call_customer_id_refuses_erased'",
            "the function call_customer_id_refuses_erased is missing or is another",
        ),
    ],
)
async def test_a_missing_guard_is_named(held: Sessions, harm: str, named: str) -> None:
    await run(held, harm)
    assert named in await verified(held)


async def test_a_guard_of_an_earlier_declaration_will_not_do(held: Sessions) -> None:
    """Its trigger does not watch the column that came later."""
    async with held.begin() as session:
        for statement in guard("ticket", "customer_id", {}):
            await session.execute(text(statement))
    assert "ticket: the trigger customer_id_refuses_erased_update" in await verified(held)
    async with held.begin() as session:
        for statement in guards(Ticket.__table__):  # type: ignore[arg-type]
            await session.execute(text(statement))
    assert await verified(held) == ""
    assert await refused_columns(held) == {"title", "customer_id"}


async def refused_columns(sessions: Sessions) -> set[str]:
    async with sessions() as session:
        names = await session.scalars(
            text(
                "SELECT attname FROM pg_trigger JOIN pg_attribute ON attrelid = tgrelid AND attnum = ANY (tgattr)"
                " WHERE tgrelid = 'ticket'::regclass AND tgname LIKE '%update%'"
            )
        )
        return set(names)


def test_words_of_an_erased_row_are_quoted() -> None:
    [*_, update] = guard("message", "author_id", {"author_name": "somebody's: %s", "votes": 0, "shown": False})
    assert "IS DISTINCT FROM 'somebody''s: %s'" in update
    assert "IS DISTINCT FROM 0" in update
    assert "IS DISTINCT FROM false" in update


async def test_a_refusal_of_another_kind_is_nobodys(held: Sessions, people: People) -> None:
    with pytest.raises(DBAPIError) as caught:
        await write(held, User(id=uuid4(), email="canary-email@x"))
    assert refused_person(caught.value) is None


async def test_a_message_of_two_people_is_refused_for_the_one_who_is_erased(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    async with held() as session:
        [ticket] = (await session.scalars(select(Ticket))).all()
    words = {"ticket_id": ticket.id, "author_id": people.eve, "author_name": "Eve", "body": "for Ada"}
    await refused(write(held, Message(customer_id=people.ada, **words)), people.ada)
