import asyncio
import pkgutil
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import chassis
import services
from chassis.database import chassis_metadata, connect, sqlstate
from chassis.migrations import KEEPERS, drift, keepers, main, models_of, revise, upgrade
from chassis.personal_data.holdings import tables_of
from chassis.personal_data.tombstone import verify
from tests.chassis.people import TABLES

SERVICES = sorted(
    one.name
    for one in pkgutil.iter_modules(services.__path__)
    if (Path(services.__path__[0]) / one.name / "models.py").exists()
)

NIGHTS = "    nights: Mapped[int]\n"
MODELS = '''"""Tables of a service that is only here to be migrated."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import database
from chassis.personal_data import personal, subject


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


class Guest(Base):
    __tablename__ = "guest"
    __table_args__ = (CheckConstraint("nights > 0", "nights"),)

    id: Mapped[UUID] = subject(primary_key=True)
    name: Mapped[str] = personal("rapport.identity.v1.User.display_name")
    nights: Mapped[int]
    create_time: Mapped[datetime]
'''


@pytest.fixture
def inn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a service `inn`, which has models and no steps yet."""
    folder = tmp_path / "inn"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "models.py").write_text(MODELS)
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path)])
    yield folder
    for name in [name for name in sys.modules if name.startswith("services.inn")]:
        del sys.modules[name]


def change(folder: Path, old: str, new: str) -> None:
    models = (folder / "models.py").read_text()
    assert old in models
    (folder / "models.py").write_text(models.replace(old, new))
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)  # by its time, the file may look unchanged
    del sys.modules["services.inn.models"]


async def ask(url: str, *statements: str) -> list[object]:
    """Each row's first value of the last statement."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in statements:
            result = await connection.execute(text(statement))
    return list(result.scalars()) if result.returns_rows else []


# The services' own ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
async def test_a_services_steps_lead_to_its_models(database: str, service: str) -> None:
    assert await drift(database, service) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_migrated_database_is_guarded_and_needs_no_extension(database: str, service: str) -> None:
    await upgrade(database, service)
    engine, sessions = connect(database, name="tests")
    async with sessions() as session:
        await verify(session, tables_of(models_of(service)))
        assert list(await session.scalars(text("SELECT extname FROM pg_extension"))) == ["plpgsql"]
    await engine.dispose()


