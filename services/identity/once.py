"""What is taken once: the first who shows it has it, whichever replica they ask, and it is remembered for as long as it
would be taken. What is kept of it is a hash, so that no row is larger than another.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity.models import Spent

BATCH = 5_000


async def spend(session: AsyncSession, *what: str, until: datetime) -> bool:
    """Whether this is the first time. Of two at once the second waits for the first, and then is not."""
    said = insert(Spent).values(digest=digest_of(what), expire_time=until).on_conflict_do_nothing()
    return await session.scalar(said.returning(Spent.digest)) is not None


async def is_spent(session: AsyncSession, *what: str) -> bool:
    return await session.scalar(select(Spent.digest).where(Spent.digest == digest_of(what))) is not None


def digest_of(what: tuple[str, ...]) -> bytes:
    # The lengths keep ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256("".join(f"{len(one)}:{one}" for one in what).encode()).digest()


@job(every=timedelta(minutes=1))
async def forget_spent(sessions: Sessions, now: datetime) -> int:
    """What would be refused for its age need not be known any more."""
    async with sessions.begin() as session:
        old = select(Spent.digest).where(Spent.expire_time <= now).limit(BATCH)
        return len((await session.execute(delete(Spent).where(Spent.digest.in_(old)).returning(Spent.digest))).all())
