"""What tests of second factors do again and again: an app that shows codes, a sign-in that asks for one."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyotp
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceStub

from chassis.client import Metadata, as_person
from tests.identity.people import ADA, GATEWAY, PASSWORD, Identity

STEP = timedelta(seconds=30)


@dataclass
class Owner:
    """Somebody with an account, and maybe an app that shows codes."""

    identity: Identity
    user: str
    email: str = ADA
    app: str = ""  # its name
    secret: str = ""
    codes: list[str] = field(default_factory=list)  # on paper
    stub: FactorsServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = FactorsServiceStub(self.identity.channel)

    @property
    def me(self) -> Metadata:
        """Signed in just now."""
        return self.identity.as_(self.user)

    async def begin(self) -> pb.BeginTotpResponse:
        begun = await self.stub.BeginTotp(pb.BeginTotpRequest(parent=self.user), metadata=self.me)
        self.app, self.secret = begun.name, begun.secret
        return begun

    async def confirm(self, code: str = "") -> pb.ConfirmTotpResponse:
        asked = pb.ConfirmTotpRequest(name=self.app, code=code or self.code())
        added = await self.stub.ConfirmTotp(asked, metadata=self.me)
        self.codes = list(added.recovery_codes)
        self.identity.clock.advance(2 * STEP)  # so that the next code is one that was not used
        return added

    async def add(self) -> pb.ConfirmTotpResponse:
        await self.begin()
        return await self.confirm()

    def code(self, steps: int = 0) -> str:
        """What the app shows now, or so many steps of time from now."""
        return pyotp.TOTP(self.secret).at(self.identity.clock(), counter_offset=steps)

    def wrong(self) -> str:
        """A code that the app shows at no time near."""
        shown = {self.code(steps) for steps in range(-3, 4)}
        return next(code for number in range(10) if (code := f"{number:06}") not in shown)

    async def password(self, password: str = PASSWORD, **said: Any) -> identity_pb2.CreateSessionResponse:
        """What a sign-in by password comes to."""
        asked = identity_pb2.CreateSessionRequest(email=self.email, password=password, **said)
        return await self.identity.stub.CreateSession(asked, metadata=GATEWAY)

    async def challenge(self) -> str:
        return (await self.password()).second_factor.challenge

    async def prove(self, challenge: str, **said: Any) -> pb.ProveFactorResponse:
        return await self.stub.ProveFactor(pb.ProveFactorRequest(challenge=challenge, **said), metadata=GATEWAY)

    async def sign_in(self, **said: Any) -> pb.ProveFactorResponse:
        """Signed in with both."""
        done = await self.prove(await self.challenge(), code=self.code(), **said)
        self.identity.clock.advance(2 * STEP)
        return done

    async def again(self, secret: str, **said: Any) -> pb.ProveAgainResponse:
        return await self.stub.ProveAgain(pb.ProveAgainRequest(session_secret=secret, **said), metadata=GATEWAY)

    async def token(self, secret: str) -> Metadata:
        return as_person((await self.identity.issue(secret)).access_token)

    async def factors(self) -> pb.ListFactorsResponse:
        return await self.stub.ListFactors(pb.ListFactorsRequest(parent=self.user), metadata=self.me)

    async def remove(self, name: str = "", metadata: Metadata | None = None) -> None:
        asked = pb.DeleteFactorRequest(name=name or self.app)
        await self.stub.DeleteFactor(asked, metadata=self.me if metadata is None else metadata)

    async def devices(self) -> list[pb.Device]:
        told = await self.stub.ListDevices(pb.ListDevicesRequest(parent=self.user), metadata=self.me)
        return list(told.devices)


async def owner(identity: Identity, email: str = ADA) -> Owner:
    return Owner(identity, (await identity.create(email)).name, email)
