"""Bringing events from a stream to a handler: pulled, in lanes, tried again, set aside.

Events of one key go one after the other, others side by side. What fails comes again after a while; what keeps failing
becomes a dead letter. How often is counted in the database, not in the stream: there, waiting and being interrupted
count too. While the database is away nothing is counted, and nothing is set aside.
"""

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import structlog
from google.protobuf.message import Message
from grpc import StatusCode
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from rapport.annotations.v1.errors_pb2 import EVENT_UNDECODABLE, ErrorReason
from sqlalchemy.exc import SQLAlchemyError

from chassis.bus import Bus
from chassis.cancellation import heed
from chassis.consumer import Handler
from chassis.database import Sessions, sqlstate
from chassis.dead_letters import bury
from chassis.envelope import Envelope, Undecodable, from_stream, message
from chassis.inbox import Heard, Outcome, begin_again, is_forgotten, made_at, note_failure, standing, take_in
from chassis.refusal import Refusal
from chassis.streams import ACK_WAIT
from chassis.subjects import key_of, owner_of, subject_of
from chassis.telemetry import EVENT_CONSUME_SECONDS, EVENT_DUPLICATES, EVENT_LAG, working
from chassis.time import Clock

LADDER = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds until the next try
MOST_ENDS = 3  # processes that may end over one event, without a word
EARLY = (0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.5, 1.0)  # seconds until an early event is looked at again
MOST_EARLY = 600  # deliveries, ten minutes: longer than any handler, then the event before it is lost
AGAIN = 5.0  # when not even a failure could be noted
HANDLER_LIMIT = 300.0
IN_HAND = 64  # messages a handler has here, waiting or at work
AT_ONCE = 4  # handlers at work in one process: each holds a database connection, and calls need the rest
PULL = 10.0  # seconds a request for messages stands
HEARTBEAT = 1.0
PAUSE = 0.2
ACK_PATIENCE = 2.0
GRACE = 15.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Setting:
    """What all listeners of a process share."""

    bus: Bus
    sessions: Sessions
    clock: Clock
    turns: asyncio.Semaphore  # to handle one event


@dataclass(frozen=True, order=True)
class Waiting:
    """A message in hand."""

    place: int
    arrived: Msg = field(compare=False)
    envelope: Envelope = field(compare=False)
    event: Message | None = field(compare=False)


