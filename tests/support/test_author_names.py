"""The name beside somebody's words is a copy of what identity says, and identity may be away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from rapport.identity.v1 import identity_pb2 as identity_pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis import client
from chassis.database import Sessions, connect
from chassis.jobs import settle
from chassis.names import parse
from chassis.service import Service
from chassis.settings import Secret
from services.identity.__main__ import service as identity_service
from services.identity.settings import Settings as IdentitySettings
from services.support.__main__ import service
from services.support.settings import Settings
from tests import world
from tests.engines import free_port
from tests.identity.conftest import new_key
from tests.support.conftest import ADA, OPERATOR, As, Shop, question
from tests.world import Hands, token_of


class Identity:
    """The identity service, which comes when it is called."""

    def __init__(self, settings: IdentitySettings, clock: Hands) -> None:
        self.settings, self.clock = settings, clock
        self.channel = client.channel(f"ipv4:{settings.listen}", service_token=token_of("support"), name="support")

    @asynccontextmanager
    async def there(self) -> AsyncIterator[IdentityServiceStub]:
        engine, sessions = connect(self.settings.database_url.value, name="tests")
        made = identity_service(self.settings, sessions, self.clock)
        async with world.running(made, self.settings) as channel:
            await self.channel.channel_ready()
            yield IdentityServiceStub(channel)
        await engine.dispose()


async def register(identity: IdentityServiceStub, name: str, email: str) -> UUID:
    user = identity_pb.User(email=email, display_name=name)
    request = identity_pb.CreateUserRequest(user=user, password="brass kettle at dawn")
    made = await identity.CreateUser(request, metadata=OPERATOR)
    user_id: UUID = parse("users/{user}", made.name)
    return user_id


@pytest.fixture
async def identity(postgres: str, tmp_path: Path, clock: Hands) -> AsyncIterator[Identity]:
    folder = tmp_path / "identity"
    folder.mkdir()
    settings = world.settings(
        IdentitySettings,
        folder,
        name="identity",
        database=await world.database_of(postgres, "identity"),
        listen=f"127.0.0.1:{free_port()}",
        public_url="https://store.example.org/",
        signing_key=Secret(new_key()),
        password_memory_kib=64,
        password_passes=1,
    )
    made = Identity(settings, clock)
    async with made.channel:
        yield made


@pytest.fixture
def made(settings: Settings, sessions: Sessions, clock: Hands, identity: Identity) -> Service:
    return service(settings, sessions, clock, identity.channel)


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
