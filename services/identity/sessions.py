"""Sessions: begun by a sign-in, kept alive by use, ended by the owner, by time, or with the account."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import SessionCreated, SessionRevoked
from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Prepared, Sessions
from chassis.jobs import job
from chassis.time import timestamp
from services.identity import addresses, impersonations, opaque
from services.identity.facts import state
from services.identity.models import Credential, Session, State, User
from services.identity.oauth import authorizations, backchannel
from services.identity.refusals import EmailMalformed, SessionEnded, SessionNotFound, SignInFailed

LIFE = timedelta(days=30)  # however much it is used
IDLE = timedelta(days=7)
TOUCHED_EVERY = timedelta(minutes=1)  # so that a busy session costs no write for each token
MOST = 100  # of one user: the oldest ends for the next
BATCH = 1_000
PASSWORD = ("pwd",)  # what a sign-in by password says of itself (RFC 8176)
EXTERNAL = ("ext",)  # and what one by a provider's word does, for which that has no word


def is_live(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    return and_(Session.revoke_time.is_(None), Session.expire_time > now)


CREDENTIAL = Prepared(
    select(Credential)
    .join(User, User.id == Credential.user_id)
    .where(User.email == bindparam("email"), User.state == State.ACTIVE)
)
HOLD = Prepared(
    select(User.state, Credential.password_hash)
    .join(Credential, Credential.user_id == User.id)
    .where(User.id == bindparam("user"))
    .with_for_update(key_share=True, of=[User, Credential])
)
SURPLUS = Prepared(
    select(Session.id)
    .where(Session.user_id == bindparam("user"), is_live(bindparam("now")))
    .order_by(Session.create_time.desc(), Session.id.desc())
    .offset(MOST - 1)  # not held here: PostgreSQL would hold those that it skips, too
)
ADD = Prepared(insert(Session))


async def hold_proven(session: AsyncSession, proven: Credential, *, password_hash: str) -> None:
    """Have who has proven `proven` be as they were when they did, until this transaction ends; or refuse.

    `password_hash` is the hash to keep from now on.
    """
    # Held, so that nobody signs in past an erasure, a changed password or the bound of sessions.
    present, known = await HOLD.row(session, user=proven.user_id) or (None, None)
    if present is not State.ACTIVE or known != proven.password_hash:
        raise sign_in_failed()
    if password_hash != proven.password_hash:
        await session.execute(
            update(Credential).where(Credential.user_id == proven.user_id).values(password_hash=password_hash)
        )


async def hold_password(session: AsyncSession, user_id: UUID, proven: str | None) -> Credential:
    """What the user, who is held, proves themself with, where its hash is still the one that was proven; or refuse."""
    credential = await session.get(Credential, user_id)
    if credential is None or credential.password_hash != proven:
        raise sign_in_failed()
    return credential


async def begin(
    session: AsyncSession, user_id: UUID, *, device: str, amr: Sequence[str], auth_time: datetime, now: datetime
) -> tuple[Session, str]:
    """Sign in a user, who is held. Returns the session and its secret, of which only a hash is kept.

    `amr` says by what they have proven themself (RFC 8176), `auth_time` when they proved all that is asked of them.
    """
    await make_room(session, user_id, now)
    secret, secret_hash = opaque.make()
    begun = Session(
        id=uuid4(),
        user_id=user_id,
        secret_hash=secret_hash,
        device=device,
        acr=acr_of(amr),
        amr=list(amr),
        create_time=now,
        auth_time=auth_time,
        last_use_time=now,
        expire_time=now + IDLE,
    )
    await ADD.rows(session, **{name: getattr(begun, name) for name in ADD.names})
    user = f"users/{begun.user_id}"
    await state(session, SessionCreated(user=user, session=begun.name, event_time=timestamp(now)))
    return begun, secret


async def renew(session: AsyncSession, secret: str, *, amr: Sequence[str], now: datetime) -> tuple[Session, str]:
    """Put a session that was just proven again under another secret. Of two at once, one finds it changed."""
    new, new_hash = opaque.make()
    ways = list(dict.fromkeys(amr))
    proven = update(Session).where(Session.secret_hash == opaque.hash_of(secret), is_live(now))
    proven = proven.values(secret_hash=new_hash, auth_time=now, amr=ways, acr=acr_of(ways))
    renewed = await session.scalar(proven.returning(Session), execution_options={"populate_existing": True})
    if renewed is None:
        raise session_ended()
    return renewed, new


def acr_of(amr: Sequence[str]) -> str:
    """How strongly: our own word for it."""
    return "mfa" if "mfa" in amr else "ext" if "ext" in amr else "pwd"


def sign_in_failed() -> SignInFailed:
    return SignInFailed("Check the address and the password.")


def password_wrong() -> SignInFailed:
    return SignInFailed("That is not your password.")


def session_ended() -> SessionEnded:
    return SessionEnded("This session has ended. Sign in again.")


async def credential_of(session: AsyncSession, email: str) -> Credential | None:
    """What a user with this address proves themself with; None where nobody can sign in by it."""
    try:
        address = addresses.exact(email)
    except EmailMalformed:
        return None
    return await CREDENTIAL.find(session, Credential, email=address)


async def somebody(session: AsyncSession, mark: bytes) -> str | None:
    """What one of the users proves themself with, the same one for the same mark; None where nobody has a password.

    A password for an address that nobody has is compared with this, so that it takes as long as that of an address that
    somebody has: as often as those are slow, these are.
    """
    place = UUID(bytes=mark[:16])
    query = select(Credential.password_hash).order_by(Credential.user_id).limit(1)
    return await session.scalar(query.where(Credential.user_id >= place)) or await session.scalar(query)


async def use(session: AsyncSession, secret: str, *, now: datetime) -> Session:
    """The live session of a secret, kept alive by this; or refuse, because it has ended."""
    query = select(Session).join(User, User.id == Session.user_id).where(User.state == State.ACTIVE)
    used = await session.scalar(query.where(Session.secret_hash == opaque.hash_of(secret), is_live(now)))
    if used is None:
        raise session_ended()
    if now - used.last_use_time >= TOUCHED_EVERY:
        used.last_use_time, used.expire_time = now, min(now + IDLE, used.create_time + LIFE)
    return used


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
    if surplus := [one for (one,) in await SURPLUS.rows(session, user=user, now=now)]:
        ending = select(Session).where(Session.id.in_(surplus), is_live(now)).order_by(Session.id)
        await revoke(session, await session.scalars(ending.with_for_update()), now)


async def revoke(session: AsyncSession, ending: Iterable[Session], now: datetime) -> None:
    """End sessions, and what clients may do because of them; those who wish to hear of it are told."""
    ending = list(ending)
    if not ending:
        return
    await authorizations.end_with_sessions(session, [one.id for one in ending], now)
    await impersonations.end_with_sessions(session, [one.id for one in ending], now)
    await backchannel.note(session, [one.id for one in ending], now)
    for one in ending:
        one.revoke_time = now
        fact = SessionRevoked(user=f"users/{one.user_id}", session=one.name, event_time=timestamp(now))
        await state(session, fact)


@job(every=timedelta(hours=1))
async def forget_sessions(sessions: Sessions, now: datetime) -> int:
    """Sessions go when their time is over; one that was ended is known until then."""
    async with sessions.begin() as session:
        over = select(Session.id).where(Session.expire_time <= now).limit(BATCH)
        return len((await session.execute(delete(Session).where(Session.id.in_(over)).returning(Session.id))).all())
