"""Identity is killed between any two statements of what a person does: made again, it is done, and done once."""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import (
    AuthorizationRevoked,
    UserCreated,
    UserDeletionRequested,
    UserDeletionScheduled,
    UserUndeleted,
    UserUpdated,
)
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from sqlalchemy import make_url

from chassis.database import Sessions, connect
from chassis.mail import seal_with
from chassis.refusal import Refused
from chassis.refusal import refused as read_refusal
from services.identity.tokens import read
from tests import world
from tests.faults.wire import When, Wire
from tests.identity.conftest import new_key
from tests.identity.oauth import Provider
from tests.identity.people import PASSWORD, Identity
from tests.identity.process import Nursery, keys_file, nursery
from tests.world import Hands

DEADLINE = 10.0  # seconds of a call
MOST = 60  # statements: no call of ours has so many
pytestmark = [pytest.mark.long, pytest.mark.faults]


@dataclass
class Alone:
    """Identity in a process of its own, whose line to PostgreSQL can be cut."""

    sessions: Sessions
    key: str  # signs its tokens
    wire: Wire
    nursery: Nursery | None = None
    process: int = 0
    port: int = 0

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)

    @asynccontextmanager
    async def identity(self) -> AsyncIterator[Identity]:
        """The service, started where it does not run."""
        if self.wire.was_cut.is_set() or not self.process:
            assert self.nursery is not None
            self.wire.was_cut.clear()
            self.process, self.port = await asyncio.to_thread(self.nursery.start)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            clock = Hands(datetime.now(UTC))
            yield Identity(IdentityServiceStub(channel), self.sessions, clock, read(self.key)[0], channel)


@pytest.fixture
async def alone(postgres: str, tmp_path: Path) -> AsyncIterator[Alone]:
    direct = await world.database_of(postgres, "identity")
    engine, sessions = connect(direct, name="tests")
    seal_with(sessions, world.MAIL_KEY)
    there, key = make_url(direct), new_key()
    wire = Wire(there.host or "", there.port or 0, lambda: made.kill())
    made = Alone(sessions, key, wire)
    async with wire.listening() as port:
        url = there.set(port=port).render_as_string(hide_password=False)
        with nursery(url, keys_file(tmp_path, key)) as made.nursery:
            yield made
    await engine.dispose()


class Act(Protocol):
    """Something that a person does with one call."""

    done_before: ClassVar[set[str]]  # how the call is refused when it had been done already

    async def prepare(self, identity: Identity) -> None: ...
    async def call(self, identity: Identity) -> None: ...
    async def check(self, identity: Identity) -> None: ...


# What people do ------------------------------------------------------------------------------------------------------


@dataclass
class Person:
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.org")
    done_before: ClassVar[set[str]] = set()

    async def sign_in(self, identity: Identity) -> str:
        """Their name, as a sign-in says it."""
        return (await identity.sign_in(self.email)).session.name.partition("/sessions/")[0]


class BeginsRegistration(Person):
    def __init__(self) -> None:
        super().__init__()
        self.request_id = str(uuid4())

    async def prepare(self, identity: Identity) -> None:
        """Nothing comes before it."""

    async def call(self, identity: Identity) -> None:
        await identity.begin(self.email, self.request_id)

    async def check(self, identity: Identity) -> None:
        [_] = await identity.mails(self.email)
        await register(identity, await identity.token(self.email))
        assert await self.sign_in(identity)


class CompletesRegistration(Person):
    done_before: ClassVar[set[str]] = {"LINK_INVALID"}

    async def prepare(self, identity: Identity) -> None:
        self.token = await identity.link(self.email)

    async def call(self, identity: Identity) -> None:
        await register(identity, self.token)

    async def check(self, identity: Identity) -> None:
        user = await self.sign_in(identity)
        assert [one.user for one in await identity.stated(UserCreated)].count(user) == 1


class Rotates(Person):
    """A public client refreshes, and asks again with what it has, because it heard nothing."""

    async def prepare(self, identity: Identity) -> None:
        await identity.create(self.email)
        provider = await self.provider(identity)
        await provider.register()
        await provider.sign_in(self.email)
        self.refresh_token = str((await provider.tokens())["refresh_token"])

    async def provider(self, identity: Identity) -> Provider:
        return Provider(identity)

    async def call(self, identity: Identity) -> None:
        status, told = await (await self.provider(identity)).refresh(self.refresh_token)
        assert status == 200, told
        self.next = str(told["refresh_token"])

    async def check(self, identity: Identity) -> None:
        status, told = await (await self.provider(identity)).refresh(self.next)
        assert status == 200, told
        assert not await identity.stated(AuthorizationRevoked)


class AsksForAnotherAddress(Person):
    async def prepare(self, identity: Identity) -> None:
        self.wanted = f"new-{self.email}"
        self.user = await identity.create(self.email)

    async def call(self, identity: Identity) -> None:
        asked = pb.ChangeEmailRequest(name=self.user.name, email=self.wanted)
        await identity.stub.ChangeEmail(asked, metadata=identity.as_(self.user), timeout=DEADLINE)

    async def link(self, identity: Identity, email: str) -> str:
        found = [re.search(r"/confirm-email#token=(\S+)", one.text) for one in await identity.mails(email)]
        return [one[1] for one in found if one][-1]

    async def check(self, identity: Identity) -> None:
        for email in (self.email, self.wanted):
            await confirm(identity, await self.link(identity, email))
        assert (await identity.get(self.user.name)).email == self.wanted


