"""The line to NATS, which may be away: whoever holds a Bus asks `connected` first, and is never told to give up.

async with bus.connected(settings) as line:
    ...
    await line.ended  # only when the server sends us away for good: then the process ends
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError
from nats.js import JetStreamContext

from chassis.cancellation import heed
from chassis.settings import Secret

log = structlog.get_logger()


class HasNats(Protocol):
    """The settings a line needs; all services' have them."""

    @property
    def nats_url(self) -> str: ...
    @property
    def nats_user(self) -> str: ...
    @property
    def nats_password(self) -> Secret: ...
    @property
    def replica(self) -> str: ...


class Bus:
    """One connection, made in the background and made again whenever it breaks."""

    def __init__(self) -> None:
        self.client = Client()
        self.js: JetStreamContext = self.client.jetstream(timeout=2.0)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outages = 0  # how often the line broke so far
        self.told = ""  # the trouble last logged: an outage repeats it twice a second

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    async def open(self, settings: HasNats) -> None:
        """Connect, however long that takes."""
        user, password = settings.nats_user, settings.nats_password.value
        await self.client.connect(
            [one.strip() for one in settings.nats_url.split(",")],
            name=f"{user}/{settings.replica}",
            inbox_prefix=f"_INBOX_{user}" if user else "_INBOX",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]
            connect_timeout=2,
            ping_interval=5,
            max_outstanding_pings=1,  # a line that died silently is noticed within 10 s
            drain_timeout=20,
            error_cb=self.on_error,
            disconnected_cb=self.on_break,
            reconnected_cb=self.on_return,
            closed_cb=self.on_end,
            user=user or None,
            password=password or None,
        )
        await self.on_return()

    async def close(self) -> None:
        if not self.ended.done():
            self.ended.cancel()  # this end is our own wish
        if self.client.is_connected:
            await self.client.drain()
        else:
            await self.client.close()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` beside. A process in which it fails cannot go on."""

        def check(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("part_failed", type=name, exc_info=error)
                if not self.ended.done():
                    self.ended.set_result(None)

        task = asyncio.create_task(work, name=name)
        task.add_done_callback(check)
        return task

    async def on_error(self, error: Exception) -> None:
        heed()  # here nats-py comes by after each attempt in vain, and there is no end to those
        # Its text may quote a subject or an address: the kind is enough, and the server's log has the rest.
        text = str(error).lower()
        unauthorised = isinstance(error, AuthorizationError) or "authorization violation" in text
        kind = "PermissionsViolation" if "permissions violation" in text else type(error).__name__
        if kind != self.told:
            self.told = kind
            log.warning("nats_error", kind=kind)
        if unauthorised:
            await self.on_end()

    async def on_break(self) -> None:
        self.outages += 1
        log.warning("nats_disconnected")

    async def on_return(self) -> None:
        self.told = ""
        log.info("nats_connected")

    async def on_end(self) -> None:
        if not self.ended.done():
            log.error("nats_closed")
            self.ended.set_result(None)


class Refused(Exception):  # noqa: N818 - it is what the event was
    """The server would not store a message."""


class Publications:
    """Messages under way to a stream, each until the server has stored it: what js.publish does, at half its cost."""

    def __init__(self, bus: Bus) -> None:
        self.bus, self.count = bus, 0
        self.prefix = ""  # where answers come in
        self.waiting: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        """Listen for answers, before anything is sent."""
        if not self.prefix:
            prefix = f"{self.bus.client.new_inbox()}."
            await self.bus.client.subscribe(f"{prefix}*", cb=self.on_answer)
            self.prefix = prefix

    async def send(self, subject: str, payload: bytes, headers: dict[str, str], *, patience: float) -> None:
        """Have a message stored. After a TimeoutError it may be stored or not: send it again under the same id."""
        self.count += 1
        token, stored = str(self.count), asyncio.get_running_loop().create_future()
        self.waiting[token] = stored
        try:
            await self.bus.client.publish(subject, payload, f"{self.prefix}{token}", headers)
            async with asyncio.timeout(patience):
                await stored
        finally:
            del self.waiting[token]

    async def on_answer(self, message: Msg) -> None:
        stored = self.waiting.get(message.subject[len(self.prefix) :])
        if stored is None or stored.done():
            return
        if b'"error"' in message.data or not message.data:  # empty where no stream listens
            stored.set_exception(Refused())
        else:
            stored.set_result(None)


@asynccontextmanager
async def connected(settings: HasNats) -> AsyncIterator[Bus]:
    """A line that is being made, and is made again after each break, until the block is left."""
    bus = Bus()
    opening = asyncio.create_task(bus.open(settings), name="nats")
    try:
        yield bus
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await bus.close()
