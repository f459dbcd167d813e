"""The one road every call takes: ids, refusals, deadline, caller and access, limits, hidden card numbers, then the
servicer and back.

All in one interceptor, because each layer of gRPC's own costs as much as everything done here together.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from grpc_status import rpc_status
from sqlalchemy.exc import TimeoutError as PoolExhausted

from chassis import deadline, telemetry
from chassis.access import ALWAYS_OPEN, Gate, caller
from chassis.database import sqlstate
from chassis.masking import MASKED, Hide
from chassis.names import Name
from chassis.refusal import DeadlineTooShort, Internal, InvalidField, PersonErased, Refusal, TryAgain

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Check: TypeAlias = Callable[[Message], None]
Handler: TypeAlias = Any  # grpc.RpcMethodHandler is generic for the type checker only

SHORTEST = 0.1  # seconds: with less left, nobody is there to hear the answer
LONGEST = 30.0  # seconds, for a call that came without a deadline and is answered once
ERASED = "P0E01"  # the SQLSTATE of a tombstone
# A serialisation failure, a deadlock, a lock not had in time, too many connections, a server that stops or is gone.
PASSING = frozenset({"40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03", "08000", "08001", "08003", "08006"})
log = structlog.get_logger()


class Road(grpc.aio.ServerInterceptor):
    """Takes every call, whatever its arity, from the wire to its servicer and back."""

    def __init__(
        self, domain: str, gate: Gate, checks: Mapping[str, Check], hiding: Mapping[str, Hide] | None = None
    ) -> None:
        self.domain, self.gate, self.checks, self.hiding = domain, gate, checks, hiding or {}
        self.paved: dict[str, Handler] = {}  # gRPC asks again on every call; methods stay

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = handler_call_details.method
        if method not in self.paved:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self.paved[method] = Way(self, method, handler).handler()
        return self.paved[method]


class Way:
    """The road of one method."""

    def __init__(self, road: Road, method: str, handler: Handler) -> None:
        self.road, self.method, self.shape = road, method, handler
        self.short = method.lstrip("/")
        self.serve = handler.unary_unary or handler.stream_unary or handler.unary_stream or handler.stream_stream
        self.check, self.hide = road.checks.get(method), road.hiding.get(method)
        self.is_quiet = method in ALWAYS_OPEN

    def handler(self) -> Handler:
        """What gRPC calls. Bytes of a single message are read and written here, where an error finds its answer."""
        shape = self.shape
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[shape.request_streaming, shape.response_streaming]
        return make(
            self.answer_many if shape.response_streaming else self.answer,
            request_deserializer=self.read if shape.request_streaming else None,
            response_serializer=shape.response_serializer if shape.response_streaming else None,
        )

    async def answer(self, sent: Any, context: Context) -> bytes:
        call = Call(self, context)
        try:
            request = await call.enter(sent)
            reply = await self.in_time(call.left, self.serve(request, context))
            written: bytes = self.shape.response_serializer(reply)
        except BaseException as error:
            status = call.failed(error)
            if status is None:
                raise
            return await context.abort_with_status(status)
        call.served()
        return written

    async def in_time(self, left: float | None, reply: Awaitable[Message]) -> Message:
        if left is not None:  # gRPC itself cancels us when a deadline passes
            return await reply
        patience = asyncio.timeout(LONGEST)
        try:
            async with patience:
                return await reply
        except TimeoutError:
            if patience.expired():
                raise DeadlineTooShort("That took too long.") from None
            raise

    async def answer_many(self, sent: Any, context: Context) -> None:
        # A coroutine that writes, not a generator: closing is then ours, at once and in this task.
        call = Call(self, context)
        try:
            request = await call.enter(sent)
            replies = self.serve(request, context)
            if isinstance(replies, Awaitable):
                await replies
            else:
                async with aclosing(replies):
                    async for reply in replies:
                        await call.write(reply)
        except BaseException as error:
            status = call.failed(error)
            if status is None:
                raise
            await context.abort_with_status(status)
        call.served()

    def read(self, sent: bytes) -> Message:
        try:
            request: Message = self.shape.request_deserializer(sent)
        except DecodeError:
            raise InvalidField("The request is no message of that kind.") from None
        return request


class Call:
    """One call under way."""

    __slots__ = ("began", "context", "is_gone", "left", "masked", "way")

    def __init__(self, way: Way, context: Context) -> None:
        self.way, self.context = way, context
        self.began = time.perf_counter()
        self.left: float | None = None
        self.masked: dict[str, None] = {}  # the fields, in their order
        self.is_gone = False  # the other side has left, or the server is closing: nobody to tell

    async def enter(self, sent: Any) -> Any:
        """The request as the servicer may have it, or a refusal."""
        way, metadata = self.way, dict(self.context.invocation_metadata() or ())
        telemetry.span.set(
            telemetry.begin(way.short, text(metadata.get("traceparent")), text(metadata.get("x-request-id")))
        )
        self.left = left = self.context.time_remaining()
        if left is not None and left < SHORTEST:
            raise DeadlineTooShort("There is no time left to answer in.")
        deadline.set_left(LONGEST if left is None and not way.shape.response_streaming else left)
        if way.shape.request_streaming:
            await way.road.gate.admit(way.method, None, metadata)
            return self.each(sent)
        request = way.read(sent)
        await way.road.gate.admit(way.method, request, metadata)
        await self.look_at(request)
        return request

    async def look_at(self, request: Message) -> None:
        """Refuse what the contract does not take, and hide the card numbers in what people write."""
        if self.way.check is not None:
            self.way.check(request)
        if self.way.hide is not None and (hidden := await self.way.hide(request)):
            self.masked.update(dict.fromkeys(hidden))
            self.context.set_trailing_metadata(((MASKED, ", ".join(self.masked)),))

    async def each(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        try:
            async for request in requests:
                await self.look_at(request)
                yield request
        except grpc.aio.BaseError:
            self.is_gone = True
            raise

    async def write(self, reply: Message) -> None:
        try:
            await self.context.write(reply)
        except grpc.aio.BaseError:
            self.is_gone = True
            raise

    def served(self) -> None:
        self.tell("rpc_served", StatusCode.OK)

    def failed(self, error: BaseException) -> grpc.Status | None:
        """What the caller is told; None when there is nobody left to tell, or they were told."""
        if isinstance(error, grpc.aio.AbortError):
            code = self.context.code()
            self.tell("rpc_refused", code if isinstance(code, StatusCode) else StatusCode.UNKNOWN)
            return None
        if self.is_gone or not isinstance(error, Exception) or self.has_left_a_probe(error):
            self.tell("rpc_abandoned", StatusCode.CANCELLED)
            return None
        refusal = refusal_of(error)
        if refusal is None:
            refusal = Internal("Internal error.")
            self.tell("rpc_failed", refusal.code, reason=refusal.reason, exc_info=error)
        elif refusal is error:
            self.tell("rpc_refused", refusal.code, reason=refusal.reason)
        else:
            self.tell("rpc_refused", refusal.code, reason=refusal.reason, error=type(error).__name__)
        return rpc_status.to_status(refusal.status(self.way.road.domain))

    def has_left_a_probe(self, error: Exception) -> bool:
        return self.way.is_quiet and isinstance(error, grpc.aio.BaseError)  # gRPC's own servicers write for themselves

    def tell(self, event: str, code: StatusCode, **more: Any) -> None:
        way, took = self.way, time.perf_counter() - self.began
        telemetry.rpc_handled(way.method, code, took)
        say = log.error if event == "rpc_failed" else log.debug if way.is_quiet else log.info
        who = caller()
        if who.actor:
            more["actor"] = Name(who.actor)
        say(event, method=way.short, code=code.name, ms=round(took * 1000, 1), caller=Name(who.name), **more)


def text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else ""


def refusal_of(error: Exception) -> Refusal | None:
    """What an error means to the caller; None when it is a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if sqlstate(error) == ERASED:
        return PersonErased("That person is erased; nothing about them is kept any more.")
    if is_passing(error):
        return TryAgain("That did not work just now.", retry_after=timedelta(seconds=1))
    return None


def is_passing(error: Exception) -> bool:
    """Whether the database or a peer was not there, or busy with somebody else, and may be asked again."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() is StatusCode.UNAVAILABLE
    if isinstance(error, ConnectionError | PoolExhausted) or getattr(error, "connection_invalidated", False):
        return True
    return sqlstate(error) in PASSING
