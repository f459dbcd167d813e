"""How a service's database gets its tables: step by step, forward only, all of it or nothing.

    python -m chassis.migrations upgrade  --url-file FILE identity     brings the database up to date
    python -m chassis.migrations revision --url-file FILE identity "Lay the tables"     writes the step to the models
    python -m chassis.migrations drift    --url-file FILE identity     says where steps and models differ

Only `upgrade` changes the database; the others may be pointed at an empty one. A step is a file in
services/<service>/migrations/versions, named 0001_*.py. The first begins with `create_chassis_tables()`. A table with
a person in it ends with `guard("ticket", "customer_id", title=None)`, which names the columns that are theirs and what
erasure leaves in each; `revision` writes these lines as well.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

from alembic import op
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction, create_async_engine

from chassis.database import chassis_metadata
from chassis.personal_data import tombstone
from chassis.personal_data.declare import Erased

# Every module of the chassis that keeps a table; a test holds the list to the truth.
KEEPERS = (
    "chassis.dead_letters",
    "chassis.idempotency",
    "chassis.inbox",
    "chassis.leases",
    "chassis.mail",
    "chassis.outbox",
    "chassis.personal_data.restrict",
    "chassis.personal_data.tombstone",
)
ONE_AT_A_TIME = 4_713  # our advisory lock: two who upgrade one database take turns
LIMITS = ("lock_timeout = '5s'", "statement_timeout = '120s'")  # a step that waits longer is in the way of the living


# For the steps -------------------------------------------------------------------------------------------------------


def create_chassis_tables() -> None:
    """Create the tables that the chassis keeps in every service's database, and their guards."""
    lay(op.get_bind(), [keepers()])


def guard(table: str, person: str, /, **columns: Erased) -> None:
    """Keep erased people out of `table`: those whose id stands in column `person`, with their `columns`."""
    for statement in tombstone.guard(table, person, columns):
        op.get_bind().exec_driver_sql(statement)


def seal_mail() -> None:
    """Let table `mail` hold what is sealed. In a database whose first step is of today this changes nothing."""
    for statement in (
        "ALTER TABLE mail ADD COLUMN IF NOT EXISTS content bytea",
        "ALTER TABLE mail ALTER subject DROP NOT NULL, ALTER text DROP NOT NULL, ALTER headers DROP NOT NULL",
        "ALTER TABLE mail DROP CONSTRAINT IF EXISTS mail_state_check",
        "ALTER TABLE mail ADD CONSTRAINT mail_state_check CHECK (state IN ('SEALED', 'WAITING', 'FAILED'))",
        "DROP INDEX IF EXISTS mail_waiting_idx",
        "CREATE INDEX mail_waiting_idx ON mail (next_time) WHERE state <> 'FAILED'",
    ):
        op.get_bind().exec_driver_sql(statement)
    guard("mail", "person_id", content=None, headers=None, html=None, recipient=None, subject=None, text=None)


def keepers() -> MetaData:
    for module in KEEPERS:
        import_module(module)
    return chassis_metadata


def lay(connection: Connection, metadatas: Iterable[MetaData]) -> None:
    """Make the tables as they are declared, those of the chassis among them, with their guards."""
    for metadata in metadatas:
        metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(tombstone.foundation())
    for metadata in metadatas:
        for table in metadata.sorted_tables:
            for statement in tombstone.guards(table):
                connection.exec_driver_sql(statement)


# For whoever runs them -----------------------------------------------------------------------------------------------


async def upgrade(url: str, service: str) -> None:
    """Bring the database at `url` up to date for `service`."""
    async with connected(url) as (connection, _):
        await connection.run_sync(bring_up, service)


async def drift(url: str, service: str) -> list[str]:
    """Where the tables as migrated differ from the tables as declared, in the database's own words."""
    async with connected(url) as (connection, transaction):
        await connection.run_sync(bring_up, service)
        found = await connection.run_sync(differences, models_of(service))
        await transaction.rollback()
    return found