class ConfirmsOneSide(AsksForAnotherAddress):
    async def prepare(self, identity: Identity) -> None:
        await super().prepare(identity)
        await super().call(identity)
        self.links = [await self.link(identity, email) for email in (self.email, self.wanted)]

    async def call(self, identity: Identity) -> None:
        await confirm(identity, self.links[0])

    async def check(self, identity: Identity) -> None:
        assert (await identity.get(self.user.name)).email == self.email
        await confirm(identity, self.links[1])
        await self.check_change(identity)

    async def check_change(self, identity: Identity) -> None:
        assert (await identity.get(self.user.name)).email == self.wanted
        told = [one for one in await identity.stated(UserUpdated) if one.user == self.user.name]
        assert [one.paths for one in told] == [["email"]]


class ConfirmsTheOtherSide(ConfirmsOneSide):
    done_before: ClassVar[set[str]] = {"LINK_INVALID"}

    async def prepare(self, identity: Identity) -> None:
        await super().prepare(identity)
        await confirm(identity, self.links[0])

    async def call(self, identity: Identity) -> None:
        await confirm(identity, self.links[1])

    async def check(self, identity: Identity) -> None:
        await self.check_change(identity)


class HasTheAccountDeleted(Person):
    """With a while to think better of it."""

    async def prepare(self, identity: Identity) -> None:
        self.user = await identity.create(self.email)

    async def call(self, identity: Identity) -> None:
        asked = pb.DeleteUserRequest(name=self.user.name)
        await identity.stub.DeleteUser(asked, metadata=identity.as_(self.user), timeout=DEADLINE)

    async def check(self, identity: Identity) -> None:
        assert await self.told(identity, UserDeletionScheduled) == 1
        assert (await identity.get(self.user.name)).state == pb.User.PENDING_DELETION
        await self.undelete(identity)
        assert (await identity.get(self.user.name)).state == pb.User.ACTIVE

    async def undelete(self, identity: Identity) -> None:
        asked = pb.UndeleteUserRequest(name=self.user.name)
        await identity.stub.UndeleteUser(asked, metadata=identity.as_(self.user), timeout=DEADLINE)

    async def told(self, identity: Identity, kind: type[Any]) -> int:
        return [one.user for one in await identity.stated(kind)].count(self.user.name)


class KeepsTheAccount(HasTheAccountDeleted):
    async def prepare(self, identity: Identity) -> None:
        await super().prepare(identity)
        await super().call(identity)

    async def call(self, identity: Identity) -> None:
        await self.undelete(identity)

    async def check(self, identity: Identity) -> None:
        assert await self.told(identity, UserUndeleted) == 1
        assert (await identity.get(self.user.name)).state == pb.User.ACTIVE
        assert await self.sign_in(identity)


class DeletesTheAccount(Person):
    """At once."""

    async def prepare(self, identity: Identity) -> None:
        self.user = await identity.create(self.email)
        self.secret = (await identity.sign_in(self.email)).secret

    async def call(self, identity: Identity) -> None:
        self.erasure = (await identity.delete(self.user)).erasure

    async def check(self, identity: Identity) -> None:
        told = [one for one in await identity.stated(UserDeletionRequested) if one.user == self.user.name]
        assert [one.erasure for one in told] == [self.erasure]
        with world.refused("SESSION_ENDED"):
            await identity.issue(self.secret)
        with world.refused("SIGN_IN_FAILED"):
            await identity.sign_in(self.email)


async def register(identity: Identity, token: str) -> None:
    asked = pb.CompleteRegistrationRequest(token=token, password=PASSWORD, display_name="Newcomer")
    await identity.stub.CompleteRegistration(asked, timeout=DEADLINE)


async def confirm(identity: Identity, token: str) -> None:
    await identity.stub.ConfirmEmailChange(pb.ConfirmEmailChangeRequest(token=token), timeout=DEADLINE)


ACTS: list[type[Act]] = [
    BeginsRegistration, CompletesRegistration, Rotates, AsksForAnotherAddress, ConfirmsOneSide, ConfirmsTheOtherSide,
    HasTheAccountDeleted, KeepsTheAccount, DeletesTheAccount,
]  # fmt: skip


# Killing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
async def test_no_kill_leaves_half_of_what_a_person_does(alone: Alone, act: type[Act], when: When) -> None:
    for number in itertools.count(1):
        assert number < MOST
        person = act()
        async with alone.identity() as identity:
            await person.prepare(identity)
            alone.wire.arm(number, when)
            await interrupted(person, identity)
            was_cut = await alone.wire.disarm()
        async with alone.identity() as identity:
            if was_cut:
                await repeated(person, identity)
            await person.check(identity)
        if not was_cut:
            print(f"\n  {number - 1} statements")
            break
    assert number > 2, "no statement was met"


async def interrupted(person: Act, identity: Identity) -> None:
    try:
        await person.call(identity)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise


async def repeated(person: Act, identity: Identity) -> None:
    """The call, made again by somebody who does not know whether it was done."""
    try:
        await person.call(identity)
    except grpc.aio.AioRpcError as error:
        told: Refused = read_refusal(error)
        assert told.reason in person.done_before, told
