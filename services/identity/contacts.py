"""Contact data that stay right: their owner is asked once a year, and when mail comes back (GDPR art. 5(1)(d)).

    CONFIRMED ──▶ doubting, after a year ──▶ OLD ─────▶ confirm, or a correction ──▶ CONFIRMED
        └──────▶ hear, of mail refused ──▶ BOUNCED ──▶ confirm, another address, or mail that is taken ──┘

Of mail that identity itself sends: what other services hear of an address is not told here.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from rapport.identity.v1.events_pb2 import UserContactConfirmed
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.etags import check_etag
from chassis.jobs import Job
from chassis.time import timestamp
from services.identity import users
from services.identity.facts import state
from services.identity.models import ContactDoubt, State, User
from services.identity.refusals import UserNotFound

BATCH = 100
NAME = "doubt_old_contacts"


async def confirm(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> User:
    """Note that the owner finds everything still right."""
    user = await users.hold_active(session, id)
    check_etag(etag, user.version, user.id)
    user.contact_confirm_time, user.contact_doubt = now, None
    user.version, user.update_time = user.version + 1, now
    await session.flush()
    await state(session, UserContactConfirmed(user=user.name, event_time=timestamp(now)))
    return user


async def hear(session: AsyncSession, person: UUID, to: str, *, refused: bool, now: datetime) -> None:
    """Note what the mail server said of an address, where it is the person's present one and that is news."""
    known = select(User.contact_doubt).where(User.id == person, User.email == to)
    found = (await session.execute(known)).one_or_none()
    if found is None or refused == (found.contact_doubt is ContactDoubt.BOUNCED):
        return
    with suppress(UserNotFound):  # erased meanwhile
        user = await users.hold(session, person)
        if user.email == to:
            await doubt(session, user, ContactDoubt.BOUNCED if refused else None, now)


def doubting(age: timedelta) -> Job:
    """The job that has contact data of that age confirmed."""
    return Job(NAME, timedelta(hours=1), partial(doubt_old_contacts, age))


async def doubt_old_contacts(age: timedelta, sessions: Sessions, now: datetime) -> int:
    """A batch of those whom nobody has asked for so long."""
    old = select(User.id).where(User.contact_confirm_time <= now - age, User.contact_doubt.is_(None))
    batch = old.where(User.state == State.ACTIVE).order_by(User.contact_confirm_time).limit(BATCH)
    async with sessions.begin() as session:
        ids = (await session.scalars(batch.with_for_update(skip_locked=True, key_share=True))).all()
        for one in ids:
            await doubt(session, await users.hold(session, one), ContactDoubt.OLD, now)
    return len(ids)


async def doubt(session: AsyncSession, user: User, why: ContactDoubt | None, now: datetime) -> None:
    user.contact_doubt = why
    await users.state_update(session, user, ["contact_confirmation"], now)
