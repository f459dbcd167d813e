"""The gateway as a process: from settings to an orderly end."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
import uvicorn
import uvloop

from chassis import collector, probes
from chassis import log as logs
from chassis.settings import SettingsError, load, shown
from chassis.telemetry import exposition, started
from chassis.time import clock_from
from gateway.app import App
from gateway.protocol import Http
from gateway.settings import Settings

GRACE = 20  # seconds for requests under way; streams end at once and are taken up elsewhere
KEEP_ALIVE = 75
MOST_CONNECTIONS = 4_000
log = structlog.get_logger()


@dataclass(frozen=True)
class Gateway:
    """What is served, and what goes with it."""

    app: App
    ending: asyncio.Event  # to be set when the process is about to end
    broken: "Sequence[asyncio.Future[None]]"  # any of them is done when it cannot go on


Compose = Callable[[Settings], AbstractAsyncContextManager[Gateway]]


def run(compose: Compose) -> None:
    """`python -m gateway [--check]`."""
    try:
        settings = load(Settings)
    except SettingsError as problem:
        sys.exit(str(problem))
    if "--check" in sys.argv[1:]:
        sys.stdout.write(f"{shown(settings)}\n")
        return
    collector.work()
    logs.configure("gateway", settings.replica, settings.log_format)
    started("gateway", settings.replica)
    uvloop.run(serve(settings, compose))


async def serve(settings: Settings, compose: Compose) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, asked.set)
    async with compose(settings) as gateway, probes.answering(settings.metrics_listen, vitals(settings, asked)):
        server = server_for(settings, gateway.app)
        serving = asyncio.create_task(server.serve(), name="http")
        ends: list[asyncio.Future[Any]] = [serving, asyncio.create_task(asked.wait()), *gateway.broken]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        asked.set()
        log.info("draining", seconds=settings.drain_seconds)
        if not serving.done():
            await asyncio.sleep(settings.drain_seconds)  # until nobody is sent here any more
            gateway.ending.set()
            server.should_exit = True
        await serving
        for broken in gateway.broken:
            if broken.done():
                broken.result()


def server_for(settings: Settings, app: App) -> uvicorn.Server:
    host, _, port = settings.listen.rpartition(":")
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=int(port),
            http=Http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # its lines hold paths, which hold ids, and queries, which hold what people typed
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            limit_concurrency=MOST_CONNECTIONS,
        )
    )


class Server(uvicorn.Server):
    """Ends when we say: it is told by us, in order, and not by the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def vitals(settings: Settings, draining: asyncio.Event) -> dict[str, probes.Route]:
    clock = clock_from(settings)

    async def metrics() -> probes.Answer:
        return probes.Answer(exposition())

    async def alive() -> probes.Answer:
        return probes.Answer(b"ok\n")

    async def ready() -> probes.Answer:
        return probes.Answer(b"draining\n", "503 Service Unavailable") if draining.is_set() else probes.Answer(b"ok\n")

    async def now() -> probes.Answer:
        told = {"now": clock().isoformat(), "pid": os.getpid()}
        return probes.Answer(orjson.dumps(told), kind="application/json")

    async def settle() -> probes.Answer:
        return probes.Answer(orjson.dumps({"now": clock().isoformat(), "work": 0}), kind="application/json")

    routes: dict[str, probes.Route] = {"GET /metrics": metrics, "GET /healthz": alive, "GET /readyz": ready}
    return routes | ({"GET /clock": now, "POST /settle": settle} if settings.test_clock else {})