class Listener:
    """One handler, listening."""

    def __init__(self, setting: Setting, service: str, handler: Handler) -> None:
        self.setting, self.bus, self.handler = setting, setting.bus, handler
        self.name = handler.durable(service)
        self.lanes: dict[str, list[Waiting]] = {}  # heaps, by their place in the stream
        self.at_work: set[asyncio.Task[None]] = set()
        self.in_hand: dict[str, Msg] = {}  # by where it is acknowledged
        self.alone = asyncio.Lock()
        self.stopping = False
        self.room = asyncio.Event()

    async def run(self) -> None:
        """Pull and hand out, until cancelled."""
        inbox = None
        try:
            while True:
                try:
                    inbox = inbox or await self.bus.client.subscribe(self.bus.client.new_inbox())
                    if self.bus.connected and await self.pull(inbox):
                        heed()
                        continue
                except (NatsError, TimeoutError, ConnectionError) as error:
                    log.debug("listener_waits", consumer=self.name, kind=type(error).__name__)
                heed()
                await asyncio.sleep(PAUSE)
        finally:
            if inbox and self.bus.connected:
                await inbox.unsubscribe()  # what came meanwhile goes to others, after a while

    async def keep(self) -> None:
        """Tell the stream that what is in hand is not lost, until cancelled."""
        while True:
            await asyncio.sleep(ACK_WAIT / 3)
            for arrived in list(self.in_hand.values()) if self.bus.connected else []:
                with suppress(NatsError):  # it comes again, and the inbox knows it
                    await arrived.in_progress()

    async def stop(self) -> None:
        """Finish what was begun and give back the rest."""
        self.stopping = True
        if self.at_work:
            _, late = await asyncio.wait(self.at_work, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def pending(self) -> int:
        """How many events the stream has for this handler, those being worked on or tried again included."""
        about = await self.bus.js.consumer_info(self.handler.stream, self.name)
        return int(about.num_pending or 0) + int(about.num_ack_pending or 0)

    async def pull(self, inbox: Subscription) -> bool:
        """Ask for as much as there is room for, and hand out what comes; whether to ask again at once."""
        while len(self.in_hand) >= IN_HAND:
            self.room.clear()
            await self.room.wait()
        wanted = IN_HAND - len(self.in_hand)
        request = {"batch": wanted, "expires": int(PULL * 1e9), "idle_heartbeat": int(HEARTBEAT * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.handler.stream}.{self.name}"
        await self.bus.client.publish(subject, json.dumps(request).encode(), inbox.subject)
        while wanted:
            # A missing heartbeat says that the server has forgotten the request, or is gone.
            arrived = await inbox.next_msg(timeout=HEARTBEAT * 2.5)
            status = (arrived.headers or {}).get("Status")
            if status is None:
                self.hand_out(arrived)
                wanted -= 1
            elif status != "100":
                if status not in ("404", "408"):
                    log.warning("pull_ended", consumer=self.name, status=status)
                return status in ("404", "408")
            heed()
        return True

    def hand_out(self, arrived: Msg) -> None:
        self.in_hand[arrived.reply] = arrived
        waiting = Waiting(arrived.metadata.sequence.stream, arrived, *self.opened(from_stream(arrived)))
        lane = waiting.envelope.lane
        if lane in self.lanes:
            heappush(self.lanes[lane], waiting)
            return
        self.lanes[lane] = [waiting]
        task = self.bus.start(self.name, self.work_off(lane))
        self.at_work.add(task)
        task.add_done_callback(self.at_work.discard)

    def opened(self, envelope: Envelope) -> tuple[Envelope, Message | None]:
        """The envelope as it counts, and the message: None where it cannot be decoded."""
        try:
            event = message(envelope, self.handler.event_type)
            key, _ = key_of(event)
            owner = owner_of(subject_of(event))
        except (Undecodable, ValueError):
            return envelope, None
        if self.handler.ingress:  # nothing that an outsider says beside the message counts
            envelope = replace(envelope, key=key, owner=owner, version=0, previous=None)
        return envelope, event

    async def work_off(self, lane: str) -> None:
        """Take in what waits in one lane, in its order."""
        while self.lanes[lane]:
            waiting = heappop(self.lanes[lane])
            arrived = waiting.arrived
            try:
                await self.handle(arrived, waiting.envelope, waiting.event)
            except (NatsError, TimeoutError, ConnectionError) as error:
                # Not acknowledged: it comes again, and the inbox knows it.
                log.info("event_not_acknowledged", consumer=self.name, kind=type(error).__name__)
            finally:
                del self.in_hand[arrived.reply]
                self.room.set()
        del self.lanes[lane]

    # One event -------------------------------------------------------------------------------------------------------

    async def handle(self, arrived: Msg, envelope: Envelope, event: Message | None) -> None:
        """Take one event in when it has its turn, and tell the stream what became of it."""
        with working(self.name, traceparent=envelope.traceparent, request_id=envelope.request_id):
            async with self.setting.turns:
                if self.stopping:
                    await arrived.nak()
                    return
                outcome, pause = await self.judge(arrived, envelope, event)
            match outcome:  # the turn is the next one's: an acknowledgement waits for a disk, and needs no database
                case Outcome.EARLY | Outcome.FAILED:
                    await arrived.nak(pause)
                case Outcome.DEAD:
                    await arrived.term()
                case _:
                    await arrived.ack_sync(timeout=ACK_PATIENCE)

    async def judge(self, arrived: Msg, envelope: Envelope, event: Message | None) -> tuple[Outcome, float]:
        """Take one event in, or know when it should come again, whatever happens."""
        began = time.perf_counter()
        try:
            outcome, pause = await self.take(arrived, envelope, event)
        except Exception as error:
            is_away = isinstance(error, (SQLAlchemyError, OSError, TimeoutError))
            log.warning("event_not_judged", consumer=self.name, kind=kind(error), exc_info=not is_away)
            outcome, pause = Outcome.FAILED, AGAIN
        self.count(outcome, envelope, time.perf_counter() - began)
        return outcome, pause

    async def take(self, arrived: Msg, envelope: Envelope, event: Message | None) -> tuple[Outcome, float]:
        """What becomes of the event, and the seconds until it should come again where it should."""
        heard, delivered = Heard(self.name, self.handler, envelope, event), arrived.metadata.num_delivered
        known, anyway = None, False
        if delivered > 1 or is_forgotten(envelope.id):
            known = await standing(self.setting.sessions, heard)
            if known.seen or known.dead:
                return Outcome.DUPLICATE, 0
            if not known.due:
                pause = EARLY[min(delivered, len(EARLY)) - 1]
                if known.hindered is not None:
                    return Outcome.EARLY, max(known.hindered, 0) + pause
                if delivered <= MOST_EARLY:
                    return Outcome.EARLY, pause
                log.error("event_before_is_missing", consumer=self.name, event_id=envelope.id)
                anyway = True
        if event is None:
            return await self.set_aside(heard, ErrorReason.Name(EVENT_UNDECODABLE), delivered)
        if is_forgotten(envelope.id):
            return await self.set_aside(heard, "TOO_OLD", delivered)
        if known is None or known.failed:
            return await self.attempt(heard, again=known is not None, anyway=anyway)
        # Nobody knows why it comes again. It may have ended a process, and others with it that were under way then:
        # so those go one by one, and only the one at work is to blame for the next end.
        if self.alone.locked():
            return Outcome.EARLY, EARLY[-1] * random.random()  # noqa: S311 - to part, not to hide
        async with self.alone:
            return await self.attempt(heard, again=True, anyway=anyway)

    async def attempt(self, heard: Heard, *, again: bool, anyway: bool) -> tuple[Outcome, float]:
        """Try to take the event in, unless it was tried too often."""
        sessions, clock = self.setting.sessions, self.setting.clock
        if again:
            attempts, reason = await begin_again(sessions, heard, clock())
            if attempts > (len(LADDER) + 1 if reason else MOST_ENDS):
                return await self.set_aside(heard, reason or "PROCESS_ENDED", attempts)
        try:
            async with asyncio.timeout(HANDLER_LIMIT):
                return await take_in(sessions, heard, clock, again=again, anyway=anyway), EARLY[0]
        except Exception as error:
            return await self.note(heard, error)

    async def note(self, heard: Heard, error: Exception) -> tuple[Outcome, float]:
        """Decide when what failed is tried again, if at all."""
        reason = reason_of(error)
        ladder = [seconds * random.uniform(0.8, 1.2) for seconds in LADDER]  # noqa: S311 - to part, not to hide
        attempts = await note_failure(self.setting.sessions, heard, reason, self.setting.clock(), ladder)
        log.warning(
            "event_failed",
            consumer=self.name,
            event_id=heard.envelope.id,
            attempts=attempts,
            reason=reason,
            exc_info=not isinstance(error, Refusal),
        )
        # What is wrong in itself does not get better by waiting.
        hopeless = isinstance(error, Refusal) and error.code is StatusCode.INVALID_ARGUMENT
        if hopeless or attempts > len(LADDER):
            return await self.set_aside(heard, reason, attempts)
        return Outcome.FAILED, ladder[attempts - 1]

    async def set_aside(self, heard: Heard, reason: str, attempts: int) -> tuple[Outcome, float]:
        async with self.setting.sessions.begin() as session:
            await bury(session, heard, reason=reason, attempts=attempts, now=self.setting.clock())
        log.error("event_set_aside", consumer=self.name, event_id=heard.envelope.id, reason=reason, attempts=attempts)
        return Outcome.DEAD, 0

    def count(self, outcome: Outcome, envelope: Envelope, seconds: float) -> None:
        event_type = self.handler.event_type.DESCRIPTOR.full_name
        EVENT_CONSUME_SECONDS.labels(self.name, event_type, outcome.value).observe(seconds)
        if outcome is Outcome.DUPLICATE:
            EVENT_DUPLICATES.labels(self.name).inc()
        if outcome is Outcome.DONE and envelope.id.version == 7:
            EVENT_LAG.labels(self.name).observe(max(0.0, time.time() - made_at(envelope.id)))


def reason_of(error: Exception) -> str:
    """Why, in a word from the code or the contracts: what an exception says may hold anything."""
    if isinstance(error, Refusal):
        return error.reason
    state = sqlstate(error)
    return f"{kind(error)} {state}" if state else kind(error)


def kind(error: Exception) -> str:
    return type(error).__name__
