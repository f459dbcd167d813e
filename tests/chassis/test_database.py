import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from asyncpg.exceptions import InterfaceError, InternalClientError
from sqlalchemy import Enum, bindparam, exc, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.database import (
    DEADLOCK,
    SERIALIZATION_FAILURE,
    Prepared,
    Sessions,
    Words,
    connect,
    fetch,
    in_transaction,
    metadata,
    sqlstate,
    told_as_ever,
)
from tests.chassis.people import Base


async def ask(sessions: Sessions, statement: str) -> object:
    async with sessions() as session:
        return await session.scalar(text(statement))


async def test_a_service_is_known_by_its_name(sessions: Sessions) -> None:
    assert await ask(sessions, "SHOW application_name") == "tests"


async def test_a_statement_does_not_go_on_for_ever(sessions: Sessions) -> None:
    assert await ask(sessions, "SHOW statement_timeout") == "30s"
    assert await ask(sessions, "SHOW idle_in_transaction_session_timeout") == "1min"


async def test_rows_about_people_are_written_at_read_committed(database: str) -> None:
    """Whatever the database itself is set to."""
    engine, sessions = connect(database, name="tests")
    async with sessions.begin() as session:
        name = await session.scalar(text("SELECT current_database()"))
        await session.execute(
            text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")  # our own name
        )
    await engine.dispose()
    engine, sessions = connect(database, name="tests")
    assert await ask(sessions, "SHOW transaction_isolation") == "read committed"
    await engine.dispose()


async def test_a_service_takes_no_more_connections_than_its_share(database: str) -> None:
    engine, sessions = connect(database, name="tests", most=1)
    engine.sync_engine.pool._timeout = 0.01  # type: ignore[attr-defined]  # five seconds, otherwise
    async with sessions.begin() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(exc.TimeoutError):
            await ask(sessions, "SELECT 1")
    await engine.dispose()


async def test_an_error_does_not_show_the_parameters(sessions: Sessions) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with sessions() as session:
            await session.execute(text("SELECT 1 / (length(:it) - 6)"), {"it": bytes.fromhex("63616e617279").decode()})
    assert "canary" not in str(caught.value)
    assert sqlstate(caught.value) == "22012"


async def test_a_connection_that_broke_is_replaced(sessions: Sessions) -> None:
    """A restart of the database costs nobody a call."""
    async with sessions() as other:
        await other.execute(text("SELECT 1"))  # holds a connection, so that the next is another
        first = await ask(sessions, "SELECT pg_backend_pid()")
        assert await other.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    second = await ask(sessions, "SELECT pg_backend_pid()")
    assert second not in (None, first)


def test_constraints_are_named_after_what_they_are_on() -> None:
    tables = Base.metadata.tables
    names = {one.name for table in tables.values() for one in table.constraints}
    names |= {one.name for table in tables.values() for one in table.indexes}
    assert names >= {
        "user_pkey",
        "user_email_key",
        "credential_user_id_fkey",
        "sock_drawer_id_owner_id_fkey",
        "call_customer_id_idx",
    }


# Another transaction in the way --------------------------------------------------------------------------------------


async def test_two_who_stand_in_each_others_way_are_both_done(sessions: Sessions) -> None:
    """One of them is the victim of a deadlock, and is done again."""
    tries: list[int] = []
    both = asyncio.Barrier(2)
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE pair AS SELECT n AS id, 0 AS count FROM generate_series(1, 2) n"))

    async def count(first: int, second: int) -> None:
        async def work(session: AsyncSession) -> None:
            tries.append(first)
            await session.execute(text("UPDATE pair SET count = count + 1 WHERE id = :id"), {"id": first})
            if len(tries) <= 2:  # the first time, neither goes on before the other has its row
                await both.wait()
            await session.execute(text("UPDATE pair SET count = count + 1 WHERE id = :id"), {"id": second})

        await in_transaction(sessions, work)

    await asyncio.gather(count(1, 2), count(2, 1))
    assert await ask(sessions, "SELECT array_agg(count) FROM pair") == [2, 2]
    assert len(tries) == 3


@pytest.mark.parametrize(("state", "times"), [(SERIALIZATION_FAILURE, 4), (DEADLOCK, 4), ("23505", 1), ("P0E01", 1)])
async def test_only_what_may_pass_is_tried_again_and_not_for_ever(sessions: Sessions, state: str, times: int) -> None:
    tries = 0

    async def work(session: AsyncSession) -> None:
        nonlocal tries
        tries += 1
        await session.execute(text(f"DO $$BEGIN RAISE SQLSTATE '{state}'; END$$"))

    with pytest.raises(DBAPIError) as caught:
        await in_transaction(sessions, work)
    assert (sqlstate(caught.value), tries) == (state, times)


async def test_what_is_done_is_kept_and_what_fails_is_not(sessions: Sessions) -> None:
    async def work(session: AsyncSession) -> str:
        await session.execute(text("CREATE TABLE made ()"))
        return "done"

    assert await in_transaction(sessions, work) == "done"
    assert await ask(sessions, "SELECT to_regclass('made')::text") == "made"

    async def fail(session: AsyncSession) -> None:
        await session.execute(text("DROP TABLE made"))
        raise LookupError

    with pytest.raises(LookupError):
        await in_transaction(sessions, fail)
    assert await ask(sessions, "SELECT to_regclass('made')::text") == "made"


