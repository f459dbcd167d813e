"""Tables and sessions.

    class Base(database.Words, DeclarativeBase):  # in a service's models.py: its own tables, in its own database
        metadata = database.metadata()

    engine, sessions = connect(settings.database_url.value, name="identity")
    async with sessions.begin() as session: ...

The tables that the chassis itself keeps in every service's database are Core Tables in `chassis_metadata`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresConnectionError, PostgresError
from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    ExceptionContext,
    Executable,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    event,
    make_url,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine

Sessions = async_sessionmaker[AsyncSession]
Done = TypeVar("Done")
Model = TypeVar("Model")
DIALECT: Any = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy types no dialect

# So that a constraint's name can be counted on: migrations drop it by name, refusals know it by name.
NAMES = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
IDLE = 5.0  # seconds after which a connection may have been lost without a word
USED = "when it was used last"
SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"


class Words:
    """What a plain annotation means in a model: whole numbers are 64 bits, times know their zone, text has no limit."""

    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any]]] = {
        int: BigInteger(),
        str: Text(),
        bytes: LargeBinary(),
        date: Date(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        list[str]: ARRAY(Text()),
        dict[str, Any]: JSONB(),
    }


def metadata() -> MetaData:
    """A collection of tables whose constraints and indexes are named after what they are on."""
    return MetaData(naming_convention=NAMES)


chassis_metadata = metadata()


def connect(url: str, *, name: str, most: int = 10) -> tuple[AsyncEngine, Sessions]:
    """Sessions on a pool of at most `most` connections, which PostgreSQL shows as `name`."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=most,
        max_overflow=0,
        pool_timeout=5,
        hide_parameters=True,
        isolation_level="READ COMMITTED",  # what the tombstones are proven for
        connect_args={
            "timeout": 5,
            "command_timeout": 60,  # for when the server cannot keep its own limit, below
            "server_settings": {
                "application_name": name,
                "timezone": "UTC",
                "statement_timeout": "30s",
                "idle_in_transaction_session_timeout": "60s",
                "jit": "off",  # it takes longer than our queries do
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", partial(check, engine.dialect))
    event.listen(engine.sync_engine, "checkin", note)
    event.listen(engine.sync_engine, "handle_error", tell_cut)
    return engine, async_sessionmaker(engine, expire_on_commit=False)


def check(dialect: Any, line: Any, record: ConnectionPoolEntry, _: object) -> None:
    """Have no connection used that is gone, so that a restart of the database costs nobody a call. One that was closed
    knows it; only a line that fell silent has to be asked, which takes three round trips."""
    now = time.monotonic()
    try:
        if now - record.info.setdefault(USED, now) > IDLE:
            dialect.do_ping(line)
    except dialect.dbapi.Error:
        raise InvalidatePoolError from None
    if line.driver_connection.is_closed():
        raise InvalidatePoolError


def tell_cut(failure: ExceptionContext) -> None:
    """A line that is cut while its end arrives is in a state that the driver did not expect, and not closed yet."""
    if isinstance(failure.original_exception.__cause__, InternalClientError):
        failure.is_disconnect = True


def note(_: object, record: ConnectionPoolEntry) -> None:
    record.info[USED] = time.monotonic()


async def in_transaction(
    sessions: Sessions, work: Callable[[AsyncSession], Awaitable[Done]], *, attempts: int = 4
) -> Done:
    """Do `work` and commit; again from the start when another transaction was in the way."""
    for attempt in range(1, attempts):
        try:
            async with sessions.begin() as session:
                return await work(session)
        except DBAPIError as error:
            if sqlstate(error) not in (SERIALIZATION_FAILURE, DEADLOCK):
                raise
        await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - to part two, not to hide from one
    async with sessions.begin() as session:
        return await work(session)


# What is asked thousands of times a second ----------------------------------------------------------------------------

DRIVER = "the driver's connection"


async def fetch(session: AsyncSession, statement: str, *values: Any) -> list[Any]:
    """The rows of a statement with the parameters $1, $2 ..., asked of the driver itself: on the way through SQLAlchemy
    a statement takes more than twice the time."""
    line = await driver(session)
    with told_as_ever(statement):
        rows: list[Any] = await line.fetch(statement, *values)
    return rows


class Prepared:
    """A statement of SQLAlchemy's that is written out once, where it is declared, and asked of the driver itself: to
    write it out for each call takes more time than PostgreSQL takes to answer.

        LIVE = Prepared(select(Session.id).where(Session.user_id == bindparam("user")))

        rows = await LIVE.rows(session, user=user)
    """

    def __init__(self, statement: Executable) -> None:
        written: Any = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # as every Core statement has it
        self.text, self.names, self.defaults = str(written), written.positiontup or [], written.params
        self.needed = {name for name, value in written.binds.items() if value.required}
        types = {name: value.type.dialect_impl(DIALECT) for name, value in written.binds.items()}
        self.writes = [(name, types[name].bind_processor(DIALECT)) for name in self.names]
        columns = getattr(statement, "exported_columns", ())
        self.keys = [column.key for column in columns]
        self.reads = [column.type.dialect_impl(DIALECT).result_processor(DIALECT, None) for column in columns]

    async def rows(self, session: AsyncSession, /, **values: Any) -> list[Any]:
        """Its rows, each with its values in the order of the columns."""
        if values.keys() != self.needed:
            raise TypeError(f"This takes {', '.join(sorted(self.needed))}: {self.text}")
        if session.new or session.dirty or session.deleted:  # what the session holds back comes first, as ever
            await session.flush()
        given = self.defaults | values
        said = (write(given[name]) if write else given[name] for name, write in self.writes)
        found = await fetch(session, self.text, *said)
        if not any(self.reads):
            return found
        return [[read(value) if read else value for value, read in zip(row, self.reads, strict=True)] for row in found]

    async def row(self, session: AsyncSession, /, **values: Any) -> Any:
        """The first row, or None."""
        return next(iter(await self.rows(session, **values)), None)

    async def all(self, session: AsyncSession, model: type[Model], /, **values: Any) -> list[Model]:
        """Its rows as objects that no session knows: what is changed of them is not written."""
        return [model(**dict(zip(self.keys, row, strict=True))) for row in await self.rows(session, **values)]

    async def find(self, session: AsyncSession, model: type[Model], /, **values: Any) -> Model | None:
        """The first of all, or None."""
        return next(iter(await self.all(session, model, **values)), None)


async def driver(session: AsyncSession) -> Any:
    """The driver's connection, in the transaction of the session."""
    line: Any = session.info.get(DRIVER)
    if line is None:
        adapted: Any = (await (await session.connection()).get_raw_connection()).dbapi_connection
        if adapted._transaction is None:  # SQLAlchemy begins with the first statement that it is given itself
            with told_as_ever("BEGIN"):
                await begin(adapted)
        session.info[DRIVER] = line = adapted.driver_connection
    return line


async def begin(adapted: Any) -> None:
    """Begin as SQLAlchemy does, with the driver's own error where that fails."""
    try:
        await adapted._start_transaction()
    except adapted.dbapi.Error as error:
        raise error.__cause__ or error from None


@event.listens_for(Session, "after_transaction_end")
def forget_driver(session: Session, transaction: SessionTransaction) -> None:
    """The next transaction may have another connection."""
    if transaction.parent is None:
        session.info.pop(DRIVER, None)


@contextmanager
def told_as_ever(statement: str) -> Iterator[None]:
    """A failure is told as SQLAlchemy tells it: who waits for the rows knows by this whether to try again."""
    try:
        yield
    except (PostgresError, InterfaceError, InternalClientError, OSError) as error:
        is_gone = not isinstance(error, PostgresError) or isinstance(error, PostgresConnectionError)
        raise DBAPIError(statement, None, error, connection_invalidated=is_gone) from error


def sqlstate(error: BaseException) -> str:
    """The five letters that say what the database minded, or ""."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(said, "sqlstate", None) or "")
