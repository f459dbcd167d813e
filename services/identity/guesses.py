"""Guesses: how often in a row a code was wrong, and how long the next one has to wait.

A million codes are soon tried by who may try them all. Each guess is counted before it is looked at, in a transaction
of its own, so that any number at once count, on whichever replica; the right one forgets the count. It is kept by
place: who guesses from elsewhere keeps nobody waiting on a device that is known, or in a session.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.refusal import QuotaExceeded
from services.identity.models import Guess

ELSEWHERE = UUID(int=0)  # any place that is not known
FREE = 5  # without waiting
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=24)  # it doubles from the one to the other
KEPT = timedelta(days=30)  # since the last one
DOUBLINGS = 11
BATCH = 1_000


async def count(session: AsyncSession, user: UUID, place: UUID, *, now: datetime) -> None:
    """Take the place's next guess, or refuse because it has to wait. To be committed before the guess is looked at."""
    so_far = func.least(Guess.failures + 1 - FREE, DOUBLINGS)
    wait = case((so_far < 0, timedelta()), else_=func.least(FIRST_WAIT * func.power(2, so_far), LONGEST_WAIT))
    first = insert(Guess).values(user_id=user, place=place, failures=1, next_time=now, expire_time=now + KEPT)
    again = first.on_conflict_do_update(
        index_elements=[Guess.user_id, Guess.place],
        set_={
            "failures": Guess.failures + 1,
            "next_time": literal(now, Guess.next_time.type) + wait,
            "expire_time": now + KEPT,
        },
        where=Guess.next_time <= now,
    )
    if await session.scalar(again.returning(Guess.failures)) is not None:
        return
    query = select(Guess.next_time).where(Guess.user_id == user, Guess.place == place)
    until = await session.scalar(query) or now + FIRST_WAIT
    raise QuotaExceeded("Too many wrong codes.", retry_after=until - now, quota="wrong codes in a row")


async def forget(session: AsyncSession, user: UUID, place: UUID) -> None:
    """Begin to count anew: a guess was right."""
    await session.execute(delete(Guess).where(Guess.user_id == user, Guess.place == place))


@job(every=timedelta(hours=1))
async def forget_guesses(sessions: Sessions, now: datetime) -> int:
    """Counts go when nobody has guessed for a month."""
    async with sessions.begin() as session:
        over = select(Guess.user_id, Guess.place).where(Guess.expire_time <= now).limit(BATCH).subquery()
        gone = delete(Guess).where(Guess.user_id == over.c.user_id, Guess.place == over.c.place)
        return len((await session.execute(gone.returning(Guess.place))).all())
