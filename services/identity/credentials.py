"""What people prove themselves with, and what hangs on it."""

from datetime import datetime

from rapport.identity.v1.events_pb2 import PasswordChanged
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.time import timestamp
from services.identity import mails, sessions
from services.identity.facts import state
from services.identity.models import Challenge, Credential, Device, EmailChange, Guess, Recovery, Totp, User
from services.identity.oauth import authorizations
from services.identity.social import links


async def change(
    session: AsyncSession,
    user: User,
    password_hash: str,
    way: "PasswordChanged.Way.ValueType",
    *,
    public_url: str,
    now: datetime,
    but: str = "",
) -> None:
    """Have a user, who is held, prove themself with another password, and end all that hung on the one before: sessions
    (`but` one, by its name), what clients may do, the trust in devices, and what waits for a link or a code."""
    credential = await session.get(Credential, user.id)
    if credential is None:  # until now they came with an account elsewhere
        session.add(Credential(user_id=user.id, password_hash=password_hash))
    else:
        credential.password_hash = password_hash
    if way == PasswordChanged.LINK:
        await links.end_the_unproven(session, user.id, now=now)
    for hangs in (Recovery, EmailChange, Challenge, Device, Guess):
        await session.execute(delete(hangs).where(hangs.user_id == user.id))
    await session.execute(delete(Totp).where(Totp.user_id == user.id, Totp.confirm_time.is_(None)))
    await sessions.revoke_all(session, user.id, now=now, but=but)
    await authorizations.end_those_of_user(session, user.id, now=now)
    await state(session, PasswordChanged(user=user.name, way=way, event_time=timestamp(now)))
    await mails.password_changed(session, to=user.email, person=user.id, public_url=public_url)
