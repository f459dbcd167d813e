"""Hearing what others state.

    @on(UserDeleted)
    async def close_account(session: AsyncSession, event: UserDeleted, about: Arrival) -> None: ...

The handler runs in a transaction that also notes the event as seen: its rows and that note are there both or not at
all, so a repeated delivery does nothing. Events of one key come in the order they were stated.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.subjects import filter_of, grammar

E = TypeVar("E", bound=Message)


@dataclass(frozen=True)
class Arrival:
    """What is known of an event beside what it says."""

    id: UUID
    time: datetime  # when it happened
    key: str  # the resource it is about
    version: int  # counts the events of its key; 0 where an outsider stated it
    now: datetime  # by the platform's clock


@dataclass(frozen=True)
class Handler:
    """A function that hears one type of event."""

    event_type: type[Message]
    function: Callable[[AsyncSession, Any, Arrival], Awaitable[None]]
    name: str
    ingress: bool = False  # hears what outsiders say, not what a service states

    def durable(self, service: str) -> str:
        """The name that the stream, the inbox and the metrics know it by."""
        return f"{service}-{self.name}"

    @property
    def stream(self) -> str:
        stream = grammar(self.event_type.DESCRIPTOR).stream
        return stream.replace("RAPPORT_", "INGRESS_").removesuffix("_V1") if self.ingress else stream

    @property
    def filter(self) -> str:
        if self.ingress:  # rapport.commerce.v1.OrderPlaced is told on ingress.commerce.order.placed
            stem = grammar(self.event_type.DESCRIPTOR).stem
            return stem.replace("rapport.", "ingress.", 1).replace(".v1.", ".", 1)
        return filter_of(self.event_type)


def on(
    event_type: type[E], *, ingress: bool = False
) -> Callable[[Callable[[AsyncSession, E, Arrival], Awaitable[None]]], Handler]:
    """Make a handler of a function."""
    return lambda function: Handler(event_type, function, getattr(function, "__name__", ""), ingress)
