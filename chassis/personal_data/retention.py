"""How long what is held is kept: the store's schedule says it by purpose and category, and the sweep carries it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import yaml
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    Table,
    Update,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)

from chassis.database import Sessions
from chassis.jobs import Job
from chassis.personal_data.holdings import Holding, Undeclared, among, holdings, leaves
from chassis.personal_data.tombstone import erased_subject

STORE = Path(__file__).parents[2] / "deploy/store/retention.yaml"
BATCH = 1_000
OWN_ENDS = {"expire_time", "delete_time"}  # in rows that carry their end with them: their service sees to it


class Start(StrEnum):
    """What a period is counted from."""

    CREATION = "creation"
    LAST_CHANGE = "last change"
    ACCOUNT_END = "account end"  # erasure ends it, and no sweep


@dataclass(frozen=True)
class Period:
    days: int
    after: Start

    def __str__(self) -> str:
        return f"{self.days} days after {self.after}" if self.days else f"until {self.after}"


@dataclass(frozen=True)
class Schedule:
    """The store's periods; that of a category within a purpose goes before that of the purpose."""

    version: int
    periods: dict[tuple[int, int], Period]

    def of(self, rules: Personal) -> Period:
        """How long what `rules` speak of is kept."""
        try:
            return self.periods.get((rules.purpose, rules.category)) or self.periods[rules.purpose, 0]
        except KeyError:
            purpose = Purpose.Name(rules.purpose)
            raise Undeclared(f"The retention schedule has no period for the purpose {purpose}.") from None


def load(path: Path | str = STORE) -> Schedule:
    """The schedule in the file `path`; refuses one that leaves a purpose out or says what nobody means."""
    try:
        said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        periods: dict[tuple[int, int], Period] = {}
        for purpose, rule in said["periods"].items():
            number = Purpose.Value(purpose)
            periods[number, 0] = period(rule)
            for category, narrower in rule.get("categories", {}).items():
                periods[number, Category.Value(category)] = period(narrower)
        schedule = Schedule(int(said["version"]), periods)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise Undeclared(f"{path}: no retention schedule as its head describes ({type(error).__name__}).") from error
    for number in filter(None, Purpose.values()):
        schedule.of(Personal(purpose=number))
    return schedule


def period(rule: dict[str, Any]) -> Period:
    found = Period(int(rule["days"]), Start(rule["after"]))
    if found.days < 0:
        raise ValueError("A period is not negative.")
    return found


def told(one: Holding, schedule: Schedule) -> str:
    """How long the column is kept, in words: what goes with the account does not wait for the period after it."""
    kept = schedule.of(one.rules)
    return "until account end" if one.goes and kept.after is Start.ACCOUNT_END else str(kept)


# The sweep -----------------------------------------------------------------------------------------------------------


def sweep(tables: Sequence[Table], schedule: Schedule) -> Job:
    """The job that takes what is held for longer than `schedule` allows: rows where all of them is due, else values."""
    swept = [table for table in tables if any(is_swept(one, schedule) for one in holdings(table))]

    async def forget_what_is_due(sessions: Sessions, now: datetime) -> int:
        done = 0
        for table in reversed(swept):  # those who refer first
            for statement in (end_rows(table, schedule, now), end_values(table, schedule, now)):
                done += await carried_out(sessions, statement)
        return done or await carried_out(sessions, end_tombstones(schedule, now))

    return Job("forget_what_is_due", timedelta(hours=1), forget_what_is_due)


async def carried_out(sessions: Sessions, statement: Delete | Update | None) -> int:
    """How many rows it was."""
    if statement is None:
        return 0
    done = statement.returning(literal_column("1")).cte("done")
    async with sessions.begin() as session:
        return await session.scalar(select(func.count()).select_from(done)) or 0


def end_tombstones(schedule: Schedule, now: datetime) -> Delete:
    """Take the tombstones that nothing is counted from any more."""
    longest = max((one.days for one in schedule.periods.values() if one.after is Start.ACCOUNT_END), default=0)
    old = erased_subject.c.erase_time <= now - timedelta(days=longest)
    return delete(erased_subject).where(among(erased_subject, old, BATCH))


def is_swept(one: Holding, schedule: Schedule) -> bool:
    """Whether a period of its own ends it, and not erasure, or the service by the row's own end."""
    if one.is_through or one.column.table is erased_subject or OWN_ENDS.intersection(one.column.table.columns.keys()):
        return False
    return schedule.of(one.rules).after is not Start.ACCOUNT_END or (one.subject is not None and not one.goes)


def counted_from(table: Table, start: Start) -> Column[Any] | None:
    """The column whose time a period in `table` is counted from."""
    changed = table.columns.get("update_time") if start is Start.LAST_CHANGE else None
    return table.columns.get("create_time") if changed is None else changed


def due(one: Holding, schedule: Schedule, now: datetime) -> ColumnElement[bool]:
    if not is_swept(one, schedule):
        return false()
    kept = schedule.of(one.rules)
    since = now - timedelta(days=kept.days)
    if kept.after is not Start.ACCOUNT_END:
        counted: Any = counted_from(one.column.table, kept.after)
        return cast(ColumnElement[bool], counted <= since)
    gone = erased_subject.alias("gone")
    return exists().where(gone.c.id == one.subject, gone.c.erase_time <= since)


def end_rows(table: Table, schedule: Schedule, now: datetime) -> Delete | None:
    """Take the rows that hold nothing that is not due, where rows go, and no other row needs them."""
    held = holdings(table)
    if not leaves(table) and all(one.empties for one in held):
        return None
    needed = [
        exists().where(*(element.parent == element.column for element in link.elements)).correlate(table)
        for child in table.metadata.tables.values()
        for link in child.foreign_key_constraints
        if link.referred_table is table and child is not table
    ]
    return delete(table).where(
        among(table, and_(*(due(one, schedule, now) for one in held), *(~some for some in needed)), BATCH)
    )


def end_values(table: Table, schedule: Schedule, now: datetime) -> Update | None:
    """Take the values that are due from rows that stay."""
    ending = [one for one in holdings(table) if is_swept(one, schedule) and one.empties]
    if not ending:
        return None
    gone = {one: due(one, schedule, now) & one.column.is_distinct_from(one.erased) for one in ending}
    after = {one.column: case((gone[one], one.erased), else_=one.column) for one in ending}
    return update(table).where(among(table, or_(*gone.values()), BATCH)).values(after)
