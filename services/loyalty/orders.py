"""What orders earn. Facts come in any order and any number of times; what is booked depends on the facts alone.

An order earned rule(paid). It may keep rule(paid - refunded), and nothing once cancelled; the difference that was not
taken back yet is taken back now. So a repeated fact changes nothing, and a late one ends as if it had come in time.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import InvalidField, Violation
from services.loyalty import points, programme
from services.loyalty.ledger import movements
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Earn, Policy, Request, Reverse, Settle
from services.loyalty.models import Account, Kind, Origin, Purchase
from services.loyalty.points import Holding

EARNED, TAKEN_BACK = "commerce/order/earned", "commerce/order/taken-back"


@dataclass(frozen=True)
class Fact:
    """What every event says: of which order, whose, and when it was so."""

    user: UUID
    number: str
    effective: datetime
    now: datetime


async def paid(session: AsyncSession, fact: Fact, amount: Decimal, currency: str) -> None:
    """An order is paid. The first statement of it counts."""
    held, purchase = await purchase_of(session, fact)
    if purchase.paid is not None:
        return
    same_currency(purchase, currency)
    rules = await programme.in_force(session, fact.effective)
    purchase.paid, purchase.programme_version = amount, rules.version
    purchase.earned = rule(amount, rules.points_per_unit)
    await session.flush()
    if purchase.earned:
        await post(session, [earning(held, purchase, fact), *settling(held)], now=fact.now)
    await take_back_what_is_due(session, held, purchase, fact)


async def refunded(session: AsyncSession, fact: Fact, so_far: Decimal, currency: str) -> None:
    """Money went back: `so_far` is all of it. A statement that is behind an earlier one says nothing new."""
    held, purchase = await purchase_of(session, fact)
    same_currency(purchase, currency)
    purchase.refunded = max(purchase.refunded, so_far)
    await take_back_what_is_due(session, held, purchase, fact)


async def cancelled(session: AsyncSession, fact: Fact) -> None:
    """An order is off: whatever was paid earns nothing."""
    held, purchase = await purchase_of(session, fact)
    purchase.cancelled = True
    await take_back_what_is_due(session, held, purchase, fact)


async def take_back_what_is_due(session: AsyncSession, held: Holding, purchase: Purchase, fact: Fact) -> None:
    if purchase.paid is None or purchase.programme_version is None:
        return
    rules = await programme.version(session, purchase.programme_version)
    left = Decimal(0) if purchase.cancelled else max(purchase.paid - purchase.refunded, Decimal(0))
    due = purchase.earned - rule(left, rules.points_per_unit) - purchase.taken_back
    if due <= 0:
        return
    purchase.taken_back += due
    await session.flush()
    earned = await movements.operation_of(session, EARNED, key_of(held, fact))
    reversal = Reverse(
        account=held.account_id,
        scope=TAKEN_BACK,
        key=f"{key_of(held, fact)}/{purchase.taken_back}",
        effective=fact.effective,
        kind=Kind.ORDER_REFUND,
        operation=earned,
        points=due,
        policy=Policy.UNLIMITED,
        order_number=fact.number,
        programme_version=rules.version,
    )
    await post(session, [reversal, *settling(held)], now=fact.now)


def earning(held: Holding, purchase: Purchase, fact: Fact) -> Earn:
    return Earn(
        account=held.account_id,
        scope=EARNED,
        key=key_of(held, fact),
        effective=fact.effective,
        kind=Kind.ORDER,
        points=purchase.earned,
        origin=Origin.PURCHASE,
        order_number=fact.number,
        programme_version=purchase.programme_version,
    )


def settling(held: Holding) -> list[Request]:
    """What is told of the erased too late is booked, and comes to nothing at once."""
    return [Settle(account=held.account_id)] if held.user is None else []


def key_of(held: Holding, fact: Fact) -> str:
    return f"{held.account_id}/{fact.number}"


def rule(amount: Decimal, points_per_unit: int) -> int:
    """Points for each whole unit of money, of the order as a whole: rounding line by line would lose some."""
    return int(amount) * points_per_unit


async def purchase_of(session: AsyncSession, fact: Fact) -> tuple[Holding, Purchase]:
    """The order's facts so far, under the lock of the account."""
    held = await points.hold(session, fact.user, now=fact.now)
    if held is None:
        held = await closed_account_of(session, fact)
    purchase = await session.get(Purchase, (held.account_id, fact.number), populate_existing=True)
    if purchase is None:
        purchase = Purchase(
            account_id=held.account_id, number=fact.number, refunded=Decimal(0), cancelled=False, earned=0, taken_back=0
        )
        session.add(purchase)
    return held, purchase


async def closed_account_of(session: AsyncSession, fact: Fact) -> Holding:
    """Where the order of an erased person is booked: nothing says whose accounts are closed, but the order is known."""
    # Two facts of one order at once must meet on one account.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(fact.number, 0))))
    known: UUID | None = await session.scalar(
        select(Account.id)
        .join(Purchase, Purchase.account_id == Account.id)
        .where(Purchase.number == fact.number, Account.close_time.is_not(None))
        .order_by(Account.id)
        .limit(1)
        .with_for_update(of=Account)
    )
    return await points.open_closed(session, now=fact.now) if known is None else Holding(known, None)


def same_currency(purchase: Purchase, currency: str) -> None:
    if purchase.currency not in (None, currency):
        wrong = Violation("currency_code", "CURRENCY_CHANGED", "As the order was told before.")
        raise InvalidField("An order is paid and refunded in one currency.", violations=[wrong])
    purchase.currency = currency
