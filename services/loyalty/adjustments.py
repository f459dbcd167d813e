"""Points corrected by hand: who asks says why, and above a limit somebody else decides.

The words stay beside the journal, which has a salted hash of them: so they can be forgotten with their person, and as
long as they are there they can be shown to be those that were booked.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Refusal, RequestIdReused, Violation
from services.loyalty.ledger.post import book_one, post
from services.loyalty.ledger.requests import Adjust, Whose
from services.loyalty.models import Adjustment, AdjustmentState
from services.loyalty.refusals import AdjustmentDecided, AdjustmentNotFound, SecondPersonNeeded

SCOPE = "adjustment"
SPAN = timedelta(days=1)  # corrections within it count as one: a large one is not made small by making it often
ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('adjustment ' || :about, 0))")


async def ask(
    session: AsyncSession, *, id: UUID, user: UUID, currency: str, points: int, reason: str, by: UUID, limit: int,
    now: datetime,
) -> tuple[Adjustment, Refusal | None]:  # fmt: skip
    """Book a correction, or have it wait for somebody else; with the refusal where the ledger could not book it."""
    await session.execute(ONE_BY_ONE, {"about": str(id)})  # two who use one id at once, for whomever
    await session.execute(ONE_BY_ONE, {"about": f"{by} {user}"})
    earlier = await session.get(Adjustment, id)
    if earlier is not None:
        same(earlier, user=user, currency=currency, points=points, reason=reason, by=by)
        return earlier, await book(session, earlier, now=now) if earlier.state is AdjustmentState.FAILED else None
    alone = abs(points) + await corrected_alone(session, user=user, by=by, since=now - SPAN)
    asked = Adjustment(
        id=id, user_id=user, currency=currency, points=points, reason=reason, salt=secrets.token_bytes(16),
        state=AdjustmentState.WAITING, asked_by=by, create_time=now,
    )  # fmt: skip
    refusal = await book(session, asked, now=now) if alone <= limit else None
    session.add(asked)
    await session.flush()
    return asked, refusal


async def approve(session: AsyncSession, user: UUID, id: UUID, *, by: UUID, now: datetime) -> Adjustment:
    """Book a correction that waits. Where the ledger refuses, it goes on waiting."""
    asked = await to_decide(session, user, id, by=by)
    entry = await book_one(session, request_of(asked), now=now)
    asked.operation_id, asked.state = entry.id, AdjustmentState.BOOKED
    return await decided(session, asked, by=by, now=now)


async def refuse(session: AsyncSession, user: UUID, id: UUID, *, by: UUID, now: datetime) -> Adjustment:
    """Decide that a correction is not made."""
    asked = await to_decide(session, user, id, by=by)
    asked.state = AdjustmentState.REFUSED
    return await decided(session, asked, by=by, now=now)


async def get(session: AsyncSession, id: UUID) -> Adjustment:
    found = await session.get(Adjustment, id)
    if found is None:
        raise AdjustmentNotFound("This account has no such correction.")
    return found


async def page(
    session: AsyncSession, user: UUID | None, *, state: AdjustmentState | None, before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Adjustment]:  # fmt: skip
    """Corrections of a user, or of everybody who is still there, newest first."""
    query = select(Adjustment).where(Adjustment.user_id.is_not(None) if user is None else Adjustment.user_id == user)
    if state is not None:
        query = query.where(Adjustment.state == state)
    if before is not None:
        query = query.where(func.row(Adjustment.create_time, Adjustment.id) < func.row(*before))
    newest_first = query.order_by(Adjustment.create_time.desc(), Adjustment.id.desc())
    return list(await session.scalars(newest_first.limit(limit)))


def hash_of(salt: bytes | None, reason: str | None) -> str:
    """What the journal knows of a reason."""
    return hashlib.sha256((salt or b"") + (reason or "").encode()).hexdigest()


# How it is done ------------------------------------------------------------------------------------------------------


async def book(session: AsyncSession, asked: Adjustment, *, now: datetime) -> Refusal | None:
    """Hand it to the ledger, whose refusal is written down and final, as for every request."""
    [result] = await post(session, [request_of(asked)], now=now)
    asked.decide_time = asked.decide_time or now
    if isinstance(result, Refusal):
        asked.state = AdjustmentState.FAILED
        return result
    asked.state, asked.operation_id = AdjustmentState.BOOKED, result.id
    return None


def request_of(asked: Adjustment) -> Adjust:
    assert asked.user_id is not None  # noqa: S101 - who is erased has no correction that anybody finds
    return Adjust(
        account=Whose(asked.user_id, asked.currency),
        scope=SCOPE,
        key=str(asked.id),
        points=asked.points,
        reason=hash_of(asked.salt, asked.reason),
    )


async def to_decide(session: AsyncSession, user: UUID, id: UUID, *, by: UUID) -> Adjustment:
    query = select(Adjustment).where(Adjustment.id == id, Adjustment.user_id == user).with_for_update()
    asked: Adjustment | None = await session.scalar(query)
    if asked is None:
        raise AdjustmentNotFound("This account has no such correction.")
    if asked.state is not AdjustmentState.WAITING:
        raise AdjustmentDecided("This correction was decided already.", state=asked.state.value)
    if asked.asked_by == by:
        raise SecondPersonNeeded("Somebody else than who asked for it decides.")
    return asked


async def decided(session: AsyncSession, asked: Adjustment, *, by: UUID, now: datetime) -> Adjustment:
    asked.decided_by, asked.decide_time = by, now
    await session.flush()
    return asked


async def corrected_alone(session: AsyncSession, *, user: UUID, by: UUID, since: datetime) -> int:
    """How many points one person has corrected, either way, with nobody else deciding."""
    query = select(func.coalesce(func.sum(func.abs(Adjustment.points)), 0)).where(
        Adjustment.user_id == user,
        Adjustment.asked_by == by,
        Adjustment.decided_by.is_(None),
        Adjustment.state == AdjustmentState.BOOKED,
        Adjustment.create_time > since,
    )
    return int(await session.scalar(query) or 0)


def same(earlier: Adjustment, *, user: UUID, currency: str, points: int, reason: str, by: UUID) -> None:
    """Refuse a request under the id of another one."""
    pairs = {
        "parent": (earlier.user_id, user),
        "currency": (earlier.currency, currency),
        "points": (earlier.points, points),
        "reason": (earlier.reason, reason),
        "caller": (earlier.asked_by, by),
    }
    fields = [name for name, (before, wanted) in pairs.items() if before != wanted]
    if fields:
        told = [Violation(name, "REQUEST_ID_REUSED", "As it was under this request_id before.") for name in fields]
        raise RequestIdReused("This request_id stands for another request; use a new one.", violations=told)
