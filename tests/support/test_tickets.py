import asyncio
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from rapport.support.v1 import events_pb2 as events
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.database import Sessions
from chassis.jobs import settle
from chassis.personal_data.restrict import restrict
from chassis.service import Service
from services.support.models import TicketState
from services.support.tickets import MOVES, Act
from tests.support.conftest import ADA, EVE, RAVI, As, Shop, question
from tests.world import Hands, refused, stated


class Desk:
    """A customer's ticket, and both sides of it."""

    def __init__(self, support: SupportServiceStub, as_: As, ticket: pb.Ticket) -> None:
        self.support, self.as_, self.name = support, as_, ticket.name

    async def get(self) -> pb.Ticket:
        return await self.support.GetTicket(pb.GetTicketRequest(name=self.name), metadata=self.as_(ADA))

    async def state(self) -> str:
        return pb.Ticket.State.Name((await self.get()).state)

    async def customer_replies(self, body: str = "And?", request_id: str = "") -> pb.Message:
        return await self.reply(self.as_(ADA), body, request_id)

    async def store_replies(self, body: str = "Soon.", request_id: str = "") -> pb.Message:
        return await self.reply(self.as_(RAVI, "agent"), body, request_id)

    async def reply(self, metadata: Any, body: str, request_id: str) -> pb.Message:
        request = pb.CreateMessageRequest(parent=self.name, message=pb.Message(body=body), request_id=request_id)
        return await self.support.CreateMessage(request, metadata=metadata)

    async def solve(self, etag: str = "") -> pb.Ticket:
        request = pb.SolveTicketRequest(name=self.name, etag=etag)
        return await self.support.SolveTicket(request, metadata=self.as_(RAVI, "agent"))

    async def said(self, **paging: Any) -> list[str]:
        request = pb.ListMessagesRequest(parent=self.name, **paging)
        reply = await self.support.ListMessages(request, metadata=self.as_(ADA))
        return [message.body for message in reply.messages]


@pytest.fixture
async def desk(support: SupportServiceStub, shop: Shop, as_: As) -> Desk:
    asked = question(ADA, await shop.place(ADA))
    return Desk(support, as_, await support.CreateTicket(asked, metadata=as_(ADA)))


# Submitting ----------------------------------------------------------------------------------------------------------


async def test_a_ticket_is_about_one_of_ones_own_orders(
    support: SupportServiceStub, shop: Shop, as_: As, sessions: Sessions
) -> None:
    order = await shop.place(ADA)
    asked = question(ADA, order, kind=pb.Ticket.CLAIM, title="Broken", body="It came in two pieces.")
    ticket = await support.CreateTicket(asked, metadata=as_(ADA))
    assert (ticket.order, ticket.title, ticket.body) == (order, "Broken", "It came in two pieces.")
    assert (ticket.kind, ticket.state) == (pb.Ticket.CLAIM, pb.Ticket.NEW)
    [created] = await stated(sessions, events.TicketCreated)
    assert (created.user, created.ticket) == (f"users/{ADA}", ticket.name)


@pytest.mark.parametrize(
    "order",
    [f"users/{ADA}/orders/0", f"users/{EVE}/orders/1001", f"users/{EVE}/orders/0", f"users/{EVE}/orders/1002"],
)
async def test_an_order_of_somebody_else_is_no_order(
    support: SupportServiceStub, shop: Shop, as_: As, sessions: Sessions, order: str
) -> None:
    """Whether it exists or not, and whether one's own has its number: the answer is the same, and nothing is kept."""
    await shop.place(EVE)
    await shop.place(ADA, "1002")
    with refused("ORDER_NOT_FOUND") as said:
        await support.CreateTicket(question(ADA, order), metadata=as_(ADA))
    assert (said[0].message, dict(said[0].metadata)) == ("There is no such order of this customer.", {})
    assert await stated(sessions, events.TicketCreated) == []


