"""What loyalty does about what others state."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from rapport.commerce.v1.events_pb2 import (
    OrderCancelled,
    OrderDisputed,
    OrderDisputeResolved,
    OrderPaid,
    OrderRefunded,
    OrderShipped,
)
from rapport.identity.v1.events_pb2 import UserCreated
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, Handler, on
from chassis.names import parse
from chassis.time import moment
from services.loyalty import disputes, orders, referrals, subscriptions
from services.loyalty.keys import Keys
from services.loyalty.models import DisputeState
from services.loyalty.orders import Fact
from services.loyalty.people import People


@on(OrderPaid)
async def earn_for_order(session: AsyncSession, event: OrderPaid, about: Arrival) -> None:
    told = fact(event, about)
    await referrals.lock_both(session, told.user)
    await orders.paid(session, told, decimal(event.amount), event.amount.currency_code)
    await follow(session, told)


@on(OrderShipped)
async def release_for_shipment(session: AsyncSession, event: OrderShipped, about: Arrival) -> None:
    await orders.shipped(session, fact(event, about))


@on(OrderRefunded)
async def take_back_for_refund(session: AsyncSession, event: OrderRefunded, about: Arrival) -> None:
    told = fact(event, about)
    await referrals.lock_both(session, told.user)
    await orders.refunded(session, told, decimal(event.refunded), event.refunded.currency_code)
    await follow(session, told)


@on(OrderCancelled)
async def take_back_for_cancellation(session: AsyncSession, event: OrderCancelled, about: Arrival) -> None:
    told = fact(event, about)
    await referrals.lock_both(session, told.user)
    await orders.cancelled(session, told)
    await follow(session, told)


@on(OrderDisputed)
async def freeze_for_dispute(session: AsyncSession, event: OrderDisputed, about: Arrival) -> None:
    await disputes.opened(session, fact(event, about))


@on(OrderDisputeResolved)
async def end_dispute(session: AsyncSession, event: OrderDisputeResolved, about: Arrival) -> None:
    told = fact(event, about)
    await referrals.lock_both(session, told.user)
    await disputes.resolved(session, told, DisputeState(OrderDisputeResolved.Outcome.Name(event.outcome)))
    await referrals.follow(session, told)


async def follow(session: AsyncSession, told: Fact) -> None:
    """What else hangs on an order, once what was told of it is booked."""
    await session.flush()
    await referrals.follow(session, told)
    await disputes.follow(session, told)


def handlers(people: People, keys: Keys) -> Sequence[Handler]:
    """What loyalty hears; one of them asks identity."""

    @on(UserCreated)
    async def claim_for_guest(session: AsyncSession, event: UserCreated, about: Arrival) -> None:
        user = parse("users/{user}", event.user)
        address = await people.address_of(user)
        if address is not None:  # gone again already
            await subscriptions.claim(
                session, user=user, email=address, registered=moment(event.event_time), keys=keys, now=about.now
            )

    return (
        earn_for_order,
        release_for_shipment,
        take_back_for_refund,
        take_back_for_cancellation,
        freeze_for_dispute,
        end_dispute,
        claim_for_guest,
    )


Told = OrderPaid | OrderShipped | OrderRefunded | OrderCancelled | OrderDisputed | OrderDisputeResolved


def fact(event: Told, about: Arrival) -> Fact:
    user, number = parse("users/{user}/orders/{order:id}", event.order)
    return Fact(user, number, effective=when(event.event_time, about.now), now=about.now)


def when(event_time: Timestamp, now: datetime) -> datetime:
    # A shop's clock that runs ahead must not put a movement into the future.
    return min(moment(event_time), now)


def decimal(amount: Money) -> Decimal:
    return amount.units + amount.nanos * Decimal("1e-9")
