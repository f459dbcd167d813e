"""What was booked, as its account's owner reads it, and what an account held at a time."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.models import Hold, Kind, Lot, Member, Operation
from services.loyalty.refusals import HoldNotFound


class Movement(NamedTuple):
    """What an operation did to its account."""

    id: UUID
    seq: int
    kind: Kind
    order_number: str | None
    effective_time: datetime
    booked_time: datetime
    available: int
    pending: int
    held: int
    arrears: int
    available_after: int


class Totals(NamedTuple):
    available: int = 0
    pending: int = 0
    held: int = 0
    arrears: int = 0


DONE = select(
    Operation.id, Operation.seq, Operation.kind, Operation.order_number, Operation.effective_time,
    Operation.booked_time, Operation.available, Operation.pending, Operation.held, Operation.arrears,
    Operation.available_after,
).where(Operation.refusal.is_(None))  # fmt: skip


async def movements(session: AsyncSession, account_id: UUID, *, before: int | None, limit: int) -> list[Movement]:
    """The movements of an account, newest first, from before the one numbered `before`."""
    newest_first = DONE.where(Operation.account_id == account_id).order_by(Operation.seq.desc()).limit(limit)
    if before is not None:
        newest_first = newest_first.where(Operation.seq < before)
    return [Movement(*row) for row in await session.execute(newest_first)]


async def operation_of(session: AsyncSession, scope: str, key: str) -> UUID:
    """The operation that answers this scope and key; there has to be one."""
    return (await session.scalars(select(Operation.id).where(Operation.scope == scope, Operation.key == key))).one()


async def has(session: AsyncSession, scope: str, key: str) -> bool:
    """Whether an operation answers this scope and key."""
    found = await session.scalar(select(Operation.id).where(Operation.scope == scope, Operation.key == key))
    return found is not None


async def as_of(session: AsyncSession, account_id: UUID, *, effective: datetime, known: datetime) -> Totals:
    """What the account held by what had taken effect at a time, of what was known at another."""
    sums = [func.coalesce(func.sum(column), 0) for column in
            (Operation.available, Operation.pending, Operation.held, Operation.arrears)]  # fmt: skip
    query = select(*sums).where(
        Operation.account_id == account_id, Operation.effective_time <= effective, Operation.booked_time <= known
    )
    return Totals(*(int(total) for total in (await session.execute(query)).one()))


async def hold_of(session: AsyncSession, user: UUID, id: UUID) -> Hold:
    """A hold of a user, or refuse because there is none."""
    query = select(Hold).join(Member, Member.account_id == Hold.account_id)
    found = await session.scalar(query.where(Hold.id == id, Member.user_id == user))
    if found is None:
        raise HoldNotFound("This account has no such hold.")
    return found


async def lots(session: AsyncSession, account_id: UUID, *, now: datetime, after: int | None, limit: int) -> list[Lot]:
    """The lots of an account with something left in them that has not ended, in the order they were earned."""
    lasts = Lot.expire_time.is_(None) | (Lot.expire_time > now)
    left = (Lot.held > 0) | (lasts & (Lot.is_open | Lot.is_pending))
    query = select(Lot).where(Lot.account_id == account_id, left).order_by(Lot.seq).limit(limit)
    return list(await session.scalars(query if after is None else query.where(Lot.seq > after)))


async def expiring(session: AsyncSession, account_id: UUID, *, now: datetime, limit: int) -> list[tuple[datetime, int]]:
    """What ends first, by its time."""
    query = (
        select(Lot.expire_time, func.sum(Lot.open))
        .where(Lot.account_id == account_id, Lot.is_open, Lot.expire_time > now)
        .group_by(Lot.expire_time)
        .order_by(Lot.expire_time)
        .limit(limit)
    )
    return [(time, int(points)) for time, points in await session.execute(query) if time is not None]
