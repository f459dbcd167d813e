"""Signing in and out from a browser: the three calls that set or clear the cookie.

POST   /session {"email": ..., "password": ...}   -> 200 {"user": ..., "session": ..., "roles": [...]}, and a cookie
GET    /session                                   -> 200 the same, or 401
DELETE /session                                   -> 204, and no cookie
"""

from collections.abc import MutableMapping

import grpc
import orjson
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.client import as_person
from chassis.refusal import SignInNeeded
from gateway.codec import Codec
from gateway.http import Request, Response
from gateway.problems import of_body
from gateway.sessions import CLEARED, COOKIE, Person, Sessions, cookies
from gateway.transcoder import PLAIN
from gateway.visitors import Visitors, remembered


class Browser:
    """The way in and out for people with a browser."""

    def __init__(self, identity: IdentityServiceStub, sessions: Sessions, visitors: Visitors, codec: Codec) -> None:
        self.identity, self.sessions, self.visitors = identity, sessions, visitors
        self.read = codec.encoder(pb.CreateSessionRequest.DESCRIPTOR)

    async def sign_in(self, request: Request, _: MutableMapping[str, str]) -> Response:
        self.sessions.check_page(request)
        asked = pb.CreateSessionRequest.FromString(self.read(await request.json() or b"{}"))
        self.visitors.describe(asked, request)
        try:
            made = await self.identity.CreateSession(asked)
        except grpc.aio.AioRpcError as error:
            raise of_body(error, pb.CreateSessionRequest.DESCRIPTOR) from None
        if earlier := request.cookie(COOKIE):
            await self.end(earlier)  # a browser holds one session: what it had before ends
        response = shown(await self.sessions.person(made.secret))
        response.headers += [*cookies(made.secret), *remembered(made.browser_secret)]
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


def shown(person: Person) -> Response:
    body = {"user": person.user, "session": person.session, "roles": list(person.roles)}
    return Response(orjson.dumps(body), headers=[*PLAIN])
