from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc_status import rpc_status
from rapport.annotations.v1.errors_pb2 import ErrorReason

from chassis import refusal
from chassis.refusal import PlatformRefusal, QuotaExceeded, Refusal, Violation, read, refused


class KettleCold(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, "KETTLE_COLD"


def test_a_refusal_tells_its_code_reason_domain_and_metadata() -> None:
    said = read(KettleCold("Boil it first.", kettle="kettles/7").status("kitchen.rapport.example"))
    assert (said.code, said.reason, said.domain) == (
        StatusCode.FAILED_PRECONDITION,
        "KETTLE_COLD",
        "kitchen.rapport.example",
    )
    assert (said.message, said.metadata) == ("Boil it first.", {"kettle": "kettles/7"})
    assert (said.violations, said.retry_after) == ([], None)


def test_a_refusal_of_the_platform_keeps_the_platforms_domain() -> None:
    said = read(QuotaExceeded("Slower.", retry_after=timedelta(seconds=1.5)).status("kitchen.rapport.example"))
    assert said.domain == "rapport.example"
    assert said.retry_after == timedelta(seconds=1.5)


def test_every_violation_arrives() -> None:
    violations = [Violation("user.email", "REQUIRED", "Say where."), Violation("items[2]", "TOO_MANY", "Fewer.")]
    assert read(KettleCold("No.", violations=violations).status("x")).violations == violations


def test_every_reason_of_the_platform_means_one_refusal() -> None:
    """But those of the gateway and of the consumer, which no servicer raises."""
    elsewhere = {
        "ERROR_REASON_UNSPECIFIED",
        "ROUTE_NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "MALFORMED_JSON",
        "BODY_TOO_LARGE",
        "UNSUPPORTED_MEDIA_TYPE",
        "UNKNOWN_FIELD",
        "ORIGIN_REFUSED",
        "EVENT_UNDECODABLE",
    }
    ours = [
        kind.reason
        for kind in vars(refusal).values()
        if isinstance(kind, type) and issubclass(kind, PlatformRefusal) and kind is not PlatformRefusal
    ]
    assert sorted(ours) == sorted(set(ErrorReason.keys()) - elsewhere)


@pytest.fixture
async def kitchen() -> AsyncIterator[grpc.aio.Channel]:
    """A server that refuses /kitchen/Refuse with details, and /kitchen/Fail without."""

    async def refuse(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        status = KettleCold("Boil it first.", kettle="kettles/7").status("kitchen.rapport.example")
        return await context.abort_with_status(rpc_status.to_status(status))

    async def fail(_: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return await context.abort(StatusCode.UNAVAILABLE, "gone")

    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("kitchen", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def call(kitchen: grpc.aio.Channel, method: str) -> None:
    multicallable: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = kitchen.unary_unary(f"/kitchen/{method}")
    await multicallable(b"")


async def test_a_refusal_survives_the_wire(kitchen: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(kitchen, "Refuse")
    said = refused(caught.value)
    assert (said.reason, said.metadata) == ("KETTLE_COLD", {"kettle": "kettles/7"})


async def test_a_failure_without_details_has_a_code_and_no_reason(kitchen: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(kitchen, "Fail")
    said = refused(caught.value)
    assert (said.code, said.reason, said.message) == (StatusCode.UNAVAILABLE, "", "gone")


def test_a_code_nobody_knows_is_read_as_unknown() -> None:
    assert read(Status(code=99)).code is StatusCode.UNKNOWN
