from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import Table, func, select, text

from chassis.database import Sessions
from chassis.personal_data import Undeclared, retention
from chassis.personal_data.erase import erase
from chassis.personal_data.holdings import tables_of
from chassis.personal_data.retention import STORE, Period, Schedule, Start, load, sweep
from chassis.personal_data.tombstone import is_erased
from tests.chassis.conftest import People
from tests.chassis.people import NOW, TABLES, Base, Bill, Call, Mark, Message, Ticket, User

DAY = timedelta(days=1)
SCHEDULE = load()
OURS = tables_of([Base.metadata])


# The schedule --------------------------------------------------------------------------------------------------------


def changed(tmp_path: Path, **purposes: object) -> Path:
    """The store's schedule with other words for some purposes; None leaves one out."""
    said = yaml.safe_load(STORE.read_text())
    for purpose, rule in purposes.items():
        said["periods"].pop(purpose, None)
        if rule is not None:
            said["periods"][purpose] = rule
    path = tmp_path / "retention.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def test_the_store_has_a_period_for_every_purpose() -> None:
    for number in filter(None, Purpose.values()):
        assert SCHEDULE.of(Personal(purpose=number))
    assert SCHEDULE.version >= 1


@pytest.mark.parametrize("purpose", [name for name, number in Purpose.items() if number])
def test_a_purpose_without_a_period_is_refused(tmp_path: Path, purpose: str) -> None:
    with pytest.raises(Undeclared, match=f"no period for the purpose {purpose}"):
        load(changed(tmp_path, **{purpose: None}))


@pytest.mark.parametrize(
    "rule",
    [
        {"days": "many", "after": "creation"},
        {"days": -1, "after": "creation"},
        {"days": 1, "after": "the flood"},
        {"days": 1},
        "for ever",
        {"days": 1, "after": "creation", "categories": {"USER_SHOE_SIZE": {"days": 1, "after": "creation"}}},
    ],
    ids=str,
)
def test_a_period_that_says_nothing_is_refused(tmp_path: Path, rule: object) -> None:
    with pytest.raises(Undeclared, match="no retention schedule"):
        load(changed(tmp_path, SUPPORT=rule))


def test_a_purpose_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Undeclared, match="no retention schedule"):
        load(changed(tmp_path, CURIOSITY={"days": 1, "after": "creation"}))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Undeclared, match="no retention schedule"):
        load(tmp_path / "nothing.yaml")


def test_a_category_within_a_purpose_goes_first(tmp_path: Path) -> None:
    narrower = {"USER_NAME": {"days": 10, "after": "creation"}}
    schedule = load(changed(tmp_path, SUPPORT={"days": 90, "after": "last change", "categories": narrower}))
    name = Personal(purpose=Purpose.SUPPORT, category=Category.USER_NAME)
    words = Personal(purpose=Purpose.SUPPORT, category=Category.USER_CONTENT_PRIVATE)
    assert (str(schedule.of(name)), str(schedule.of(words))) == (
        "10 days after creation",
        "90 days after last change",
    )


# The sweep -----------------------------------------------------------------------------------------------------------


async def sweep_at(
    sessions: Sessions, now: datetime, schedule: Schedule = SCHEDULE, tables: Sequence[Table] = TABLES
) -> int:
    """Sweep until nothing is due, as the chassis does."""
    done, job = 0, sweep(tables, schedule)
    while more := await job.work(sessions, now):
        done += more
    return done


async def words(sessions: Sessions) -> tuple[list[str | None], list[str | None], int]:
    async with sessions() as session:
        return (
            list(await session.scalars(select(Ticket.title))),
            list(await session.scalars(select(Message.body))),
            await session.scalar(select(func.count(Call.customer_id))) or 0,
        )


async def test_what_is_due_goes_and_not_a_second_before(held: Sessions, people: People) -> None:
    end = NOW + 730 * DAY
    assert await sweep_at(held, end - timedelta(seconds=1)) == 0
    assert await words(held) == (["canary-title"], ["canary-body 1", "canary-body 2"], 1)
    assert await sweep_at(held, end) > 0
    assert await words(held) == ([None], [None, None], 0)
    async with held() as session:
        assert set(await session.scalars(select(Message.author_name))) == {"someone"}
    assert await sweep_at(held, end) == 0


