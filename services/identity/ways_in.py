"""Ways in: by what a user can sign in. The last is never taken away."""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.identity.models import Credential, ExternalIdentity, Passkey


async def has_another(session: AsyncSession, user: UUID, *, but: UUID) -> bool:
    """Whether a user, who is held, can sign in without that passkey or account elsewhere. A mailed link does not count:
    it makes a way in."""
    password = exists().where(Credential.user_id == user)
    passkey = exists().where(Passkey.user_id == user, Passkey.id != but, Passkey.suspect_time.is_(None))
    elsewhere = exists().where(ExternalIdentity.user_id == user, ExternalIdentity.id != but)
    return bool(await session.scalar(select(password | passkey | elsewhere)))
