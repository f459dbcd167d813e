import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from chassis import deadline
from chassis.client import OPTIONS, as_person, channel
from chassis.rpc import Context
from chassis.telemetry import working
from tests.chassis.oracle import FILE, Oracle, Question, Stub, echo, servicer


@asynccontextmanager
async def bare(
    oracle: Oracle = echo, *, port: int = 0, state: health.HealthServicer | None = None, pings_ms: int = 5_000
) -> AsyncIterator[int]:
    """A server with nothing around it, which takes a ping as often as ours do."""
    options = [("grpc.so_reuseport", 0), ("grpc.http2.min_ping_interval_without_data_ms", pings_ms)]
    server = grpc.aio.server(options=options)
    servicer(oracle, server)
    add_HealthServicer_to_server(state or health.HealthServicer(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


@asynccontextmanager
async def calling(oracle: Oracle = echo, contracts: Sequence[FileDescriptor] = ()) -> AsyncIterator[Stub]:
    async with bare(oracle) as port, channel(f"127.0.0.1:{port}", service_token="ours", contracts=contracts) as line:
        yield Stub(line)


async def left(question: Any, context: Context) -> str:
    return str(context.time_remaining())


async def never(question: Any, context: Context) -> str:
    await asyncio.Event().wait()
    return ""


async def metadata(question: Any, context: Context) -> str:
    return " ".join(f"{key}={value!s}" for key, value in context.invocation_metadata() or ())


async def test_a_call_does_not_wait_for_ever() -> None:
    async with calling(left) as stub:
        assert 1 < float((await stub.Ask(Question())).text) < 5.1
        assert 1 < float((await stub.Tell(iter([Question()]))).text) < 5.1


async def test_a_stream_lasts_as_long_as_whom_it_is_made_for() -> None:
    async with calling(left) as stub:
        assert [one.text async for one in stub.Watch(Question())] == ["None", "None"]
        deadline.set_left(40)
        for answers in (stub.Watch(Question()), stub.Converse(iter([Question()]))):
            assert all([20 < float(one.text) < 40 async for one in answers])


async def test_a_call_waits_as_long_as_it_is_told_to() -> None:
    async with calling(left) as stub:
        assert 60 < float((await stub.Ask(Question(), timeout=90)).text) < 90.1


async def test_a_call_may_be_told_to_end_earlier_than_that() -> None:
    async with calling(left) as stub:
        deadline.set_left(90)
        assert 10 < float((await stub.Ask(Question(), timeout=30)).text) < 30.1


@pytest.mark.parametrize("asked", [None, 9])
async def test_a_call_ends_before_the_one_it_is_made_for(asked: float | None) -> None:
    async with calling(left) as stub:
        deadline.set_left(4)
        assert 0 < float((await stub.Ask(Question(), timeout=asked)).text) < 4


async def test_a_call_for_which_no_time_is_left_ends_at_once() -> None:
    async with calling(never) as stub:
        deadline.set_left(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Ask(Question())
    assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED


async def test_a_call_says_who_calls_and_for_whom() -> None:
    async with calling(metadata) as stub:
        said = (await stub.Ask(Question(), metadata=as_person("hers"))).text.split()
    assert "x-rapport-service=ours" in said
    assert "authorization=Bearer" in said


async def test_a_call_goes_on_under_the_ids_of_the_work_it_is_part_of() -> None:
    async with calling(metadata) as stub:
        with working("tests", request_id="request-1") as span:
            said = (await stub.Ask(Question())).text
    assert "x-request-id=request-1" in said
    assert f"traceparent={span.traceparent}" in said


class Failing:
    """Answers UNAVAILABLE so many times."""

    def __init__(self, times: int, code: StatusCode = StatusCode.UNAVAILABLE) -> None:
        self.times, self.code, self.asked = times, code, 0

    async def __call__(self, _: Any, context: Context) -> str:
        self.asked += 1
        if self.asked <= self.times:
            await context.abort(self.code)
        return "at last"


async def test_a_read_is_repeated_when_the_peer_is_unavailable() -> None:
    failing = Failing(2)
    async with calling(failing, [FILE]) as stub:
        assert (await stub.GetOmen(Question())).text == "at last"
    assert failing.asked == 3


@pytest.mark.parametrize(
    ("method", "code", "contracts"),
    [
        ("ForgetOmen", StatusCode.UNAVAILABLE, [FILE]),
        ("GetOmen", StatusCode.INTERNAL, [FILE]),
        ("GetOmen", StatusCode.UNAVAILABLE, []),
    ],
)
async def test_nothing_else_is_repeated(method: str, code: StatusCode, contracts: Sequence[FileDescriptor]) -> None:
    failing = Failing(1, code)
    async with calling(failing, contracts) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await getattr(stub, method)(Question())
    assert failing.asked == 1


async def test_calls_go_to_every_instance() -> None:
    async def first(question: Any, context: Context) -> str:
        return "first"

    async def second(question: Any, context: Context) -> str:
        return "second"

    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(bare(one)) for one in (first, second)]
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        stub = Stub(await stack.enter_async_context(channel(target, service_token="")))
        seen: set[str] = set()
        async with asyncio.timeout(10):
            while seen != {"first", "second"}:
                seen.add((await stub.Ask(Question())).text)


async def test_an_instance_that_says_it_is_not_serving_gets_no_calls() -> None:
    async def leaving(question: Any, context: Context) -> str:
        return "leaving"

    state = health.HealthServicer()
    async with AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(bare(leaving, state=state)),
            await stack.enter_async_context(bare()),
        ]
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        stub = Stub(await stack.enter_async_context(channel(target, service_token="")))
        async with asyncio.timeout(10):
            while (await stub.Ask(Question(text="staying"))).text != "leaving":
                pass
            await state.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            in_a_row = 0
            while in_a_row < 20:
                in_a_row = in_a_row + 1 if (await stub.Ask(Question(text="staying"))).text == "staying" else 0


async def test_an_instance_that_comes_back_is_called_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with channel(f"127.0.0.1:{port}", service_token="") as line:
        stub = Stub(line)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Ask(Question())
        async with bare(port=port), asyncio.timeout(10):
            assert (await stub.Ask(Question(text="back"), wait_for_ready=True)).text == "back"


async def test_a_line_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `OPTIONS`, a thirtieth as long: bytes go out and none come back, and nobody closes anything."""
    timed = {name: value // 30 if name.endswith(("_time_ms", "_timeout_ms")) else value for name, value in OPTIONS}
    monkeypatch.setattr("chassis.client.OPTIONS", tuple(timed.items()))
    arrived = asyncio.Event()

    async def listens(question: Any, context: Context) -> str:
        arrived.set()
        return await never(question, context)

    async with (
        bare(listens, pings_ms=5) as port,
        falling_silent(port) as (between, silence),
        channel(f"127.0.0.1:{between}", service_token="ours") as line,
    ):
        call = Stub(line).Ask(Question(), timeout=60)
        waiting = asyncio.ensure_future(call)
        await arrived.wait()
        silence.set()
        began = asyncio.get_running_loop().time()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await waiting
    assert caught.value.code() is StatusCode.UNAVAILABLE
    assert asyncio.get_running_loop().time() - began < 10


@asynccontextmanager
async def falling_silent(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to `port` on which nothing arrives any more once the event is set."""
    silence, ways = asyncio.Event(), dict[asyncio.StreamWriter, asyncio.Task[None]]()

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if not silence.is_set():
                    target.write(data)
        finally:
            target.transport.abort()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways[writer] = asyncio.create_task(between(reader, writer))

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], silence
    finally:
        server.close()
        # Whom asyncio is still letting in, which takes it a task each.
        await asyncio.gather(*(one for one in asyncio.all_tasks() if "accept" in str(one.get_coro())))
        for writer, way in ways.items():
            way.cancel()
            writer.transport.abort()
        await asyncio.gather(*ways.values(), return_exceptions=True)
        await asyncio.sleep(0)  # transports that were aborted close their sockets


async def test_a_name_of_many_instances_is_looked_up() -> None:
    async with bare() as port, channel(f"dns:///localhost:{port}", service_token="") as line:
        assert (await Stub(line).Ask(Question(text="here"), wait_for_ready=True)).text == "here"
