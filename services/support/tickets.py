"""Tickets: who may do what to one in which state."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from rapport.support.v1 import events_pb2 as events
from rapport.support.v1.support_pb2 import Message as MessagePb
from rapport.support.v1.support_pb2 import Ticket as TicketPb
from sqlalchemy import Row, Select, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.outbox import publish
from chassis.personal_data.restrict import restricted_subject
from chassis.time import timestamp
from services.support import orders
from services.support.models import Message, Side, Ticket, TicketKind, TicketState
from services.support.refusals import TicketNotFound, TicketStateConflict

CLOSES_AFTER = timedelta(days=4)
BATCH = 100


class Act(Enum):
    """What happens to a ticket."""

    CUSTOMER_REPLIES = 1
    STORE_REPLIES = 2
    SOLVE = 3
    LET_REST = 4  # nobody said anything for CLOSES_AFTER


NEW, OPEN, PENDING, SOLVED, CLOSED = TicketState
MOVES = {  # What is not here is refused.
    (NEW, Act.CUSTOMER_REPLIES): NEW,
    (NEW, Act.STORE_REPLIES): PENDING,
    (NEW, Act.SOLVE): SOLVED,
    (OPEN, Act.CUSTOMER_REPLIES): OPEN,
    (OPEN, Act.STORE_REPLIES): PENDING,
    (OPEN, Act.SOLVE): SOLVED,
    (PENDING, Act.CUSTOMER_REPLIES): OPEN,
    (PENDING, Act.STORE_REPLIES): PENDING,
    (PENDING, Act.SOLVE): SOLVED,
    (SOLVED, Act.CUSTOMER_REPLIES): OPEN,
    (SOLVED, Act.STORE_REPLIES): PENDING,
    (SOLVED, Act.SOLVE): SOLVED,
    (SOLVED, Act.LET_REST): CLOSED,
}


async def submit(
    session: AsyncSession,
    *,
    customer: UUID,
    order: str,
    kind: TicketKind,
    title: str,
    body: str,
    author_name: str | None,
    now: datetime,
) -> Ticket:
    """Open a ticket on one of the customer's own orders."""
    await orders.get(session, customer, order)
    ticket = Ticket(
        customer_id=customer,
        order_number=order,
        kind=kind,
        title=title,
        state=NEW,
        messages=0,
        version=0,
        create_time=now,
        update_time=now,
    )
    session.add(ticket)
    await session.flush()
    await add_message(session, ticket, author=customer, body=body, author_name=author_name, now=now)
    await publish(
        session,
        events.TicketCreated(user=f"users/{customer}", ticket=ticket.name, event_time=timestamp(now)),
    )
    return ticket


async def reply(
    session: AsyncSession,
    customer: UUID,
    id: UUID,
    *,
    author: UUID,
    body: str,
    author_name: str | None,
    now: datetime,
) -> Message:
    """Say something on a ticket: the customer whose it is, or somebody of the store."""
    ticket = await locked(session, customer, id)
    act = Act.CUSTOMER_REPLIES if author == customer else Act.STORE_REPLIES
    state = next_state(ticket, act)
    message = await add_message(session, ticket, author=author, body=body, author_name=author_name, now=now)
    await publish(
        session,
        events.TicketReplied(
            user=f"users/{customer}",
            ticket=ticket.name,
            message=message.name,
            side=MessagePb.Side.ValueType(message.side.value),
            event_time=timestamp(now),
        ),
    )
    await move(session, ticket, state, now)
    return message


async def solve(session: AsyncSession, customer: UUID, id: UUID, *, etag: str, now: datetime) -> Ticket:
    """Mark a ticket as solved; one that is stays as it is."""
    ticket = await locked(session, customer, id)
    check_etag(etag, ticket.version, ticket.id)
    await move(session, ticket, next_state(ticket, Act.SOLVE), now)
    return ticket


async def close_rested(session: AsyncSession, now: datetime) -> int:
    """Close tickets that nobody wrote on since they were solved, and return how many."""
    query = (
        select(Ticket)
        .where(Ticket.state == SOLVED, Ticket.solve_time <= now - CLOSES_AFTER, Ticket.title.is_not(None))
        .order_by(Ticket.solve_time)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rested = (await session.scalars(query)).all()
    for ticket in rested:
        await move(session, ticket, next_state(ticket, Act.LET_REST), now)
    return len(rested)


def next_state(ticket: Ticket, act: Act) -> TicketState:
    state = MOVES.get((ticket.state, act))
    if state is None:
        raise TicketStateConflict("This ticket is closed: submit a new one.", state=ticket.state.name)
    return state


async def move(session: AsyncSession, ticket: Ticket, state: TicketState, now: datetime) -> None:
    if state is ticket.state:
        return
    ticket.state, ticket.solve_time = state, now if state is SOLVED else ticket.solve_time
    touch(ticket, now)
    await session.flush()
    await publish(
        session,
        events.TicketMoved(
            user=f"users/{ticket.customer_id}",
            ticket=ticket.name,
            state=TicketPb.State.ValueType(state.value),
            event_time=timestamp(now),
        ),
    )


def touch(ticket: Ticket, now: datetime) -> None:
    ticket.version += 1
    ticket.update_time = now


async def add_message(
    session: AsyncSession, ticket: Ticket, *, author: UUID, body: str, author_name: str | None, now: datetime
) -> Message:
    ticket.messages += 1
    touch(ticket, now)
    message = Message(
        ticket_id=ticket.id,
        number=ticket.messages,
        customer_id=ticket.customer_id,
        author_id=author,
        side=Side.CUSTOMER if author == ticket.customer_id else Side.STORE,
        body=body,
        author_name=author_name,
        create_time=now,
    )
    session.add(message)
    await session.flush()
    return message


# Reading -------------------------------------------------------------------------------------------------------------


async def get(session: AsyncSession, customer: UUID, id: UUID) -> Row[Ticket, Message]:
    """A ticket of the customer with its first message, or refuse because there is none."""
    found = (await session.execute(whole().where(Ticket.customer_id == customer, Ticket.id == id))).first()
    if found is None:
        raise not_found()
    return found


async def locked(session: AsyncSession, customer: UUID, id: UUID) -> Ticket:
    """A ticket of the customer, for this transaction alone to change."""
    query = select(Ticket).where(Ticket.customer_id == customer, Ticket.id == id, Ticket.title.is_not(None))
    ticket = await session.scalar(query.with_for_update())
    if ticket is None:
        raise not_found()
    return ticket


async def latest(
    session: AsyncSession, customer: UUID | None, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[Ticket, Message]]:
    """The tickets of a customer, or of all whose data may be worked with, the latest touched first."""
    place = (Ticket.update_time, Ticket.id)
    query = whole().order_by(*(one.desc() for one in place)).limit(limit)
    if customer is None:
        query = query.where(~exists().where(restricted_subject.c.id == Ticket.customer_id))
    else:
        query = query.where(Ticket.customer_id == customer)
    if after:
        query = query.where(tuple_(*place) < after)
    return (await session.execute(query)).all()


def whole() -> Select[Ticket, Message]:
    """Tickets with their first message. What is left of an erased customer's is nobody's to read."""
    first = (Message.ticket_id == Ticket.id) & (Message.number == 1)
    return select(Ticket, Message).join(Message, first).where(Ticket.title.is_not(None))


def not_found() -> TicketNotFound:
    return TicketNotFound("There is no such ticket of this customer.")
