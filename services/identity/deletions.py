"""Deletions: asked for by the owner, carried out by every holder, and by identity last.

A deletion has three facts: user.deletion_requested here, erasure.done of each holder, user.deleted here again.
"""

from datetime import datetime
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import UserDeleted, UserDeletionRequested
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.time import timestamp
from services.identity import impersonations, mails, registrations, sessions, users
from services.identity.businesses import endings
from services.identity.facts import state
from services.identity.models import State, User
from services.identity.oauth import authorizations
from services.identity.social import claims


async def request(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> User:
    """Sign the user out everywhere and have them erased. Asked again, the answer is the same and nothing happens."""
    user = await users.hold(session, id)
    if user.state is State.DELETING:
        return user
    check_etag(etag, user.version, user.id)
    # Minted here, so that the answer names the receipt before privacy has heard of it. It cannot be guessed.
    user.state, user.erasure_id = State.DELETING, uuid4()
    user.version, user.update_time = user.version + 1, now
    await sessions.revoke_all(session, id, now=now)
    await authorizations.end_those_of_user(session, id, now=now)
    await impersonations.end_those_of_user(session, id, now=now)
    await session.flush()
    erasure = f"erasures/{user.erasure_id}"
    await state(session, UserDeletionRequested(user=user.name, erasure=erasure, event_time=timestamp(now)))
    await mails.deletion_begun(session, to=user.email, person=user.id, erasure=erasure)
    return user


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