async def test_a_line_that_is_cut_before_it_begins_is_told_as_ever(database: str) -> None:
    """Who waits for the rows of the driver knows by the kind of error that they may ask again."""
    (engine, sessions), (other, others) = connect(database, name="to be cut", most=1), connect(database, name="other")
    async with sessions() as session:
        await fetch(session, "SELECT 1")
        await session.commit()
        await session.connection()  # taken, and not begun
        await ask(others, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be cut'")
        with pytest.raises(DBAPIError) as told:
            await fetch(session, "SELECT 1")
        assert told.value.connection_invalidated
        await session.rollback()
    async with sessions() as session:
        assert (await fetch(session, "SELECT 1"))[0][0] == 1
    await engine.dispose()
    await other.dispose()


CUT = [
    InterfaceError("closed"),  # type: ignore[no-untyped-call]
    InternalClientError("cannot switch"),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", CUT)
def test_whatever_the_driver_says_of_a_line_that_is_cut_it_is_told_as_ever(error: Exception) -> None:
    """Which of them depends on how much of the end has arrived when it is asked."""
    with pytest.raises(DBAPIError) as told, told_as_ever("BEGIN"):
        raise error
    assert told.value.connection_invalidated


async def test_a_line_that_the_driver_finds_out_of_step_is_one_that_was_cut(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through SQLAlchemy too: who waits may ask again, and the line goes to nobody else."""
    engine, sessions = connect(database, name="tests", most=1)
    async with sessions() as session:
        line: Any = (await (await session.connection()).get_raw_connection()).driver_connection
        first = await session.scalar(text("SELECT pg_backend_pid()"))
        with monkeypatch.context() as cut:
            cut.setattr(type(line), "prepare", out_of_step)
            with pytest.raises(DBAPIError) as told:
                await session.execute(text("SELECT 2"))
        assert told.value.connection_invalidated
    assert await ask(sessions, "SELECT pg_backend_pid()") != first
    await engine.dispose()


# Statements that are written out once ---------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


class Toys(Words, DeclarativeBase):
    metadata = metadata()


class Toy(Toys):
    __tablename__ = "toy"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    colour: Mapped[Colour] = mapped_column(Enum(Colour, native_enum=False, length=10))
    words: Mapped[list[str]]
    said: Mapped[dict[str, Any]]
    made_time: Mapped[datetime]
    gone_time: Mapped[datetime | None]


BALL = {
    "id": UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"),
    "colour": Colour.RED,
    "words": ["round", 'with "quotes", {and} so on'],
    "said": {"weight": 2, "parts": [None, True]},
    "made_time": datetime(2026, 11, 29, 12, tzinfo=UTC),
    "gone_time": None,
}
ADD = Prepared(insert(Toy))
OF_COLOUR = Prepared(select(Toy).where(Toy.colour == bindparam("colour")).order_by(Toy.id))
RED = Prepared(select(Toy.id).where(Toy.colour == Colour.RED, Toy.made_time <= bindparam("now")))
PAINT = Prepared(update(Toy).where(Toy.id == bindparam("which")).values(colour=Colour.BLUE).returning(Toy.colour))


@pytest.fixture
async def toys(sessions: Sessions) -> Sessions:
    async with sessions.begin() as session:
        await (await session.connection()).run_sync(Toys.metadata.create_all)
    return sessions


async def test_what_is_written_out_once_gives_what_it_was_given(toys: Sessions) -> None:
    async with toys.begin() as session:
        await ADD.rows(session, **BALL)
    async with toys() as session:
        ball = await OF_COLOUR.find(session, Toy, colour=Colour.RED)
        assert ball is not None
        assert {name: getattr(ball, name) for name in BALL} == BALL
        assert type(ball.colour) is Colour
        assert ball not in session
        assert await OF_COLOUR.find(session, Toy, colour=Colour.BLUE) is None
        assert await OF_COLOUR.row(session, colour=Colour.BLUE) is None


async def test_it_may_hold_values_of_its_own(toys: Sessions) -> None:
    async with toys.begin() as session:
        await ADD.rows(session, **BALL)
        assert await RED.rows(session, now=BALL["made_time"]) == [(BALL["id"],)]
        assert await PAINT.rows(session, which=BALL["id"]) == [[Colour.BLUE]]
        assert await RED.rows(session, now=BALL["made_time"]) == []


async def test_it_sees_what_the_session_holds_back(toys: Sessions) -> None:
    async with toys.begin() as session:
        session.add(ball := Toy(**BALL))
        assert await RED.row(session, now=BALL["made_time"])
        ball.colour = Colour.BLUE
        assert await RED.row(session, now=BALL["made_time"]) is None
        ball.colour = Colour.RED
        await session.flush()
        await session.delete(ball)
        assert await RED.row(session, now=BALL["made_time"]) is None


async def test_it_is_undone_with_its_transaction(toys: Sessions) -> None:
    async with toys() as session:
        await ADD.rows(session, **BALL)
        await session.rollback()
    assert await ask(toys, "SELECT count(*) FROM toy") == 0


@pytest.mark.parametrize("values", [{}, {"colour": Colour.RED, "size": 3}, {"color": Colour.RED}])
async def test_it_takes_the_values_that_it_names_and_no_others(toys: Sessions, values: dict[str, Any]) -> None:
    async with toys() as session:
        with pytest.raises(TypeError, match="This takes colour"):
            await OF_COLOUR.rows(session, **values)


async def test_what_is_no_such_value_is_told_as_ever(toys: Sessions) -> None:
    async with toys() as session:
        with pytest.raises(DBAPIError):
            await ADD.rows(session, **(BALL | {"made_time": "tomorrow"}))


async def out_of_step(*_: object, **__: object) -> None:
    raise InternalClientError("cannot switch to state 15; another operation (2) is in progress")
