from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from nats.js import JetStreamContext
from rapport.identity.v1 import identity_pb2 as identity_pb
from rapport.identity.v1.events_pb2 import UserCreated
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceServicer, add_IdentityServiceServicer_to_server
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1 import programme_pb2 as programme_pb
from rapport.loyalty.v1.finance_pb2_grpc import FinanceServiceStub
from rapport.loyalty.v1.ledger_pb2_grpc import LedgerServiceStub
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.loyalty.v1.programme_pb2_grpc import ProgrammeServiceStub
from sqlalchemy import text

from chassis.client import Metadata
from chassis.database import Sessions, connect
from chassis.envelope import headers
from chassis.nats_rights import party_of
from chassis.outbox import uuid7
from chassis.service import serving
from chassis.settings import Secret
from chassis.streams import Party, prepare
from chassis.subjects import key_of, owner_of, subject_of
from chassis.time import timestamp
from services.loyalty.__main__ import service
from services.loyalty.settings import Settings
from tests import engines, tokens
from tests.chassis.events import operator, until
from tests.mail_server import Waiting, waiting
from tests.world import Hands, as_service, database_of, settings, stated

E = TypeVar("E", bound=Message)
BONUS_KEY = bytes(range(32)).hex()
OPERATOR = as_service("operator")
OTHERS = ["rapport.commerce.v1", "rapport.identity.v1", "rapport.privacy.v1"]


