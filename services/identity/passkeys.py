"""Passkeys: added by who has just signed in, and then a way in of their own, without a password."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from rapport.identity.v1 import events_pb2 as events
from rapport.identity.v1.events_pb2 import CredentialAdded, CredentialRemoved
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import QuotaExceeded
from chassis.time import timestamp
from services.identity import ceremonies, mails, once, users, ways_in
from services.identity.ceremonies import Ceremonies, Signed
from services.identity.facts import state
from services.identity.models import Passkey, State, User
from services.identity.refusals import FactorNotFound, LastWayIn

MOST = 10  # of one user
BATCH = 1_000
log = structlog.get_logger()


async def of(session: AsyncSession, user: UUID) -> Sequence[Passkey]:
    """A user's passkeys, oldest first."""
    query = select(Passkey).where(Passkey.user_id == user)
    return (await session.scalars(query.order_by(Passkey.create_time, Passkey.id))).all()


async def begin(session: AsyncSession, user: UUID, *, asks: Ceremonies, now: datetime) -> str:
    """What the user's browser is asked to make, as JSON; or refuse because there are enough."""
    owner, known = await users.get(session, user), await of(session, user)
    check_room(known)
    return asks.adding(owner, list(known), now=now)


async def add(
    session: AsyncSession, user: UUID, credential: str, *, title: str, asks: Ceremonies, public_url: str, now: datetime
) -> Passkey:
    """Add what the browser made, or refuse. Of two at once, one finds the challenge spent."""
    owner = await users.hold_active(session, user)
    check_room(await of(session, user))
    made = asks.added(credential, user, now=now)
    await use_up(session, made.challenge, now=now)
    added = insert(Passkey).values(
        user_id=user,
        credential_id=made.credential_id,
        public_key=made.public_key,
        sign_count=made.sign_count,
        is_synced=made.is_synced,
        title=title,
        create_time=now,
    )
    passkey: Passkey | None = await session.scalar(added.on_conflict_do_nothing().returning(Passkey))
    if passkey is None:  # it is known already, as theirs or as another's
        raise ceremonies.refused()
    await state(session, CredentialAdded(user=owner.name, kind=events.PASSKEY, event_time=timestamp(now)))
    await mails.passkey_added(session, to=owner.email, person=user, public_url=public_url)
    return passkey


async def rename(session: AsyncSession, user: UUID, id: UUID, *, title: str) -> Passkey:
    passkey = await get(session, user, id)
    passkey.title = title
    await session.flush()
    return passkey


async def remove(session: AsyncSession, user: UUID, id: UUID, *, public_url: str, now: datetime) -> None:
    """Remove one, or refuse because there is none of that name, or no other way to sign in."""
    owner = await users.hold_active(session, user)
    passkey = await get(session, user, id)
    if not await ways_in.has_another(session, user, but=id):
        raise LastWayIn("That is the last way to sign in to this account.")
    await session.delete(passkey)
    await state(session, CredentialRemoved(user=owner.name, kind=events.PASSKEY, event_time=timestamp(now)))
    await mails.passkey_removed(session, to=owner.email, person=user, public_url=public_url)


async def get(session: AsyncSession, user: UUID, id: UUID) -> Passkey:
    passkey = await session.get(Passkey, id, with_for_update=True)
    if passkey is None or passkey.user_id != user:
        raise FactorNotFound("There is no such factor.")
    return passkey


# Using ----------------------------------------------------------------------------------------------------------------


async def prove(
    session: AsyncSession, credential: str, *, asks: Ceremonies, public_url: str, now: datetime
) -> Passkey | None:
    """The passkey that has signed, with its owner held; or refuse, for whatever reason in one way. None where it counts
    backwards: then it is suspect from now on, which the caller has to commit before it refuses as well."""
    read = asks.read(credential)
    query = select(Passkey).join(User, User.id == Passkey.user_id).where(User.state == State.ACTIVE)
    found = await session.scalar(query.where(Passkey.credential_id == read.raw_id))
    if found is None or found.suspect_time is not None:
        raise ceremonies.refused()
    signed = asks.signed(read, found, now=now)
    owner = await users.hold_active(session, found.user_id)
    await use_up(session, signed.challenge, now=now)
    await session.refresh(found, with_for_update=True)
    if not counts_on(found, signed):
        found.suspect_time = now
        log.warning("passkey_counted_backwards", user=found.user_id)
        await mails.passkey_suspected(session, to=owner.email, person=owner.id, public_url=public_url)
        return None
    found.sign_count, found.last_use_time = signed.sign_count, now
    return found


def counts_on(passkey: Passkey, signed: Signed) -> bool:
    """Whether its count goes up, or it does not count (WebAuthn, 6.1.1). If not, there may be a copy of it."""
    return signed.sign_count > passkey.sign_count or signed.sign_count == passkey.sign_count == 0


def ways_of(passkey: Passkey) -> Sequence[str]:
    """What a session that it began says of it (RFC 8176): a key that was unlocked, on one device or on many."""
    return ("swk" if passkey.is_synced else "hwk", "user", "mfa")


async def use_up(session: AsyncSession, challenge: bytes, *, now: datetime) -> None:
    """Take a challenge, or refuse because it was signed before."""
    if not await once.spend(session, "passkey", challenge.hex(), until=now + ceremonies.LASTS):
        raise ceremonies.refused()


def check_room(known: Sequence[Passkey]) -> None:
    if len(known) >= MOST:
        raise QuotaExceeded("There are as many passkeys as an account can have.", quota=f"{MOST} passkeys")
