"""Devices that are known: browsers that have proven a second factor, and keep a secret by which they are known again.

A device that is known has guesses of its own, so that nobody keeps its owner waiting there. On one that is trusted,
too, nobody is asked for the second factor for thirty days, except where a fresh sign-in is wanted.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import opaque
from services.identity.models import Device
from services.identity.refusals import DeviceNotFound

TRUSTED = timedelta(days=30)
KNOWN = timedelta(days=180)  # since it was used last
MOST = 50  # of one user: the one not used for longest goes for the next
BATCH = 1_000


async def find(session: AsyncSession, user: UUID, secret: str, *, now: datetime) -> Device | None:
    """The user's device whose secret this is."""
    mine = select(Device).where(Device.user_id == user, Device.expire_time > now)
    return await session.scalar(mine.where(Device.secret_hash == opaque.hash_of(secret))) if secret else None


def is_trusted(device: Device | None, now: datetime) -> bool:
    return device is not None and device.trust_expire_time is not None and device.trust_expire_time > now


async def remember(
    session: AsyncSession, user: UUID, known: Device | None, *, title: str, trusted: bool, now: datetime
) -> str:
    """Know this device from now on, by the secret that is returned: it has just proven a second factor."""
    secret, secret_hash = opaque.make()
    if known is None:
        mine = select(Device.id).where(Device.user_id == user)
        unused = mine.order_by(Device.last_use_time.desc(), Device.id).offset(MOST - 1)
        await session.execute(delete(Device).where(Device.id.in_(unused)))
        known = Device(user_id=user, create_time=now)
        session.add(known)
    known.secret_hash, known.title, known.proof_time = secret_hash, title, now
    if trusted or not is_trusted(known, now):
        known.trust_expire_time = now + TRUSTED if trusted else None
    use(known, now)
    await session.flush()
    return secret


def use(device: Device, now: datetime) -> None:
    device.last_use_time, device.expire_time = now, now + KNOWN


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int, now: datetime
) -> Sequence[Device]:
    """A user's devices, newest first."""
    query = select(Device).where(Device.user_id == user, Device.expire_time > now).limit(limit)
    if after is not None:
        query = query.where(tuple_(Device.create_time, Device.id) < after)
    return (await session.scalars(query.order_by(Device.create_time.desc(), Device.id.desc()))).all()


async def forget(session: AsyncSession, user: UUID, id: UUID) -> None:
    """Know it no more, or refuse because this user has none of that name."""
    gone = delete(Device).where(Device.id == id, Device.user_id == user).returning(Device.id)
    if await session.scalar(gone) is None:
        raise DeviceNotFound("There is no such device.")


async def forget_all(session: AsyncSession, user: UUID) -> None:
    await session.execute(delete(Device).where(Device.user_id == user))


@job(every=timedelta(hours=1))
async def forget_devices(sessions: Sessions, now: datetime) -> int:
    """Devices that were not used for long go."""
    async with sessions.begin() as session:
        over = select(Device.id).where(Device.expire_time <= now).limit(BATCH)
        return len((await session.execute(delete(Device).where(Device.id.in_(over)).returning(Device.id))).all())
