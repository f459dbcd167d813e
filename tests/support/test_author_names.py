"""The name beside somebody's words is a copy of what identity says, and identity may be away."""

from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis import client
from chassis.database import Sessions
from chassis.jobs import settle
from chassis.service import Service
from tests.support.conftest import ADA, As, Identity, Shop, question, register
from tests.world import Hands


async def names(support: SupportServiceStub, ticket: pb.Ticket, metadata: client.Metadata) -> list[str]:
    reply = await support.ListMessages(pb.ListMessagesRequest(parent=ticket.name), metadata=metadata)
    return [message.author_name for message in reply.messages]


async def test_words_stand_beside_the_name_of_who_said_them(
    support: SupportServiceStub, shop: Shop, as_: As, identity: Identity
) -> None:
    async with identity.there() as there:
        ada = await register(there, "Ada", "ada@example.org")
        ravi = await register(there, "Ravi of the store", "ravi@example.org")
        ticket = await support.CreateTicket(question(ada, await shop.place(ada)), metadata=as_(ada))
        said = pb.CreateMessageRequest(parent=ticket.name, message=pb.Message(body="Hello"))
        reply = await support.CreateMessage(said, metadata=as_(ravi, "agent"))
    assert reply.author_name == "Ravi of the store"
    assert await names(support, ticket, as_(ada)) == ["Ada", "Ravi of the store"]


async def test_words_are_kept_while_identity_is_away_and_named_when_it_is_back(
    support: SupportServiceStub,
    shop: Shop,
    as_: As,
    identity: Identity,
    made: Service,
    sessions: Sessions,
    clock: Hands,
) -> None:
    async with identity.there() as there:
        ada = await register(there, "Ada", "ada@example.org")
    ticket = await support.CreateTicket(question(ada, await shop.place(ada)), metadata=as_(ada))
    assert await names(support, ticket, as_(ada)) == [""]
    async with identity.there():
        await settle(made.jobs, sessions, clock)
    assert await names(support, ticket, as_(ada)) == ["Ada"]


async def test_nobody_is_asked_for_twice_whom_identity_does_not_know(
    support: SupportServiceStub,
    shop: Shop,
    as_: As,
    identity: Identity,
    made: Service,
    sessions: Sessions,
    clock: Hands,
) -> None:
    ticket = await support.CreateTicket(question(ADA, await shop.place(ADA)), metadata=as_(ADA))
    [naming] = [job for job in made.jobs if job.name == "name_authors"]
    async with identity.there():
        assert await naming.work(sessions, clock()) == 1
        assert await naming.work(sessions, clock()) == 0
    assert await names(support, ticket, as_(ADA)) == [""]
