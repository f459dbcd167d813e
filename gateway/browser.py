"""Signing in and out from a browser: the calls that set or clear the cookie.

POST   /session {"email": ..., "password": ...}   -> 200 {"user": ..., "session": ..., "roles": [...]}, and a cookie; or
                                                     202 {"secondFactor": {"challenge": ..., "ways": [...], ...}}
POST   /session/factor {"challenge": ..., "code": ...}   -> 200 as above
POST   /session/passkey {"credential": ...}   -> 200 as above
POST   /session/proof {"code": ...}, or {"password": ...}   -> 200 as above: the session is a fresh one now
GET    /session                                   -> 200 as above, or 401
DELETE /session                                   -> 204, and no cookie
"""

from collections.abc import Callable, MutableMapping
from typing import TypeVar

import grpc
import orjson
from google.protobuf.message import Message
from rapport.identity.v1 import factors_pb2
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceStub
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.client import as_person
from chassis.refusal import SignInNeeded
from gateway.codec import Codec
from gateway.http import Request, Response
from gateway.problems import of_body
from gateway.sessions import CLEARED, COOKIE, Person, Sessions, cookies, device_cookie, device_of
from gateway.transcoder import PLAIN
from gateway.visitors import Visitors, remembered

M = TypeVar("M", bound=Message)
Read = Callable[[bytes], M]


class Browser:
    """The way in and out for people with a browser."""

    def __init__(
        self,
        identity: IdentityServiceStub,
        factors: FactorsServiceStub,
        sessions: Sessions,
        visitors: Visitors,
        codec: Codec,
    ) -> None:
        self.identity, self.factors, self.sessions, self.visitors = identity, factors, sessions, visitors
        self.sign_in_of = reader(codec, pb.CreateSessionRequest)
        self.factor_of = reader(codec, factors_pb2.ProveFactorRequest)
        self.passkey_of = reader(codec, factors_pb2.SignInByPasskeyRequest)
        self.proof_of = reader(codec, factors_pb2.ProveAgainRequest)

    async def sign_in(self, request: Request, _: MutableMapping[str, str]) -> Response:
        self.sessions.check_page(request)
        asked = self.sign_in_of(await request.json())
        self.visitors.describe(asked, request)
        asked.device_secret = device_of(request)
        try:
            made = await self.identity.CreateSession(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, asked.DESCRIPTOR) from None
        if made.HasField("second_factor"):
            response = waiting(made.second_factor)
        else:
            if made.HasField("access"):  # an identity of the release before gives none
                self.sessions.keep(made.secret, made.access)
            response = await self.signed_in(request, made.secret)
        response.headers += remembered(made.browser_secret)
        return response

    async def prove_factor(self, request: Request, _: MutableMapping[str, str]) -> Response:
        """Go on with a sign-in that waits for the second factor."""
        self.sessions.check_page(request)
        asked = self.factor_of(await request.json())
        asked.device_secret = device_of(request)
        try:
            made = await self.factors.ProveFactor(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, asked.DESCRIPTOR) from None
        response = await self.signed_in(request, made.secret)
        response.headers += device_cookie(made.device_secret)
        return response

    async def sign_in_by_passkey(self, request: Request, _: MutableMapping[str, str]) -> Response:
        self.sessions.check_page(request)
        asked = self.passkey_of(await request.json())
        asked.user_agent = request.header(b"user-agent")[:1000]
        try:
            made = await self.factors.SignInByPasskey(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, asked.DESCRIPTOR) from None
        return await self.signed_in(request, made.secret)

    async def signed_in(self, request: Request, secret: str) -> Response:
        if earlier := request.cookie(COOKIE):
            await self.end(earlier)  # a browser holds one session: what it had before ends
        response = shown(await self.sessions.person(secret))
        response.headers += cookies(secret)
        return response

    async def prove_again(self, request: Request, _: MutableMapping[str, str]) -> Response:
        """Have who is signed in prove again that it is them: the session goes on under another secret."""
        self.sessions.check_page(request)
        asked, secret = self.proof_of(await request.json()), request.cookie(COOKIE)
        if not secret:
            raise SignInNeeded("Sign in first.")
        asked.session_secret = secret[:100]
        try:
            made = await self.factors.ProveAgain(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, asked.DESCRIPTOR) from None
        self.sessions.forget(secret)
        response = shown(await self.sessions.person(made.secret))
        response.headers += cookies(made.secret)
        return response

    async def show(self, request: Request, _: MutableMapping[str, str]) -> Response:
        return shown(await self.sessions.signed_in(request))

    async def sign_out(self, request: Request, _: MutableMapping[str, str]) -> Response:
        self.sessions.check_page(request)
        if secret := request.cookie(COOKIE):
            await self.end(secret)
        return Response(status=204, headers=[*CLEARED])

    async def end(self, secret: str) -> None:
        """End the session of `secret`; one that has ended already is fine."""
        try:
            person = await self.sessions.person(secret)
            asked = pb.DeleteSessionRequest(name=person.session)
            await self.identity.DeleteSession(asked, metadata=as_person(person.token))
        except SignInNeeded:  # it never was one
            return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
        self.sessions.forget(secret)


def reader(codec: Codec, message: type[M]) -> Read[M]:
    """What makes such a message of a body of JSON."""
    encode = codec.encoder(message.DESCRIPTOR)  # type: ignore[arg-type]  # protobuf has two classes of one thing
    return lambda body: message.FromString(encode(body or b"{}"))


def waiting(factor: pb.SecondFactor) -> Response:
    """What a frontend goes on with: no session yet, and no cookie."""
    told = {
        "challenge": factor.challenge,
        "ways": [pb.SecondFactor.Way.Name(one) for one in factor.ways],
        "expireTime": factor.expire_time.ToJsonString(),
    }
    return Response(orjson.dumps({"secondFactor": told}), 202, [*PLAIN])


def shown(person: Person) -> Response:
    body = {"user": person.user, "session": person.session, "roles": list(person.roles)}
    return Response(orjson.dumps(body), headers=[*PLAIN])
