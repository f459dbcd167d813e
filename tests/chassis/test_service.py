import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import nats as nats_client
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from rapport.identity.v1.events_pb2 import SessionRevoked, UserDeleted, UserDeletionRequested
from sqlalchemy import MetaData

from chassis.access import NoPolicy
from chassis.client import channel
from chassis.database import Sessions
from chassis.jobs import Job
from chassis.outbox import publish
from chassis.probes import answering
from chassis.service import Served, Service, routes, serving, under_way
from chassis.settings import Secret, ServiceSettings, SettingsError
from chassis.streams import Party, prepare
from chassis.time import TestClock, timestamp
from tests import tokens
from tests.chassis.oracle import FILE, Oracle, Question, Stub, contract, echo, servicer
from tests.chassis.test_rpc import refusal_of
from tests.tokens import as_user

ADA = UUID("8a3c9a5e-0c5f-4a56-9f0e-3f4d7c5b2a10")


@pytest.fixture
def clock(tmp_path: Path) -> TestClock:
    return TestClock.create(tmp_path / "clock")


@pytest.fixture
def settings(tmp_path: Path, clock: TestClock) -> ServiceSettings:
    peers = tmp_path / "peers.json"
    peers.write_text("{}")
    return ServiceSettings(
        listen="127.0.0.1:0",
        metrics_listen="127.0.0.1:0",
        database_url=Secret(""),
        nats_url="nats://127.0.0.1:9",
        nats_user="",
        nats_password=Secret(""),
        service_token=Secret(""),
        peers=peers,
        page_key=Secret("a page key for tests"),
        drain_seconds=0.0,
        test_clock=str(clock.path),
    )


def composed(sessions: Sessions, clock: TestClock, oracle: Oracle = echo, **others: Any) -> Service:
    service = Service(
        name="oracle",
        package="rapport.oracle.v1",
        contracts=[FILE],
        servicers=[(servicer, oracle)],
        sessions=sessions,
        metadata=MetaData(),
        clock=clock,
        holder=False,
        keys=tokens.keys,
    )
    return replace(service, **others)


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[Stub]:
    async with channel(f"127.0.0.1:{served.port}", service_token="") as line:
        yield Stub(line)


async def asked(port: int, request: str) -> tuple[int, str]:
    """What the process answers over HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]) if head else 0, body


async def got(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    return await asked(port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it, asking again whenever others have had their turn."""
    async with asyncio.timeout(20):
        while not await is_so():  # noqa: ASYNC110 - what happens, happens elsewhere
            await asyncio.sleep(0.005)


