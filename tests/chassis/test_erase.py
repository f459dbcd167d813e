import subprocess
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, select, text

from chassis.database import Sessions
from chassis.personal_data import erase as erasing
from chassis.personal_data.erase import erase, scan
from chassis.personal_data.holdings import holdings, leaves
from tests import engines
from tests.chassis.conftest import PLANTED, People
from tests.chassis.people import (
    NOW,
    TABLES,
    Base,
    Bill,
    Call,
    Drawer,
    Entry,
    Folder,
    Leg,
    Member,
    Message,
    Paper,
    Ticket,
    User,
)

KEPT = {"bill.address"}


async def forget(sessions: Sessions, person: UUID) -> dict[str, tuple[str, int]]:
    async with sessions.begin() as session:
        outcomes = await erase(session, TABLES, person, NOW)
    return {one.column: (one.action, one.rows) for one in outcomes}


def dump(url: str) -> str:
    return subprocess.run(
        [engines.POSTGRES / "pg_dump", "--no-owner", url], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def found(word: str, dumped: str) -> bool:
    return word in dumped or word.encode().hex() in dumped


async def test_nothing_of_a_person_is_left_in_a_dump(place: str, held: Sessions, people: People) -> None:
    before = dump(place)
    assert [column for column, word in PLANTED.items() if not found(word, before)] == []
    await forget(held, people.ada)
    after = dump(place)
    assert {column for column, word in PLANTED.items() if found(word, after)} == KEPT


async def test_every_column_is_planted() -> None:
    """So that the test above cannot fall behind the tables."""
    declared = {one.name for table in Base.metadata.sorted_tables for one in holdings(table)}
    rows = {one.name for table in Base.metadata.sorted_tables for one in holdings(table) if one.column is one.subject}
    assert declared - rows - {"mark.mac"} == PLANTED.keys()


async def test_the_outcome_says_what_became_of_each_column(held: Sessions, people: People) -> None:
    outcomes = await forget(held, people.ada)
    assert {column: outcome for column, outcome in outcomes.items() if outcome[1]} == {
        "user.email": ("ERASE", 1),
        "user.display_name": ("ERASE", 1),
        "user.birth_date": ("ERASE", 1),
        "credential.hash": ("ERASE", 1),
        "ticket.customer_id": ("RETAIN", 1),
        "ticket.title": ("ERASE", 1),
        "message.customer_id": ("ANONYMISE", 2),
        "message.author_id": ("ANONYMISE", 1),
        "message.body": ("ERASE", 2),
        "message.author_name": ("ANONYMISE", 1),
        "call.customer_id": ("ANONYMISE", 1),
        "bill.buyer_id": ("RETAIN", 1),
        "bill.address": ("RETAIN", 1),
        "bill.greeting": ("ERASE", 1),
        "folder.owner_id": ("ERASE", 1),
        "folder.label": ("ERASE", 1),
        "paper.words": ("ERASE", 1),
        "drawer.label": ("ERASE", 1),
        "sock.colour": ("ERASE", 1),
        "member.user_id": ("ERASE", 1),
        "entry.account_id": ("ANONYMISE", 1),
        "leg.entry_id": ("ANONYMISE", 2),
        "erased_subject.id": ("RETAIN", 1),
    }
    assert outcomes["restricted_subject.id"] == ("ERASE", 0)  # asked as well, and not there


async def test_rows_go_only_where_nothing_that_stays_needs_them() -> None:
    gone = {table.name for table in Base.metadata.sorted_tables if leaves(table)}
    assert gone == {"user", "credential", "paper", "drawer", "sock", "member"}


async def test_what_others_put_with_a_person_stays(held: Sessions, people: People) -> None:
    """The foreign key of a paper does not say whose folder it is in, so the folder is emptied and not taken."""
    await forget(held, people.ada)
    async with held() as session:
        [paper] = (await session.scalars(select(Paper))).all()
        assert (paper.writer_id, paper.words) == (people.eve, "what Eve put there")
        [folder] = (await session.scalars(select(Folder))).all()
        assert (folder.owner_id, folder.label) == (None, None)
        assert await session.scalar(select(func.count()).select_from(Drawer)) == 0


async def test_erasing_the_customer_keeps_the_agents_name(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    async with held() as session:
        rows = (await session.execute(select(Message.author_name, Message.body).order_by(Message.author_name))).all()
        assert [tuple(row) for row in rows] == [("Eve", None), ("someone", None)]
        assert (await session.get_one(User, people.eve)).email == "eve@example.org"


async def test_erasing_the_agent_keeps_the_conversation(held: Sessions, people: People) -> None:
    await forget(held, people.eve)
    async with held() as session:
        rows = (await session.execute(select(Message.author_name, Message.body).order_by(Message.body))).all()
        assert [tuple(row) for row in rows] == [("canary-ada", "canary-body 1"), ("someone", "canary-body 2")]


async def test_both_sides_of_a_conversation_can_be_erased(held: Sessions, people: People) -> None:
    """The tombstone of the one does not stand in the way of the other."""
    await forget(held, people.ada)
    await forget(held, people.eve)
    async with held() as session:
        assert set(await session.scalars(select(Message.author_name))) == {"someone"}


async def test_what_the_law_keeps_stays_beside_what_goes(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    async with held() as session:
        [bill] = (await session.scalars(select(Bill))).all()
        assert (bill.buyer_id, bill.address, bill.greeting) == (people.ada, "canary-address", "Dear customer")


async def test_a_ledger_stays_as_it_is_about_nobody(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    async with held() as session:
        assert await session.scalar(select(func.sum(Entry.points))) == 500
        assert await session.scalar(select(func.sum(Leg.points))) == 0
        assert await session.scalar(select(func.count()).select_from(Member)) == 0


async def test_erasing_again_finds_nothing_to_take(held: Sessions, people: People) -> None:
    first, again = await forget(held, people.ada), await forget(held, people.ada)
    assert {column for column, (action, rows) in again.items() if action != "RETAIN" and rows} == set()
    kept = {column: outcome for column, outcome in first.items() if outcome[0] == "RETAIN"}
    assert {column: outcome for column, outcome in again.items() if outcome[0] == "RETAIN"} == kept


async def test_the_first_promise_keeps_its_time(held: Sessions, people: People) -> None:
    await forget(held, people.ada)
    async with held.begin() as session:
        await erase(session, TABLES, people.ada, NOW + timedelta(days=1))
        assert await session.scalar(text("SELECT erase_time FROM erased_subject")) == NOW


async def test_a_rolled_back_erasure_is_none(held: Sessions, people: People) -> None:
    async with held() as session:
        await erase(session, TABLES, people.ada, NOW)
        await session.rollback()
    async with held.begin() as session:
        assert (await session.get_one(User, people.ada)).email == "canary-email@x"
        session.add(Call(customer_id=people.ada, seconds=1))


async def test_what_the_session_knew_is_forgotten_too(held: Sessions, people: People) -> None:
    async with held.begin() as session:
        ticket = (await session.scalars(select(Ticket))).one()
        ticket_id = ticket.id
        await erase(session, TABLES, people.ada, NOW)
        assert (await session.get_one(Ticket, ticket_id)).title is None


async def test_what_the_session_was_about_to_write_is_erased_as_well(held: Sessions, people: People) -> None:
    async with held.begin() as session:
        with session.no_autoflush:
            session.add(Call(customer_id=people.ada, seconds=1))
            outcomes = await erase(session, TABLES, people.ada, NOW)
    assert [one.rows for one in outcomes if one.column == "call.customer_id"] == [2]


async def test_much_is_taken_in_parts(held: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that go, rows that stay, and rows of two people, each more than one statement takes."""
    monkeypatch.setattr(erasing, "BATCH", 7)
    ada, eve = uuid4(), uuid4()
    async with held.begin() as session:
        ticket, folder = Ticket(id=uuid4(), customer_id=eve), Folder(id=uuid4(), owner_id=eve)
        session.add_all([ticket, folder])
        await session.flush()
        said = {"ticket_id": ticket.id, "customer_id": eve, "author_id": ada, "author_name": "Ada", "body": "words"}
        await session.execute(insert(Message), [said for _ in range(20)])
        await session.execute(insert(Call), [{"customer_id": ada, "seconds": 1} for _ in range(14)])
        paper = {"folder_id": folder.id, "writer_id": ada, "words": "mine"}
        await session.execute(insert(Paper), [paper for _ in range(15)])
    outcomes = await forget(held, ada)
    assert outcomes["message.author_name"] == ("ANONYMISE", 20)
    assert outcomes["call.customer_id"] == ("ANONYMISE", 14)
    assert outcomes["paper.words"] == ("ERASE", 15)
    async with held() as session:
        assert (await scan(session, TABLES, ada))[0] == []
        assert await session.scalar(select(func.count()).where(Message.body == "words")) == 20


async def test_a_scan_tells_what_is_there_and_what_is_kept(held: Sessions, people: People) -> None:
    async with held() as session:
        remaining, retained = await scan(session, TABLES, people.ada)
    names = {one.column: one.rows for one in remaining}
    assert names.keys() >= PLANTED.keys() - KEPT
    assert (names["message.body"], names["entry.account_id"], names["leg.entry_id"]) == (2, 1, 2)
    assert {one.column for one in retained} == {"ticket.customer_id", "bill.buyer_id", "bill.address"}
    await forget(held, people.ada)
    async with held() as session:
        remaining, retained = await scan(session, TABLES, people.ada)
    assert remaining == []
    assert {one.column: one.legal_basis for one in retained} == {
        "ticket.customer_id": "tax law",
        "bill.buyer_id": "tax law",
        "bill.address": "tax law",
        "erased_subject.id": "GDPR art. 5(2), 17(1): the proof that we forgot, and the means to",
    }
