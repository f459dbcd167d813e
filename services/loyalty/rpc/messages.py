"""What is kept, as the contract says it."""

from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from rapport.loyalty.v1 import ledger_pb2
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import timestamp
from services.loyalty import programme
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.movements import Movement
from services.loyalty.models import Hold, Lot, Programme, State, Subscription
from services.loyalty.points import Balance


def subscription_message(subscription: Subscription) -> pb.Subscription:
    owner = subscription.user_id
    return pb.Subscription(
        name=f"users/{owner}/subscription" if owner else "",
        state=pb.Subscription.CONFIRMED if subscription.state is State.CONFIRMED else pb.Subscription.ENDED,
        bonus=pb.Subscription.Bonus.Value(subscription.bonus.name),
        bonus_points=subscription.bonus_points,
        confirm_time=timestamp(subscription.confirm_time),
    )


def account_message(name: str, balance: Balance, word: str) -> pb.PointsAccount:
    totals = balance.totals
    expiring = [pb.PointsAccount.Expiry(points=points, expire_time=timestamp(at)) for at, points in balance.expiring]
    return pb.PointsAccount(
        name=name,
        available=totals.available,
        pending=totals.pending,
        held=totals.held,
        arrears=totals.arrears,
        currency=word,
        expiring=expiring,
    )


def movement_message(user: UUID, movement: Movement) -> pb.Movement:
    order = movement.order_number
    return pb.Movement(
        name=f"users/{user}/pointsAccount/movements/{movement.id}",
        kind=pb.Movement.Kind.Value(movement.kind.name),
        points=movement.available,
        balance_after=movement.available_after,
        order=f"users/{user}/orders/{order}" if order else "",
        effective_time=timestamp(movement.effective_time),
        pending=movement.pending,
        held=movement.held,
        arrears=movement.arrears,
        create_time=timestamp(movement.booked_time),
    )


def entry_message(user: UUID, entry: Entry) -> pb.Movement:
    """An operation as it was just written, or as it was before, to the same request."""
    order = entry.order_number
    return pb.Movement(
        name=f"users/{user}/pointsAccount/movements/{entry.id}",
        kind=pb.Movement.Kind.Value(entry.kind.name),
        points=entry.available,
        balance_after=entry.available_after,
        order=f"users/{user}/orders/{order}" if order else "",
        effective_time=timestamp(entry.effective_time),
        pending=entry.pending,
        held=entry.held,
        arrears=entry.arrears,
        create_time=timestamp(entry.booked_time),
        replayed=entry.is_replay,
    )


def new_hold_message(user: UUID, entry: Entry) -> ledger_pb2.Hold:
    """A hold as it was made: what came of it later is for GetHold to tell."""
    return ledger_pb2.Hold(
        name=f"users/{user}/pointsAccount/holds/{entry.id}",
        state=ledger_pb2.Hold.OPEN,
        points=entry.held,
        create_time=timestamp(entry.booked_time),
        expire_time=timestamp(entry.booked_time + timedelta(seconds=entry.asked["lasts"])),
        replayed=entry.is_replay,
    )


def hold_message(user: UUID, hold: Hold, *, now: datetime) -> ledger_pb2.Hold:
    is_over = hold.state == "OPEN" and hold.expire_time <= now  # true already, and not written down yet
    state = "EXPIRED" if is_over else hold.state.value
    return ledger_pb2.Hold(
        name=f"users/{user}/pointsAccount/holds/{hold.id}",
        state=ledger_pb2.Hold.State.Value(state),
        points=hold.points,
        captured=hold.captured,
        released=hold.points - hold.captured if is_over else hold.released,
        create_time=timestamp(hold.create_time),
        expire_time=timestamp(hold.expire_time),
    )


def lot_message(user: UUID, lot: Lot) -> ledger_pb2.Lot:
    return ledger_pb2.Lot(
        name=f"users/{user}/pointsAccount/lots/{lot.id}",
        origin=pb.Origin.Value(lot.origin.value),
        points=lot.amount,
        open=lot.open,
        pending=lot.pending,
        held=lot.held,
        available_time=timestamp(lot.wait_time or lot.available_time),
        expire_time=optional(lot.expire_time),
        priority=lot.priority,
    )


def optional(at: datetime | None) -> Timestamp | None:
    return None if at is None else timestamp(at)


def programme_message(rules: Programme) -> pb.Programme:
    return pb.Programme(
        currency=rules.currency,
        newsletter_bonus=rules.newsletter_bonus,
        points_per_unit=rules.points_per_unit,
        version=rules.version,
        etag=programme.etag(rules),
        other_currencies=rules.currencies,
    )
