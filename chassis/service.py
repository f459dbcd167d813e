"""A service, and how it runs: from its composition root to an orderly end.

    def service(settings: Settings, sessions: Sessions, clock: Clock) -> Service:  # in __main__.py
        return Service(
            name="identity",
            package="rapport.identity.v1",
            contracts=[identity_pb2.DESCRIPTOR],
            servicers=[(add_IdentityServiceServicer_to_server, Identity(sessions, clock))],
            consumers=[close_account],
            jobs=[forget_sessions],
            sessions=sessions,
            metadata=models.Base.metadata,
            clock=clock,
        )

    if __name__ == "__main__":
        main(Settings, service)

Tests run the same composition in their own process: `async with serving(service(...), settings) as served`.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar

import grpc
import orjson
import structlog
import uvloop
from google.protobuf.descriptor import FileDescriptor
from nats.errors import Error as NatsError
from rapport.holder.v1 import holder_pb2
from rapport.holder.v1.holder_pb2_grpc import add_HolderServiceServicer_to_server
from sqlalchemy import MetaData, QueuePool

from chassis import bus, collector, hearing, jobs, mail, relay
from chassis.access import NoPolicy, Peers
from chassis.consumer import Handler
from chassis.database import Sessions, chassis_metadata, connect
from chassis.idempotency import forget_old_requests
from chassis.inbox import forget_old_notes
from chassis.jobs import Job
from chassis.log import configure
from chassis.masking import Known, nothing_known
from chassis.outbox import forget_old_events
from chassis.personal_data.holder import Before, Holder
from chassis.personal_data.holdings import Undeclared, tables_of
from chassis.personal_data.retention import load as load_schedule
from chassis.personal_data.tombstone import Unguarded
from chassis.probes import Answer, Route, answering
from chassis.revocations import Revocations, follow
from chassis.rpc import is_passing
from chassis.server import Servicers, listening
from chassis.settings import ServiceSettings, SettingsError, load, shown
from chassis.settlement import Settlement
from chassis.telemetry import DB_POOL_IN_USE, exposition, started
from chassis.time import Clock, clock_from
from chassis.tokens import Keys

S = TypeVar("S", bound=ServiceSettings)
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Service:
    """What makes one service different from another."""

    name: str  # "identity"
    package: str  # "rapport.identity.v1"
    contracts: Sequence[FileDescriptor]
    servicers: Servicers
    consumers: Sequence[Handler] = ()
    jobs: Sequence[Job] = ()
    sessions: Sessions
    metadata: MetaData  # the service's own tables; the chassis has its own
    clock: Clock
    channels: Sequence[grpc.aio.Channel] = ()  # to other services: closed when this one ends
    holder: bool = True  # answers for the people it holds: HolderService, and erasure when it is ordered
    mail_heard: mail.Heard | None = None  # what to make of what the mail server said of an address
    before_erasure: Before | None = None  # what only this service can do, in the transaction of the erasure
    known_numbers: Known = nothing_known  # of whom a request is about: what reads like a card number, and is none
    keys: Keys | None = None  # the public keys of tokens, where there is no need to ask identity for them


# As a process --------------------------------------------------------------------------------------------------------


def main(settings_type: type[S], compose: Callable[[S, Sessions, Clock], Service]) -> None:
    """Run the service that `compose` makes, until told to stop. `--check` only says what it was told."""
    parser = argparse.ArgumentParser(description=compose.__doc__)
    parser.add_argument("--check", action="store_true", help="read the settings, print them without secrets, and end")
    check_only = parser.parse_args().check
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's core writes past our log, and much
    try:
        settings = load(settings_type)
        if check_only:
            Peers.read(settings.peers)
            sys.stdout.write(f"{shown(settings)}\n")
        else:
            uvloop.run(start(settings, compose))
    except (SettingsError, NoPolicy, Undeclared, Unguarded) as problem:
        sys.exit(str(problem))


async def start(settings: S, compose: Callable[[S, Sessions, Clock], Service]) -> None:
    collector.work()
    engine, sessions = connect(settings.database_url.value, name=settings.nats_user)
    if isinstance(engine.pool, QueuePool):
        DB_POOL_IN_USE.set_function(engine.pool.checkedout)
    try:
        await run(compose(settings, sessions, clock_from(settings)), settings)
    finally:
        await engine.dispose()


async def run(service: Service, settings: ServiceSettings) -> None:
    """Run the service until SIGTERM or SIGINT, or until it cannot go on: then the process fails."""
    configure(service.name, settings.replica, settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started(service.name, settings.replica)
    async with serving(service, settings) as served:
        log.info("service_started", port=served.port)
        await first(stop, served.ended)
        log.info("service_stopping")
    if not stop.is_set():
        sys.exit(1)


async def first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(one.wait()) for one in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


# In any process ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A service that runs."""

    port: int
    probes: int  # the port of /metrics, /healthz and /readyz
    ended: asyncio.Event  # set when it cannot go on
    settle: Callable[[], Awaitable[int]]  # do all that is due by now; how much that was


