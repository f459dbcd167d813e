"""All that one service hears in one process: a listener for each handler, and the dead letters to be taken in again.

async with hearing.running(bus, "loyalty", handlers, sessions, clock) as heard:
    await heard.pending()
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from rapport.annotations.v1.errors_pb2 import EVENT_UNDECODABLE, ErrorReason
from sqlalchemy import Row, func, select
from sqlalchemy.exc import SQLAlchemyError

from chassis.bus import Bus
from chassis.cancellation import heed
from chassis.consumer import Handler
from chassis.database import Sessions
from chassis.dead_letters import as_it_came, bury, dead_letter, next_replay, replayed
from chassis.inbox import Heard, Outcome, take_in
from chassis.listener import AT_ONCE, Listener, Setting, reason_of
from chassis.telemetry import DEAD_LETTERS, working
from chassis.time import Clock

COUNT = select(dead_letter.c.consumer, func.count().label("many")).group_by(dead_letter.c.consumer)
LOOK = 1.0  # seconds between looks for letters to replay

log = structlog.get_logger()


class Replays:
    """Dead letters that somebody asked to be taken in again."""

    def __init__(self, setting: Setting, listeners: Mapping[str, Listener]) -> None:
        self.setting, self.listeners = setting, listeners

    async def run(self) -> None:
        """Take them in, one after the other, until cancelled."""
        while True:
            heed()
            try:
                while letter := await self.next():
                    await self.take(letter)
                await self.gauge()
            except (SQLAlchemyError, OSError, TimeoutError, NatsError) as error:
                log.warning("replay_waits", kind=type(error).__name__)
            await asyncio.sleep(LOOK)

    async def next(self) -> Row[Any] | None:
        async with self.setting.sessions.begin() as session:
            return await next_replay(session, list(self.listeners))

    async def take(self, letter: Row[Any]) -> None:
        listener = self.listeners[letter.consumer]
        envelope, event = listener.opened(as_it_came(letter, await self.again(letter)))
        heard = Heard(letter.consumer, listener.handler, envelope, event)
        with working(letter.consumer, traceparent=envelope.traceparent, request_id=envelope.request_id):
            reason, outcome = "", Outcome.DEAD
            try:
                if event is None:
                    reason = ErrorReason.Name(EVENT_UNDECODABLE)
                else:
                    # It is late by nature: what came after it on its key did not wait.
                    outcome = await take_in(self.setting.sessions, heard, self.setting.clock, again=True, anyway=True)
            except Exception as error:
                reason = reason_of(error)
            async with self.setting.sessions.begin() as session:
                if reason:
                    await bury(session, heard, reason=reason, attempts=1, now=self.setting.clock())
                else:
                    await replayed(session, letter)
            log.info(
                "event_replayed",
                consumer=letter.consumer,
                event_id=letter.event_id,
                result=outcome.value,
                reason=reason,
            )

    async def again(self, letter: Row[Any]) -> Msg | None:
        """What an outsider said, from their stream: nothing of it is in the letter."""
        if letter.payload is not None:
            return None
        place = json.dumps({"seq": letter.sequence}).encode()
        answer = await self.setting.bus.client.request(f"$JS.API.DIRECT.GET.{letter.stream}", place, timeout=2)
        return answer if "Nats-Sequence" in (answer.headers or {}) else None

    async def gauge(self) -> None:
        async with self.setting.sessions() as session:
            counts = {row.consumer: row.many for row in await session.execute(COUNT)}
        for name in self.listeners:
            DEAD_LETTERS.labels(name).set(counts.get(name, 0))


class Listeners:
    """All handlers of one service in this process."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    async def pending(self) -> int:
        """How many events wait in the streams for this service, those to be tried again included."""
        return sum([await one.pending() for one in self.listeners])


@asynccontextmanager
async def running(
    bus: Bus, service: str, handlers: Sequence[Handler], sessions: Sessions, clock: Clock
) -> AsyncIterator[Listeners]:
    """Listen until the block is left; what was begun is finished then."""
    setting = Setting(bus, sessions, clock, asyncio.Semaphore(AT_ONCE))
    listeners = [Listener(setting, service, handler) for handler in handlers]
    replays = Replays(setting, {one.name: one for one in listeners})
    works = [work for one in listeners for work in (one.run(), one.keep())]
    tasks = [bus.start("hearing", work) for work in (*works, replays.run())]
    try:
        yield Listeners(listeners)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(one.stop() for one in listeners))