async def revise(url: str, service: str, title: str) -> Path:
    """Write the step that leads from the steps there are to the models."""
    async with connected(url) as (connection, transaction):
        await connection.run_sync(bring_up, service)
        number = len(list(steps(service).glob("[0-9]*.py"))) + 1
        written = await connection.run_sync(step, service, number, title)
        await transaction.rollback()
    path = steps(service) / f"{number:04}_{re.sub('[^a-z0-9]+', '_', title.lower()).strip('_')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written, encoding="utf-8")
    return path


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[AsyncConnection, AsyncTransaction]]:
    async_url = make_url(url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(async_url, poolclass=NullPool, hide_parameters=True)
    async with engine.connect() as connection, connection.begin() as transaction:
        await connection.execute(select(func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        for limit in LIMITS:
            await connection.exec_driver_sql(f"SET LOCAL {limit}")
        yield connection, transaction


def bring_up(connection: Connection, service: str) -> None:
    script = ScriptDirectory(str(Path(__file__).parent), version_locations=[str(steps(service))])

    def todo(revision: Any, _: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=todo) as environment:
        environment.configure(connection=connection, target_metadata=chassis_metadata)  # names are made by its rules
        environment.run_migrations()


def steps(service: str) -> Path:
    (folder,) = import_module(f"services.{service}").__path__
    return Path(folder, "migrations", "versions")


def models_of(service: str) -> list[MetaData]:
    """All tables of the database of `service`."""
    return [import_module(f"services.{service}.models").Base.metadata, keepers()]


# Writing a step ------------------------------------------------------------------------------------------------------

STEP = '''"""{title}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import {helpers}

revision = "{revision}"
down_revision = {before}


def upgrade() -> None:
    {body}
'''


def step(connection: Connection, service: str, number: int, title: str) -> str:
    metadatas = models_of(service)
    first = number == 1  # the tables of the chassis are made by one call there

    def compared(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return kind != "table" or (name != "alembic_version" and not (first and name in chassis_metadata.tables))

    context = MigrationContext.configure(connection, opts={"include_object": compared})
    changes = produce_migrations(context, metadatas).upgrade_ops  # type: ignore[arg-type]  # it takes several
    body = ["create_chassis_tables()"] if first else []
    if changes and changes.ops:
        rendered = dedent("    " + render_python_code(changes, migration_context=context))
        body += [line for line in rendered.splitlines() if not line.startswith("#")]
    body += guards_to_write(connection, metadatas[:1] if first else metadatas)
    return STEP.format(
        title=title,
        helpers="create_chassis_tables, guard" if first else "guard",
        revision=f"{number:04}",
        before=None if first else f'"{number - 1:04}"',
        body="\n".join(body).replace("\n", "\n    "),
    )


def guards_to_write(connection: Connection, metadatas: Sequence[MetaData]) -> Iterator[str]:
    present = {tuple(row) for row in connection.execute(text(tombstone.TRIGGERS))}
    for table in (table for metadata in metadatas for table in metadata.sorted_tables):
        for person, columns in tombstone.guarded(table).items():
            if not {(table.name, name) for name in tombstone.triggers_of(person, columns)} <= present:
                said = "".join(f", {column}={erased!r}" for column, erased in columns.items())
                yield f'guard("{table.name}", "{person}"{said})'


# Finding drift -------------------------------------------------------------------------------------------------------

# What is in a schema, a line for each thing, told by the database and without the schema's name.
TOLD = """
WITH here AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
SELECT concat_ws(' ', 'column', relname || '.' || attname, format_type(atttypid, atttypmod),
  CASE WHEN attnotnull THEN 'NOT NULL' END, pg_get_expr(adbin, adrelid), attidentity, attgenerated)
  FROM here JOIN pg_attribute ON attrelid = here.oid LEFT JOIN pg_attrdef ON adrelid = here.oid AND adnum = attnum
  WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT concat_ws(' ', 'options of', relname, array_to_string(reloptions, ', ')) FROM here WHERE relkind = 'r'
UNION ALL SELECT concat_ws(' ', 'constraint', conname, 'of', relname, pg_get_constraintdef(pg_constraint.oid, true))
  FROM here JOIN pg_constraint ON conrelid = here.oid WHERE contype <> 'n'
UNION ALL SELECT pg_get_indexdef(oid, 0, true) FROM here WHERE relkind = 'i'
UNION ALL SELECT pg_get_triggerdef(pg_trigger.oid, true)
  FROM here JOIN pg_trigger ON tgrelid = here.oid WHERE tgname LIKE '%refuses_erased%'
UNION ALL SELECT concat_ws(' ', 'function', proname, prosrc)
  FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname ~ 'refuses?_erased$'
UNION ALL SELECT concat_ws(' ', 'type', typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder))
  FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid
  WHERE typnamespace = current_schema()::regnamespace GROUP BY typname
"""


def differences(connection: Connection, metadatas: Sequence[MetaData]) -> list[str]:
    migrated = told(connection)
    connection.exec_driver_sql("CREATE SCHEMA declared")
    connection.exec_driver_sql("SET LOCAL search_path = declared")
    lay(connection, metadatas)
    declared = told(connection)
    return [f"only in the models: {line}" for line in sorted(declared - migrated)] + [
        f"only in the steps: {line}" for line in sorted(migrated - declared)
    ]


def told(connection: Connection) -> set[str]:
    return {line for line in connection.execute(text(TOLD)).scalars() if "alembic_version" not in line}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m chassis.migrations", description="Steps of a service's database.")
    parser.add_argument("command", choices=["upgrade", "drift", "revision"])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="where the database is")
    where.add_argument("--url-file", type=Path, help="a file that says it: a password is safe there")
    parser.add_argument("service")
    parser.add_argument("title", nargs="?", default="")
    given = parser.parse_args(arguments)
    url = given.url or given.url_file.read_text(encoding="utf-8").strip()
    match given.command:
        case "upgrade":
            asyncio.run(upgrade(url, given.service))
            return 0
        case "drift":
            found = asyncio.run(drift(url, given.service))
        case "revision":
            found = [str(asyncio.run(revise(url, given.service, given.title)))]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if given.command == "drift" and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
