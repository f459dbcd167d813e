"""Who may say and hear what, asked of the real server."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import nats as nats_client
import pytest
from google.protobuf.descriptor import FileDescriptor
from nats.aio.client import Client
from rapport.commerce.v1 import commerce_pb2
from rapport.commerce.v1.events_pb2 import OrderPaid, OrderPlaced
from rapport.holder.v1 import holder_pb2
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1.events_pb2 import SessionRevoked, UserDeleted
from rapport.privacy.v1 import privacy_pb2
from rapport.support.v1 import support_pb2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import hearing, nats_rights, relay
from chassis.consumer import Arrival, Handler, on
from chassis.database import Sessions
from chassis.nats_rights import operator, outsider, party_of
from chassis.personal_data.holder import Holder
from chassis.personal_data.retention import load
from chassis.reader import ALL, follow, read
from chassis.streams import Durable, Party, prepare
from chassis.subjects import filter_of
from chassis.time import system_clock, timestamp
from tests import engines
from tests.chassis.events import count, created, line, say, ticket_of, until

HOLDER = "rapport.holder.v1.erasure.done.p00.a"
NOBODYS = "nobody.may.do.this"


@on(UserDeleted)
async def close_tickets(session: AsyncSession, event: UserDeleted, about: Arrival) -> None:
    await session.execute(text("CREATE TABLE tickets_closed ()"))


@on(OrderPaid, ingress=True)
async def note_payment(session: AsyncSession, event: OrderPaid, about: Arrival) -> None: ...


@dataclass(frozen=True)
class Speaker:
    """As much of a service as matters here."""

    name: str
    contracts: Sequence[FileDescriptor]
    consumers: Sequence[Handler] = ()
    holder: bool = True


SERVICES = (
    Speaker("identity", [identity_pb2.DESCRIPTOR, holder_pb2.DESCRIPTOR]),
    Speaker("privacy", [privacy_pb2.DESCRIPTOR]),
    Speaker("support", [support_pb2.DESCRIPTOR, commerce_pb2.DESCRIPTOR], [close_tickets, note_payment]),
)
STOCK = Durable("stock-orders", "RAPPORT_COMMERCE_V1", filter_of(OrderPlaced))
PARTIES = (
    *map(party_of, SERVICES),
    Party("gateway", reads=["rapport.identity.v1.>", "rapport.support.v1.>"]),
    Party("stock", durables=[STOCK]),  # an internal team
    Party("nobody"),
)
USERS = [
    *(nats_rights.user(party, party.name) for party in PARTIES),
    {"user": "operator", "password": "operator", "permissions": operator()},
    {"user": "shop", "password": "shop", "permissions": outsider("shop", "ingress.commerce.>")},
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The URL of a server that knows these users; each one's password is its name."""
    with engines.nats(settings=f"authorization: {json.dumps({'users': USERS})}") as url:
        yield url


@pytest.fixture
async def laid_out(guarded: str) -> str:
    async with line(guarded, "operator", "operator") as there:
        await prepare(there.js, PARTIES)
        await prepare(there.js, PARTIES)
    return guarded


@asynccontextmanager
async def speaking(url: str, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A user's connection, and what the server complains of."""
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error).lower())

    client = await nats_client.connect(url, user=user, password=user, error_cb=complain)
    yield client, complaints
    await client.close()


async def may_say(url: str, user: str, subject: str) -> bool:
    async with speaking(url, user) as (client, complaints):
        await client.publish(subject, b"")
        await client.publish(NOBODYS, b"")
        return await complains_only_of_the_last(complaints)


async def may_hear(url: str, user: str, subject: str) -> bool:
    async with speaking(url, user) as (client, complaints):
        await client.subscribe(subject)
        await client.subscribe(NOBODYS)
        return await complains_only_of_the_last(complaints)


async def complains_only_of_the_last(complaints: list[str]) -> bool:
    """The server answers in turn: when it complains of what nobody may do, it has judged what came before."""

    async def has_judged() -> bool:
        return any(NOBODYS in one for one in complaints)

    await until(has_judged)
    return len(complaints) == 1


