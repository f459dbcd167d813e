"""Orders, as the shop's own systems tell them: fact by fact, in any order, as often as they like."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from google.type.money_pb2 import Money
from rapport.commerce.v1.events_pb2 import (
    OrderCancelled,
    OrderDisputed,
    OrderDisputeResolved,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderShipped,
)
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.names import parse
from chassis.outbox import publish
from chassis.personal_data import tombstone
from chassis.time import moment
from services.support.models import Order
from services.support.refusals import AmountInvalid, OrderNotFound, OrderNotOfUser, OrderUnknown

Later: TypeAlias = OrderPaid | OrderShipped | OrderRefunded | OrderCancelled | OrderDisputed | OrderDisputeResolved
Fact: TypeAlias = OrderPlaced | Later

CURRENCY = re.compile("[A-Z]{3}")
NANO = Decimal("1e-9")
MOST_PARCELS = 100  # of an order whose numbers are kept
MOST_KNOWN = 1_000  # of a customer's latest orders whose numbers are told from card numbers
OVERTAKEN = timedelta(seconds=5)  # how long OrderPlaced may be behind; the same request may come again


async def state(session: AsyncSession, fact: Fact, *, now: datetime) -> None:
    """Keep a fact and publish it. One that is known already, or that a later one has overtaken, changes nothing."""
    user = parse("users/{user}", fact.user)
    owner, number = parse("users/{user}/orders/{order:id}", fact.order)
    if owner != user:
        raise OrderNotOfUser("Name the order under the user of the event: users/{user}/orders/{order}.")
    if await tombstone.is_erased(session, user):
        news = True  # of which nothing is kept here; what it does to the books is for the ledger to say
    elif isinstance(fact, OrderPlaced):
        news = await place(session, fact, user, number, now)
    else:
        news = note(await known(session, user, number), fact, now)
    if news:
        fact.DiscardUnknownFields()
        await publish(session, fact)


async def place(session: AsyncSession, fact: OrderPlaced, user: UUID, number: str, now: datetime) -> bool:
    lines = [{"sku": line.sku, "title": line.title, "quantity": line.quantity} for line in fact.lines]
    placed = insert(Order).values(
        user_id=user,
        number=number,
        lines=lines,
        currency=fact.total.currency_code,
        total=amount(fact.total),
        refunded=Decimal(0),
        place_time=moment(fact.event_time),
        update_time=now,
    )
    return await session.scalar(placed.on_conflict_do_nothing().returning(Order.number)) is not None


async def known(session: AsyncSession, user: UUID, number: str) -> Order:
    """The order, for this transaction alone to change."""
    order = await session.get(Order, (user, number), with_for_update=True)
    if order is None:
        raise OrderUnknown("State OrderPlaced of this order first.", retry_after=OVERTAKEN)
    return order


def note(order: Order, fact: Later, now: datetime) -> bool:
    """Add a fact to its order, and tell whether it is news."""
    happened = moment(fact.event_time)
    match fact:
        case OrderPaid():
            amount(fact.amount, order.currency)
            news, order.pay_time = order.pay_time is None, order.pay_time or happened
        case OrderShipped():
            kept = order.tracking_numbers
            parcels = list(dict.fromkeys([*kept, *fact.tracking_numbers]))[:MOST_PARCELS]
            news = order.ship_time is None or parcels != kept
            order.ship_time, order.tracking_numbers = order.ship_time or happened, parcels
        case OrderCancelled():
            news, order.cancel_time = order.cancel_time is None, order.cancel_time or happened
        case OrderDisputed():
            news, order.dispute_time = order.dispute_time is None, order.dispute_time or happened
        case OrderDisputeResolved():  # for good: the first decision counts
            news, order.dispute_end_time = order.dispute_end_time is None, order.dispute_end_time or happened
        case OrderRefunded():  # says all that went back so far
            refunded = amount(fact.refunded, order.currency)
            news, order.refunded = refunded > order.refunded, max(refunded, order.refunded)
    if news:
        order.update_time = now
    return news


def amount(money: Money, currency: str = "") -> Decimal:
    """The exact amount, or refuse because it is none, or not in the currency of the order."""
    if not CURRENCY.fullmatch(money.currency_code) or (currency and money.currency_code != currency):
        raise AmountInvalid("An amount names its currency, the same for all of an order.")
    if money.units < 0 or not 0 <= money.nanos < 1_000_000_000:
        raise AmountInvalid("An amount is not negative, and has less than 1,000,000,000 nanos.")
    return money.units + money.nanos * NANO


async def get(session: AsyncSession, user: UUID, number: str) -> Order:
    """Return one of the user's orders, or refuse because there is no such order of theirs."""
    order = await session.get(Order, (user, number))
    if order is None:
        raise OrderNotFound("There is no such order of this customer.")
    return order


async def of(session: AsyncSession, user: UUID, *, after: tuple[datetime, str] | None, limit: int) -> Sequence[Order]:
    """The user's orders, newest first."""
    place = (Order.place_time, Order.number)
    query = select(Order).where(Order.user_id == user).order_by(*(one.desc() for one in place)).limit(limit)
    if after:
        query = query.where(tuple_(*place) < after)
    return (await session.scalars(query)).all()


async def numbers_of(session: AsyncSession, user: UUID) -> Sequence[str]:
    """The numbers of the user's latest orders, and of their parcels."""
    query = select(Order.number, Order.tracking_numbers).where(Order.user_id == user)
    rows = (await session.execute(query.order_by(Order.place_time.desc()).limit(MOST_KNOWN))).all()
    return [one for number, parcels in rows for one in (number, *parcels)]
