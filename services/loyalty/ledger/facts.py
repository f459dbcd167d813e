"""What the ledger states of what it did: a fact for every movement that has a person."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.loyalty.v1 import events_pb2 as events
from rapport.loyalty.v1.loyalty_pb2 import Movement

from chassis.time import timestamp
from services.loyalty.ledger.book import Entry
from services.loyalty.models import Kind

MOVED: dict[Kind, tuple[type[Any], Callable[[Entry], int]]] = {
    Kind.ORDER_REFUND: (events.PointsReversed, lambda one: one.amount),
    Kind.REVERSE: (events.PointsReversed, lambda one: one.amount),
    Kind.REDEEM: (events.PointsRedeemed, lambda one: one.amount),
    Kind.CAPTURE: (events.PointsRedeemed, lambda one: one.amount),
    Kind.VOUCHER: (events.PointsRedeemed, lambda one: one.amount),
    Kind.REFUND: (events.PointsRefunded, lambda one: -one.amount),
    Kind.HOLD: (events.PointsHeld, lambda one: one.held),
    Kind.RELEASE: (events.PointsReleased, lambda one: -one.held),
    Kind.EXPIRE: (events.PointsExpired, lambda one: one.amount),
    Kind.ACTIVATE: (events.PointsActivated, lambda one: -one.pending),
    Kind.ADJUST: (events.PointsAdjusted, lambda one: -one.amount),
    Kind.TRANSFER_OUT: (events.PointsTransferred, lambda one: -one.amount),
    Kind.TRANSFER_IN: (events.PointsTransferred, lambda one: -one.amount),
}
# Of an erasure, and of a dispute: both state themselves.
SILENT = (Kind.FORFEIT, Kind.WRITE_OFF, Kind.DISPUTE)


def fact_of(entry: Entry) -> Message | None:
    """None where nothing moved, or nobody is there whom an event could name."""
    user = entry.account.user
    if user is None or entry.refusal is not None or entry.kind in SILENT or entry.account.close_time is not None:
        return None
    name = f"users/{user}"
    account = f"{name}/pointsAccount"
    said: dict[str, Any] = {
        "user": name,
        "points_account": account,
        "movement": f"{account}/movements/{entry.id}",
        "event_time": at(entry.effective_time),
    }
    if entry.kind not in MOVED:
        return events.PointsEarned(**said, kind=Movement.Kind.Value(entry.kind.name), points=-entry.amount)
    event, points = MOVED[entry.kind]
    moved: Message = event(**said, points=points(entry))
    return moved


@lru_cache(maxsize=64)
def at(moment: datetime) -> Timestamp:
    """What a batch does, it does at one time: that is made once. Whoever takes it into a message copies it."""
    return timestamp(moment)