def test_every_table_of_the_chassis_has_a_keeper() -> None:
    kept = set(keepers().tables)
    for module in pkgutil.walk_packages(chassis.__path__, "chassis."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    assert set(chassis_metadata.tables) == kept, f"add the module that keeps it to KEEPERS: {KEEPERS}"


# Steps ---------------------------------------------------------------------------------------------------------------


async def test_a_step_is_written_from_the_models(database: str, inn: Path) -> None:
    path = await revise(database, "inn", "Lay the tables")
    assert path == inn / "migrations/versions/0001_lay_the_tables.py"
    written = path.read_text()
    assert "create_chassis_tables()" in written
    assert 'guard("guest", "id", name=None)' in written
    assert "nights > 0" in written
    assert await drift(database, "inn") == []


async def test_writing_and_comparing_leave_the_database_alone(database: str, inn: Path) -> None:
    await revise(database, "inn", "Lay the tables")
    await drift(database, "inn")
    assert await ask(database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


async def test_the_next_step_says_what_changed(database: str, inn: Path) -> None:
    await revise(database, "inn", "Lay the tables")
    change(inn, NIGHTS, f"{NIGHTS}    note: Mapped[str | None] = personal('rapport.support.v1.Message.body')\n")
    problems = await drift(database, "inn")
    assert any(problem.startswith("only in the models: column guest.note text") for problem in problems)
    assert any("refuses_erased_update" in problem for problem in problems)
    path = await revise(database, "inn", "Keep a note")
    written = path.read_text()
    assert (path.name, 'down_revision = "0001"' in written) == ("0002_keep_a_note.py", True)
    assert 'op.add_column("guest"' in written.replace("'", '"')
    assert 'guard("guest", "id", name=None, note=None)' in written
    assert "create_chassis_tables" not in written
    assert await drift(database, "inn") == []


async def test_a_database_of_yesterday_is_brought_up_to_date(database: str, inn: Path) -> None:
    await revise(database, "inn", "Lay the tables")
    await upgrade(database, "inn")
    await ask(database, "INSERT INTO guest VALUES (gen_random_uuid(), 'Ada', 2, now())")
    change(inn, NIGHTS, f"{NIGHTS}    is_late: Mapped[bool | None]\n")
    await revise(database, "inn", "Mind the late")
    await upgrade(database, "inn")
    await upgrade(database, "inn")  # and again, with nothing to do
    assert await ask(database, "SELECT is_late FROM guest") == [None]
    assert await ask(database, "SELECT version_num FROM alembic_version") == ["0002"]
    assert await drift(database, "inn") == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ALTER TABLE guest DROP CONSTRAINT guest_nights_check", "only in the models: constraint guest_nights_check"),
        ("ALTER TABLE guest ALTER name DROP NOT NULL", "only in the steps: column guest.name text"),
        ("ALTER TABLE guest ALTER nights SET DEFAULT 1", "only in the steps: column guest.nights bigint NOT NULL 1"),
        ("CREATE INDEX extra ON guest (nights)", "only in the steps: CREATE INDEX extra"),
        (
            "DROP FUNCTION guest_id_refuses_erased CASCADE",
            "only in the models: CREATE TRIGGER id_refuses_erased_insert",
        ),
        ("DROP TABLE erased_subject", "only in the models: column erased_subject.id uuid"),
        ("CREATE TABLE extra (id uuid)", "only in the steps: column extra.id uuid"),
        ("CREATE TYPE extra AS ENUM ('a')", "only in the steps: type extra a"),
        ("ALTER TABLE guest SET (fillfactor = 50)", "only in the steps: options of guest fillfactor=50"),
    ],
)
async def test_what_was_changed_by_hand_is_drift(database: str, inn: Path, harm: str, said: str) -> None:
    await revise(database, "inn", "Lay the tables")
    await upgrade(database, "inn")
    await ask(database, harm)
    assert any(problem.startswith(said) for problem in await drift(database, "inn"))


async def test_a_step_that_fails_leaves_nothing_behind(database: str, inn: Path) -> None:
    path = await revise(database, "inn", "Lay the tables")
    path.write_text(f"{path.read_text()}    op.execute('SELECT 1 / 0')\n")
    with pytest.raises(DBAPIError) as caught:
        await upgrade(database, "inn")
    assert sqlstate(caught.value) == "22012"
    assert await ask(database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


async def test_two_who_upgrade_take_turns(database: str, inn: Path) -> None:
    await revise(database, "inn", "Lay the tables")
    await asyncio.gather(upgrade(database, "inn"), upgrade(database, "inn"))
    assert await ask(database, "SELECT version_num FROM alembic_version") == ["0001"]


async def test_a_step_does_not_stand_in_the_way_for_long(database: str, inn: Path) -> None:
    path = await revise(database, "inn", "Lay the tables")
    look = "CREATE TABLE seen AS SELECT current_setting('lock_timeout') || current_setting('statement_timeout') AS is"
    path.write_text(f'{path.read_text()}    op.execute("{look}")\n')
    await upgrade(database, "inn")
    assert await ask(database, "SELECT seen.is FROM seen") == ["5s2min"]


def test_it_can_be_done_from_the_shell(
    postgres: str, inn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "url"
    asyncio.run(ask(f"{postgres}postgres", "SELECT 1"))
    file.write_text(f"{postgres}postgres\n")
    assert main(["revision", "--url-file", str(file), "inn", "Lay the tables"]) == 0
    assert capsys.readouterr().out.endswith("0001_lay_the_tables.py\n")
    assert main(["drift", "--url", file.read_text().strip(), "inn"]) == 0
    change(inn, "nights > 0", "nights > 1")
    assert main(["drift", "--url-file", str(file), "inn"]) == 1
    assert "only in the models: constraint guest_nights_check" in capsys.readouterr().out


# What they lay -------------------------------------------------------------------------------------------------------


async def test_the_made_up_tables_of_these_tests_are_guarded(place: str) -> None:
    engine, sessions = connect(place, name="tests")
    async with sessions() as session:
        await verify(session, TABLES)
    await engine.dispose()
