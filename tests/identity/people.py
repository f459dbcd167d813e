"""What tests of identity do again and again: register, sign in, call as somebody."""

import re
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from joserfc.jwk import OKPKey
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.client import Metadata, as_person
from chassis.database import Sessions
from chassis.names import parse
from tests import world
from tests.mail_server import Waiting, waiting
from tests.tokens import mint
from tests.world import Hands, as_service

ADA, EVE = "ada@example.org", "eve@example.org"
PASSWORD = "brass kettle at dawn"
GATEWAY, OPERATOR, SUPPORT, PRIVACY = map(as_service, ("gateway", "operator", "support", "privacy"))
PNG = (  # one white pixel
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde"
    b"\0\0\0\x0cIDATx\x9cc\xf8\xff\xff?\0\x05\xfe\x02\xfe\r\xefF\xb8\0\0\0\0IEND\xaeB`\x82"
)
E = TypeVar("E", bound=Message)


@dataclass(frozen=True)
class Identity:
    """The service, and what it stands on."""

    stub: IdentityServiceStub
    sessions: Sessions
    clock: Hands
    key: OKPKey  # signs its tokens
    channel: grpc.aio.Channel

    async def create(self, email: str = ADA, *roles: str, **said: object) -> pb.User:
        """A user, made by the operator."""
        asked = pb.CreateUserRequest(user=pb.User(email=email, **said), password=PASSWORD)  # type: ignore[arg-type]
        user = await self.stub.CreateUser(asked, metadata=OPERATOR)
        if roles:
            asked_roles = pb.SetUserRolesRequest(name=user.name, roles=roles)
            user = await self.stub.SetUserRoles(asked_roles, metadata=OPERATOR)
        return user

    async def begin(self, email: str = ADA, request_id: str = "") -> None:
        await self.stub.BeginRegistration(pb.BeginRegistrationRequest(email=email, request_id=request_id))

    async def link(self, email: str = ADA) -> str:
        """The token of a link that was just mailed."""
        await self.begin(email)
        return await self.token(email)

    async def token(self, email: str = ADA) -> str:
        """The token in the newest mail that has a link."""
        links = [re.search(r"#token=(\S+)", one.text) for one in await self.mails(email)]
        return [link[1] for link in links if link][-1]

    async def mails(self, email: str = ADA) -> list[Waiting]:
        """What waits to be mailed to an address, oldest first."""
        return await waiting(self.sessions, email)

    async def sign_in(self, email: str = ADA, password: str = PASSWORD, agent: str = "") -> pb.CreateSessionResponse:
        asked = pb.CreateSessionRequest(email=email, password=password, user_agent=agent)
        return await self.stub.CreateSession(asked, metadata=GATEWAY)

    async def issue(self, secret: str) -> pb.IssueAccessTokenResponse:
        return await self.stub.IssueAccessToken(pb.IssueAccessTokenRequest(secret=secret), metadata=GATEWAY)

    async def get(self, name: str) -> pb.User:
        return await self.stub.GetUser(pb.GetUserRequest(name=name), metadata=SUPPORT)

    async def delete(self, user: pb.User, etag: str = "") -> pb.User:
        """Have a user erased at once."""
        asked = pb.DeleteUserRequest(name=user.name, etag=etag, skip_cooling_off=True)
        return await self.stub.DeleteUser(asked, metadata=self.as_(user))

    def as_(self, user: pb.User | str, *roles: str) -> Metadata:
        """The metadata of a call by a user who has just signed in."""
        name = user if isinstance(user, str) else user.name
        return as_person(mint(parse("users/{user}", name), *roles, now=self.clock(), key=self.key))

    async def stated(self, kind: type[E]) -> list[E]:
        return await world.stated(self.sessions, kind)
