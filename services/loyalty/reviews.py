"""What came too often, and what somebody decides about it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import bonus, referrals
from services.loyalty.models import Action, Member, Referral, ReferralState, Review, ReviewState
from services.loyalty.refusals import ReviewNotOpen


async def reviews(
    session: AsyncSession, state: ReviewState | None, *, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[tuple[Review, UUID | None]]:
    """Reviews, newest first, each with whose it is."""
    place = (Review.create_time, Review.id)
    query = select(Review, Member.user_id).outerjoin(Member, Member.account_id == Review.account_id)
    query = query.order_by(*(one.desc() for one in place)).limit(limit)
    if state is not None:
        query = query.where(Review.state == state)
    if before is not None:
        query = query.where(tuple_(*place) < before)
    return [(review, user) for review, user in await session.execute(query)]


async def get(session: AsyncSession, id: UUID) -> tuple[Review, UUID | None]:
    query = select(Review, Member.user_id).outerjoin(Member, Member.account_id == Review.account_id)
    found = (await session.execute(query.where(Review.id == id))).one_or_none()
    if found is None:
        raise ReviewNotOpen("There is no such review.")
    return found[0], found[1]


async def decide(session: AsyncSession, id: UUID, state: ReviewState, *, now: datetime) -> tuple[Review, UUID | None]:
    """Let the points go that wait for a review, or take them back."""
    account = await session.scalar(select(Review.account_id).where(Review.id == id))
    if account is None:
        raise ReviewNotOpen("There is no such review.")
    # The accounts first, as an erasure does, which decides what is open.
    referral = await session.scalar(select(Referral).where(Referral.account_id == account))
    await referrals.lock(session, account, *([referral.referrer_id] if referral else []))
    review = await session.get_one(Review, id, with_for_update=True, populate_existing=True)
    if review.state is not ReviewState.WAITING:
        raise ReviewNotOpen("This review is decided.")
    review.state, review.decide_time = state, now
    is_approved = state is ReviewState.APPROVED
    if review.action is Action.BONUS:
        await bonus.decided(session, account, is_approved, now=now)
    else:
        referral = await session.get_one(Referral, account, with_for_update=True, populate_existing=True)
        if is_approved:
            await referrals.release(session, referral, now=now)
        else:
            await referrals.take_back(session, referral, ReferralState.REFUSED, now=now)
    return await get(session, id)


async def close(session: AsyncSession, user: UUID, *, now: datetime) -> None:
    """Decide what waits about somebody who is being erased: there is nobody left to give it to."""
    mine = select(Member.account_id).where(Member.user_id == user)
    waiting = update(Review).where(Review.account_id.in_(mine), Review.state == ReviewState.WAITING)
    await session.execute(waiting.values(state=ReviewState.REFUSED, decide_time=now))