async def test_a_service_serves_though_nats_is_away(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with serving(composed(sessions, clock), settings) as served, calling(served) as stub:
        assert (await stub.Ask(Question(text="a"))).text == "a"
        assert (
            await stub.GetOmen(Question(name=f"users/{ADA}/omens/1", text="a"), metadata=as_user(ADA, now=clock()))
        ).text
        assert (await got(served.probes, "/readyz"))[0] == 200


async def test_health_and_reflection_answer_anybody(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with (
        serving(composed(sessions, clock), settings) as served,
        grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as line,
    ):
        health: Any = HealthStub(line)
        said = await health.Check(health_pb2.HealthCheckRequest())
        assert said.status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        reflection: Any = ServerReflectionStub(line)  # type: ignore[arg-type]
        answers = reflection.ServerReflectionInfo(iter([ask]))
        names = {one.name async for answer in answers for one in answer.list_services_response.service}
        assert "rapport.oracle.v1.OracleService" in names


# What it refuses to start with ---------------------------------------------------------------------------------------


async def test_a_service_with_a_method_that_has_no_policy_does_not_start(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    silent = contract(
        'syntax = "proto3"; package silent; message Ask {} service Oracle { rpc Consult(Ask) returns (Ask); }'
    )
    with pytest.raises(NoPolicy, match=r"silent\.Oracle\.Consult"):
        async with serving(composed(sessions, clock, contracts=[FILE, silent]), settings):
            pass


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"metrics_listen": "0.0.0.0:0"}, "RAPPORT_TEST_CLOCK is for one machine"),
        ({"listen": "256.0.0.1:1"}, "RAPPORT_LISTEN"),
        ({"peers": Path("nowhere")}, "RAPPORT_PEERS"),
    ],
)
async def test_a_service_that_is_told_nonsense_does_not_start(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings, told: Mapping[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        async with serving(composed(sessions, clock), replace(settings, **told)):
            pass


async def test_two_services_do_not_share_a_port(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with serving(composed(sessions, clock), settings) as served:
        with pytest.raises(SettingsError, match="RAPPORT_LISTEN"):
            async with serving(composed(sessions, clock), replace(settings, listen=f"127.0.0.1:{served.port}")):
                pass


async def test_a_service_without_keys_of_its_own_must_know_where_identity_is(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    with pytest.raises(SettingsError, match="RAPPORT_IDENTITY_TARGET"):
        async with serving(composed(sessions, clock, keys=None), settings):
            pass


# Over HTTP -----------------------------------------------------------------------------------------------------------


async def test_the_numbers_are_told_in_prometheus_own_words(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with serving(composed(sessions, clock), settings) as served, calling(served) as stub:
        await stub.Ask(Question())
        status, text = await got(served.probes, "/metrics")
    assert status == 200
    assert (
        'grpc_server_handled_total{grpc_code="OK",grpc_method="Ask",grpc_service="rapport.oracle.v1.OracleService"}'
        in text
    )


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /healthz HTTP/1.1\r\n\r\n", 200),
        ("GET /healthz?verbose HTTP/1.0\r\n\r\n", 200),
        ("POST /healthz HTTP/1.1\r\n\r\n", 404),
        ("GET /secrets HTTP/1.1\r\n\r\n", 404),
        ("\r\n\r\n", 404),
        ("GET\r\n\r\n", 404),
        ("GET /\u00ff HTTP/1.1\r\n\r\n", 404),
        ("GET /healthz HTTP/1.1\r\nX: " + "x" * 9_000 + "\r\n\r\n", 0),
    ],
)
async def test_only_what_is_known_is_answered(request_: str, status: int) -> None:
    async with answering("127.0.0.1:0", routes(asyncio.Event(), asyncio.Event())) as port:
        assert (await asked(port, request_))[0] == status


async def test_the_platforms_time_is_told(sessions: Sessions, clock: TestClock, settings: ServiceSettings) -> None:
    async with serving(composed(sessions, clock), settings) as served:
        before = datetime.fromisoformat(json.loads((await got(served.probes, "/clock"))[1])["now"])
        clock.advance(timedelta(days=30))
        after = datetime.fromisoformat(json.loads((await got(served.probes, "/clock"))[1])["now"])
    assert timedelta(days=30) < after - before < timedelta(days=31)


async def test_without_a_test_clock_nobody_can_ask_for_the_time(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with serving(composed(sessions, clock), replace(settings, test_clock="")) as served:
        assert (await got(served.probes, "/clock"))[0] == 404
        assert (await got(served.probes, "/settle", "POST"))[0] == 404


# What it does beside -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def streams(url: str) -> AsyncIterator[None]:
    """Identity's stream, as an operator lays it out."""
    client = await nats_client.connect(url)
    await prepare(client.jetstream(), [Party("identity", ["rapport.identity.v1"])])
    yield
    await client.close()


def session_revoked(session: UUID, now: datetime) -> Message:
    return SessionRevoked(user=f"users/{ADA}", session=f"users/{ADA}/sessions/{session}", event_time=timestamp(now))


@pytest.mark.parametrize("kind", [SessionRevoked, UserDeletionRequested, UserDeleted])
async def test_what_identity_ends_is_refused_by_every_service(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings, nats: str, kind: type[Any]
) -> None:
    she, session = uuid4(), uuid4()
    hers, others = as_user(she, session=session, now=clock()), as_user(uuid4(), now=clock())
    event = kind(user=f"users/{she}", event_time=timestamp(clock()))
    if kind is SessionRevoked:
        event.session = f"users/{she}/sessions/{session}"
    async with (
        streams(nats),
        serving(composed(sessions, clock), replace(settings, nats_url=nats)) as served,
        calling(served) as stub,
    ):
        await stub.Ask(Question(), metadata=hers)
        async with sessions.begin() as transaction:
            await publish(transaction, event)

        async def is_refused() -> bool:
            try:
                await stub.Ask(Question(), metadata=hers)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAUTHENTICATED
            return False

        await until(is_refused)
        await stub.Ask(Question(), metadata=others)
        # Who starts now hears of it too.
        async with (
            serving(composed(sessions, clock), replace(settings, nats_url=nats)) as second,
            calling(second) as again,
        ):
            stub = again
            await until(is_refused)


async def test_what_is_due_is_done_at_once_when_asked(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings, nats: str
) -> None:
    due = [datetime.max.replace(tzinfo=clock().tzinfo)]

    async def revoke(sessions: Sessions, now: datetime) -> int:
        if now < due[0]:
            return 0
        due[0] = datetime.max.replace(tzinfo=now.tzinfo)
        async with sessions.begin() as transaction:
            await publish(transaction, session_revoked(uuid4(), now))
        return 1

    work = [Job("revoke", timedelta(hours=1), revoke)]
    async with (
        streams(nats),
        serving(composed(sessions, clock, jobs=work), replace(settings, nats_url=nats)) as served,
    ):
        assert json.loads((await got(served.probes, "/settle", "POST"))[1])["work"] == 0
        due[0] = clock()
        client = await nats_client.connect(nats)
        heard = await client.subscribe("rapport.identity.v1.>")
        await client.flush()
        status, body = await got(served.probes, "/settle", "POST")
        assert (status, json.loads(body)["work"]) == (200, 1)
        await client.flush()
        assert heard.pending_msgs == 1  # it had gone out before the answer came
        await client.close()


async def test_a_part_that_fails_ends_the_service() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    ended = asyncio.Event()
    async with answering("127.0.0.1:0", routes(asyncio.Event(), ended)) as port:
        assert (await got(port, "/healthz"))[0] == 200
        async with under_way("arithmetic", fail(), ended):
            await asyncio.wait_for(ended.wait(), 10)
        assert (await got(port, "/healthz"))[0] == 503


# The end -------------------------------------------------------------------------------------------------------------


async def test_a_service_that_stops_says_so_first_and_finishes_its_calls(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(question: Any, context: Any) -> str:
        begun.set()
        await go_on.wait()
        return "finished"

    leave = asyncio.Event()
    started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()

    async def live() -> None:
        async with serving(composed(sessions, clock, slow), replace(settings, drain_seconds=0.05)) as served:
            started.set_result(served)
            await leave.wait()

    life = asyncio.create_task(live())
    served = await started
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as line:
        health: Any = HealthStub(line)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        call = Stub(line).Ask(Question())
        await begun.wait()
        leave.set()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert (await got(served.probes, "/readyz"))[0] == 503
        assert (await got(served.probes, "/healthz"))[0] == 200
        go_on.set()
        assert (await call).text == "finished"
        with pytest.raises(grpc.aio.AioRpcError):
            await watch.read()
    await asyncio.wait_for(life, 20)


async def test_a_token_of_nobody_we_know_is_refused(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with (
        serving(composed(sessions, clock), settings) as served,
        channel(f"127.0.0.1:{served.port}", service_token="stolen") as line,
    ):
        assert (await refusal_of(Stub(line).Ask(Question()))).reason == "TOKEN_INVALID"
