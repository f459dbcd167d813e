"""What orders earn. Facts come in any order and any number of times; what is booked depends on the facts alone.

Each rule gave what it says of what was paid. Of that the order keeps what the rule, as it was granted, gives for what
is left of it, and nothing once cancelled; the difference that was not taken back yet is taken back now, from the lot of
that rule. So a repeated fact changes nothing, and a late one ends as if it had come in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import InvalidField, Violation
from services.loyalty import grants, limits, points, programme, standings
from services.loyalty.grants import EARNED, Source, row_of
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import SOMEDAY, Earn, Request, Reverse, Settle
from services.loyalty.limits import Limited
from services.loyalty.models import Account, Kind, Purchase, RuleGrant
from services.loyalty.points import Holding
from services.loyalty.rules import Grant, Member, Order, Release, Rules, evaluate, hash_of
from services.loyalty.terms import days_after

TAKEN_BACK = "commerce/order/taken-back"


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
    rules = Rules.of(await programme.in_force(session, fact.effective))
    member = Member(tier=await standings.tier_at(session, held.account_id, rules.ladder, fact.effective))
    order = Order(amount, currency, fact.effective)
    purchase.paid, purchase.programme_version = amount, rules.version
    purchase.inputs_hash = hash_of(order, member, rules)
    await session.flush()
    await earn(session, held, purchase, evaluate(order, member, rules), rules, fact)
    await take_back_what_is_due(session, held, purchase, fact)
    await standings.refresh(session, held, now=fact.now)


async def shipped(session: AsyncSession, fact: Fact) -> None:
    """An order is on its way: where the programme says so, its points begin to be spendable. The first time counts."""
    held, purchase = await purchase_of(session, fact)
    if purchase.shipped_time is not None:
        return
    purchase.shipped_time = fact.effective
    await session.flush()
    if purchase.programme_version is None:
        return
    rules = Rules.of(await programme.version(session, purchase.programme_version))
    if rules.release is Release.SHIPPED:
        for row in await grants.of_order(session, purchase):
            row.release_time = days_after(fact.effective, row.pending_days, rules.zone) if row.operation_id else None
        await grants.release_due(session, held.account_id, now=fact.now)


async def refunded(session: AsyncSession, fact: Fact, so_far: Decimal, currency: str) -> None:
    """Money went back: `so_far` is all of it. A statement that is behind an earlier one says nothing new."""
    held, purchase = await purchase_of(session, fact)
    same_currency(purchase, currency)
    purchase.refunded = max(purchase.refunded, so_far)
    await take_back_what_is_due(session, held, purchase, fact)
    await standings.refresh(session, held, now=fact.now)


async def cancelled(session: AsyncSession, fact: Fact) -> None:
    """An order is off: whatever was paid earns nothing."""
    held, purchase = await purchase_of(session, fact)
    purchase.cancelled = True
    await take_back_what_is_due(session, held, purchase, fact)
    await standings.refresh(session, held, now=fact.now)


async def earn(
    session: AsyncSession, held: Holding, purchase: Purchase, wanted: Sequence[Grant], rules: Rules, fact: Fact
) -> None:
    """Book what caps and budgets leave of what the rules would give: a lot for each rule."""
    limited = await limits.limit(session, held.account_id, wanted, rules, at=fact.effective)
    earned = [one for one in limited if one.points]
    source = Source.order(held.account_id, fact.number, fact.effective)
    requests = [earning(held, purchase, one, rules, fact) for one in earned]
    booked = await post(session, [*requests, *settling(held)], now=fact.now) if requests else []
    entries = [one for one in booked if isinstance(one, Entry)]
    operations = dict(zip((one.grant.rule.id for one in earned), (one.id for one in entries), strict=False))
    session.add_all(row_of(source, one, rules, operations.get(one.grant.rule.id)) for one in limited)
    purchase.earned = sum(one.points for one in earned)
    await session.flush()


async def take_back_what_is_due(session: AsyncSession, held: Holding, purchase: Purchase, fact: Fact) -> None:
    """Take back, of each rule's lot, what it would not have given for what is left of the order."""
    if purchase.paid is None or purchase.programme_version is None:
        return
    left = Decimal(0) if purchase.cancelled else max(purchase.paid - purchase.refunded, Decimal(0))
    taken: list[tuple[RuleGrant, int]] = []
    for row in await grants.of_order(session, purchase):
        due = row.granted - min(row.granted, grants.rate_of(row).points(left)) - row.taken_back
        if due > 0:
            row.taken_back += due
            taken.append((row, due))
    if not taken:
        return
    rules = Rules.of(await programme.version(session, purchase.programme_version))
    there = await grants.left_of(session, [row for row, _ in taken])
    reversals = [
        reversing(held, row, points, rules, fact)
        for row, due in taken
        if row.operation_id is not None and (points := min(due, there[row.operation_id]))
    ]
    purchase.taken_back += sum(one.points for one in reversals)
    await session.flush()
    await grants.give_back_budgets(session, taken)
    await post(session, [*reversals, *settling(held)], now=fact.now)


def earning(held: Holding, purchase: Purchase, given: Limited, rules: Rules, fact: Fact) -> Earn:
    rule = given.grant.rule
    return Earn(
        account=held.account_id,
        scope=EARNED,
        key=f"{key_of(held, fact)}/{rule.id}",
        effective=fact.effective,
        kind=Kind.ORDER,
        points=given.points,
        desired=given.grant.points,
        origin=rule.origin,
        rule=rule.id,
        priority=rule.priority,
        available_time=available_from(purchase, rule.pending_days, rules, fact),
        term=rule.term,
        order_number=fact.number,
        programme_version=rules.version,
    )


def available_from(purchase: Purchase, pending_days: int, rules: Rules, fact: Fact) -> datetime:
    """When the points of an order that is paid can be spent, as far as that is known yet."""
    released = fact.effective if rules.release is Release.PAID else purchase.shipped_time
    return SOMEDAY if released is None else days_after(released, pending_days, rules.zone)


def reversing(held: Holding, row: RuleGrant, points: int, rules: Rules, fact: Fact) -> Reverse:
    if row.operation_id is None:
        raise AssertionError("what was not given is not taken back")
    return Reverse(
        account=held.account_id,
        scope=TAKEN_BACK,
        key=f"{key_of(held, fact)}/{row.rule}/{row.taken_back}",
        effective=fact.effective,
        kind=Kind.ORDER_REFUND,
        operation=row.operation_id,
        points=points,
        policy=rules.claw_back,
        order_number=fact.number,
        programme_version=rules.version,
    )


def settling(held: Holding) -> list[Request]:
    """What is told of the erased too late is booked, and comes to nothing at once."""
    return [Settle(account=held.account_id)] if held.user is None else []


def key_of(held: Holding, fact: Fact) -> str:
    return f"{held.account_id}/{fact.number}"


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
