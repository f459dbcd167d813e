"""Deletions: asked for by the owner, taken back by them for a while, carried out by every holder, by identity last.

    DeleteUser ──▶ schedule ──▶ PENDING_DELETION ──▶ purge_users, when it is time ──▶ erase ──▶ DELETING ──▶ finish
                                    └──▶ undelete ──▶ as before          DeleteUser, at once ──┘

A deletion has these facts: user.deletion_scheduled and user.deletion_requested here, erasure.done of each holder, and
user.deleted here again. Whoever changes a user holds their row: of an undelete and a purge at once, one finds what the
other left.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import UserDeleted, UserDeletionRequested, UserDeletionScheduled, UserUndeleted
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.etags import check_etag
from chassis.jobs import job
from chassis.time import timestamp
from services.identity import mails, registrations, sessions, users
from services.identity.businesses import endings
from services.identity.facts import state
from services.identity.impersonations import Reason
from services.identity.models import State, User
from services.identity.refusals import UserNotFound
from services.identity.social import claims

BATCH = 100


async def schedule(
    session: AsyncSession, id: UUID, *, etag: str, cooling_off: timedelta, public_url: str, now: datetime
) -> User:
    """Sign the user out everywhere, and have them erased after `cooling_off` unless they think better of it. Asked
    again, the answer is the same and nothing happens."""
    if not cooling_off:
        return await request(session, id, etag=etag, now=now)
    user = await users.hold(session, id)
    if user.state is State.DELETING or user.is_pending_deletion:
        return user
    check_etag(etag, user.version, user.id)
    user.purge_time = now + cooling_off
    await users.sign_out(session, user, why=Reason.USER_DELETING, now=now)
    purge_time = timestamp(user.purge_time)
    await state(session, UserDeletionScheduled(user=user.name, purge_time=purge_time, event_time=timestamp(now)))
    await mails.deletion_scheduled(
        session, to=user.email, person=user.id, purge_time=user.purge_time, public_url=public_url
    )
    return user


async def undelete(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> User:
    """Take a scheduled deletion back. Who is not to be deleted stays as they are; an erasure that began is refused."""
    user = await users.hold_active(session, id)
    check_etag(etag, user.version, user.id)
    if not user.is_pending_deletion:
        return user
    user.purge_time = None
    user.version, user.update_time = user.version + 1, now
    await session.flush()
    await state(session, UserUndeleted(user=user.name, event_time=timestamp(now)))
    await mails.deletion_undone(session, to=user.email, person=user.id)
    return user


async def request(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> User:
    """Sign the user out everywhere and have them erased now. Asked again, it is the same and nothing happens."""
    user = await users.hold(session, id)
    if user.state is State.DELETING:
        return user
    check_etag(etag, user.version, user.id)
    await erase(session, user, now)
    return user


async def erase(session: AsyncSession, user: User, now: datetime) -> None:
    # Minted here, so that the answer names the receipt before privacy has heard of it. It cannot be guessed.
    user.state, user.erasure_id, user.purge_time = State.DELETING, uuid4(), None
    await users.sign_out(session, user, why=Reason.USER_DELETING, now=now)
    erasure = f"erasures/{user.erasure_id}"
    await state(session, UserDeletionRequested(user=user.name, erasure=erasure, event_time=timestamp(now)))
    await mails.deletion_begun(session, to=user.email, person=user.id, erasure=erasure)


@job(every=timedelta(minutes=1))
async def purge_users(sessions: Sessions, now: datetime) -> int:
    """Start the erasures whose cooling-off is over."""
    due = select(User.id).where(User.purge_time <= now, User.state != State.DELETING).limit(BATCH)
    async with sessions() as session:
        found = (await session.scalars(due)).all()
    return sum([await purge(sessions, one, now) for one in found])


async def purge(sessions: Sessions, id: UUID, now: datetime) -> bool:
    """One by one: of many, none waits for another's programs to be told."""
    async with sessions.begin() as session:
        with suppress(UserNotFound):  # deleted at once meanwhile, and erased by now
            user = await users.hold(session, id)
            if user.is_pending_deletion and user.purge_time is not None and user.purge_time <= now:
                await erase(session, user, now)
                return True
    return False


async def finish(session: AsyncSession, id: UUID, now: datetime) -> None:
    """Say that the user is gone, in the transaction that erases them. Ordered again, there is nobody to say it of."""
    user = await session.get(User, id)
    if user is None:
        return
    await sessions.revoke_all(session, id, now=now)
    # A link for this address may wait under another id, of which the erasure knows nothing.
    await registrations.forget(session, user.email)
    await claims.forget(session, user.email)
    await endings.let_go(session, id, address=user.email, now=now)
    erasure = f"erasures/{user.erasure_id}" if user.erasure_id else ""
    await state(session, UserDeleted(user=user.name, erasure=erasure, event_time=timestamp(now)))
