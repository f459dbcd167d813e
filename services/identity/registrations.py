"""Registrations: a link by mail proves that an address is somebody's, and makes them a user.

Nothing here tells whether an address has an account: the answer and the work are the same, only the mail differs.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import addresses, mails, opaque, users
from services.identity.models import Photo, Registration, User
from services.identity.refusals import LinkInvalid

LINK_LASTS = timedelta(hours=24)
MAILS_AN_HOUR = 5  # to one address: nobody's mailbox is filled by asking for it here
BATCH = 1_000


async def begin(session: AsyncSession, *, email: str, public_url: str, now: datetime, why: str = mails.WELCOME) -> None:
    """Mail a link to the address, or that it has an account already; nothing when it had enough mail lately."""
    address = addresses.exact(email)
    await addresses.take_turns(session, address)
    known = (
        await session.execute(select(User.id, User.state, User.purge_time).where(User.email == address))
    ).one_or_none()
    query = select(Registration.user_id, Registration.create_time).where(Registration.email == address)
    lately = (await session.execute(query.order_by(Registration.create_time.desc()).limit(MAILS_AN_HOUR))).all()
    if len(lately) == MAILS_AN_HOUR and lately[-1].create_time > now - timedelta(hours=1):
        return
    person: UUID = known.id if known else lately[0].user_id if lately else uuid4()
    token, token_hash = opaque.make()
    waiting = Registration(
        token_hash=token_hash, user_id=person, email=address, create_time=now, expire_time=now + LINK_LASTS
    )
    session.add(waiting)  # of a known address too, where nobody gets the token: it counts the mails
    await session.flush()
    if known is None:
        await mails.registration_link(session, to=address, person=person, token=token, public_url=public_url, why=why)
    else:
        await mails.already_registered(
            session, to=address, person=person, state=known.state, purge_time=known.purge_time, public_url=public_url
        )


async def waiting(session: AsyncSession, token: str, *, now: datetime) -> Registration:
    """The registration that a link's token completes, or refuse because there is none."""
    found = await session.get(Registration, opaque.hash_of(token), populate_existing=True)
    if found is None or found.expire_time <= now:
        raise link_invalid()
    return found


async def complete(
    session: AsyncSession, token: str, *, password_hash: str, display_name: str, photo: Photo | None, now: datetime
) -> User:
    """Make the user whom the link was mailed to. Of two at once, one finds it used."""
    link = await waiting(session, token, now=now)
    await addresses.take_turns(session, link.email)
    link = await waiting(session, token, now=now)  # as it is after whoever had the turn before
    user = await users.create(
        session,
        id=link.user_id,
        email=link.email,
        password_hash=password_hash,
        profile={"display_name": display_name},
        now=now,
    )
    user.photo = photo
    await forget(session, link.email)
    return user


async def forget(session: AsyncSession, address: str) -> None:
    """Delete every link that waits for the owner of an address."""
    await session.execute(delete(Registration).where(Registration.email == address))


def link_invalid() -> LinkInvalid:
    return LinkInvalid("This link was used, has ended, or was never ours. Ask for a new one.")


@job(every=timedelta(minutes=10))
async def forget_registrations(sessions: Sessions, now: datetime) -> int:
    """Links that nobody clicked in time go, and with them the address of who never became a user."""
    async with sessions.begin() as session:
        over = select(Registration.token_hash).where(Registration.expire_time <= now).limit(BATCH)
        gone = delete(Registration).where(Registration.token_hash.in_(over)).returning(Registration.user_id)
        return len((await session.execute(gone)).all())