async def test_nobody_submits_for_somebody_else(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    asked = question(ADA, await shop.place(ADA))
    for metadata in (as_(EVE), as_(RAVI, "agent"), as_(RAVI, "admin")):
        with refused("FORBIDDEN"):
            await support.CreateTicket(asked, metadata=metadata)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("ticket.kind", {"kind": pb.Ticket.KIND_UNSPECIFIED}),
        ("ticket.kind", {"kind": 99}),
        ("ticket.title", {"title": ""}),
        ("ticket.title", {"title": "x" * 201}),
        ("ticket.body", {"body": "x" * 10_001}),
    ],
)
async def test_a_ticket_that_lacks_something_is_refused(
    support: SupportServiceStub, shop: Shop, as_: As, field: str, said: dict[str, Any]
) -> None:
    order = await shop.place(ADA)
    with refused("INVALID_FIELD") as refusals:
        await support.CreateTicket(question(ADA, order, **said), metadata=as_(ADA))
    assert [one.field for one in refusals[0].violations] == [field]


async def test_a_request_that_comes_again_is_one_ticket(
    support: SupportServiceStub, shop: Shop, as_: As, sessions: Sessions
) -> None:
    asked = question(ADA, await shop.place(ADA))
    asked.request_id = str(uuid4())
    answers = await asyncio.gather(*(support.CreateTicket(asked, metadata=as_(ADA)) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert len(await stated(sessions, events.TicketCreated)) == 1
    asked.ticket.title = "Something else"
    with refused("REQUEST_ID_REUSED"):
        await support.CreateTicket(asked, metadata=as_(ADA))


async def test_the_database_keeps_tickets_to_ones_own_orders(desk: Desk, sessions: Sessions) -> None:
    """Whatever the code above it does."""
    with pytest.raises(DBAPIError, match="ticket_customer_id_order_number_fkey"):
        async with sessions.begin() as session:
            await session.execute(text("UPDATE ticket SET customer_id = :eve"), {"eve": EVE})


# A conversation ------------------------------------------------------------------------------------------------------


async def test_a_conversation_goes_to_and_fro(desk: Desk) -> None:
    states = [await desk.state()]
    for step in (desk.customer_replies, desk.store_replies, desk.customer_replies, desk.solve, desk.customer_replies):
        await step()
        states.append(await desk.state())
    assert states == ["NEW", "NEW", "PENDING", "OPEN", "SOLVED", "OPEN"]
    assert await desk.said() == ["It has not come.", "And?", "Soon.", "And?", "And?"]


async def test_who_speaks_is_told_by_the_side(desk: Desk, sessions: Sessions) -> None:
    assert (await desk.customer_replies()).side == pb.Message.CUSTOMER
    assert (await desk.store_replies()).side == pb.Message.STORE
    replies = await stated(sessions, events.TicketReplied)
    assert [reply.side for reply in replies] == [pb.Message.CUSTOMER, pb.Message.STORE]
    assert {reply.ticket for reply in replies} == {desk.name}


async def test_an_agent_who_buys_here_is_a_customer_on_her_own_ticket(desk: Desk) -> None:
    assert (await desk.reply(desk.as_(ADA, "agent"), "I again", "")).side == pb.Message.CUSTOMER


async def test_each_move_is_stated_once(desk: Desk, sessions: Sessions) -> None:
    await desk.store_replies()
    await desk.store_replies()
    await desk.solve()
    await desk.solve()
    moved = [pb.Ticket.State.Name(move.state) for move in await stated(sessions, events.TicketMoved)]
    assert moved == ["PENDING", "SOLVED"]


async def test_a_reply_that_comes_again_is_one_reply(desk: Desk) -> None:
    request_id = str(uuid4())
    first = await desk.customer_replies("Once", request_id)
    assert await desk.customer_replies("Once", request_id) == first
    assert await desk.said() == ["It has not come.", "Once"]
    with refused("REQUEST_ID_REUSED"):
        await desk.customer_replies("Twice", request_id)


async def test_replies_at_once_all_find_their_place(desk: Desk) -> None:
    await asyncio.gather(*(desk.customer_replies(str(number)) for number in range(8)))
    said = await desk.said()
    assert (said[0], sorted(said[1:])) == ("It has not come.", [str(number) for number in range(8)])


async def test_messages_come_oldest_first_a_page_at_a_time(desk: Desk) -> None:
    await desk.customer_replies("two")
    await desk.customer_replies("three")
    request = pb.ListMessagesRequest(parent=desk.name, page_size=2)
    first = await desk.support.ListMessages(request, metadata=desk.as_(ADA))
    assert [one.body for one in first.messages] == ["It has not come.", "two"]
    assert await desk.said(page_size=2, page_token=first.next_page_token) == ["three"]


async def test_strangers_neither_read_nor_write(desk: Desk) -> None:
    for metadata in (desk.as_(EVE), desk.as_(EVE, "privacy_officer")):
        with refused("FORBIDDEN"):
            await desk.support.GetTicket(pb.GetTicketRequest(name=desk.name), metadata=metadata)
        with refused("FORBIDDEN"):
            await desk.support.ListMessages(pb.ListMessagesRequest(parent=desk.name), metadata=metadata)
        with refused("FORBIDDEN"):
            await desk.reply(metadata, "Hello", "")
        with refused("FORBIDDEN"):
            await desk.support.SolveTicket(pb.SolveTicketRequest(name=desk.name), metadata=metadata)


async def test_a_ticket_is_found_under_its_customer_only(desk: Desk) -> None:
    """Eve may ask under her own name, and finds nothing there."""
    name = desk.name.replace(str(ADA), str(EVE))
    with refused("TICKET_NOT_FOUND"):
        await desk.support.GetTicket(pb.GetTicketRequest(name=name), metadata=desk.as_(EVE))
    with refused("TICKET_NOT_FOUND"):
        request = pb.CreateMessageRequest(parent=name, message=pb.Message(body="Hello"))
        await desk.support.CreateMessage(request, metadata=desk.as_(EVE))
    with refused("TICKET_NOT_FOUND"):
        await desk.support.ListMessages(pb.ListMessagesRequest(parent=name), metadata=desk.as_(EVE))
    with refused("TICKET_NOT_FOUND"):
        await desk.support.SolveTicket(pb.SolveTicketRequest(name=name), metadata=desk.as_(EVE))


# States --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "act"), [pair for pair in product(TicketState, Act) if pair not in MOVES])
def test_what_the_table_leaves_out_is_of_closed_tickets_and_of_time(state: TicketState, act: Act) -> None:
    assert state is TicketState.CLOSED or act is Act.LET_REST


async def test_a_solved_ticket_is_closed_after_four_quiet_days(
    desk: Desk, made: Service, sessions: Sessions, clock: Hands
) -> None:
    await desk.solve()
    clock.advance(timedelta(days=4, seconds=-1))
    await settle(made.jobs, sessions, clock)
    assert await desk.state() == "SOLVED"
    clock.advance(timedelta(seconds=1))
    await settle(made.jobs, sessions, clock)
    assert await desk.state() == "CLOSED"
    assert [pb.Ticket.State.Name(one.state) for one in await stated(sessions, events.TicketMoved)] == [
        "SOLVED",
        "CLOSED",
    ]


async def test_a_ticket_that_was_opened_again_is_not_closed(
    desk: Desk, made: Service, sessions: Sessions, clock: Hands
) -> None:
    await desk.solve()
    clock.advance(timedelta(days=3))
    await desk.customer_replies()
    await desk.solve()
    clock.advance(timedelta(days=3))
    await settle(made.jobs, sessions, clock)
    assert await desk.state() == "SOLVED"


async def test_a_closed_ticket_takes_nothing_more(desk: Desk, made: Service, sessions: Sessions, clock: Hands) -> None:
    await desk.solve()
    clock.advance(timedelta(days=4))
    await settle(made.jobs, sessions, clock)
    for step in (desk.customer_replies, desk.store_replies, desk.solve):
        with refused("TICKET_STATE_CONFLICT") as said:
            await step()
        assert dict(said[0].metadata) == {"state": "CLOSED"}
    assert await desk.said() == ["It has not come."]


async def test_a_ticket_that_changed_meanwhile_is_not_solved(desk: Desk) -> None:
    seen = await desk.get()
    await desk.customer_replies("Wait!")
    with refused("ETAG_MISMATCH"):
        await desk.solve(seen.etag)
    assert (await desk.solve((await desk.get()).etag)).state == pb.Ticket.SOLVED


async def test_customers_solve_their_own(desk: Desk) -> None:
    request = pb.SolveTicketRequest(name=desk.name)
    assert (await desk.support.SolveTicket(request, metadata=desk.as_(ADA))).state == pb.Ticket.SOLVED


# Lists ---------------------------------------------------------------------------------------------------------------


async def listed(support: SupportServiceStub, metadata: Any, parent: str, size: int = 50) -> list[str]:
    titles: list[str] = []
    token = ""
    while token or not titles:
        request = pb.ListTicketsRequest(parent=parent, page_size=size, page_token=token)
        page = await support.ListTickets(request, metadata=metadata)
        titles += [f"{ticket.title}: {ticket.body}" for ticket in page.tickets]
        token = page.next_page_token
        if not token:
            break
    return titles


@pytest.fixture
async def three(support: SupportServiceStub, shop: Shop, as_: As, clock: Hands) -> list[pb.Ticket]:
    made = []
    for person, title in ((ADA, "first"), (EVE, "hers"), (ADA, "last")):
        asked = question(person, await shop.place(person), title=title, body="?")
        made.append(await support.CreateTicket(asked, metadata=as_(person)))
        clock.advance(timedelta(minutes=1))
    return made


async def test_tickets_come_the_latest_touched_first(
    support: SupportServiceStub, as_: As, three: list[pb.Ticket]
) -> None:
    assert await listed(support, as_(ADA), f"users/{ADA}") == ["last: ?", "first: ?"]
    await Desk(support, as_, three[0]).customer_replies()
    assert await listed(support, as_(ADA), f"users/{ADA}", size=1) == ["first: ?", "last: ?"]


async def test_agents_read_across_all_customers(support: SupportServiceStub, as_: As, three: list[pb.Ticket]) -> None:
    assert await listed(support, as_(RAVI, "agent"), "users/-", size=2) == ["last: ?", "hers: ?", "first: ?"]
    with refused("FORBIDDEN"):
        await listed(support, as_(ADA), "users/-")


async def test_agents_keep_off_the_tickets_of_the_restricted(
    support: SupportServiceStub, as_: As, three: list[pb.Ticket], sessions: Sessions, clock: Hands
) -> None:
    async with sessions.begin() as session:
        await restrict(session, EVE, restricted=True, now=clock())
    agent = as_(RAVI, "agent")
    assert await listed(support, agent, "users/-") == ["last: ?", "first: ?"]
    hers = three[1].name
    said = pb.CreateMessageRequest(parent=hers, message=pb.Message(body="Hello"))
    for call in (
        support.GetTicket(pb.GetTicketRequest(name=hers), metadata=agent),
        support.ListTickets(pb.ListTicketsRequest(parent=f"users/{EVE}"), metadata=agent),
        support.ListMessages(pb.ListMessagesRequest(parent=hers), metadata=agent),
        support.SolveTicket(pb.SolveTicketRequest(name=hers), metadata=agent),
        support.CreateMessage(said, metadata=agent),
    ):
        with refused("PERSON_RESTRICTED"):
            await call
    assert (await support.CreateMessage(said, metadata=as_(EVE))).side == pb.Message.CUSTOMER
