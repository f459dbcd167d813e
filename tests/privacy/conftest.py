from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.message import Message
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2 import ColumnCount
from rapport.identity.v1.events_pb2 import UserDeletionRequested
from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from chassis import jobs
from chassis.client import Metadata, channel
from chassis.consumer import Arrival, Handler
from chassis.database import Sessions, chassis_metadata, connect
from chassis.jobs import Job
from chassis.personal_data.erase import erase
from chassis.personal_data.holdings import tables_of
from chassis.time import timestamp
from services.privacy import consumers, models
from services.privacy.__main__ import service
from services.privacy.holders import Holders, expected
from services.privacy.jobs import jobs_of
from services.privacy.settings import Settings
from tests import engines, tokens, world
from tests.world import Hands, as_service, token_of

ADA, EVE, PIA = (UUID(int=number, version=4) for number in (0xADA, 0xE0E, 0x71A))
As: TypeAlias = Callable[..., Metadata]


@pytest.fixture
def clock() -> Hands:
    return Hands(datetime(2026, 7, 6, 12, tzinfo=UTC))


@pytest.fixture
async def sessions(postgres: str) -> AsyncIterator[Sessions]:
    engine, made = connect(await world.database_of(postgres, "privacy"), name="tests", most=6)
    yield made
    await engine.dispose()


@pytest.fixture
def port() -> int:
    return engines.free_port()


@pytest.fixture
def away() -> str:
    """The holder that does not answer."""
    return ""


@pytest.fixture
async def holders(port: int, away: str) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """Privacy itself answers here for every holder, over a real socket; the story has all four."""
    targets = {name: f"ipv4:127.0.0.1:{engines.free_port() if name == away else port}" for name in expected()}
    made = {
        name: channel(target, service_token=token_of("privacy"), name="privacy") for name, target in targets.items()
    }
    yield made
    for one in made.values():
        await one.close()


@pytest.fixture
async def privacy(
    sessions: Sessions, clock: Hands, port: int, holders: dict[str, grpc.aio.Channel], tmp_path: Path
) -> AsyncIterator[PrivacyServiceStub]:
    settings = world.settings(Settings, tmp_path, name="privacy", database="", listen=f"127.0.0.1:{port}")
    async with world.running(service(settings, sessions, clock, holders), settings) as to_privacy:
        yield PrivacyServiceStub(to_privacy)


@pytest.fixture
def as_(clock: Hands) -> As:
    """The metadata of a call by that person."""
    return lambda user, *roles: tokens.as_user(user, *roles, now=clock())


@pytest.fixture
async def policy(privacy: PrivacyServiceStub) -> pb.Policy:
    request = pb.PublishPolicyRequest(policy=pb.Policy(body="We keep what you tell us."))
    return await privacy.PublishPolicy(request, metadata=as_service("operator"))


@dataclass
class Erasures:
    """Everything that happens to an erasure from outside: events heard, and time passing."""

    sessions: Sessions
    clock: Hands
    work: tuple[Job, ...]

    async def request(self, user: UUID) -> str:
        """That person asks to be erased; returns the receipt's name."""
        erasure = f"erasures/{uuid4()}"
        event = UserDeletionRequested(user=f"users/{user}", erasure=erasure, event_time=timestamp(self.clock()))
        await self.hear(consumers.order_erasure, event)
        return erasure

    async def answer(self, user: UUID, erasure: str, *names: str) -> None:
        """Those holders say that they are done."""
        for name in names:
            event = ErasureDone(
                user=f"users/{user}",
                erasure=erasure,
                holder=f"holders/{name}",
                outcomes=[ColumnCount(column=f"{name}.words", action="ERASE", rows=2)],
                event_time=timestamp(self.clock()),
            )
            await self.hear(consumers.note_answer, event)

    async def forget(self, user: UUID) -> None:
        """Erase and tombstone them here, as the holder does when it is ordered to."""
        async with self.sessions.begin() as session:
            await erase(session, tables_of([models.Base.metadata, chassis_metadata]), user, self.clock())

    async def hear(self, handler: Handler, event: Message) -> None:
        now = self.clock()
        about = Arrival(id=uuid4(), time=now, key="", version=1, now=now)
        async with self.sessions.begin() as session:
            await handler.function(session, event, about)

    async def settle(self) -> None:
        while await jobs.settle(self.work, self.sessions, self.clock):
            pass


@pytest.fixture
def erasures(sessions: Sessions, clock: Hands, holders: dict[str, grpc.aio.Channel]) -> Erasures:
    return Erasures(sessions, clock, jobs_of(Holders(holders), timedelta(seconds=1)))
