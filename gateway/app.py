"""The ASGI application: who answers a request, and what is said of each in the log, in numbers and in headers."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import grpc
import structlog
from prometheus_client import Counter, Histogram

from chassis.names import Name
from chassis.refusal import Internal, Refusal, TryAgain, refused
from chassis.telemetry import REGISTRY, SECONDS, Span, working
from gateway.cors import Cors
from gateway.http import Answer, Gone, Handler, Headers, Receive, Request, Response, Scope, Send
from gateway.problems import Problem, answer, own
from gateway.refusals import MethodNotAllowed, RouteNotFound
from gateway.routes import Found, Routes, Wrong
from gateway.sessions import CLEARED

log = structlog.get_logger()

MOST = 1_000  # requests under way at once
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LEFT = 499  # for the log and the numbers: nobody is there to read it
NOWHERE = "(none)"  # the template of a path that is none of ours
COUNTED = Counter("http_server_requests", "Requests answered.", ["route", "method", "status_class"], registry=REGISTRY)
TOOK = Histogram(
    "http_server_request_duration_seconds",
    "From a request's head to the end of its answer; streams of events are not in it.",
    ["route", "method", "status_class"],
    buckets=SECONDS,
    registry=REGISTRY,
)
POLICY = b"content-security-policy"
ALWAYS: Headers = [(b"x-content-type-options", b"nosniff")]
# What is no page of ours runs nothing and is framed nowhere, whatever it holds.
INERT = (POLICY, b"default-src 'none'; frame-ancestors 'none'")


Shape = Callable[[Problem, Span], Response]


class Endpoint(NamedTuple):
    """Who answers on a route."""

    template: str
    handler: Handler


class App:
    """Every request, from its head to the end of its answer."""

    def __init__(
        self,
        endpoints: Iterable[tuple[str, str, Handler]],
        origins: frozenset[str],
        headers: Headers,
        shapes: Mapping[str, Shape] | None = None,  # of refusals, where paths that begin so have another
    ) -> None:
        self.routes: Routes[Endpoint] = Routes()
        for verb, template, handler in endpoints:
            self.routes.add(verb, template, Endpoint(template, handler))
        self.cors, self.always = Cors(origins), [*ALWAYS, *headers]
        self.shapes = shapes or {}
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, request = time.perf_counter(), Request(scope, receive)
        verb = request.method if request.method in VERBS else "OTHER"
        given = {"traceparent": request.header(b"traceparent"), "request_id": request.header(b"x-request-id")}
        with working(verb, **given) as now:
            found = self.routes.find("GET" if verb == "HEAD" else verb, request.path)
            template = found.target.template if isinstance(found, Found) else NOWHERE
            self.under_way += 1
            try:
                reply = await self.answer(request, found, now)
                await self.send(reply, request, now, send)
            finally:
                self.under_way -= 1
            self.tell(template, verb, reply, time.perf_counter() - began)

    async def answer(self, request: Request, found: Found[Endpoint] | Wrong | None, now: Span) -> Answer:
        """What the route's handler answers, or the problem that its refusal is."""
        refusal = next((shape for begins, shape in self.shapes.items() if request.path.startswith(begins)), problem_of)
        try:
            if self.under_way > MOST:
                raise TryAgain("Too many ask at once.", retry_after=timedelta(seconds=1))
            if found is None:
                raise RouteNotFound("There is no such page or route.")
            if isinstance(found, Wrong):
                if (asked := self.cors.preflight(request, found.allowed)) is not None:
                    return asked
                raise MethodNotAllowed("This route does not take that method.", allow=", ".join(found.allowed))
            return await found.target.handler(request, found.captured)
        except Problem as problem:
            return refusal(problem, now)
        except Refusal as refused_here:
            return refusal(own(refused_here), now)
        except grpc.aio.AioRpcError as error:
            return refusal(Problem(refused(error)), now)
        except Gone:
            return Response(status=LEFT)
        except Exception:
            log.exception("http_failed")
            return refusal(own(Internal("Something failed on our side.")), now)

    async def send(self, reply: Answer, request: Request, now: Span, send: Send) -> None:
        reply.headers += [*self.always, *request.owed]
        if all(name != POLICY for name, _ in reply.headers):
            reply.headers.append(INERT)
        reply.headers.append((b"x-request-id", now.request_id.encode()))
        reply.headers.append((b"traceresponse", now.traceparent.encode()))
        reply.headers += self.cors.headers(request)
        try:
            await reply.send(request.receive, send)
        except Gone:
            log.info("http_abandoned")
        except grpc.aio.AioRpcError as error:  # the head is out: breaking off is all that can be said
            log.warning("http_broken_off", code=error.code().name, reason=refused(error).reason)

    def tell(self, template: str, verb: str, reply: Answer, took: float) -> None:
        counted(template, verb, reply.status // 100).inc()
        if isinstance(reply, Response):
            timed(template, verb, reply.status // 100).observe(took)
        log.info("http_served", route=Name(template), code=reply.status, ms=round(took * 1e3, 1))


# Looking a child up by its labels costs more than counting does.
@lru_cache(maxsize=4_096)
def counted(template: str, verb: str, hundreds: int) -> Counter:
    return COUNTED.labels(template, verb, f"{hundreds}xx")


@lru_cache(maxsize=4_096)
def timed(template: str, verb: str, hundreds: int) -> Histogram:
    return TOOK.labels(template, verb, f"{hundreds}xx")


def problem_of(problem: Problem, now: Span) -> Response:
    response = answer(problem, now)
    if problem.said.reason == "SESSION_ENDED":
        response.headers += CLEARED
    return response
