"""What rules give: for each grant a row that says how it came about, and what was taken back of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import uuid7
from services.loyalty import limits
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Thaw
from services.loyalty.limits import Limited
from services.loyalty.models import FrozenLot, Lot, Operation, Programme, Purchase, RuleGrant
from services.loyalty.rules import PLAIN, Rate, Rules

ORDER, REQUEST = "order", "request"
EARNED, RELEASED = "commerce/order/earned", "commerce/order/released"
# What a dispute has frozen is released after it.
GOES = RuleGrant.operation_id.not_in(select(FrozenLot.lot_id))


@dataclass(frozen=True)
class Source:
    """What a grant is for: an order, or a request."""

    account_id: UUID
    id: str
    order_number: str | None
    effective: datetime

    @classmethod
    def order(cls, account_id: UUID, number: str, effective: datetime) -> "Source":
        return cls(account_id, f"{ORDER}/{number}", number, effective)

    @classmethod
    def request(cls, account_id: UUID, key: str, effective: datetime) -> "Source":
        return cls(account_id, f"{REQUEST}/{key}", None, effective)


def row_of(source: Source, given: Limited, rules: Rules, operation: UUID | None) -> RuleGrant:
    """A grant as it is kept: enough of the rule to take back by, whatever the rules become."""
    rule = given.grant.rule
    return RuleGrant(
        account_id=source.account_id, source=source.id, rule=rule.id, id=uuid7(), operation_id=operation,
        order_number=source.order_number, campaign=rule.campaign or None, programme_version=rules.version,
        percent=rule.rate.percent, fixed=rule.rate.fixed, pending_days=rule.pending_days, qualifying=rule.qualifying,
        desired=given.grant.points, granted=given.points, taken_back=0, withheld=given.withheld,
        effective_time=source.effective,
    )  # fmt: skip


def rate_of(row: RuleGrant) -> Rate:
    return Rate(percent=row.percent, fixed=row.fixed)


async def of_order(session: AsyncSession, purchase: Purchase) -> Sequence[RuleGrant]:
    """What rules gave for an order. The account is locked by the caller."""
    source = f"{ORDER}/{purchase.number}"
    query = select(RuleGrant).where(RuleGrant.account_id == purchase.account_id, RuleGrant.source == source)
    rows = (await session.scalars(query.order_by(RuleGrant.seq))).all()
    return rows or ([await adopted(session, purchase)] if purchase.earned else [])


async def adopted(session: AsyncSession, purchase: Purchase) -> RuleGrant:
    """An order of before grants were kept: it earned by points_per_unit, under a key of its own."""
    key = f"{purchase.account_id}/{purchase.number}"
    query = select(Operation.id, Operation.effective_time, Programme.version, Programme.points_per_unit)
    earned = await session.execute(
        query.join(Programme, Programme.version == Operation.programme_version)
        .where(Operation.scope == EARNED, Operation.key == key)
    )  # fmt: skip
    operation, effective, version, per_unit = earned.one()
    row = RuleGrant(
        account_id=purchase.account_id, source=f"{ORDER}/{purchase.number}", rule=PLAIN, id=uuid7(),
        operation_id=operation, order_number=purchase.number, programme_version=version, percent=100 * per_unit,
        fixed=0, pending_days=0, qualifying=True, desired=purchase.earned, granted=purchase.earned,
        taken_back=purchase.taken_back, effective_time=effective,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row


async def left_of(session: AsyncSession, rows: Sequence[RuleGrant]) -> dict[UUID, int]:
    """What can still be taken back of each, by its operation."""
    ids = [row.operation_id for row in rows if row.operation_id]
    left = (Lot.amount - Lot.clawed).label("left")
    return {row.id: row.left for row in await session.execute(select(Lot.id, left).where(Lot.id.in_(ids)))}


async def accounts_to_release(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[UUID]:
    query = select(RuleGrant.account_id).where(RuleGrant.release_time <= now, GOES).distinct().limit(limit)
    return (await session.scalars(query)).all()


async def release_due(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """Let be spent what has waited for its order long enough. The account is locked by the caller."""
    waits = RuleGrant.account_id == account_id, RuleGrant.release_time <= now, GOES
    rows = (await session.scalars(select(RuleGrant).where(*waits).order_by(RuleGrant.seq))).all()
    ids = [row.operation_id for row in rows]
    pending = set(await session.scalars(select(Lot.id).where(Lot.id.in_(ids), Lot.is_pending)))
    requests = [
        Thaw(
            account=account_id,
            scope=RELEASED,
            key=f"{account_id}/{row.order_number}/{row.rule}",
            effective=row.release_time,
            operation=row.operation_id,
            available_time=now,
        )
        for row in rows
        if row.operation_id in pending
    ]
    for row in rows:
        row.release_time = None
    await session.flush()
    await post(session, requests, now=now)


async def give_back_budgets(session: AsyncSession, taken: Sequence[tuple[RuleGrant, int]]) -> None:
    """Campaigns have again what was taken back of what they gave."""
    points: Counter[str] = Counter()
    for row, count in taken:
        if row.campaign is not None:
            points[row.campaign] += count
    await limits.give_back(session, points)


async def page(session: AsyncSession, account_id: UUID, *, before: int | None, limit: int) -> Sequence[RuleGrant]:
    """What rules gave an account, newest first."""
    query = select(RuleGrant).where(RuleGrant.account_id == account_id).order_by(RuleGrant.seq.desc()).limit(limit)
    return (await session.scalars(query if before is None else query.where(RuleGrant.seq < before))).all()
