from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chassis.database import Sessions, connect
from chassis.migrations import lay
from tests import engines
from tests.chassis.events import Witness, lay_out, relaying
from tests.chassis.people import (
    Base,
    Bill,
    Call,
    Credential,
    Drawer,
    Entry,
    Folder,
    Leg,
    Mark,
    Member,
    Message,
    Paper,
    Sock,
    Ticket,
    User,
)
from tests.conftest import ask
from tests.world import copied


@pytest.fixture(scope="session")
def template_of_people(postgres: str, template: str) -> str:
    import asyncio

    asyncio.run(make_template(postgres, template))
    return "template_people"


async def make_template(postgres: str, template: str) -> None:
    await ask(postgres, f"CREATE DATABASE template_people TEMPLATE {template}")
    engine, _ = connect(f"{postgres}template_people", name="tests")
    async with engine.begin() as connection:
        await connection.run_sync(lay, [Base.metadata])
    await engine.dispose()


@pytest.fixture
async def place(postgres: str, template_of_people: str) -> str:
    """The URL of a fresh database with the tables of tests.chassis.people."""
    return await copied(postgres, template_of_people)


@pytest.fixture
async def held(place: str) -> AsyncIterator[Sessions]:
    """Sessions on that database."""
    engine, sessions = connect(place, name="tests")
    yield sessions
    await engine.dispose()


@dataclass(frozen=True)
class People:
    ada: UUID  # a customer
    eve: UUID  # an agent, who has talked with Ada


# What Ada left behind, a word for each column that holds something of hers.
PLANTED = {
    "user.email": "canary-email@x",
    "user.display_name": "canary-display",
    "user.birth_date": "1815-12-10",
    "credential.hash": "canary-hash",
    "ticket.title": "canary-title",
    "message.body": "canary-body",
    "message.author_name": "canary-ada",
    "bill.address": "canary-address",
    "bill.greeting": "canary-greeting",
    "folder.label": "canary-folder",
    "paper.words": "canary-paper",
    "drawer.label": "canary-drawer",
    "sock.colour": "canary-sock",
}


@pytest.fixture
async def people(held: Sessions) -> People:
    """Ada and Eve, with a row of Ada's in every table."""
    ada, eve, account, entry = uuid4(), uuid4(), uuid4(), uuid4()
    planted = PLANTED
    async with held.begin() as session:
        for who, email, name, born in (
            (ada, planted["user.email"], planted["user.display_name"], date(1815, 12, 10)),
            (eve, "eve@example.org", "Eve", None),
        ):
            session.add(User(id=who, email=email, display_name=name, birth_date=born))
        await session.flush()
        session.add(Credential(user_id=ada, hash=planted["credential.hash"].encode()))
        ticket = Ticket(id=uuid4(), customer_id=ada, title=planted["ticket.title"])
        folder = Folder(id=uuid4(), owner_id=ada, label=planted["folder.label"])
        drawer = Drawer(id=uuid4(), owner_id=ada, label=planted["drawer.label"])
        session.add_all([ticket, folder, drawer, Call(customer_id=ada, seconds=61)])
        session.add(Bill(buyer_id=ada, address=planted["bill.address"], greeting=planted["bill.greeting"]))
        session.add(Member(user_id=ada, account_id=account))
        session.add(Entry(id=entry, account_id=account, points=500))
        session.add(Mark(mac=b"\x01\x02"))
        await session.flush()
        said = {"ticket_id": ticket.id, "customer_id": ada}
        session.add(Message(author_id=ada, author_name=planted["message.author_name"], body="canary-body 1", **said))
        session.add(Message(author_id=eve, author_name="Eve", body="canary-body 2", **said))
        session.add(Paper(folder_id=folder.id, writer_id=ada, words=planted["paper.words"]))
        session.add(Paper(folder_id=folder.id, writer_id=eve, words="what Eve put there"))
        session.add(Sock(drawer_id=drawer.id, owner_id=ada, colour=planted["sock.colour"]))
        session.add_all([Leg(entry_id=entry, points=500), Leg(entry_id=entry, points=-500)])
    return People(ada, eve)


@pytest.fixture
def url_file(sessions: Sessions, tmp_path: Path) -> Path:
    """Holds the URL of the database of `sessions`, as commands are told."""
    file = tmp_path / "database.url"
    file.write_text(sessions.kw["bind"].url.set(drivername="postgresql").render_as_string(hide_password=False))
    return file


@pytest.fixture
def own_nats() -> Iterator[str]:
    """The URL of a NATS server that nobody else speaks to."""
    with engines.nats() as url:
        yield url


# Events ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def witness(sessions: Sessions, own_nats: str) -> Witness:
    """A handler of TicketReplied, its table and its consumer."""
    made = Witness()
    await made.lay(sessions)
    await lay_out(own_nats, made.handler)
    return made


@pytest.fixture
async def relayed(sessions: Sessions, own_nats: str) -> AsyncIterator[None]:
    """What is said goes out."""
    async with relaying(own_nats, sessions):
        yield
