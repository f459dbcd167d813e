"""Erasures: ordered of every holder that is expected to hold people, identity last, and complete only when every one
has answered and a scan of each found nothing. Silence becomes overdue; skipped is never complete."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rapport.privacy.v1.events_pb2 import ErasureCompleted, ErasureOrdered
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.time import timestamp
from services.privacy.models import Answer, Erasure, ErasureState
from services.privacy.refusals import ErasureNotFound

DUE = timedelta(days=1)  # the law allows a month (GDPR art. 12(3)): what is not done in a day is looked at
LAST = "identity"  # it can say who the person was until nobody needs to ask any more


async def order(session: AsyncSession, *, id: UUID, user: UUID, holders: Collection[str], now: datetime) -> None:
    """Open the erasure and order it of every holder but the last. One that is open already stays as it is."""
    if await session.get(Erasure, id) is not None:
        return
    erasure = Erasure(id=id, user_id=user, state=ErasureState.ORDERED, create_time=now, due_time=now + DUE)
    session.add(erasure)
    await session.flush()
    session.add_all(Answer(erasure_id=id, holder=holder) for holder in sorted(holders))
    await command(session, erasure, [holder for holder in sorted(holders) if holder != LAST], now)


async def command(session: AsyncSession, erasure: Erasure, holders: Sequence[str], now: datetime) -> None:
    named = [f"holders/{holder}" for holder in holders]
    user = f"users/{erasure.user_id}"
    await publish(session, ErasureOrdered(user=user, erasure=erasure.name, holders=named, event_time=timestamp(now)))


async def note(session: AsyncSession, *, id: UUID, holder: str, outcomes: list[dict[str, Any]], now: datetime) -> None:
    """Note what a holder did; the last but one lets identity be ordered, the last lets the scans begin."""
    erasure = await session.get(Erasure, id, with_for_update=True)
    if erasure is None or erasure.state is ErasureState.COMPLETED:
        return
    noted = update(Answer).where(Answer.erasure_id == id, Answer.holder == holder, Answer.done_time.is_(None))
    if not (await session.execute(noted.values(done_time=now, outcomes=outcomes).returning(Answer.holder))).all():
        return  # said before, or not asked of this one
    silent = set(
        await session.scalars(select(Answer.holder).where(Answer.erasure_id == id, Answer.done_time.is_(None)))
    )
    if silent == {LAST}:
        await command(session, erasure, [LAST], now)
    elif not silent:
        erasure.state = ErasureState.VERIFYING


async def unverified(session: AsyncSession, *, limit: int) -> list[tuple[UUID, UUID, str]]:
    """(erasure, person, holder) of every answer that waits for its scan, the oldest first."""
    query = (
        select(Erasure.id, Erasure.user_id, Answer.holder)
        .join(Answer)
        .where(Erasure.state.in_([ErasureState.VERIFYING, ErasureState.OVERDUE]))
        .where(Answer.done_time.is_not(None), Answer.verify_time.is_(None), Erasure.user_id.is_not(None))
        .order_by(Erasure.create_time, Answer.holder)
        .limit(limit)
    )
    return [(one, user, holder) for one, user, holder in (await session.execute(query)).all() if user is not None]


async def verify(
    session: AsyncSession, *, id: UUID, holder: str, erased: bool, remaining: list[dict[str, Any]], now: datetime
) -> bool:
    """Note what a scan found. True when it proves the answer; the last proof completes the erasure."""
    erasure = await session.get_one(Erasure, id, with_for_update=True)
    proven = erased and not remaining
    await session.execute(
        update(Answer)
        .where(Answer.erasure_id == id, Answer.holder == holder)
        .values(remaining=remaining, verify_time=now if proven else None)
    )
    unproven = select(Answer.holder).where(Answer.erasure_id == id, Answer.verify_time.is_(None)).limit(1)
    if proven and erasure.state is not ErasureState.COMPLETED and await session.scalar(unproven) is None:
        await complete(session, erasure, now)
    return proven


async def complete(session: AsyncSession, erasure: Erasure, now: datetime) -> None:
    done = ErasureCompleted(user=f"users/{erasure.user_id}", erasure=erasure.name, event_time=timestamp(now))
    await publish(session, done)
    erasure.state, erasure.complete_time, erasure.user_id = ErasureState.COMPLETED, now, None


async def mark_overdue(session: AsyncSession, *, now: datetime) -> int:
    """Say so where a holder was silent, or a scan found something, for too long."""
    late = update(Erasure).where(
        Erasure.due_time <= now, Erasure.state.in_([ErasureState.ORDERED, ErasureState.VERIFYING])
    )
    return len((await session.execute(late.values(state=ErasureState.OVERDUE).returning(Erasure.id))).all())


async def get(session: AsyncSession, id: UUID) -> Erasure:
    """Return the erasure, or refuse because there is none."""
    erasure = await session.get(Erasure, id)
    if erasure is None:
        raise ErasureNotFound("There is no such erasure.")
    return erasure


async def answers(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, list[Answer]]:
    """What the holders of each erasure said."""
    found: dict[UUID, list[Answer]] = {one: [] for one in ids}
    for answer in await session.scalars(select(Answer).where(Answer.erasure_id.in_(ids)).order_by(Answer.holder)):
        found[answer.erasure_id].append(answer)
    return found


async def newest(session: AsyncSession, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Erasure]:
    query = select(Erasure).limit(limit)
    if after is not None:
        query = query.where(tuple_(Erasure.create_time, Erasure.id) < after)
    return (await session.scalars(query.order_by(Erasure.create_time.desc(), Erasure.id.desc()))).all()
