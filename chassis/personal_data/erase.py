"""Forgetting a person, in one transaction: one statement a table, and a count for every column of what it did."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Table,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import FromClause

from chassis.personal_data import tombstone
from chassis.personal_data.holdings import Holding, about, among, holdings, leaves, means

# A statement takes so many rows and is repeated: none runs into the limit of a statement, however much there is.
BATCH = 5_000
MOST_BATCHES = 10_000


class Outcome(NamedTuple):
    """What became of one column."""

    column: str
    action: str
    rows: int
    legal_basis: str = ""


async def erase(session: AsyncSession, tables: Sequence[Table], person: UUID, now: datetime) -> list[Outcome]:
    """Forget `person` in this transaction, and refuse their rows from now on. Again is the same, with nothing to do."""
    await session.flush()
    await tombstone.shut_out(session, person, now)
    reached = [await outcome(session, one, person) for one in every(tables) if one.is_through]
    erased: dict[Holding, int] = {}
    for table in reversed(tables):  # those who refer first
        erased |= await forget(session, table, person)
    kept = [await outcome(session, one, person) for one in every(tables) if one.subject is not None and is_kept(one)]
    session.expire_all()
    return [*reached, *(Outcome(one.name, one.action, rows) for one, rows in erased.items()), *kept]


async def scan(session: AsyncSession, tables: Sequence[Table], person: UUID) -> tuple[list[Outcome], list[Outcome]]:
    """What is held of `person` that erasure should have taken, and what is kept: only columns where there is some."""
    found = [await outcome(session, one, person) for one in every(tables) if one.subject is not None]
    some = [one for one in found if one.rows]
    return [one for one in some if one.action != "RETAIN"], [one for one in some if one.action == "RETAIN"]


def every(tables: Iterable[Table]) -> list[Holding]:
    return [one for table in tables for one in holdings(table)]


def is_kept(one: Holding) -> bool:
    return not one.goes and not one.is_through


async def outcome(session: AsyncSession, one: Holding, person: UUID) -> Outcome:
    """How many rows hold something of `person` in the column."""
    held = select(func.count()).select_from(one.column.table).where(holds(one, one.column.table, person))
    return Outcome(one.name, one.action, await session.scalar(held) or 0, one.rules.legal_basis)


def holds(one: Holding, side: FromClause, person: UUID) -> ColumnElement[bool]:
    """Where the row of `side` holds something of `person` in the column, and not what erasure leaves there."""
    if one.subject is None:
        raise ValueError(f"{one.name} is nobody's to find.")
    if one.is_through:
        return means(one.subject, person) & one.column.is_not(None)
    erased = one.erased if one.goes else None
    return and_(side.c[one.subject.name] == person, side.c[one.column.name].is_distinct_from(erased))


async def forget(session: AsyncSession, table: Table, person: UUID) -> dict[Holding, int]:
    """Take what is `person`'s and goes from `table`, until a look finds nothing more."""
    going = [one for one in holdings(table) if one.goes]
    taken = dict.fromkeys(going, 0)
    for _ in range(MOST_BATCHES if going else 0):
        rows, *counts = (await session.execute(erasure(table, going, person))).one()
        if not rows:
            return taken
        for one, count in zip(going, counts, strict=True):
            taken[one] += count
    if going:
        raise RuntimeError(f"{table.name} does not come to an end.")
    return taken


def erasure(table: Table, going: Sequence[Holding], person: UUID) -> Executable:
    """The statement that takes a batch of what is `person`'s from `table`: counts its rows, and what each held."""
    old: Any = table.alias("old")  # in RETURNING: the row as it was
    counted = [holds(one, old, person).label(f"n{number}") for number, one in enumerate(going)]
    if leaves(table):
        done = delete(table).where(among(table, about(table, person), BATCH)).returning(*counted).cte("done")
    else:
        held = or_(*(holds(one, table, person) for one in going))
        after = {one.column: case((holds(one, table, person), one.erased), else_=one.column) for one in going}
        done = update(table).where(among(table, held, BATCH)).values(after).returning(*counted).cte("done")
    return select(func.count(), *(func.count().filter(column) for column in done.c)).select_from(done)
