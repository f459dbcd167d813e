"""Signing in and out from a browser: the three calls that set or clear the cookie.

POST   /session {"email": ..., "password": ...}   -> 200 {"user": ..., "session": ..., "roles": [...]}, and a cookie
GET    /session                                   -> 200 the same, or 401
DELETE /session                                   -> 204, and no cookie
"""

import grpc
import orjson
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.client import as_person
from gateway.app import ids
from gateway.codec import Codec
from gateway.sessions import COOKIE, Person, Sessions
from gateway.transcoder import Handler, body_of, guarded

MONTH = 30 * 24 * 3600


class Browser:
    """The way in and out for people with a browser."""

    def __init__(self, identity: IdentityServiceStub, sessions: Sessions, codec: Codec) -> None:
        self.identity, self.sessions = identity, sessions
        self.sign_in_request = codec.encoder(pb.CreateSessionRequest.DESCRIPTOR)

    def routes(self) -> list[Route]:
        return [
            Route("/session", self.within(self.sign_in), methods=["POST"]),
            Route("/session", self.within(self.show), methods=["GET"]),
            Route("/session", self.within(self.sign_out), methods=["DELETE"]),
        ]

    def within(self, handle: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            return await guarded(request, ids(), handle)

        return answer

    async def sign_in(self, request: Request) -> Response:
        self.sessions.check_origin(request)
        body = self.sign_in_request(await body_of(request) or b"{}")
        asked = pb.CreateSessionRequest.FromString(body)
        asked.user_agent = request.headers.get("user-agent", "")[:1000]
        made = await self.identity.CreateSession(asked)
        if earlier := request.cookies.get(COOKIE):
            await self.end(earlier)  # a browser holds one session: what it had before ends
        response = shown(await self.sessions.person(made.secret))
        response.set_cookie(COOKIE, made.secret, max_age=MONTH, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def show(self, request: Request) -> Response:
        return shown(await self.sessions.signed_in(request))

    async def sign_out(self, request: Request) -> Response:
        self.sessions.check_origin(request)
        if secret := request.cookies.get(COOKIE):
            await self.end(secret)
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def end(self, secret: str) -> None:
        """End the session of `secret`; one that has ended already is fine."""
        try:
            person = await self.sessions.person(secret)
            asked = pb.DeleteSessionRequest(name=person.session)
            await self.identity.DeleteSession(asked, metadata=as_person(person.token))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
        self.sessions.forget(secret)


def shown(person: Person) -> Response:
    body = {"user": person.user, "session": person.session, "roles": list(person.roles)}
    return Response(orjson.dumps(body), media_type="application/json", headers={"cache-control": "no-store"})
