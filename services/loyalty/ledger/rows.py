"""Many rows in one go: new ones by COPY, changes by one statement that gets each column as an array."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from asyncpg.exceptions import InterfaceError, PostgresConnectionError, PostgresError
from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


async def insert(
    session: AsyncSession, model: type[DeclarativeBase], columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Add rows, in a transaction that has begun: COPY takes a third of what an INSERT of arrays takes."""
    if rows:
        raw, name = await (await session.connection()).get_raw_connection(), table_of(model).name
        try:
            await raw.driver_connection.copy_records_to_table(name, records=rows, columns=columns)  # type: ignore[union-attr]
        except (PostgresError, InterfaceError, OSError) as error:
            # As all else that a database says: who waits for it tells by this whether to try again.
            is_gone = not isinstance(error, PostgresError) or isinstance(error, PostgresConnectionError)
            raise DBAPIError(f"COPY {name}", None, error, connection_invalidated=is_gone) from error


async def update(
    session: AsyncSession, model: type[DeclarativeBase], columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Change the rows whose keys are the first of `columns`; the others are what is changed."""
    if rows:
        await session.execute(updating(table_of(model), columns), arrays(rows))


def table_of(model: type[DeclarativeBase]) -> Table:
    return cast(Table, model.__table__)


def arrays(rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {f"c{number}": list(column) for number, column in enumerate(zip(*rows, strict=True))}


@lru_cache(maxsize=100)
def updating(table: Table, columns: tuple[str, ...]) -> TextClause:
    key, changed = table.primary_key.columns.keys(), columns[len(table.primary_key.columns) :]
    sets = ", ".join(f"{name} = given.{name}" for name in changed)
    where = " AND ".join(f"{table.name}.{name} = given.{name}" for name in key)
    return text(
        f"UPDATE {table.name} SET {sets} FROM {given(table, columns)} AS given ({', '.join(columns)}) WHERE {where}"  # noqa: S608
    )


def given(table: Table, columns: tuple[str, ...]) -> str:
    types = [table.c[name].type.dialect_impl(DIALECT).compile(DIALECT) for name in columns]
    return f"unnest({', '.join(f'CAST(:c{number} AS {kind}[])' for number, kind in enumerate(types))})"
