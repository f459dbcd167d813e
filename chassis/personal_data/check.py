"""Refusing silence: nothing that may hold a person goes undeclared, and what is declared can be carried out.

python -m chassis.personal_data.check      every contract and every service's tables
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from rapport.annotations.v1 import personal_data_pb2 as options
from rapport.annotations.v1.event_pb2 import event as event_option
from rapport.annotations.v1.personal_data_pb2 import Personal
from sqlalchemy import ARRAY, Boolean, Column, DateTime, Enum, Integer, Interval, Numeric, Table, Uuid
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.types import TypeEngine

from chassis.names import is_id
from chassis.personal_data import retention
from chassis.personal_data.holdings import (
    Holding,
    Undeclared,
    holding,
    holdings,
    leaves,
    name_of,
    subjects,
    target,
)
from chassis.personal_data.retention import Schedule

# Date and Float are left out on purpose: a birthday and a position are people.
IMPERSONAL_TYPES = (Boolean, DateTime, Enum, Integer, Interval, Numeric, Uuid)
IMPERSONAL_MESSAGES = {
    *(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask", "Empty")),
    "google.type.Money",
}
IMPERSONAL_NAMES = {"etag", "page_token", "next_page_token", "order_by"}
CAN_HOLD = {getattr(FieldDescriptor, f"TYPE_{name}") for name in ("STRING", "BYTES", "FLOAT", "DOUBLE")}
# An id of somebody: it would pass as a mere UUID.
SOMEBODY = re.compile(r"(?:^|_)(?:user|person|people|customer|author|agent|visitor|recipient|subject)(?:_id)?$")


def check(tables: Iterable[Table], contracts: Iterable[FileDescriptor], schedule: Schedule) -> None:
    """Refuse to go on while any table or contract may hold a person and does not say so, or not well enough."""
    problems = [*problems_of_tables(tables, schedule), *problems_of_contracts(contracts, schedule)]
    if problems:
        raise Undeclared("\n".join(problems))


# Tables --------------------------------------------------------------------------------------------------------------


def problems_of_tables(tables: Iterable[Table], schedule: Schedule) -> Iterator[str]:
    for table in tables:
        problems = [problem for column in table.columns for problem in problems_of_column(column, schedule)]
        try:
            problems += [*problems_of_subjects(table), *problems_of_rows(table, schedule)] if not problems else []
        except Undeclared as problem:
            problems.append(str(problem))
        yield from problems


def problems_of_column(column: Column[Any], schedule: Schedule) -> Iterator[str]:
    """What can be said of a column without the others."""
    name, said = name_of(column), column.info.keys() & {"personal", "impersonal", "subject"}
    if not said and can_hold_a_person(column.type):
        yield f"{name}: {column.type} can hold a person. Write personal(...), or impersonal('why')."
    elif not said and isinstance(column.type, Uuid) and SOMEBODY.search(column.name):
        yield f"{name}: looks like the id of a person. Write subject(), or impersonal('why')."
    if "personal" not in said:
        return
    try:
        one = holding(column)
        yield from (f"{name}: {problem}" for problem in problems_of_rules(one.rules, schedule))
    except Undeclared as problem:
        yield str(problem)
        return
    if one.subject is None:
        if one.rules.on_erasure != Personal.RETAIN:
            yield f"{name}: unlinked, so no erasure finds it. Its rules say RETAIN, with a legal_basis."
        if subjects(column.table):
            yield f"{name}: unlinked in a table with a subject(). Write personal(...)."


def problems_of_subjects(table: Table) -> Iterator[str]:
    """What the columns that say whom the rows speak of lack."""
    people, held = subjects(table), holdings(table)
    if len({bool(person.info["through"]) for person in people}) > 1:
        yield f"{table.name}: reaches its person through another table and by itself. Leave one."
    for person in people:
        name, theirs = name_of(person), [one for one in held if one.subject is person]
        row = next((one for one in theirs if one.column is person), None)
        if not isinstance(person.type, Uuid):
            yield f"{name}: {person.type}. A subject() is a UUID."
        if not leads(person):
            yield f"{name}: no index begins with it, and erasure would read the whole table."
        if not theirs:
            yield f"{name}: a row about a person that holds nothing of theirs. Write subject(RULES) for the row."
        if person.info["through"]:
            yield from problems_of_way(person, theirs)
        elif row is None and not leaves(table):
            yield f"{name}: its rows stay after erasure, with the id. Write subject(RULES): ANONYMISE, or RETAIN."
        elif row is not None and row.goes and any(not one.goes for one in theirs):
            yield f"{name}: goes, while columns of theirs are RETAINed, which nobody could find again. RETAIN it, too."


def problems_of_way(person: Column[Any], theirs: Sequence[Holding]) -> Iterator[str]:
    """What is wrong with a subject() that goes through another table."""
    name, seen, next_table = name_of(person), {person.table}, target(person).table
    while next_table not in seen and any(one.info["through"] for one in subjects(next_table)):
        seen.add(next_table)
        next_table = target(next(one for one in subjects(next_table) if one.info["through"])).table
    if next_table in seen:
        yield f"{name}: the way through {person.info['through']} leads back to where it began."
    elif not subjects(next_table):
        yield f"{name}: through={person.info['through']!r}, but {next_table.name} has no subject()."
    for one in theirs:
        if one.column is not person:
            yield f"{one.name}: erasure does not reach rows that go through others. Give it a subject() of its own."
        elif one.on_erasure != Personal.ANONYMISE:
            yield f"{name}: erasure takes the way to the person, so the rules of the row say ANONYMISE."


def problems_of_rows(table: Table, schedule: Schedule) -> Iterator[str]:
    """What stands in the way of erasure and of the end of a period."""
    for one in holdings(table):
        if one.goes and not one.empties and not leaves(table):
            yield f"{one.name}: its row outlives it. Make it nullable, or say what it becomes: erased=..."
        if one.erased is not None and is_unique(one.column):
            yield f"{one.name}: unique, so the second of two erased people could not become {one.erased!r}."
        start = schedule.of(one.rules).after
        if not retention.is_swept(one, schedule):
            continue
        if start is not retention.Start.ACCOUNT_END and retention.counted_from(table, start) is None:
            yield f"{one.name}: is kept {schedule.of(one.rules)}, and its table has no create_time to count from."
        if not one.empties and not all(retention.is_swept(other, schedule) for other in holdings(table)):
            yield f"{one.name}: its period ends while its row stays. Make it nullable, or say erased=..."


def can_hold_a_person(type: TypeEngine[Any]) -> bool:
    return can_hold_a_person(type.item_type) if isinstance(type, ARRAY) else not isinstance(type, IMPERSONAL_TYPES)


def is_unique(column: Column[Any]) -> bool:
    keys = [set(one.columns) for one in column.table.constraints if isinstance(one, Unique)]
    return {column} in [*keys, *(set(index.columns) for index in column.table.indexes if index.unique)]


def leads(column: Column[Any]) -> bool:
    """Whether some index begins with `column`."""
    table = column.table
    keys = [list(table.primary_key), *(list(one.columns) for one in table.constraints if isinstance(one, Unique))]
    return any(key[:1] == [column] for key in [*keys, *(list(index.columns) for index in table.indexes)])


# Contracts -----------------------------------------------------------------------------------------------------------


def problems_of_contracts(contracts: Iterable[FileDescriptor], schedule: Schedule) -> Iterator[str]:
    for message in (message for file in contracts for message in messages_of(file)):
        for field in message.fields:
            if (rules := rules_on(field)) is not None:
                yield from (f"{field.full_name}: {problem}" for problem in problems_of_rules(rules, schedule))
            elif can_hold(field):
                yield f"{field.full_name}: can hold a person. Write (personal) = {{...}}, or (impersonal) = 'why'."
        if message.GetOptions().HasExtension(event_option):
            yield from problems_of_event(message)


def problems_of_event(message: Descriptor) -> Iterator[str]:
    said = message.GetOptions().Extensions[event_option]
    for part, field in (("key", said.key), ("owner", said.owner)):
        if (field or part == "key") and field not in message.fields_by_name:
            yield f"{message.full_name}: the event's {part} is {field!r}, and it has no such field."
    for path in people_in(message):
        yield f"{path}: an event carries ids, never a person. Let consumers ask for it."


def problems_of_rules(rules: Personal, schedule: Schedule) -> Iterator[str]:
    for part in ("category", "purpose"):
        if not getattr(rules, part):
            yield f"personal without a {part}."
    if rules.on_erasure == Personal.RETAIN and not rules.legal_basis:
        yield "RETAINed without a legal_basis: the article or claim that obliges us."
    if rules.purpose:
        try:
            schedule.of(rules)
        except Undeclared as problem:
            yield str(problem)


def holds_people(file: FileDescriptor) -> bool:
    """Whether the contract has a field that holds a person."""
    return any(rules_on(field) is not None for message in messages_of(file) for field in message.fields)


def rules_on(field: FieldDescriptor) -> Personal | None:
    said = field.GetOptions()
    return said.Extensions[options.personal] if said.HasExtension(options.personal) else None


def can_hold(field: FieldDescriptor) -> bool:
    """Whether text of anybody's choosing fits in the field itself: a message of ours answers for its own fields."""
    said, around = field.GetOptions(), field.containing_type
    if said.HasExtension(options.impersonal):
        return False
    if around is not None and around.GetOptions().HasExtension(options.impersonal_message):
        return False
    if (message := field.message_type) is not None:
        if message.GetOptions().map_entry:
            return any(can_hold(part) for part in message.fields)
        return message.full_name not in IMPERSONAL_MESSAGES and not message.full_name.startswith("rapport.")
    return field.type in CAN_HOLD and not (field.name in IMPERSONAL_NAMES or is_id(field))


def people_in(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The ways from `message` to a field that holds a person."""
    for field in message.fields if message.full_name not in seen else ():
        if rules_on(field) is not None:
            yield f"{message.full_name}.{field.name}"
        elif field.message_type:
            inner = people_in(field.message_type, seen | {message.full_name})
            yield from (f"{message.full_name}.{field.name} > {path}" for path in inner)


def messages_of(file: FileDescriptor) -> Iterator[Descriptor]:
    for message in file.message_types_by_name.values():
        yield from nest(message)


def nest(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for inner in message.nested_types:
        if not inner.GetOptions().map_entry:
            yield from nest(inner)
