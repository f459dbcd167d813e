"""How often the same is done by what looks like the same: counted by keyed marks, in sliding windows.

A mark is an HMAC over what is counted (a member, a mailbox, a mail domain), under the keys of the bonus: nobody who has
the table can tell whom it is about. Two at once for one mark take turns, so that a limit holds over any number of
processes. What is beyond a limit is judged before anything is posted, and the review says which limit it was.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import uuid7
from services.loyalty import addresses, rewards
from services.loyalty.keys import Keys
from services.loyalty.models import Action, Attempt, Dimension, Review, ReviewState, Verdict
from services.loyalty.rewards import Limit

STRICT = list(Verdict)
BATCH = 1_000


@dataclass(frozen=True)
class Subject:
    """What is asked for, whose account it is about, and what it is counted by: a member, and an exact address."""

    action: Action
    account: UUID
    member: UUID
    email: str

    def counted(self, dimension: Dimension) -> str | None:
        """What is counted in a dimension; None where counting would say nothing."""
        if dimension is Dimension.MEMBER:
            return str(self.member)
        if dimension is Dimension.MAILBOX:
            return addresses.folded(self.email)
        return None if addresses.is_everybodys(self.email) else self.email.rpartition("@")[2]

    def macs(self, dimension: Dimension, keys: Keys) -> dict[int, bytes]:
        """The mark of what is counted, by the version of the key."""
        value = self.counted(dimension)
        if value is None:
            return {}
        text = f"velocity/{self.action}/{dimension}\0{value}".encode()
        return {version: hmac.digest(key, text, "sha256") for version, key in keys.versions.items()}


async def judge(session: AsyncSession, subject: Subject, keys: Keys, *, now: datetime) -> Verdict | None:
    """What becomes of it; None where it is within every limit. It counts from now on, unless it is denied."""
    limits = [one for one in (await rewards.latest(session)).limits if one.action is subject.action]
    marks = {one.dimension: found for one in limits if (found := subject.macs(one.dimension, keys))}
    newest = {dimension: found[max(found)] for dimension, found in marks.items()}
    await take_turns(session, newest.values())
    worst: tuple[Limit, int] | None = None
    for limit in limits:
        if limit.dimension not in marks:
            continue
        counted = 1 + await count(session, marks[limit.dimension].values(), now - limit.window)
        if counted > limit.most and (worst is None or stricter(limit, worst[0])):
            worst = limit, counted
    if worst is not None:
        session.add(review_of(subject, *worst, now=now))
    if worst is None or worst[0].beyond is not Verdict.DENY:
        for dimension, mac in newest.items():
            longest = max(one.window for one in limits if one.dimension is dimension)
            session.add(Attempt(mac=mac, create_time=now, expire_time=now + longest))
    await session.flush()
    return worst[0].beyond if worst else None


async def take_turns(session: AsyncSession, macs: Iterable[bytes]) -> None:
    for mac in sorted(macs):  # in one order, so that nobody waits in a circle
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(mac.hex(), 0))))


async def count(session: AsyncSession, macs: Iterable[bytes], since: datetime) -> int:
    found = select(func.count()).where(Attempt.mac.in_(list(macs)), Attempt.create_time > since)
    return await session.scalar(found) or 0


def stricter(one: Limit, other: Limit) -> bool:
    return STRICT.index(one.beyond) > STRICT.index(other.beyond)


def review_of(subject: Subject, limit: Limit, counted: int, *, now: datetime) -> Review:
    return Review(
        id=uuid7(),
        account_id=subject.account,
        action=subject.action,
        verdict=limit.beyond,
        state=ReviewState.WAITING if limit.beyond is Verdict.HOLD else ReviewState.NOTED,
        dimension=limit.dimension,
        counted=counted,
        most=limit.most,
        window_hours=limit.window_hours,
        create_time=now,
    )


async def forget(session: AsyncSession, now: datetime) -> int:
    """Delete what no window counts any more."""
    old = select(Attempt.id).where(Attempt.expire_time <= now).limit(BATCH)
    gone = await session.scalars(delete(Attempt).where(Attempt.id.in_(old)).returning(Attempt.id))
    return len(gone.all())
