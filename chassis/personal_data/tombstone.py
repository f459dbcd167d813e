"""Keeping the erased away: a person we promised to forget does not come back by a late event or a slow writer.

A writer shares a lock with other writers of the same person, the eraser excludes them: no row slips in between the
eraser's look and its commit. An insert waits for the eraser, an update is told to come again (SQLSTATE 40001). READ
COMMITTED is needed on both sides, and asked for. What only forgets, a sweep or the erasure of somebody else in the row,
is never refused.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import Column, DateTime, Table, Uuid, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import chassis_metadata, sqlstate
from chassis.personal_data.declare import Erased, subject
from chassis.personal_data.holdings import holdings, persons

LOCKS = 4_711  # our class of advisory locks
ERASED = "P0E01"  # our SQLSTATE

erased_subject = Table(
    "erased_subject",
    chassis_metadata,
    subject(
        Personal(
            category=Category.USER_UNIQUE_ID,
            purpose=Purpose.COMPLIANCE,
            on_erasure=Personal.RETAIN,
            legal_basis="GDPR art. 5(2), 17(1): the proof that we forgot, and the means to",
        ),
        "id",
        Uuid,
        primary_key=True,
    ).column,
    Column("erase_time", DateTime(timezone=True), nullable=False),
)


class Unguarded(Exception):  # noqa: N818 - it is what the tables are
    """The database would take rows about people it promised to forget."""


async def lock(session: AsyncSession, person: UUID) -> None:
    """Wait for whoever writes about `person`, and let nobody else begin until this transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(LOCKS, func.uuid_hash(person).op("&")(1023))))


async def shut_out(session: AsyncSession, person: UUID, now: datetime) -> None:
    """Refuse rows about `person` from here on."""
    await lock(session, person)
    await session.execute(insert(erased_subject).values(id=person, erase_time=now).on_conflict_do_nothing())


async def is_erased(session: AsyncSession, person: UUID) -> bool:
    return bool(await session.scalar(select(exists().where(erased_subject.c.id == person))))


def refused_person(error: BaseException) -> UUID | None:
    """Whose tombstone refused the row, where that is what `error` says."""
    if sqlstate(error) != ERASED:
        return None
    said = error.orig if isinstance(error, DBAPIError) else error
    # SQLAlchemy's error stands before the driver's, and does not pass the detail on.
    return UUID(getattr(said, "detail", None) or getattr(said and said.__cause__, "detail", None))


# What stands in the database -----------------------------------------------------------------------------------------

REFUSE = f"""
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'rows about people are written at READ COMMITTED';
  END IF;
  IF may_wait THEN
    PERFORM pg_advisory_xact_lock_shared({LOCKS}, uuid_hash(person) & 1023);
  ELSIF NOT pg_try_advisory_xact_lock_shared({LOCKS}, uuid_hash(person) & 1023) THEN
    RAISE EXCEPTION 'somebody is being erased' USING ERRCODE = 'serialization_failure';
  END IF;
  IF EXISTS (SELECT FROM erased_subject WHERE id = person) THEN
    RAISE EXCEPTION 'this person is erased' USING ERRCODE = '{ERASED}', DETAIL = person::text;
  END IF;
END
"""


def foundation() -> str:
    """The function that all guards call."""
    head = "CREATE OR REPLACE FUNCTION refuse_erased(person uuid, may_wait boolean) RETURNS void LANGUAGE plpgsql"
    return f"{head} AS $${REFUSE}$$"


def guards(table: Table) -> list[str]:
    """The statements that keep erased people out of `table`, after its declarations."""
    return [line for person, columns in guarded(table).items() for line in guard(table.name, person, columns)]


def guarded(table: Table) -> dict[str, dict[str, Erased]]:
    """Per column of `table` with a person's id: the columns that are theirs, and what erasure leaves in each."""
    if table is erased_subject:
        return {}
    held = [one for one in holdings(table) if "subject" not in one.column.info]
    return {
        person.name: {one.column.name: one.erased for one in held if one.subject is person} for person in persons(table)
    }


