"""Recoveries: who forgot their password chooses another one by a link that is mailed to them.

Nothing here tells whether an address has an account: who has none is mailed how to get one. A recovery proves the
mailbox and no more, so it ends everything that hung on the old password: whoever had that is out.
"""

from datetime import datetime, timedelta
from uuid import UUID

from rapport.identity.v1.events_pb2 import PasswordChanged
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import addresses, credentials, mails, opaque, registrations, users
from services.identity.models import Recovery, State, User
from services.identity.registrations import MAILS_AN_HOUR, link_invalid

LINK_LASTS = timedelta(minutes=10)
INVITATION_LASTS = timedelta(hours=24)  # who was made by others did not ask just now, and reads it tomorrow
COUNTED = timedelta(hours=1)  # links are known for so long, since they count the mails
BATCH = 1_000


async def begin(session: AsyncSession, *, email: str, public_url: str, now: datetime) -> None:
    """Mail a link to the owner of the address; nothing when they had enough of them lately."""
    address = addresses.exact(email)
    await addresses.take_turns(session, address)
    person = await session.scalar(select(User.id).where(User.email == address, User.state == State.ACTIVE))
    if person is None:
        await registrations.begin(session, email=email, public_url=public_url, now=now, why=mails.NO_ACCOUNT)
        return
    if token := await make(session, person, until=now + LINK_LASTS, now=now):
        await mails.recovery_link(session, to=address, person=person, token=token, public_url=public_url)


async def invite(session: AsyncSession, user: User, *, public_url: str, now: datetime) -> None:
    """Mail a link to a user, who is held and was made without a password, to choose one; likewise."""
    if token := await make(session, user.id, until=now + INVITATION_LASTS, now=now):
        await mails.account_made(session, to=user.email, person=user.id, token=token, public_url=public_url)


async def make(session: AsyncSession, person: UUID, *, until: datetime, now: datetime) -> str:
    """A link that waits; "" when they had enough of them lately."""
    lately = select(func.count()).where(Recovery.user_id == person, Recovery.create_time > now - COUNTED)
    if (await session.scalar(lately) or 0) >= MAILS_AN_HOUR:
        return ""
    token, token_hash = opaque.make()
    session.add(Recovery(token_hash=token_hash, user_id=person, create_time=now, expire_time=until))
    await session.flush()
    return token


async def waiting(session: AsyncSession, token: str, *, now: datetime) -> User:
    """Whose password a link's token changes, or refuse because there is no such link."""
    query = select(User).join(Recovery, Recovery.user_id == User.id).where(User.state == State.ACTIVE)
    user = await session.scalar(query.where(Recovery.token_hash == opaque.hash_of(token), Recovery.expire_time > now))
    if user is None:
        raise link_invalid()
    return user


async def complete(session: AsyncSession, token: str, *, password_hash: str, public_url: str, now: datetime) -> None:
    """Change the password of whom the link was mailed to. Of two at once, one finds it used."""
    user = await waiting(session, token, now=now)
    await users.hold_active(session, user.id)
    await waiting(session, token, now=now)  # as it is after whoever held the user before
    await credentials.change(session, user, password_hash, PasswordChanged.LINK, public_url=public_url, now=now)


@job(every=timedelta(minutes=10))
async def forget_recoveries(sessions: Sessions, now: datetime) -> int:
    """Links go when they have ended and no longer count."""
    async with sessions.begin() as session:
        ended = (Recovery.create_time <= now - COUNTED) & (Recovery.expire_time <= now)
        over = select(Recovery.token_hash).where(ended).limit(BATCH)
        gone = delete(Recovery).where(Recovery.token_hash.in_(over)).returning(Recovery.user_id)
        return len((await session.execute(gone)).all())
