"""The ASGI application: every path that is no RPC, and the way in for those that are."""

import time
from collections.abc import Sequence

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry import outgoing, span, working
from gateway.problems import Ids, refusal_problem
from gateway.refusals import RouteNotFound
from gateway.transcoder import Transcoder, guarded

log = structlog.get_logger()


def application(transcoder: Transcoder, pages: Sequence[BaseRoute], origins: frozenset[str]) -> ASGIApp:
    """`pages` are what people look at and what is no RPC; everything else is a route of the contracts, or a problem."""

    async def carry(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await guarded(request, ids(), lambda one: transcoder.answer(one, ids(), outgoing()))
        await response(scope, receive, send)

    async def lost(scope: Scope, receive: Receive, send: Send) -> None:
        response = refusal_problem(RouteNotFound("There is no such page or route."), ids())
        await response(scope, receive, send)

    app = Starlette(routes=[*pages, Mount("/v1", app=Rooted(carry, "/v1")), Mount("/", app=lost)])
    app.router.redirect_slashes = False
    return Observed(Cors(app, origins))


def ids() -> Ids:
    """The ids of the request at hand."""
    now = span.get()
    return Ids(now.request_id, now.trace_id) if now else Ids("", "")


class Rooted:
    """Gives a mounted app the whole path back: the route table reads it from the root."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app, self.root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "root_path": ""}, receive, send)


class Observed:
    """Ids in, ids out, and one log line a request. The path's template is logged, never the path: it holds ids of
    people, and the query what they typed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        started, status = time.monotonic(), 0
        method = f"HTTP {scope['method']}" if scope["method"].isalpha() and len(scope["method"]) < 10 else "HTTP"
        given = {"traceparent": headers.get(b"traceparent", ""), "request_id": headers.get(b"x-request-id", "")}
        with working(method, **given) as now:

            async def tell(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    message["headers"].append((b"x-request-id", now.request_id.encode()))
                await send(message)

            try:
                await self.app(scope, receive, tell)
            finally:
                milliseconds = round((time.monotonic() - started) * 1e3, 1)
                log.info("http_served", code=status, ms=milliseconds)


class Cors:
    """Lets the pages of the origins on the list call; first-party pages need none of it."""

    TAKEN = (
        "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Rapport-Client, X-Request-Id, "
        "Traceparent"
    )
    EXPOSED = "ETag, Location, Link, Retry-After, X-Request-Id"

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self.app, self.origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        origin = headers.get(b"origin", b"").decode("latin-1")
        if scope["type"] != "http" or origin not in self.origins:
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            allowed = {
                "access-control-allow-origin": origin,
                "access-control-allow-methods": "GET, HEAD, POST, PATCH, DELETE",
                "access-control-allow-headers": self.TAKEN,
                "access-control-max-age": "600",
                "vary": "Origin",
            }
            await Response(status_code=204, headers=allowed)(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (b"access-control-allow-origin", origin.encode()),
                    (b"access-control-expose-headers", self.EXPOSED.encode()),
                    (b"vary", b"Origin"),
                ]
            await send(message)

        await self.app(scope, receive, tell)
