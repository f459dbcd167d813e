"""What the tables hold about people, read from their declarations."""

import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast
from uuid import UUID

from google.protobuf.descriptor_pool import Default
from rapport.annotations.v1 import personal_data_pb2 as options
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    MetaData,
    Table,
    any_,
    func,
    literal_column,
    or_,
    select,
)

from chassis.personal_data.declare import Erased


class Undeclared(Exception):  # noqa: N818 - it is what the tables are
    """Somebody may be in there, and nobody said so, or not well enough."""


@dataclass(frozen=True, eq=False)  # each is itself: Personal has no hash
class Holding:
    """A column, the subject() column that says whom it holds (None: nobody can tell), and the rules it is held by."""

    column: Column[Any]
    subject: Column[Any] | None
    rules: Personal
    field: str

    @property
    def name(self) -> str:
        return name_of(self.column)

    @property
    def on_erasure(self) -> "Personal.Erasure.ValueType":
        return self.rules.on_erasure or Personal.ERASE

    @property
    def action(self) -> str:
        return Personal.Erasure.Name(self.on_erasure)

    @property
    def goes(self) -> bool:
        """Whether erasure takes the value from its row, or the row."""
        return self.on_erasure != Personal.RETAIN and self.subject is not None and not self.is_through

    @property
    def is_through(self) -> bool:
        """Whether the row speaks of its person by way of another row, which erasure takes."""
        return self.subject is not None and bool(self.subject.info["through"])

    @property
    def empties(self) -> bool:
        """Whether the row can stay without the value."""
        return bool(self.column.nullable) or self.erased is not None

    @property
    def erased(self) -> Erased:
        return cast(Erased, self.column.info["erased"])

    @property
    def category(self) -> str:
        return key(Category, self.rules.category)

    @property
    def purpose(self) -> str:
        return key(Purpose, self.rules.purpose)

    @property
    def veil(self) -> str:
        """What stands for the value where it may not be shown."""
        return f"[{self.category}]"


def name_of(column: Column[Any]) -> str:
    return f"{column.table.name}.{column.name}"


def tables_of(metadatas: Iterable[MetaData]) -> Sequence[Table]:
    """All tables, each after those it refers to."""
    return [table for metadata in metadatas for table in metadata.sorted_tables]


def subjects(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if "subject" in column.info]


def persons(table: Table) -> list[Column[Any]]:
    """The columns that hold the id of a person itself."""
    return [column for column in subjects(table) if not column.info["through"]]


def holdings(table: Table) -> list[Holding]:
    return [holding(column) for column in table.columns if "personal" in column.info]


def holding(column: Column[Any]) -> Holding:
    said = column.info["personal"]
    field, rules = (said, rules_of(said)) if isinstance(said, str) else ("", said)
    if "unlinked" in column.info:
        return Holding(column, None, rules, field)
    if "subject" in column.info:
        return Holding(column, column, rules, field)
    people = subjects(column.table)
    if of := column.info["of"]:
        people = [person for person in people if person.name == of]
    if len(people) != 1:
        raise Undeclared(f"{name_of(column)}: whose is it? Write of=..., naming one of the table's subject() columns.")
    return Holding(column, people[0], rules, field)


def rules_of(path: str) -> Personal:
    """The rules that the contract's field `path` states."""
    try:
        field = Default().FindFieldByName(path)
    except KeyError:
        load(path)
        try:
            field = Default().FindFieldByName(path)
        except KeyError:
            raise Undeclared(f"{path}: no contract has such a field.") from None
    if not field.GetOptions().HasExtension(options.personal):
        raise Undeclared(f"{path}: the field is not (personal), so a column that stores it cannot take rules from it.")
    return field.GetOptions().Extensions[options.personal]


def load(path: str) -> None:
    """Import the contracts of the package of `path`: the pool of descriptors knows only what was imported."""
    package = path[: path.index(next((part for part in path.split(".") if part[:1].isupper()), "")) - 1]
    try:
        folders = import_module(package).__path__
    except ImportError:
        return
    for module in pkgutil.iter_modules(folders):
        if module.name.endswith("_pb2"):
            import_module(f"{package}.{module.name}")


def key(enum: Any, number: int) -> str:
    """The fideslang key of a category or a purpose."""
    return str(enum.DESCRIPTOR.values_by_number[number].GetOptions().Extensions[options.key])


# Whose rows ----------------------------------------------------------------------------------------------------------


def about(table: Table, person: UUID) -> ColumnElement[bool]:
    """The rows of `table` that speak of `person`."""
    return or_(*(means(column, person) for column in subjects(table)))


def means(column: Column[Any], person: UUID) -> ColumnElement[bool]:
    """Where the subject() column `column` means `person`."""
    if not column.info["through"]:
        return column == person
    other = target(column)
    return column.in_(select(other).where(about(other.table, person)))


def target(column: Column[Any]) -> Column[Any]:
    """The column that a subject(through=...) goes through."""
    table, _, name = column.info["through"].partition(".")
    try:
        found: Column[Any] = column.table.metadata.tables[table].columns[name]
    except KeyError:
        raise Undeclared(f"{name_of(column)}: through={column.info['through']!r} names no column.") from None
    return found


def among(table: Table, condition: ColumnElement[bool], most: int) -> ColumnElement[bool]:
    """At most `most` of the rows of `table` that meet `condition`."""
    place: ColumnElement[Any] = literal_column(f'"{table.name}".ctid')
    batch = select(place).select_from(table).where(condition).limit(most).correlate(None)
    return place == any_(func.array(batch.scalar_subquery()))


# What becomes of rows ------------------------------------------------------------------------------------------------


def leaves(table: Table, seen: frozenset[Table] = frozenset()) -> bool:
    """Whether erasure takes whole rows: all they hold is one person's and goes, and no row that stays needs them."""
    held, people = holdings(table), subjects(table)
    return (
        bool(held)
        and len(people) == 1
        and table not in seen
        and all(one.goes and one.on_erasure == Personal.ERASE for one in held)
        and all(
            carries(link, table) and leaves(child, seen | {table})
            for child in table.metadata.tables.values()
            for link in child.foreign_key_constraints
            if link.referred_table is table and not (link.ondelete or "").startswith("SET NULL")
        )
    )


def carries(link: ForeignKeyConstraint, table: Table) -> bool:
    """Whether the referring row must be about the same person as the row of `table` it refers to."""
    return any(element.parent in persons(link.table) and element.column in persons(table) for element in link.elements)
