"""What support holds of a person comes out whole, and goes."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from rapport.commerce.v1.events_pb2 import OrderRefunded
from rapport.holder.v1 import holder_pb2 as holder_pb
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from rapport.support.v1 import events_pb2 as events
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub
from sqlalchemy import select

from chassis.database import Sessions, chassis_metadata
from chassis.jobs import settle
from chassis.personal_data.holder import Holder
from chassis.personal_data.holdings import holdings, tables_of
from chassis.personal_data.retention import load as load_schedule
from chassis.service import Service
from chassis.time import timestamp
from services.support.messages import rename_author
from services.support.models import Base
from tests.support.conftest import ADA, EVE, RAVI, As, Shop, question
from tests.world import Hands, as_service, refused, stated

PRIVACY = as_service("privacy")
HOLDER = f"users/{ADA}"
CANARIES = {  # per column that holds a person: what Ada left there
    "order.number": "order-1815",
    "order.lines": "A lamp",
    "order.tracking_numbers": "1Z999AA10123456784",
    "order.user_id": str(ADA),
    "ticket.customer_id": str(ADA),
    "ticket.order_number": "order-1815",
    "ticket.title": "canary-title",
    "message.customer_id": str(ADA),
    "message.author_id": str(ADA),
    "message.body": "canary-body",
    "message.author_name": "canary-name",
}


@pytest.fixture
async def ticket(support: SupportServiceStub, shop: Shop, as_: As, sessions: Sessions) -> pb.Ticket:
    """Ada asked, Ravi answered."""
    order = await shop.place(ADA, "order-1815")
    shipped = shop.shipped(ADA, "order-1815")
    shipped.tracking_numbers.append("1Z999AA10123456784")
    await shop.tell(shipped=shipped)
    asked = question(ADA, order, title="canary-title", body="canary-body of the customer")
    ticket = await support.CreateTicket(asked, metadata=as_(ADA))
    said = pb.CreateMessageRequest(parent=ticket.name, message=pb.Message(body="canary-body of the store"))
    await support.CreateMessage(said, metadata=as_(RAVI, "agent"))
    async with sessions.begin() as session:
        await rename_author(session, ADA, "canary-name")
        await rename_author(session, RAVI, "Ravi of the store")
    return ticket


@pytest.fixture
def holder(channel: grpc.aio.Channel) -> HolderServiceStub:
    return HolderServiceStub(channel)


async def exported(holder: HolderServiceStub, person: UUID) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    request = holder_pb.ExportSubjectRequest(subject=f"users/{person}")
    async for row in holder.ExportSubject(request, metadata=PRIVACY):
        record = {column: said["value"] for column, said in json.loads(row.row_json).items()}
        found.setdefault(row.table, []).append(record)
    return found


async def erase(sessions: Sessions, person: UUID, now: Hands) -> None:
    """As it is done when privacy orders it."""
    tables = tables_of([Base.metadata, chassis_metadata])
    order = ErasureOrdered(
        user=f"users/{person}",
        erasure=f"erasures/{uuid4()}",
        holders=["holders/support"],
        event_time=timestamp(now()),
    )
    async with sessions.begin() as session:
        await Holder("support", tables, sessions, now, load_schedule()).forget(session, order, now())


async def whole_database(sessions: Sessions) -> str:
    rows: list[str] = []
    async with sessions() as session:
        for table in Base.metadata.sorted_tables:
            rows += map(str, (await session.execute(select(table))).all())
    return "\n".join(rows)


async def test_a_customer_gets_all_of_theirs_and_nobody_elses_name(
    holder: HolderServiceStub, ticket: pb.Ticket
) -> None:
    theirs = await exported(holder, ADA)
    missing = [column for column, canary in CANARIES.items() if canary not in json.dumps(theirs[column.split(".")[0]])]
    assert missing == []
    assert [one["body"] for one in theirs["message"]] == ["canary-body of the customer", "canary-body of the store"]
    assert "Ravi" not in json.dumps(theirs)
    assert str(RAVI) not in json.dumps(theirs)


async def test_an_agent_gets_their_name_and_not_the_customers_words(
    holder: HolderServiceStub, ticket: pb.Ticket
) -> None:
    theirs = await exported(holder, RAVI)
    assert [one["author_name"] for one in theirs["message"]] == ["Ravi of the store"]
    assert "canary" not in json.dumps(theirs)
    assert str(ADA) not in json.dumps(theirs)


async def test_every_column_that_holds_a_person_has_a_canary() -> None:
    """So that these tests cannot fall behind the tables."""
    declared = {one.name for table in Base.metadata.sorted_tables for one in holdings(table)}
    assert declared == set(CANARIES)


async def test_erasure_leaves_nothing_of_a_customer(
    holder: HolderServiceStub, ticket: pb.Ticket, sessions: Sessions, clock: Hands
) -> None:
    before = await whole_database(sessions)
    assert [canary for canary in CANARIES.values() if canary not in before] == []
    await erase(sessions, ADA, clock)
    after = await whole_database(sessions)
    assert [canary for canary in CANARIES.values() if canary in after] == []
    assert "Ravi of the store" in after
    [done] = await stated(sessions, ErasureDone)
    rows = {one.column: one.rows for one in done.outcomes if one.column in CANARIES}
    assert {column for column, count in rows.items() if count} == set(CANARIES)
    assert rows["message.body"] == 2
    scanned = await holder.ScanSubject(holder_pb.ScanSubjectRequest(subject=HOLDER), metadata=PRIVACY)
    assert (scanned.erased, list(scanned.remaining)) == (True, [])


async def test_erasing_the_agent_leaves_the_conversation_to_the_customer(
    holder: HolderServiceStub, support: SupportServiceStub, ticket: pb.Ticket, sessions: Sessions, as_: As, clock: Hands
) -> None:
    await erase(sessions, RAVI, clock)
    reply = await support.ListMessages(pb.ListMessagesRequest(parent=ticket.name), metadata=as_(ADA))
    assert [(one.author_name, one.body, one.side) for one in reply.messages] == [
        ("canary-name", "canary-body of the customer", pb.Message.CUSTOMER),
        ("", "canary-body of the store", pb.Message.STORE),
    ]


async def test_what_is_left_of_an_erased_customers_ticket_is_nobodys_to_see(
    support: SupportServiceStub, ticket: pb.Ticket, sessions: Sessions, as_: As, clock: Hands
) -> None:
    await erase(sessions, ADA, clock)
    agent = as_(RAVI, "agent")
    everyones = await support.ListTickets(pb.ListTicketsRequest(parent="users/-"), metadata=agent)
    assert list(everyones.tickets) == []
    with refused("TICKET_NOT_FOUND"):
        await support.GetTicket(pb.GetTicketRequest(name=ticket.name), metadata=agent)
    with refused("TICKET_NOT_FOUND"):
        said = pb.CreateMessageRequest(parent=ticket.name, message=pb.Message(body="Hello?"))
        await support.CreateMessage(said, metadata=agent)


async def test_an_erased_customers_solved_ticket_is_not_spoken_of_again(
    support: SupportServiceStub, ticket: pb.Ticket, made: Service, sessions: Sessions, as_: As, clock: Hands
) -> None:
    await support.SolveTicket(pb.SolveTicketRequest(name=ticket.name), metadata=as_(ADA))
    stated_before = await stated(sessions, events.TicketMoved)
    await erase(sessions, ADA, clock)
    clock.advance(timedelta(days=5))
    await settle(made.jobs, sessions, clock)
    assert await stated(sessions, events.TicketMoved) == stated_before


async def test_an_erased_customer_does_not_come_back(
    support: SupportServiceStub, shop: Shop, ticket: pb.Ticket, sessions: Sessions, as_: As, clock: Hands
) -> None:
    """Neither by their own late request, nor by what the shop has yet to tell: that is passed on, for the ledger."""
    await erase(sessions, ADA, clock)
    await shop.place(ADA, "order-1816")
    await shop.tell(refunded=shop.refunded(ADA, 40, "order-1815"))
    assert [one.order for one in await stated(sessions, OrderRefunded)] == [ticket.order]
    with refused("ORDER_NOT_FOUND"):
        await support.CreateTicket(question(ADA, ticket.order), metadata=as_(ADA))
    assert str(ADA) not in await whole_database(sessions)


async def test_erasing_one_customer_leaves_the_others_as_they_were(
    support: SupportServiceStub, shop: Shop, ticket: pb.Ticket, sessions: Sessions, as_: As, clock: Hands
) -> None:
    hers = await support.CreateTicket(question(EVE, await shop.place(EVE)), metadata=as_(EVE))
    await erase(sessions, ADA, clock)
    assert await support.GetTicket(pb.GetTicketRequest(name=hers.name), metadata=as_(EVE)) == hers