class Identity(IdentityServiceServicer):
    """What loyalty asks identity about, answered over a socket; and where identity can be away."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.since: dict[str, datetime] = {}
        self.is_away = False

    async def GetUser(self, request: identity_pb.GetUserRequest, context: Any) -> identity_pb.User:
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if request.name not in self.addresses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        since = self.since.get(request.name, datetime(2026, 7, 6, tzinfo=UTC))
        return identity_pb.User(
            name=request.name, email=self.addresses[request.name], create_time=timestamp(since)
        )  # fmt: skip


@dataclass
class World:
    """Loyalty running, people who use it, and what reaches them."""

    stub: LoyaltyServiceStub
    ledger: LedgerServiceStub
    identity: Identity
    sessions: Sessions
    clock: Hands
    settle: Callable[[], Awaitable[int]]
    channel: grpc.aio.Channel
    js: JetStreamContext

    @property
    def finance(self) -> FinanceServiceStub:
        return FinanceServiceStub(self.channel)

    def now(self) -> datetime:
        return self.clock()

    def advance(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))

    def person(self, email: str = "") -> UUID:
        """Somebody identity knows."""
        user = uuid4()
        self.identity.addresses[f"users/{user}"] = email or f"{user}@example.org"
        self.identity.since[f"users/{user}"] = self.now()
        return user

    def as_(self, user: UUID, *roles: str) -> Metadata:
        return tokens.as_user(user, *roles, now=self.now())

    async def set_rules(self, bonus: int = 500, per_unit: int = 1, etag: str = "", **terms: Any) -> pb.Programme:
        """The rules; `terms` are the other fields of the programme, as its YAML has them."""
        rules = pb.Programme(currency="R points", newsletter_bonus=bonus, points_per_unit=per_unit, etag=etag)
        ParseDict(terms, rules)
        return await self.stub.UpdateProgramme(pb.UpdateProgrammeRequest(programme=rules), metadata=OPERATOR)

    @property
    def programme(self) -> ProgrammeServiceStub:
        return ProgrammeServiceStub(self.channel)

    async def grants(self, user: UUID) -> list[programme_pb.Grant]:
        """What the rules gave, oldest first."""
        request = programme_pb.ListGrantsRequest(parent=f"users/{user}/pointsAccount", page_size=200)
        return list(reversed((await self.programme.ListGrants(request, metadata=self.as_(user))).grants))

    async def tier(self, user: UUID, at: datetime | None = None) -> programme_pb.MemberTier:
        request = programme_pb.GetTierRequest(name=f"users/{user}/tier")
        if at is not None:
            request.effective_time.CopyFrom(timestamp(at))
        return await self.programme.GetTier(request, metadata=self.as_(user))

    # Points ---------------------------------------------------------------------------------------------------------

    async def balance(self, user: UUID) -> tuple[int, int]:
        name = f"users/{user}/pointsAccount"
        account = await self.stub.GetPointsAccount(pb.GetPointsAccountRequest(name=name), metadata=self.as_(user))
        return account.available, account.arrears

    async def movements(self, user: UUID, **paging: Any) -> list[pb.Movement]:
        return list((await self.page(user, **paging)).movements)

    async def page(self, user: UUID, **paging: Any) -> pb.ListMovementsResponse:
        request = pb.ListMovementsRequest(parent=f"users/{user}/pointsAccount", **paging)
        return await self.stub.ListMovements(request, metadata=self.as_(user))

    async def earn(self, user: UUID, points: int, request_id: str = "") -> pb.Movement:
        request = pb.EarnPointsRequest(
            parent=f"users/{user}/pointsAccount", points=points, request_id=request_id or str(uuid4())
        )
        return await self.stub.EarnPoints(request, metadata=OPERATOR)

    async def spend(self, user: UUID, points: int) -> None:
        await self.redeem(user, points)

    async def redeem(self, user: UUID, points: int, request_id: str = "") -> pb.Movement:
        request = ledger_pb.RedeemPointsRequest(
            parent=f"users/{user}/pointsAccount", points=points, request_id=request_id or str(uuid4())
        )
        return await self.ledger.RedeemPoints(request, metadata=OPERATOR)

    async def books(self) -> pb.VerifyLedgerResponse:
        return await self.stub.VerifyLedger(pb.VerifyLedgerRequest(), metadata=OPERATOR)

    async def ask_database(self, statement: str, **values: Any) -> list[Any]:
        async with self.sessions.begin() as session:
            result = await session.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []  # type: ignore[attr-defined]

    # The newsletter -------------------------------------------------------------------------------------------------

    async def mails(self, to: str) -> list[Waiting]:
        return await waiting(self.sessions, to)

    async def link(self, email: str, user: UUID | None = None) -> str:
        """The token of a link that somebody who asked for it, as `user` or as a guest, was mailed."""
        before = {one.id for one in await self.mails(email.lower())}
        request = pb.BeginSubscriptionRequest(email=email)
        await self.stub.BeginSubscription(request, metadata=self.as_(user) if user else ())
        [new] = [one for one in await self.mails(email.lower()) if one.id not in before]
        return str(new.text).partition("#token=")[2].split()[0]

    async def confirm(self, token: str) -> pb.Subscription:
        return await self.stub.ConfirmSubscription(pb.ConfirmSubscriptionRequest(token=token))

    async def subscribe(self, email: str, user: UUID | None = None) -> pb.Subscription:
        return await self.confirm(await self.link(email, user))

    async def end_token(self, email: str) -> str:
        [*_, last] = await self.mails(email)
        return str(last.headers["List-Unsubscribe"]).strip("<>").rpartition("/")[2]

    async def end(self, token: str) -> None:
        await self.stub.EndSubscription(pb.EndSubscriptionRequest(token=token))

    async def subscription(self, user: UUID) -> pb.Subscription:
        name = f"users/{user}/subscription"
        return await self.stub.GetSubscription(pb.GetSubscriptionRequest(name=name), metadata=self.as_(user))

    # What it states and hears ----------------------------------------------------------------------------------------

    async def stated(self, kind: type[E]) -> list[E]:
        return await stated(self.sessions, kind)

    async def registers(self, email: str) -> UUID:
        user = self.person(email)
        await self.hears(UserCreated(user=f"users/{user}", event_time=timestamp(self.now())))
        return user

    async def hears(self, *events: Message) -> None:
        """Others state these events, each when what loyalty does about the one before is done."""
        for event in events:
            stated = await self.told(event)

            async def is_done(stated: UUID = stated) -> bool:
                return await self.ask_database("SELECT 1 FROM inbox WHERE event_id = :id", id=stated) != []

            await until(is_done)

    async def told(self, event: Message, id: UUID | None = None) -> UUID:
        """Others state this event: under an id of its own, unless it comes again."""
        subject, (key, _), stated = subject_of(event), key_of(event), id or uuid7()
        said = headers(
            id=stated,
            type=event.DESCRIPTOR.full_name,
            source="/tests",
            key=key,
            owner=owner_of(subject),
            time=self.now(),
            version=1,
            previous=None,
            traceparent="",
            request_id="",
        )
        await self.js.publish(subject, event.SerializeToString(), headers=said)
        return stated

    async def failed(self, consumer: str) -> None:
        """Something that `consumer` heard did not work out so far."""

        async def has_failed() -> bool:
            return await self.ask_database("SELECT 1 FROM setback WHERE consumer = :name", name=consumer) != []

        await until(has_failed)


@pytest.fixture
def nats() -> Iterator[str]:
    """A NATS of each test's own: a consumer's place in a stream outlives the database it filled."""
    with engines.nats() as url:
        yield url


@pytest.fixture
async def world(postgres: str, nats: str, tmp_path: Path) -> AsyncIterator[World]:
    identity, server = Identity(), grpc.aio.server()  # type: ignore[abstract]
    add_IdentityServiceServicer_to_server(identity, server)
    told = settings(
        Settings,
        tmp_path,
        name="loyalty",
        database=await database_of(postgres, "loyalty"),
        nats_url=nats,
        identity_target=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}",
        public_url="https://store.example.org",
        bonus_key=Secret(BONUS_KEY),
    )
    await server.start()
    engine, sessions = connect(told.database_url.value, name="tests")
    clock = Hands(datetime(2026, 7, 6, 12, tzinfo=UTC))
    loyalty = replace(service(told, sessions, clock), keys=tokens.keys)
    async with operator(nats) as js:
        await prepare(js, [party_of(loyalty), Party("others", OTHERS)])
        async with serving(loyalty, told) as served, grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            made = World(
                LoyaltyServiceStub(channel),
                LedgerServiceStub(channel),
                identity,
                sessions,
                clock,
                served.settle,
                channel,
                js,
            )
            await made.set_rules()
            yield made
    await engine.dispose()
    await server.stop(None)


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is booked when the history says so."""
    monkeypatch.setattr("services.loyalty.__main__.JOBS", ())


@pytest.fixture
async def balanced(world: World) -> AsyncIterator[None]:
    """The books are whole, looked at once all histories are in them."""
    yield
    told = await world.books()
    assert told.balanced, told.findings
