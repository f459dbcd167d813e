"""Recovery codes: ten on paper, each good once, for who has lost what they prove themselves with."""

import hashlib
import re
import secrets
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.identity.models import RecoveryCode

MANY = 10
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # none that is taken for another (Crockford's base32)
LENGTH, GROUP = 16, 4  # 80 bits: no dump is searched for them, and a sign-in may try five (NIST SP 800-63B-4, 3.1.2)
MISREAD = str.maketrans("oil", "011")


async def replace(session: AsyncSession, user: UUID) -> list[str]:
    """New ones, of which only hashes are kept; those before hold no more."""
    made = ["".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(MANY)]
    await forget(session, user)
    rows = [{"user_id": user, "code_hash": hash_of(user, code)} for code in made]
    await session.execute(insert(RecoveryCode), rows)
    return ["-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP)) for code in made]


async def accept(session: AsyncSession, user: UUID, code: str) -> bool:
    """Use a code up; whether it was one. Of two at once, one finds it used."""
    mine = (RecoveryCode.user_id == user) & (RecoveryCode.code_hash == hash_of(user, code))
    return await session.scalar(delete(RecoveryCode).where(mine).returning(RecoveryCode.user_id)) is not None


async def left(session: AsyncSession, user: UUID) -> int:
    query = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user)
    return await session.scalar(query) or 0


async def forget(session: AsyncSession, user: UUID) -> None:
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user))


def hash_of(user: UUID, code: str) -> bytes:
    """As people type it: in groups or not, with letters that look like digits. With the user, so that who has a dump
    has to guess for each of them anew."""
    typed = re.sub(r"[^0-9a-z]", "", code.casefold()).translate(MISREAD)
    return hashlib.sha256(user.bytes + typed.encode()).digest()