def guard(table: str, person: str, columns: Mapping[str, Erased]) -> list[str]:
    """The statements that guard the people in column `person` of `table`, in place of any earlier guard of theirs."""
    function, (created, changed) = function_of(table, person), triggers_of(person, columns)
    watched = ", ".join(f'"{column}"' for column in ours(person, columns))
    there = f'NEW."{person}" IS NOT NULL'
    told, calls = f"{there} AND ({news(person, columns)})", f'EXECUTE FUNCTION "{function}"()'
    return [
        f'DROP FUNCTION IF EXISTS "{function}"() CASCADE',
        f'CREATE FUNCTION "{function}"() RETURNS trigger LANGUAGE plpgsql AS $${body_of(person)}$$',
        f'CREATE TRIGGER "{created}" BEFORE INSERT ON "{table}" FOR EACH ROW WHEN ({there}) {calls}',
        f'CREATE TRIGGER "{changed}" BEFORE UPDATE OF {watched} ON "{table}" FOR EACH ROW WHEN ({told}) {calls}',
    ]


def ours(person: str, columns: Mapping[str, Erased]) -> dict[str, Erased]:
    return {person: None} | dict(sorted(columns.items()))


def news(person: str, columns: Mapping[str, Erased]) -> str:
    """Where an update says something new of the person: being named in it is not enough, and forgetting is no news."""
    return " OR ".join(
        f'(NEW."{column}" IS DISTINCT FROM OLD."{column}" AND NEW."{column}" IS DISTINCT FROM {literal(erased)})'
        for column, erased in ours(person, columns).items()
    )


def literal(value: Erased) -> str:
    match value:
        case None | bool():
            return {None: "NULL", True: "true", False: "false"}[value]
        case int():
            return str(value)
        case str():
            return "'" + value.replace("'", "''") + "'"


def function_of(table: str, person: str) -> str:
    return f"{table}_{person}_refuses_erased"


def body_of(person: str) -> str:
    # An update holds its row when the trigger begins: waiting there for an eraser who wants the row ends in a deadlock.
    return f"BEGIN PERFORM refuse_erased(NEW.\"{person}\", TG_OP = 'INSERT'); RETURN NEW; END"


def triggers_of(person: str, columns: Mapping[str, Erased]) -> tuple[str, str]:
    """The names of the triggers, which tell by a hash what they watch: another declaration asks for other names."""
    mark = sha256(news(person, columns).encode()).hexdigest()[:8]
    return f"{person}_refuses_erased_insert_{mark}", f"{person}_refuses_erased_update_{mark}"


async def verify(session: AsyncSession, tables: Iterable[Table]) -> None:
    """Refuse to go on unless every guard that the declarations ask for stands in the database."""
    triggers: set[tuple[str, str]] = set()
    functions = {"refuse_erased": REFUSE}
    for table in tables:
        for person, columns in guarded(table).items():
            functions[function_of(table.name, person)] = body_of(person)
            triggers |= {(table.name, name) for name in triggers_of(person, columns)}
    present = {tuple(row) for row in await session.execute(text(TRIGGERS))}
    bodies: dict[str, str] = {row.proname: row.prosrc for row in await session.execute(text(FUNCTIONS))}
    problems = [f"{table}: the trigger {name} is missing or disabled" for table, name in sorted(triggers - present)]
    problems += [
        f"the function {name} is missing or is another" for name, body in functions.items() if bodies.get(name) != body
    ]
    if problems:
        problems.append("Run the migrations; where they are done, write one with guard(...) for the table.")
        raise Unguarded("\n".join(problems))


TRIGGERS = """
SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = current_schema()::regnamespace AND tgenabled IN ('O', 'A') AND NOT tgisinternal
"""
FUNCTIONS = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