@pytest.mark.parametrize(
    ("user", "subject", "allowed"),
    [
        ("support", "rapport.support.v1.ticket.created.p00.a.b", True),
        ("support", "rapport.commerce.v1.order.paid.p00.a.b", True),  # it owns the orders
        ("support", "rapport.identity.v1.user.deleted.p00.a.a", False),
        ("support", "rapport.privacy.v1.erasure.ordered.p00.a.b", False),
        ("support", f"{HOLDER}.support", True),
        ("support", f"{HOLDER}.identity", False),
        ("identity", f"{HOLDER}.support", False),
        ("identity", f"{HOLDER}.identity", True),
        ("identity", "rapport.support.v1.ticket.created.p00.a.b", False),
        ("support", "ingress.commerce.order.paid", False),
        ("shop", "ingress.commerce.order.paid", True),
        ("shop", "rapport.commerce.v1.order.paid.p00.a.b", False),
        ("gateway", "rapport.support.v1.ticket.created.p00.a.b", False),
        ("stock", "rapport.commerce.v1.order.paid.p00.a.b", False),
        ("nobody", "rapport.support.v1.ticket.created.p00.a.b", False),
        ("nobody", "anything", False),
        ("operator", "rapport.support.v1.ticket.created.p00.a.b", False),
        ("operator", "ingress.commerce.order.paid", False),
        # JetStream's own words.
        ("support", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_IDENTITY_V1.support-close_tickets", True),
        ("support", "$JS.ACK.RAPPORT_IDENTITY_V1.support-close_tickets.1.1.1.1.0", True),
        ("support", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_PRIVACY_V1.identity-forget", False),
        ("support", "$JS.ACK.RAPPORT_PRIVACY_V1.identity-forget.1.1.1.1.0", False),
        ("support", "$JS.API.CONSUMER.CREATE.RAPPORT_IDENTITY_V1.x.rapport.identity.v1.>", False),
        ("support", "$JS.API.CONSUMER.DELETE.RAPPORT_IDENTITY_V1.support-close_tickets", False),
        ("support", "$JS.API.STREAM.DELETE.RAPPORT_SUPPORT_V1", False),
        ("support", "$JS.API.STREAM.PURGE.RAPPORT_SUPPORT_V1", False),
        ("support", "$JS.API.STREAM.CREATE.X", False),
        ("support", "$JS.API.DIRECT.GET.RAPPORT_PRIVACY_V1", False),
        ("support", "$JS.API.DIRECT.GET.INGRESS_COMMERCE", True),
        ("stock", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_COMMERCE_V1.stock-orders", True),
        ("stock", "$JS.API.CONSUMER.MSG.NEXT.RAPPORT_IDENTITY_V1.support-close_tickets", False),
        ("shop", "$JS.API.STREAM.INFO.INGRESS_COMMERCE", False),
        ("gateway", "$JS.API.DIRECT.GET.RAPPORT_SUPPORT_V1", True),
        ("gateway", "$JS.API.CONSUMER.CREATE.RAPPORT_SUPPORT_V1.x.rapport.support.v1.>", False),
    ],
)
async def test_everybody_says_what_is_theirs_and_nothing_else(
    laid_out: str, user: str, subject: str, allowed: bool
) -> None:
    assert await may_say(laid_out, user, subject) == allowed


@pytest.mark.parametrize(
    ("user", "subject", "allowed"),
    [
        ("support", "_INBOX_support.>", True),
        ("support", "_INBOX_identity.>", False),
        ("support", "_INBOX.>", False),
        ("support", filter_of(SessionRevoked), True),
        ("support", "rapport.privacy.v1.>", False),
        ("gateway", "rapport.support.v1.>", True),
        ("gateway", "rapport.privacy.v1.>", False),
        ("shop", "ingress.commerce.>", False),
        ("shop", "rapport.commerce.v1.>", False),
        ("stock", "rapport.commerce.v1.>", False),
        ("nobody", ">", False),
        ("operator", "rapport.>", True),
    ],
)
async def test_everybody_hears_what_they_may_and_nothing_else(
    laid_out: str, user: str, subject: str, allowed: bool
) -> None:
    assert await may_hear(laid_out, user, subject) == allowed


async def test_services_do_their_work_with_these_rights(sessions: Sessions, laid_out: str) -> None:
    she = f"users/{uuid4()}"
    gone = UserDeleted(user=she, erasure=f"erasures/{uuid4()}", event_time=timestamp(system_clock()))
    await say(sessions, gone)
    async with (
        line(laid_out, "identity", "identity") as identity,
        relay.running(identity, sessions, source="identity", replica="one") as relayed,
        line(laid_out, "support", "support") as support,
        hearing.running(support, "support", SERVICES[2].consumers, sessions, system_clock) as heard,
    ):

        async def is_seen() -> bool:
            return await count(sessions, "inbox") == 1

        await until(is_seen)

        async def is_quiet() -> bool:
            return not await heard.pending() + await relayed.pending()

        await until(is_quiet)
        async with aclosing(read(support, filter_of(UserDeleted), since=ALL)) as events:
            assert (await anext(events)).key == she
    assert await count(sessions, "tickets_closed") == 0


async def test_a_team_hears_from_the_beginning_with_its_own_consumer(sessions: Sessions, laid_out: str) -> None:
    order = f"users/{uuid4()}/orders/R.1"
    placed = OrderPlaced(user=order.partition("/orders")[0], order=order, event_time=timestamp(system_clock()))
    await say(sessions, created(ticket_of()), placed)
    async with (
        line(laid_out, "support", "support") as support,
        relay.running(support, sessions, source="support", replica="one"),
        line(laid_out, "stock", "stock") as stock,
        aclosing(follow(stock, STOCK)) as events,
    ):
        event = await anext(events)
        assert (event.key, event.type) == (order, "rapport.commerce.v1.OrderPlaced")
        assert OrderPlaced.FromString(event.data) == placed


async def test_what_a_service_may_not_say_is_not_lost(sessions: Sessions, laid_out: str) -> None:
    """It waits in the outbox, for whoever mends the rights."""
    she = f"users/{uuid4()}"
    theirs = ErasureDone(user=she, holder="holders/identity", event_time=timestamp(system_clock()))
    await say(sessions, theirs)
    async with line(laid_out, "support", "support") as support:
        relayed = relay.Relay(support, sessions, source="/support", replica="one")
        await relayed.lease.take()
        assert not await relayed.pass_on()
        assert await relayed.pending() == 1


def test_a_holders_consumer_is_the_one_that_its_handler_has(sessions: Sessions) -> None:
    forget = Holder("identity", (), sessions, system_clock, load()).handler()
    assert party_of(SERVICES[0]).durables == [Durable(forget.durable("identity"), forget.stream, forget.filter)]
