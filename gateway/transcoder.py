"""The way of a request over HTTP to its service and back."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chassis.refusal import Refusal, Refused, refused
from gateway.codec import Codec
from gateway.plans import Plan, carry, download, plan, request_of
from gateway.problems import Ids, body_error, problem, refusal_problem
from gateway.refusals import BodyTooLarge, MethodNotAllowed, RouteNotFound, UnsupportedMediaType
from gateway.routes import Found, Routes, Wrong, read
from gateway.sessions import COOKIE, Sessions

MOST_BYTES = 1 << 20
JSON = ("application/json", "application/merge-patch+json")


@dataclass(frozen=True)
class Backend:
    """The contracts of one service, and the channel to it."""

    contracts: Sequence[FileDescriptor]
    channel: grpc.aio.Channel


class Transcoder:
    """Every route of the contracts."""

    def __init__(self, backends: Sequence[Backend], sessions: Sessions) -> None:
        codec = Codec()
        self.sessions = sessions
        self.plans: dict[str, Plan] = {}
        found = []
        for backend in backends:
            for route in read(*backend.contracts):
                found.append(route)
                self.plans[route.path] = plan(route, codec, backend.channel)
        self.routes = Routes(found)

    async def answer(self, request: Request, ids: Ids, said: tuple[tuple[str, str], ...]) -> Response:
        """Carry `request` to its service; `said` is what every call carries for the logs."""
        way = self.find(request)
        chosen = self.plans[way.route.path]
        etag = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
        sent = request_of(
            chosen,
            way.captured,
            request.url.query,
            await body_of(request),
            request_id=request.headers.get("idempotency-key", "").strip().strip('"'),
            etag="" if etag == "*" else etag,
        )
        try:
            return await self.carried(chosen, request, sent, said)
        except grpc.aio.AioRpcError as error:
            what = refused(error)
            if what.reason != "TOKEN_INVALID" or not (secret := request.cookies.get(COOKIE)):
                return problem(what, ids, errors_of(what, chosen))
            # The token ended between two looks at the clock, or its session was revoked: identity knows which.
            self.sessions.forget(secret)
        try:
            return await self.carried(chosen, request, sent, said)
        except grpc.aio.AioRpcError as error:
            what = refused(error)
            return problem(what, ids, errors_of(what, chosen))

    async def carried(self, chosen: Plan, request: Request, sent: bytes, said: Any) -> Response:
        metadata = (*said, *await self.sessions.metadata(request))
        if chosen.route.method.server_streaming:
            content_type, pieces = await download(chosen, sent, metadata)
            return StreamingResponse(pieces, media_type=content_type, headers={"cache-control": "no-store"})
        told = await carry(chosen, sent, metadata)
        headers = {"content-type": told.content_type, "cache-control": "no-store"}
        if told.etag:
            headers |= {"etag": f'"{told.etag}"', "cache-control": "private, no-cache"}
            if request.method in ("GET", "HEAD") and f'"{told.etag}"' in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
        return Response(told.body, headers=headers)

    def find(self, request: Request) -> Found:
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        verb = "GET" if request.method == "HEAD" else request.method
        match self.routes.find(verb, raw.decode("ascii", "replace").partition("?")[0]):
            case Found() as found:
                return found
            case Wrong(allowed):
                raise MethodNotAllowed("This route does not take that method.", allow=", ".join(allowed))
            case _:
                raise RouteNotFound("There is no such route.")


async def body_of(request: Request) -> bytes:
    """The body, no larger than is taken, and only where it says that it is JSON."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise BodyTooLarge("The body is too large.", max_bytes=str(MOST_BYTES))
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            raise BodyTooLarge("The body is too large.", max_bytes=str(MOST_BYTES))
        pieces.append(piece)
    if size and request.headers.get("content-type", "").partition(";")[0].strip().lower() not in JSON:
        raise UnsupportedMediaType("The body must be application/json.")
    return b"".join(pieces)


def errors_of(said: Refused, chosen: Plan) -> list[dict[str, str]]:
    """Each violation where the caller finds it: in the body by JSON Pointer, else the parameter by name."""
    told = []
    for violation in said.violations:
        first, _, rest = violation.field.partition(".")
        if chosen.body_field and first == chosen.body_field:
            told.append(body_error(violation._replace(field=rest)))
        elif chosen.route.body == "*":
            told.append(body_error(violation))
        else:
            named = {"parameter": violation.field, "reason": violation.reason, "detail": violation.description}
            told.append(named)
    return told


Handler = Callable[[Request], Awaitable[Response]]


async def guarded(request: Request, ids: Ids, handle: Handler) -> Response:
    """What `handle` answers, or the problem that its refusal is."""
    try:
        return await handle(request)
    except Refusal as refusal:
        return refusal_problem(refusal, ids)
    except grpc.aio.AioRpcError as error:
        return problem(refused(error), ids)