@asynccontextmanager
async def serving(service: Service, settings: ServiceSettings) -> AsyncIterator[Served]:
    """The service in this process, until the block is left."""
    service = await whole(service, settings)
    ready, ended = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        for channel in service.channels:
            await enter(channel)
        line = await enter(bus.connected(settings))
        line.ended.add_done_callback(lambda end: None if end.cancelled() else ended.set())
        relaying = await enter(relay.running(line, service.sessions, source=service.name, replica=settings.replica))
        heard = await enter(hearing.running(line, service.name, service.consumers, service.sessions, service.clock))
        settle = Settlement(service.jobs, service.sessions, service.clock, relaying, heard)
        known = routes(ready, ended) | (timely(service.clock, settle) if is_timely(settings) else {})
        probes = await enter(answering(settings.metrics_listen, known))
        await enter(under_way("jobs", jobs.run_jobs(service.jobs, service.sessions, service.clock), ended))
        revoked = Revocations(service.clock)
        await enter(under_way("revocations", follow(line, revoked), ended))
        port = await enter(
            listening(
                service.name,
                service.contracts,
                service.servicers,
                settings,
                clock=service.clock,
                keys=service.keys,
                revoked=revoked,
                known_numbers=service.known_numbers,
            )
        )
        ready.set()
        stack.callback(ready.clear)  # the first thing to happen on the way out
        yield Served(port, probes, ended, settle)


async def whole(service: Service, settings: ServiceSettings) -> Service:
    """The service, and what the chassis does for every one."""
    mail.seal_with(service.sessions, settings.mail_key)
    mailing = (
        [mail.seal_mail_in_clear, mail.sender(settings, service.mail_heard), mail.forget_failed_mail]
        if settings.smtp_url
        else []
    )
    tidying = [forget_old_requests, forget_old_notes, forget_old_events]
    service = replace(service, jobs=[*service.jobs, *mailing, *tidying])
    if not service.holder:
        return service
    tables = tables_of([service.metadata, chassis_metadata])
    schedule = load_schedule(settings.retention) if settings.retention else load_schedule()
    holder = Holder(service.name, tables, service.sessions, service.clock, schedule, before=service.before_erasure)
    await in_the_end(partial(holder.verify, service.contracts))
    return replace(
        service,
        contracts=[*service.contracts, holder_pb2.DESCRIPTOR],
        servicers=[*service.servicers, (add_HolderServiceServicer_to_server, holder)],
        consumers=[*service.consumers, holder.handler()],
        jobs=[*service.jobs, holder.job()],
    )


async def in_the_end(work: Callable[[], Awaitable[None]]) -> None:
    """Do it as soon as the database is there."""
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_passing(error):
                raise
            log.warning("database_awaited", kind=type(error).__name__)
        await asyncio.sleep(0.5)


@asynccontextmanager
async def under_way(name: str, work: Coroutine[Any, Any, None], ended: asyncio.Event) -> AsyncIterator[None]:
    """Do `work` beside the block, and end it with it. A service in which it fails cannot go on."""

    def check(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("service_part_failed", type=name, exc_info=error)
            ended.set()

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(check)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# What it answers for -------------------------------------------------------------------------------------------------


def routes(ready: asyncio.Event, ended: asyncio.Event) -> dict[str, Route]:
    async def metrics() -> Answer:
        return Answer(exposition(), kind="text/plain; version=0.0.4; charset=utf-8")

    async def healthz() -> Answer:
        return told("ended", ok=False) if ended.is_set() else told("alive")

    async def readyz() -> Answer:
        return told("ready") if ready.is_set() else told("not ready", ok=False)

    return {"GET /metrics": metrics, "GET /healthz": healthz, "GET /readyz": readyz}


def told(text: str, *, ok: bool = True) -> Answer:
    return Answer(f"{text}\n".encode(), "200 OK" if ok else "503 Service Unavailable")


def is_timely(settings: ServiceSettings) -> bool:
    """Whether time can be moved here, and so asked for: locally, with a test clock, for nobody else's ears."""
    if not settings.test_clock:
        return False
    if not ip_address(settings.metrics_listen.rpartition(":")[0].strip("[]")).is_loopback:
        raise SettingsError("RAPPORT_TEST_CLOCK is for one machine: RAPPORT_METRICS_LISTEN must be on 127.0.0.1.")
    return True


def timely(clock: Clock, settle: Callable[[], Awaitable[int]]) -> dict[str, Route]:
    """What `./rapport clock` asks: the time, and to do all that is due by then."""

    async def now() -> Answer:
        return Answer(orjson.dumps({"now": clock()}), kind="application/json")

    async def settle_all() -> Answer:
        try:
            work = await settle()
        except (TimeoutError, NatsError) as error:
            log.warning("not_settled", kind=type(error).__name__)
            return told("not settled", ok=False)
        return Answer(orjson.dumps({"now": clock(), "work": work}), kind="application/json")

    return {"GET /clock": now, "POST /settle": settle_all}
