"""Double entry: each operation posts legs that sum to zero, once for each scope and key, for ever.

A leg is seen from the member's side: points issued are -100 to ISSUED and +100 to AVAILABLE. A member has one
position, available less arrears; whatever is booked moves the position, so that what is owed is settled before anything
becomes available, and nothing is owed while something is.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import RequestIdReused
from services.loyalty.models import Bucket, Entry, Kind, Operation

# One statement, so that nothing of it can stand alone. The row is locked first and read under the lock; the operation
# is written next, and where scope and key are taken, nothing else is: not the balance, not the legs.
BOOK = text("""
WITH locked AS (
    SELECT id, available, arrears FROM account WHERE id = :account_id FOR UPDATE
), moved AS (
    SELECT *,
        greatest(available - arrears + :points, 0) AS available_after,
        greatest(arrears - available - :points, 0) AS arrears_after
    FROM locked
), booked AS (
    INSERT INTO operation (id, account_id, kind, scope, key, fingerprint, order_number, programme_version,
                           effective_time, booked_time)
    SELECT uuidv7(), id, :kind, :scope, :key, :fingerprint, :order_number, :programme_version, :effective, :now
    FROM moved
    ON CONFLICT (scope, key) DO NOTHING
    RETURNING id
), balance AS (
    UPDATE account SET available = available_after, arrears = arrears_after FROM moved, booked
    WHERE account.id = moved.id
), legs AS (
    INSERT INTO entry (operation_id, leg, bucket, account_id, delta, balance_after)
    SELECT booked.id, leg, bucket, account, delta, balance_after
    FROM booked, moved, LATERAL (VALUES
        (1, 'AVAILABLE', moved.id, available_after - available, available_after),
        (2, 'ARREARS', moved.id, arrears - arrears_after, arrears_after),
        (3, :against, NULL, -:points, NULL)
    ) AS legs (leg, bucket, account, delta, balance_after)
    WHERE delta <> 0
)
SELECT id FROM booked
""")


@dataclass(frozen=True)
class Movement:
    """What an operation did to the available points of its account."""

    id: UUID
    seq: int
    kind: Kind
    order_number: str | None
    effective_time: datetime
    points: int
    balance_after: int


@dataclass(frozen=True)
class Booked:
    """The operation that answers a scope and key; `is_new` when it was not there before."""

    id: UUID
    is_new: bool


async def book(
    session: AsyncSession,
    account_id: UUID,
    points: int,
    *,
    against: Bucket,
    kind: Kind,
    scope: str,
    key: str,
    effective: datetime,
    now: datetime,
    order_number: str | None = None,
    programme_version: int | None = None,
) -> Booked:
    """Move `points` (negative: away) between an account and the programme; the same scope and key again do nothing.

    Refuses with RequestIdReused when scope and key stand for another operation.
    """
    fingerprint = fingerprint_of(account_id, points, kind, order_number)
    booked = await session.scalar(
        BOOK,
        {
            "account_id": account_id,
            "points": points,
            "against": against,
            "kind": kind,
            "scope": scope,
            "key": key,
            "fingerprint": fingerprint,
            "order_number": order_number,
            "programme_version": programme_version,
            "effective": effective,
            "now": now,
        },
    )
    if booked is not None:
        return Booked(booked, is_new=True)
    earlier = await session.execute(
        select(Operation.id, Operation.fingerprint).where(Operation.scope == scope, Operation.key == key)
    )
    found = earlier.one()
    if found.fingerprint != fingerprint:
        raise RequestIdReused("This request_id stands for another movement; use a new one.")
    return Booked(found.id, is_new=False)


async def has(session: AsyncSession, scope: str, key: str) -> bool:
    """Whether an operation answers this scope and key."""
    found = await session.scalar(select(Operation.id).where(Operation.scope == scope, Operation.key == key))
    return found is not None


async def movement(session: AsyncSession, id: UUID) -> Movement:
    rows = await session.execute(MOVEMENTS.where(Operation.id == id))
    return movement_of(rows.one())


async def movements(session: AsyncSession, account_id: UUID, *, before: int | None, limit: int) -> list[Movement]:
    """The movements of an account, newest first, from before the one numbered `before`."""
    newest_first = MOVEMENTS.where(Operation.account_id == account_id).order_by(Operation.seq.desc()).limit(limit)
    if before is not None:
        newest_first = newest_first.where(Operation.seq < before)
    return [movement_of(row) for row in await session.execute(newest_first)]


MOVEMENTS = select(
    Operation.id, Operation.seq, Operation.kind, Operation.order_number, Operation.effective_time, Entry.delta,
    Entry.balance_after,
).outerjoin(Entry, (Entry.operation_id == Operation.id) & (Entry.bucket == Bucket.AVAILABLE))  # fmt: skip


def movement_of(row: Row[UUID, int, Kind, str | None, datetime, int, int | None]) -> Movement:
    movement, seq, kind, order_number, effective_time, delta, balance_after = row
    # Without a leg of available points there were none before, or the leg would have used them.
    return Movement(movement, seq, kind, order_number, effective_time, delta or 0, balance_after or 0)


def fingerprint_of(account_id: UUID, points: int, kind: Kind, order_number: str | None) -> bytes:
    return hashlib.sha256(f"{account_id}\n{points}\n{kind}\n{order_number or ''}".encode()).digest()
