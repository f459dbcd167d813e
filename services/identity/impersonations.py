"""Impersonations: one of the store's people sees what a customer sees, for minutes, for a reason, and the customer is
told. What their token reaches is said by its scopes, and that it changes nothing by chassis.access.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from rapport.identity.v1 import acting_pb2 as pb
from rapport.identity.v1.events_pb2 import ImpersonationEnded, UserImpersonated
from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.personal_data import restrict
from chassis.time import timestamp
from services.identity import mails
from services.identity.facts import state
from services.identity.models import Impersonation, ImpersonationReason, ImpersonationStaff, Session, User
from services.identity.refusals import ImpersonationNotFound, SessionEnded, UserIsStaff

LIFE = timedelta(minutes=5)  # of it and of its token, which nothing renews
KEPT = timedelta(days=365)  # as the schedule of retention has it for what is kept for security
BATCH = 1_000
Reason = ImpersonationEnded.Reason


async def begin(
    session: AsyncSession,
    user: User,
    *,
    staff: UUID,
    session_id: UUID,
    reason: ImpersonationReason,
    note: str,
    public_url: str,
    now: datetime,
) -> Impersonation:
    """Let one of the store's people, in that session of theirs, see what the user, who is held, sees; or refuse."""
    if user.roles or user.id == staff:
        raise UserIsStaff("The store's own people, yourself among them, are not impersonated.")
    await restrict.refuse(session, user.id)
    await hold_session(session, staff, session_id, now)
    begun = Impersonation(
        user_id=user.id,
        looked=ImpersonationStaff(staff_id=staff, create_time=now),
        session_id=session_id,
        reason=reason,
        note=note,
        create_time=now,
        expire_time=now + LIFE,
    )
    session.add(begun)
    await session.flush()
    why = pb.Impersonation.Reason.Value(reason)
    fact = UserImpersonated(user=user.name, impersonation=begun.name, reason=why, event_time=timestamp(now))
    await state(session, fact)
    await mails.impersonation_begun(session, to=user.email, person=user.id, public_url=public_url)
    return begun


async def hold_session(session: AsyncSession, staff: UUID, id: UUID, now: datetime) -> None:
    """Have that session live until this transaction ends, so that none is begun past a sign-out; or refuse."""
    live = select(Session.id).where(
        Session.id == id, Session.user_id == staff, Session.revoke_time.is_(None), Session.expire_time > now
    )
    if await session.scalar(live.with_for_update(read=True)) is None:
        raise SessionEnded("This session has ended. Sign in again.")


async def live(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> Impersonation:
    """The impersonation, while it lasts; or refuse."""
    found = await session.get(Impersonation, id)
    if found is None or found.user_id != user or not found.is_live(now):
        raise ImpersonationNotFound("There is no such impersonation any more.")
    return found


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Impersonation]:
    """Who looked at a user's account, newest first."""
    query = select(Impersonation).where(Impersonation.user_id == user).limit(limit)
    if after is not None:
        query = query.where(tuple_(Impersonation.create_time, Impersonation.id) < after)
    ordered = query.order_by(Impersonation.create_time.desc(), Impersonation.id.desc())
    return (await session.scalars(ordered)).all()


async def end(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> Impersonation:
    """End one, or refuse because there is none of that name. One that has ended stays as it is."""
    found = await session.get(Impersonation, id, with_for_update=True, populate_existing=True)
    if found is None or found.user_id != user:
        raise ImpersonationNotFound("There is no such impersonation.")
    await revoke(session, [found], Reason.ASKED_FOR, now)
    return found


async def end_with_sessions(session: AsyncSession, ids: Iterable[UUID], now: datetime) -> None:
    """End those that were begun in these sessions."""
    query = select(Impersonation).where(Impersonation.session_id.in_(list(ids)), Impersonation.expire_time > now)
    found = await session.scalars(query.order_by(Impersonation.id).with_for_update())
    await revoke(session, found, Reason.STAFF_SIGNED_OUT, now)


async def end_those_of_user(session: AsyncSession, user: UUID, *, why: "Reason.ValueType", now: datetime) -> None:
    query = select(Impersonation).where(Impersonation.user_id == user, Impersonation.expire_time > now)
    found = await session.scalars(query.order_by(Impersonation.id).with_for_update())
    await revoke(session, found, why, now)


async def revoke(
    session: AsyncSession, ending: Iterable[Impersonation], reason: "Reason.ValueType", now: datetime
) -> None:
    for one in ending:
        if one.is_live(now):
            one.end_time = now
            user = f"users/{one.user_id}"
            fact = ImpersonationEnded(user=user, impersonation=one.name, reason=reason, event_time=timestamp(now))
            await state(session, fact)


@job(every=timedelta(hours=1))
async def forget_impersonations(sessions: Sessions, now: datetime) -> int:
    """They are shown for a year."""
    async with sessions.begin() as session:
        old = select(Impersonation.id).where(Impersonation.create_time <= now - KEPT).limit(BATCH)
        gone = delete(Impersonation).where(Impersonation.id.in_(old)).returning(Impersonation.id)
        return len((await session.execute(gone)).all())
