"""What is held of a person, for that person: whole rows, without the other people in them and without secrets."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, RowMapping, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.personal_data.holdings import Holding, about, holdings, subjects
from chassis.personal_data.retention import Schedule, told

AT_ONCE = 100  # rows in memory


class ExportedRow(NamedTuple):
    table: str
    json: str


async def export(
    session: AsyncSession, tables: Sequence[Table], person: UUID, schedule: Schedule
) -> AsyncIterator[ExportedRow]:
    """Every row that speaks of `person`: per column its value, and why and how long it is held where it is theirs."""
    for table in filter(subjects, tables):
        said = {one.column: about_column(one, schedule) for one in holdings(table)}
        held = {one.column: one for one in holdings(table)}
        query = select(table).where(about(table, person)).execution_options(yield_per=AT_ONCE)
        async for row in (await session.stream(query)).mappings():
            record = {
                column.name: {"value": value_for(person, row, column, held)} | said.get(column, {})
                for column in table.columns
            }
            yield ExportedRow(table.name, json.dumps(record, ensure_ascii=False, default=plain))


def about_column(one: Holding, schedule: Schedule) -> dict[str, str]:
    return {"category": one.category, "purpose": one.purpose, "retention": told(one, schedule)}


def value_for(person: UUID, row: RowMapping, column: Column[Any], held: Mapping[Column[Any], Holding]) -> Any:
    """What `person` may see of `column`: what is theirs or nobody's, and else what kind of thing it is."""
    one, value = held.get(column), row[column]
    if one is None or value is None:
        return value
    return one.veil if one.rules.secret or not is_theirs(person, row, one.subject) else value


def is_theirs(person: UUID, row: RowMapping, subject: Column[Any] | None) -> bool:
    return subject is not None and (bool(subject.info["through"]) or row[subject] == person)


def plain(value: Any) -> str:
    """`value` as text, where JSON has no way of its own to say it."""
    match value:
        case date() | datetime():
            return value.isoformat()
        case bytes() | memoryview():
            return b64encode(value).decode()
        case Enum():
            return value.name
        case UUID() | Decimal() | timedelta():
            return str(value)
    return str(value)
