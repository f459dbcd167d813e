import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
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
from rapport.holder.v1.holder_pb2 import DescribeHoldingsRequest
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1.events_pb2 import ClientRevoked, SessionRevoked, UserDeleted, UserDeletionRequested
from sqlalchemy import Column, MetaData, Table, Text, Uuid
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import NoPolicy
from chassis.client import channel
from chassis.consumer import Arrival, on
from chassis.database import Sessions, connect
from chassis.jobs import Job
from chassis.outbox import publish
from chassis.personal_data.holdings import Undeclared
from chassis.personal_data.tombstone import Unguarded
from chassis.probes import answering
from chassis.service import Served, Service, routes, serving, under_way
from chassis.settings import Secret, ServiceSettings, SettingsError
from chassis.streams import Durable, Party, prepare
from chassis.subjects import filter_of, stream_of
from chassis.time import TestClock, timestamp
from tests import tokens
from tests.chassis.oracle import FILE, PEERS, PRIVACY, Oracle, Question, Stub, contract, echo, servicer
from tests.chassis.test_rpc import refusal_of
from tests.tokens import as_program, as_user

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
        issuer="https://store.example.org",
        database_url=Secret(""),
        nats_url="nats://127.0.0.1:9",
        nats_user="",
        nats_password=Secret(""),
        service_token=Secret(""),
        peers=peers,
        page_key=Secret("a page key for tests"),
        mail_key=Secret("3a" * 32),
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
    with suppress(ConnectionError):
        head, _, body = (await asyncio.wait_for(reader.read(), 80)).decode().partition("\r\n\r\n")
        writer.close()
        await writer.wait_closed()
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
        assert (await refusal_of(stub.Ask(Question(text="x" * 21)))).reason == "INVALID_FIELD"
        assert (
            await stub.GetOmen(Question(name=f"users/{ADA}/omens/1", text="a"), metadata=as_user(ADA, now=clock()))
        ).text
        assert (await got(served.probes, "/readyz"))[0] == 200


async def test_no_task_waits_for_each_method(sessions: Sessions, clock: TestClock, settings: ServiceSettings) -> None:
    """grpc.aio has one for each that it knows beforehand, and goes through all of them at every call."""
    async with serving(composed(sessions, clock), settings) as served, calling(served) as stub:
        await stub.Ask(Question())
        known = [one for one in asyncio.all_tasks() if "_request_registered_call" in repr(one)]
    assert len(known) <= 1, known  # reflection's, which wants the server itself