async def test_a_row_that_changes_is_kept_from_its_last_change(held: Sessions, people: People) -> None:
    async with held.begin() as session:
        await session.execute(text("UPDATE ticket SET update_time = :now"), {"now": NOW + 10 * DAY})
    await sweep_at(held, NOW + 735 * DAY)
    assert (await words(held))[0] == ["canary-title"]
    await sweep_at(held, NOW + 740 * DAY)
    assert (await words(held))[0] == [None]


async def test_a_row_goes_when_nothing_in_it_may_be_kept(held: Sessions, people: People) -> None:
    mark: Any = Mark.__table__
    assert await sweep_at(held, NOW + 730 * DAY - timedelta(seconds=1), tables=[mark]) == 0
    assert await sweep_at(held, NOW + 730 * DAY, tables=[mark]) == 1
    async with held() as session:
        assert await session.scalar(select(func.count()).select_from(Mark)) == 0


async def test_what_goes_with_the_account_is_not_swept(held: Sessions, people: People) -> None:
    await sweep_at(held, NOW + 50_000 * DAY)
    async with held() as session:
        assert (await session.get_one(User, people.ada)).email == "canary-email@x"


async def forget(sessions: Sessions, person: UUID, now: datetime) -> None:
    async with sessions.begin() as session:
        await erase(session, TABLES, person, now)


async def test_what_the_law_keeps_goes_when_its_time_is_over(held: Sessions, people: People) -> None:
    """Counted from the erasure, by itself: nobody has to remember."""
    gone = NOW + 100 * DAY
    await forget(held, people.ada, gone)
    kept = select(Bill.address)
    await sweep_at(held, gone + 3650 * DAY - timedelta(seconds=1))
    async with held() as session:
        assert (await session.scalars(kept)).all() == ["canary-address"]
        assert await is_erased(session, people.ada)
    await sweep_at(held, gone + 3650 * DAY)
    async with held() as session:
        assert (await session.scalars(kept)).all() == []
        assert not await is_erased(session, people.ada)  # and then nothing is left to tell who was forgotten


async def test_a_tombstone_stands_until_all_that_is_counted_from_it_is_gone(
    held: Sessions, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    async with held.begin() as session:
        session.add_all([Bill(buyer_id=people.ada, address="another", greeting="Dear Ada") for _ in range(3)])
    await forget(held, people.ada, NOW)
    await sweep_at(held, NOW + 3650 * DAY)
    async with held() as session:
        assert (await session.scalars(select(Bill.address))).all() == []
        assert not await is_erased(session, people.ada)


async def test_bills_of_the_living_are_kept(held: Sessions, people: People) -> None:
    await forget(held, people.eve, NOW)
    await sweep_at(held, NOW + 50_000 * DAY)
    async with held() as session:
        assert (await session.scalars(select(Bill.address))).all() == ["canary-address"]


async def test_a_row_stays_while_others_need_it(held: Sessions, people: People) -> None:
    """A message refers to the ticket, whose own time is over."""
    short = {(Purpose.COMPLIANCE, 0): Period(730, Start.LAST_CHANGE)}
    schedule = Schedule(1, SCHEDULE.periods | short)  # so that nothing speaks for keeping the ticket
    async with held() as session:
        [ticket] = (await session.scalars(select(Ticket))).all()
    await sweep_at(held, NOW + 730 * DAY, schedule, OURS)
    async with held() as session:
        assert [one.id for one in await session.scalars(select(Ticket))] == [ticket.id]
        await session.execute(text("DELETE FROM message"))
        await session.commit()
    await sweep_at(held, NOW + 730 * DAY, schedule, OURS)
    async with held() as session:
        assert (await session.scalars(select(Ticket))).all() == []


async def test_much_is_swept_in_parts(held: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    async with held.begin() as session:
        session.add_all([Mark(mac=uuid4().bytes) for _ in range(20)])
        session.add_all([Call(customer_id=uuid4(), seconds=1) for _ in range(15)])
    assert await sweep(TABLES, SCHEDULE).work(held, NOW + 1_000 * DAY) == 14
    assert await sweep_at(held, NOW + 1_000 * DAY) == 21
