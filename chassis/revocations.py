"""Which sessions, authorizations, impersonations, memberships, users and programs have no tokens any more, as identity
states it.

Every instance hears all of it for itself. While NATS is away, a token ends by its own end, minutes later.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import structlog
from google.protobuf.message import Message
from rapport.identity.v1.events_pb2 import (
    AuthorizationRevoked,
    ClientRevoked,
    ImpersonationEnded,
    MembershipEnded,
    SessionRevoked,
    UserDeleted,
    UserDeletionRequested,
)

from chassis.bus import Bus
from chassis.envelope import Envelope
from chassis.reader import read
from chassis.subjects import filter_of
from chassis.time import Clock, system_clock
from chassis.tokens import LIFE, SKEW

BACK = timedelta(minutes=6)  # how far back a process begins to listen: what was revoked before has ended by itself
ENDS: tuple[type[Message], ...] = (
    SessionRevoked,
    AuthorizationRevoked,
    ClientRevoked,
    ImpersonationEnded,
    MembershipEnded,
    UserDeletionRequested,
    UserDeleted,
)
log = structlog.get_logger()


class Revocations:
    """Those whose tokens hold no more, kept until every token of theirs has ended anyway."""

    def __init__(self, clock: Clock, most: int = 100_000) -> None:
        self.clock, self.most = clock, most
        self.until: OrderedDict[str, datetime] = OrderedDict()

    def __contains__(self, name: object) -> bool:
        return name in self.until

    def add(self, name: str, revoked: datetime) -> None:
        now, end = self.clock(), revoked + LIFE + SKEW
        if not name:  # what nobody can read speaks of nobody, and a token that hangs on nothing hangs not on it
            log.warning("revocation_of_nobody")
            return
        if end <= now:
            return
        self.until[name] = end
        self.until.move_to_end(name)
        while next(iter(self.until.values())) <= now:
            self.until.popitem(last=False)
        if len(self.until) > self.most:
            self.until.popitem(last=False)
            log.error("revocation_forgotten", most=self.most)

    async def take(self, events: AsyncIterator[Envelope]) -> None:
        async for event in events:
            self.add(event.key, event.time or self.clock())  # the key is what goes


async def follow(bus: Bus, revoked: Revocations) -> None:
    """Hear for ever what identity states, from a little while back on."""
    # The stream goes by the real time, whatever the platform's clock says.
    await revoked.take(read(bus, *map(filter_of, ENDS), since=system_clock() - BACK))