async def test_channels_to_others_end_with_the_service(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    to_another = channel("127.0.0.1:9", service_token="")
    async with serving(composed(sessions, clock, channels=[to_another]), settings):
        assert to_another.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
    assert to_another.get_state() is grpc.ChannelConnectivity.SHUTDOWN


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


async def test_a_service_with_a_table_that_says_nothing_of_people_does_not_start(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    metadata = MetaData()
    Table("diary", metadata, Column("id", Uuid, primary_key=True), Column("page", Text))
    with pytest.raises(Undeclared, match=r"diary\.page"):
        async with serving(composed(sessions, clock, holder=True, metadata=metadata), settings):
            pass


async def test_a_service_without_the_guards_of_its_tables_does_not_start(
    database: str, clock: TestClock, settings: ServiceSettings
) -> None:
    engine, empty = connect(database, name="tests")
    with pytest.raises(Unguarded):
        async with serving(composed(empty, clock, holder=True), settings):
            pass
    await engine.dispose()


async def test_a_service_answers_for_the_people_it_holds(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    peers = settings.peers
    peers.write_text(json.dumps(PEERS))
    async with (
        serving(composed(sessions, clock, holder=True), settings) as served,
        grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as line,
    ):
        holder = HolderServiceStub(line)
        said = await holder.DescribeHoldings(DescribeHoldingsRequest(), metadata=PRIVACY)
        assert "mail.recipient" in [one.column for one in said.holdings]
        assert (await refusal_of(holder.DescribeHoldings(DescribeHoldingsRequest()))).reason == "SIGN_IN_NEEDED"


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
    try:
        hears = Durable("oracle-note", stream_of("rapport.identity.v1"), filter_of(SessionRevoked))
        parties = [Party("identity", ["rapport.identity.v1"]), Party("oracle", durables=[hears])]
        await prepare(client.jetstream(), parties)
        yield
    finally:
        await client.close()


def session_revoked(session: UUID, now: datetime) -> Message:
    return SessionRevoked(user=f"users/{ADA}", session=f"users/{ADA}/sessions/{session}", event_time=timestamp(now))


async def test_what_a_program_got_is_refused_by_every_service_when_it_is_ended(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings, nats: str
) -> None:
    credential, token = uuid4(), uuid4()
    all_of_it = as_program("robot", now=clock(), credential=str(credential))
    one_of_it = as_program("robot", now=clock(), jti=str(token))
    others = as_program("robot", now=clock())
    ended = {f"clients/robot/credentials/{credential}": all_of_it, f"clients/robot/tokens/{token}": one_of_it}
    async with (
        streams(nats),
        serving(composed(sessions, clock), replace(settings, nats_url=nats)) as served,
        calling(served) as stub,
    ):
        for revoked, shown in ended.items():
            await stub.Ask(Question(), metadata=shown)
            event = ClientRevoked(client="clients/robot", revoked=revoked, event_time=timestamp(clock()))
            async with sessions.begin() as transaction:
                await publish(transaction, event)

            async def is_refused(shown: Any = shown) -> bool:
                try:
                    await stub.Ask(Question(), metadata=shown)
                except grpc.aio.AioRpcError as error:
                    return error.code() is grpc.StatusCode.UNAUTHENTICATED
                return False

            await until(is_refused)
        await stub.Ask(Question(), metadata=others)


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

    noted: list[str] = []

    @on(SessionRevoked)
    async def note(session: AsyncSession, event: SessionRevoked, about: Arrival) -> None:
        noted.append(event.user)

    service = composed(sessions, clock, jobs=[Job("revoke", timedelta(hours=1), revoke)], consumers=[note])
    async with streams(nats), serving(service, replace(settings, nats_url=nats)) as served:
        await got(served.probes, "/settle", "POST")  # what other tests have left in the stream
        assert json.loads((await got(served.probes, "/settle", "POST"))[1])["work"] == 0
        noted.clear()
        due[0] = clock()
        status, body = await got(served.probes, "/settle", "POST")
        assert (status, json.loads(body)["work"]) == (200, 2)  # stated, and heard
        assert noted == [f"users/{ADA}"]


async def test_what_is_due_is_done_though_nobody_asks(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    came = asyncio.Event()

    async def come(sessions: Sessions, now: datetime) -> int:
        came.set()
        return 0

    async with serving(composed(sessions, clock, jobs=[Job("come", timedelta(hours=1), come)]), settings):
        await asyncio.wait_for(came.wait(), 20)


async def test_while_nats_is_away_nothing_has_settled(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    @on(SessionRevoked)
    async def note(session: AsyncSession, event: SessionRevoked, about: Arrival) -> None: ...

    async with serving(composed(sessions, clock, consumers=[note]), settings) as served:
        assert (await got(served.probes, "/settle", "POST"))[0] == 503


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
        watch.cancel()
        assert (await got(served.probes, "/readyz"))[0] == 503
        await until(partial(is_closed, served.port))
        assert (await got(served.probes, "/healthz"))[0] == 200
        go_on.set()
        assert (await call).text == "finished"
    await asyncio.wait_for(life, 20)


async def is_closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return False


async def test_a_token_of_nobody_we_know_is_refused(
    sessions: Sessions, clock: TestClock, settings: ServiceSettings
) -> None:
    async with (
        serving(composed(sessions, clock), settings) as served,
        channel(f"127.0.0.1:{served.port}", service_token="stolen") as line,
    ):
        assert (await refusal_of(Stub(line).Ask(Question()))).reason == "TOKEN_INVALID"
