"""What became of an account in a period, by when things took effect, of what was known when it was stated.

A statement is a question to the journal, and the journal is never changed: up to the operation that was its last one
then, the answer is the same for ever. What is booked later and took effect earlier is in the next statement, as a
correction.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Catch
from services.loyalty.models import Member, Operation, Statement
from services.loyalty.refusals import PeriodNotNext, PeriodOpen, StatementNotFound

# By what it is opened with, and by what it is closed with. Nothing is summed twice: each operation is in one of them.
SUMS = text("""
WITH known AS (
    SELECT *, -amount AS total, effective_time < :start AS is_before,
        effective_time < :start AND seq <= :opening_seq AS is_opening
    FROM operation
    WHERE account_id = :account AND seq <= :known_seq AND effective_time < :end AND refusal IS NULL
), inside AS (SELECT * FROM known WHERE NOT is_before)
SELECT
    (SELECT ARRAY[coalesce(sum(available), 0), coalesce(sum(pending), 0), coalesce(sum(held), 0),
        coalesce(sum(arrears), 0)]::bigint[] FROM known WHERE is_opening) AS opening,
    (SELECT ARRAY[coalesce(sum(available), 0), coalesce(sum(pending), 0), coalesce(sum(held), 0),
        coalesce(sum(arrears), 0)]::bigint[] FROM known) AS closing,
    (SELECT coalesce(sum(total), 0)::bigint FROM known WHERE is_before AND NOT is_opening) AS corrected,
    coalesce(sum(total) FILTER (WHERE against = 'ISSUED'), 0)::bigint AS earned,
    coalesce(sum(total) FILTER (WHERE kind = 'REFUND'), 0)::bigint AS refunded,
    coalesce(-sum(total) FILTER (WHERE against = 'REDEEMED' AND kind <> 'REFUND'), 0)::bigint AS redeemed,
    coalesce(-sum(total) FILTER (WHERE against = 'EXPIRED'), 0)::bigint AS expired,
    coalesce(-sum(total) FILTER (WHERE against = 'REVERSED'), 0)::bigint AS reversed,
    coalesce(sum(total) FILTER (WHERE against = 'ADJUSTED'), 0)::bigint AS adjusted,
    coalesce(sum(total) FILTER (WHERE against = 'TRANSFERRED'), 0)::bigint AS transferred,
    coalesce(-sum(total) FILTER (WHERE against = 'FORFEITED'), 0)::bigint AS forfeited,
    coalesce(sum(total) FILTER (WHERE against = 'WRITTEN_OFF'), 0)::bigint AS written_off,
    coalesce(sum(available) FILTER (WHERE kind IN ('ACTIVATE', 'RELEASE')), 0)::bigint AS released,
    coalesce(sum(held) FILTER (WHERE kind = 'HOLD'), 0)::bigint AS set_aside
FROM inside
""")
LINES = text("""
SELECT id, seq, kind, -amount AS points, available, order_number, effective_time, booked_time,
    effective_time < :start AS correction,
    CAST(:balance AS bigint) + sum(-amount) OVER (ORDER BY effective_time, seq) AS balance
FROM operation
WHERE account_id = :account AND seq <= :known_seq AND effective_time < :end AND refusal IS NULL
    AND (effective_time >= :start OR seq > :opening_seq)
    AND (effective_time, seq) > (:after_time, :after_seq)
ORDER BY effective_time, seq LIMIT :limit
""")
BEGINNING = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Scope:
    """Which operations a statement is about."""

    account: UUID
    start: datetime
    end: datetime
    known_seq: int
    opening_seq: int

    @classmethod
    def of(cls, kept: Statement) -> "Scope":
        return cls(kept.account_id, kept.start_time, kept.end_time, kept.known_seq, kept.opening_seq)

    @property
    def values(self) -> dict[str, object]:
        names = ("account", "start", "end", "known_seq", "opening_seq")
        return {name: getattr(self, name) for name in names}


async def state(session: AsyncSession, account: UUID, start: datetime, end: datetime, *, now: datetime) -> Statement:
    """Keep that a period was stated, by all that is known now; the periods of an account follow each other."""
    if end > now:
        raise PeriodOpen("A period is stated once it has ended.")
    known = await known_now(session, account, now=now)
    newest = select(Statement).where(Statement.account_id == account).order_by(Statement.start_time.desc()).limit(1)
    before: Statement | None = await session.scalar(newest)
    if before is not None and before.end_time != start:
        told = before.end_time.isoformat()
        raise PeriodNotNext("Statements follow each other: begin where the last one ended.", start_time=told)
    kept = Statement(
        account_id=account, start_time=start, end_time=end, known_seq=known, create_time=now,
        opening_seq=before.known_seq if before is not None else known,
    )  # fmt: skip
    session.add(kept)
    await session.flush()
    return kept


async def known_now(session: AsyncSession, account: UUID, *, now: datetime) -> int:
    """The last operation of an account, once what time has done by now is written down. The account stays locked: who
    waits for it books later than this."""
    await post(session, [Catch(account=account)], now=now)
    return int(await session.scalar(select(func.max(Operation.seq)).where(Operation.account_id == account)) or 0)


async def get(session: AsyncSession, user: UUID, id: UUID) -> tuple[Statement, str]:
    """A statement of a user, with the code of the points it is about."""
    query = (
        select(Statement, Member.currency)
        .join(Member, Member.account_id == Statement.account_id)
        .where(Statement.id == id, Member.user_id == user)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise StatementNotFound("This account has no such statement.")
    return found[0], found[1]


async def page(session: AsyncSession, account: UUID, *, before: datetime | None, limit: int) -> list[Statement]:
    """The statements of an account, newest period first."""
    query = select(Statement).where(Statement.account_id == account).order_by(Statement.start_time.desc()).limit(limit)
    return list(await session.scalars(query if before is None else query.where(Statement.start_time < before)))


async def sums(session: AsyncSession, about: Scope) -> Row[tuple[object, ...]]:
    return (await session.execute(SUMS, about.values)).one()


async def lines(
    session: AsyncSession, about: Scope, *, balance: int, after: tuple[datetime, int] | None, limit: int
) -> list[Row[tuple[object, ...]]]:
    """What a statement sums, oldest first, from after one on, with the total that is the sum of all up to each."""
    after_time, after_seq = after or (BEGINNING, 0)
    values = {"balance": balance, "after_time": after_time, "after_seq": after_seq, "limit": limit}
    return list(await session.execute(LINES, about.values | values))


async def opening(session: AsyncSession, about: Scope) -> int:
    """The total that a statement opens with."""
    query = select(func.coalesce(-func.sum(Operation.amount), 0)).where(
        Operation.account_id == about.account,
        Operation.seq <= about.opening_seq,
        Operation.effective_time < about.start,
    )
    return int(await session.scalar(query) or 0)
