"""Challenges: sign-ins that wait for the second factor. Each is a secret that was handed out, good once, for five
minutes and for five tries."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import opaque
from services.identity.models import Challenge
from services.identity.refusals import ChallengeEnded

LASTS = timedelta(minutes=5)
TRIES = 5
MOST = 20  # of one user: the oldest ends for the next
BATCH = 1_000


async def begin(
    session: AsyncSession, user: UUID, *, amr: Sequence[str], device: str, now: datetime
) -> tuple[Challenge, str]:
    """The challenge and its secret, of which only a hash is kept. `amr` says what was proven before it (RFC 8176)."""
    mine = select(Challenge.token_hash).where(Challenge.user_id == user)
    oldest = mine.order_by(Challenge.create_time.desc()).offset(MOST - 1)
    await session.execute(delete(Challenge).where(Challenge.token_hash.in_(oldest)))
    token, token_hash = opaque.make()
    begun = Challenge(
        token_hash=token_hash,
        user_id=user,
        amr=list(amr),
        device=device,
        tries=0,
        create_time=now,
        expire_time=now + LASTS,
    )
    session.add(begun)
    await session.flush()
    return begun, token


async def count(session: AsyncSession, token: str, *, now: datetime) -> Challenge:
    """Take the next try, or refuse because there is none. To be committed before the try is looked at."""
    waits = (Challenge.token_hash == opaque.hash_of(token)) & (Challenge.expire_time > now)
    tried = update(Challenge).where(waits, Challenge.tries < TRIES).values(tries=Challenge.tries + 1)
    found: Challenge | None = await session.scalar(tried.returning(Challenge))
    if found is None:
        raise ended()
    return found


async def finish(session: AsyncSession, challenge: Challenge, *, now: datetime) -> None:
    """Use it up, or refuse because somebody has."""
    waits = (Challenge.token_hash == challenge.token_hash) & (Challenge.expire_time > now)
    if await session.scalar(delete(Challenge).where(waits).returning(Challenge.user_id)) is None:
        raise ended()


def ended() -> ChallengeEnded:
    return ChallengeEnded("This sign-in has ended. Begin again with the password.")


@job(every=timedelta(minutes=10))
async def forget_challenges(sessions: Sessions, now: datetime) -> int:
    """Sign-ins that nobody went on with go."""
    async with sessions.begin() as session:
        over = select(Challenge.token_hash).where(Challenge.expire_time <= now).limit(BATCH)
        gone = delete(Challenge).where(Challenge.token_hash.in_(over)).returning(Challenge.user_id)
        return len((await session.execute(gone)).all())
