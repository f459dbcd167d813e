"""Sessions: begun by a sign-in, kept alive by use, ended by the owner, by time, or with the account."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from rapport.identity.v1.events_pb2 import SessionCreated, SessionRevoked
from sqlalchemy import ColumnElement, and_, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.outbox import publish
from chassis.time import timestamp
from services.identity import addresses, opaque
from services.identity.models import Credential, Session, State, User
from services.identity.oauth import authorizations
from services.identity.refusals import EmailMalformed, SessionEnded, SessionNotFound, SignInFailed

LIFE = timedelta(days=30)  # however much it is used
IDLE = timedelta(days=7)
TOUCHED_EVERY = timedelta(minutes=1)  # so that a busy session costs no write for each token
MOST = 100  # of one user: the oldest ends for the next
BATCH = 1_000
PASSWORD = "pwd"  # noqa: S105 - the acr of a sign-in by password


async def begin(
    session: AsyncSession, proven: Credential, *, password_hash: str, device: str, now: datetime
) -> tuple[Session, str]:
    """Sign in who has proven `proven`. Returns the session and its secret, of which only a hash is kept.

    `password_hash` is the hash to keep from now on.
    """
    # Held, so that nobody signs in past an erasure, a changed password or the bound below.
    state = await session.scalar(select(User.state).where(User.id == proven.user_id).with_for_update(key_share=True))
    credential = await session.get(Credential, proven.user_id)
    changed = credential is None or credential.password_hash != proven.password_hash
    if credential is None or changed or state is not State.ACTIVE:
        raise sign_in_failed()
    credential.password_hash = password_hash
    return await start(session, proven.user_id, acr=PASSWORD, device=device, now=now)


async def start(session: AsyncSession, user_id: UUID, *, acr: str, device: str, now: datetime) -> tuple[Session, str]:
    """Begin a session of a user, who is held and has proven themself in the way that `acr` names."""
    await make_room(session, user_id, now)
    secret, secret_hash = opaque.make()
    begun = Session(
        user_id=user_id,
        secret_hash=secret_hash,
        device=device,
        acr=acr,
        create_time=now,
        auth_time=now,
        last_use_time=now,
        expire_time=now + IDLE,
    )
    session.add(begun)
    await session.flush()
    user = f"users/{begun.user_id}"
    await publish(session, SessionCreated(user=user, session=begun.name, event_time=timestamp(now)))
    return begun, secret


def sign_in_failed() -> SignInFailed:
    return SignInFailed("Check the address and the password.")


async def credential_of(session: AsyncSession, email: str) -> Credential | None:
    """What a user with this address proves themself with; None where nobody can sign in by it."""
    try:
        address = addresses.exact(email)
    except EmailMalformed:
        return None
    query = select(Credential).join(User, User.id == Credential.user_id)
    return await session.scalar(query.where(User.email == address, User.state == State.ACTIVE))


async def use(session: AsyncSession, secret: str, *, now: datetime) -> tuple[Session, list[str]]:
    """The live session of a secret and its owner's roles, kept alive by this; or refuse, because it has ended."""
    query = select(Session, User.roles).join(User, User.id == Session.user_id).where(User.state == State.ACTIVE)
    found = (
        await session.execute(query.where(Session.secret_hash == opaque.hash_of(secret), is_live(now)))
    ).one_or_none()
    if found is None:
        raise SessionEnded("This session has ended. Sign in again.")
    used, roles = found
    if now - used.last_use_time >= TOUCHED_EVERY:
        used.last_use_time, used.expire_time = now, min(now + IDLE, used.create_time + LIFE)
    return used, roles


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int, now: datetime
) -> Sequence[Session]:
    """A user's live sessions, newest first."""
    query = select(Session).where(Session.user_id == user, is_live(now)).limit(limit)
    if after is not None:
        query = query.where(tuple_(Session.create_time, Session.id) < after)
    return (await session.scalars(query.order_by(Session.create_time.desc(), Session.id.desc()))).all()


async def end(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> None:
    """End a session, or refuse because this user has none of that name. One that has ended stays as it is."""
    mine = select(Session).where(Session.id == id, Session.user_id == user)
    found = await session.scalar(mine.with_for_update())
    if found is None:
        raise SessionNotFound("There is no such session.")
    if found.revoke_time is None and found.expire_time > now:
        await revoke(session, [found], now)


async def revoke_all(session: AsyncSession, user: UUID, *, now: datetime, but: str = "") -> None:
    """End every live session of a user, `but` the one of that name."""
    live = select(Session).where(Session.user_id == user, is_live(now)).order_by(Session.id)
    found = await session.scalars(live.with_for_update())
    await revoke(session, [one for one in found if one.name != but], now)


async def make_room(session: AsyncSession, user: UUID, now: datetime) -> None:
    kept = select(Session).where(Session.user_id == user, is_live(now))
    oldest = kept.order_by(Session.create_time.desc(), Session.id.desc()).offset(MOST - 1)
    await revoke(session, await session.scalars(oldest.with_for_update()), now)


async def revoke(session: AsyncSession, ending: Iterable[Session], now: datetime) -> None:
    """End sessions, and what clients may do because of them."""
    ending = list(ending)
    await authorizations.end_with_sessions(session, [one.id for one in ending], now)
    for one in ending:
        one.revoke_time = now
        fact = SessionRevoked(user=f"users/{one.user_id}", session=one.name, event_time=timestamp(now))
        await publish(session, fact)


def is_live(now: datetime) -> ColumnElement[bool]:
    return and_(Session.revoke_time.is_(None), Session.expire_time > now)


@job(every=timedelta(hours=1))
async def forget_sessions(sessions: Sessions, now: datetime) -> int:
    """Sessions go when their time is over; one that was ended is known until then."""
    async with sessions.begin() as session:
        over = select(Session.id).where(Session.expire_time <= now).limit(BATCH)
        return len((await session.execute(delete(Session).where(Session.id.in_(over)).returning(Session.id))).all())
