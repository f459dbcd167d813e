"""What is kept, as the contract says it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.loyalty.v1 import ledger_pb2, programme_pb2
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import timestamp
from services.loyalty import programme
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.facts import at
from services.loyalty.ledger.movements import Movement
from services.loyalty.ledger.requests import SOMEDAY
from services.loyalty.models import Hold, Lot, Programme, RuleGrant, State, Subscription
from services.loyalty.points import Balance
from services.loyalty.tiers import Ladder, Standing

# The fields of a programme that are columns; the others are kept as they are said.
COLUMNS = frozenset({"currency", "newsletter_bonus", "points_per_unit", "version", "etag", "other_currencies"})


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
        effective_time=at(entry.effective_time),
        pending=entry.pending,
        held=entry.held,
        arrears=entry.arrears,
        create_time=at(entry.booked_time),
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
    ready = lot.wait_time or lot.available_time
    return ledger_pb2.Lot(
        name=f"users/{user}/pointsAccount/lots/{lot.id}",
        origin=pb.Origin.Value(lot.origin.value),
        points=lot.amount,
        open=lot.open,
        pending=lot.pending,
        held=lot.held,
        available_time=None if ready == SOMEDAY else timestamp(ready),
        expire_time=optional(lot.expire_time),
        priority=lot.priority,
    )


def optional(at: datetime | None) -> Timestamp | None:
    return None if at is None else timestamp(at)


def programme_message(rules: Programme) -> pb.Programme:
    said = pb.Programme(
        currency=rules.currency,
        newsletter_bonus=rules.newsletter_bonus,
        points_per_unit=rules.points_per_unit,
        version=rules.version,
        etag=programme.etag(rules),
        other_currencies=rules.currencies,
    )
    return ParseDict(rules.terms, said)


def terms_of(said: pb.Programme) -> dict[str, Any]:
    """What a programme says beside the columns of its own, by the names of the contract."""
    told: dict[str, Any] = MessageToDict(said, preserving_proto_field_name=True)
    return {name: value for name, value in told.items() if name not in COLUMNS}


def tier_message(name: str, standing: Standing, ladder: Ladder) -> programme_pb2.MemberTier:
    tier = ladder.tiers[standing.level]
    higher = ladder.tiers[standing.level + 1 : standing.level + 2]
    return programme_pb2.MemberTier(
        name=name,
        tier=tier.id,
        title=tier.title,
        start_time=optional(standing.since),
        end_time=optional(standing.end),
        qualifying_points=standing.points,
        period_start_time=timestamp(standing.period_start),
        period_end_time=timestamp(standing.period_end),
        next_tier=higher[0].id if higher else "",
        next_tier_points=max(0, higher[0].threshold - standing.points) if higher else 0,
        in_grace=standing.in_grace,
    )


def grant_message(user: UUID, row: RuleGrant) -> programme_pb2.Grant:
    account = f"users/{user}/pointsAccount"
    return programme_pb2.Grant(
        name=f"{account}/grants/{row.id}",
        rule=row.rule,
        desired=row.desired,
        granted=row.granted,
        taken_back=row.taken_back,
        qualifying=row.qualifying,
        programme_version=row.programme_version,
        movement=f"{account}/movements/{row.operation_id}" if row.operation_id else "",
        order=f"users/{user}/orders/{row.order_number}" if row.order_number else "",
        effective_time=timestamp(row.effective_time),
        withheld=programme_pb2.Grant.Withheld.Value(row.withheld.name if row.withheld else "WITHHELD_UNSPECIFIED"),
    )
