"""Users: made once, corrected by their owner, given roles by an administrator."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import UserCreated, UserDisabled, UserEnabled, UserUpdated
from sqlalchemy import ColumnElement, and_, func, literal_column, not_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from chassis.etags import check_etag
from chassis.time import timestamp
from services.identity import addresses, impersonations, sessions
from services.identity.facts import state, state_all
from services.identity.impersonations import Reason as Ending
from services.identity.models import (
    BillingAddress,
    Business,
    ContactDoubt,
    Credential,
    Photo,
    ShippingAddress,
    State,
    User,
)
from services.identity.oauth import authorizations
from services.identity.refusals import EmailTaken, PhotoNotFound, UserDeleting, UserNotFound
from services.identity.refusals import UserDisabled as Disabled

# What the owner can change, by its name in the contract: a text, or the columns of a part, None to be rid of it.
Profile: TypeAlias = Mapping[str, Any]
PARTS = {"billing_address": BillingAddress, "shipping_address": ShippingAddress, "business": Business}
FIELDS = ("display_name", *PARTS)
CONTACT = {"email", "display_name", "billing_address", "shipping_address"}


async def create(
    session: AsyncSession, *, id: UUID, email: str, password_hash: str | None, profile: Profile, now: datetime
) -> User:
    """Make a user, or refuse because the address belongs to one. Who comes by an account elsewhere has no password."""
    await addresses.take_turns(session, email)  # somebody else may be about to have it
    made = insert(User).values(
        id=id,
        email=email,
        display_name=profile.get("display_name", ""),
        state=State.ACTIVE,
        roles=[],
        version=1,
        create_time=now,
        update_time=now,
        contact_confirm_time=now,
    )
    # A conflict that raises would be written, address and all, into PostgreSQL's log.
    if await session.scalar(made.on_conflict_do_nothing().returning(User.id)) is None:
        raise EmailTaken("That address already belongs to a user.")
    user = await session.get_one(User, id)
    for field, value in profile.items():
        change(user, field, value)
    if password_hash is not None:
        session.add(Credential(user_id=id, password_hash=password_hash))
    await session.flush()
    await state(session, UserCreated(user=user.name, event_time=timestamp(now)))
    return user


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who had an account elsewhere."""

    email: str
    password_hash: str | None
    profile: Profile
    create_time: datetime | None = None  # there


async def create_all(session: AsyncSession, newcomers: Sequence[Newcomer], *, now: datetime) -> None:
    """Make users, all of whose addresses belong to nobody and are held."""
    made = [user_of(one, now) for one in newcomers]
    session.add_all(made)
    await session.flush()
    for user, one in zip(made, newcomers, strict=True):
        if one.password_hash is not None:
            session.add(Credential(user_id=user.id, password_hash=one.password_hash))
    await session.flush()
    await state_all(session, [UserCreated(user=user.name, event_time=timestamp(now)) for user in made])


def user_of(one: Newcomer, now: datetime) -> User:
    parts = {part: PARTS[part](**said) for part in PARTS if (said := one.profile.get(part)) is not None}
    return User(
        id=uuid4(),
        email=one.email,
        display_name=one.profile.get("display_name", ""),
        state=State.ACTIVE,
        roles=[],
        version=1,
        create_time=one.create_time or now,
        update_time=now,
        **parts,
    )


async def get(session: AsyncSession, id: UUID) -> User:
    """Return the user, or refuse because there is none."""
    user = await session.get(User, id)
    if user is None:
        raise UserNotFound("There is no such user.", user=f"users/{id}")
    return user


async def newest(
    session: AsyncSession,
    *,
    email: str = "",
    state: str = "",
    role: str = "",
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[User]:
    """Users, newest first: of whom all that is said holds; `state` is one of the contract's."""
    query = select(User).limit(limit)
    if email:
        query = query.where(User.email == email)
    if state:
        query = query.where(is_in(state))
    if role:
        query = query.where(func.cardinality(User.roles) > literal_column("0"), User.roles.contains([role]))
    if after is not None:
        query = query.where(tuple_(User.create_time, User.id) < after)
    return (await session.scalars(query.order_by(User.create_time.desc(), User.id.desc()))).all()


def is_in(state: str) -> ColumnElement[bool]:
    is_leaving = and_(User.state == State.ACTIVE, User.purge_time.is_not(None))
    if state == "PENDING_DELETION":
        return is_leaving
    return and_(User.state == State(state), not_(is_leaving))


async def hold(session: AsyncSession, id: UUID) -> User:
    """Return the user, whom nobody else changes until this transaction ends, or refuse because there is none."""
    # Locked first and read after: of what is joined, a statement that waited for the lock sees what was before.
    await session.execute(select(User.id).where(User.id == id).with_for_update(key_share=True))
    user = await session.get(User, id, populate_existing=True)
    if user is None:
        raise UserNotFound("There is no such user.", user=f"users/{id}")
    return user


async def hold_active(session: AsyncSession, id: UUID) -> User:
    """As `hold`, for who means to change something or to sign in: refuses for a user who is being erased, or who was
    switched off."""
    user = await hold(session, id)
    if user.state is State.DELETING:
        raise UserDeleting("This account is being deleted, so nothing about it can be changed.")
    if user.state is State.DISABLED:
        raise Disabled("This account is switched off.")
    return user


async def update(session: AsyncSession, id: UUID, *, profile: Profile, etag: str, now: datetime) -> User:
    """Correct the fields of `profile`, and say so where that is news."""
    user = await hold_active(session, id)
    check_etag(etag, user.version, user.id)
    if paths := [field for field, value in profile.items() if change(user, field, value)]:
        note_contact(user, paths, now)
        await state_update(session, user, paths, now)
    return user


async def set_roles(session: AsyncSession, id: UUID, *, roles: Iterable[str], now: datetime) -> User:
    """Give the user these roles and no others. Who loses one is signed out: tokens already out still bear it."""
    user = await hold_active(session, id)
    await give_roles(session, user, roles, now=now)
    return user


async def give_roles(session: AsyncSession, user: User, roles: Iterable[str], *, now: datetime) -> None:
    """As `set_roles`, for a user who is held."""
    before, after = set(user.roles), set(roles)
    if before != after:
        user.roles = sorted(after)
        await state_update(session, user, ["roles"], now)
    if before - after:
        await sessions.revoke_all(session, user.id, now=now)


async def disable(session: AsyncSession, user: User, *, now: datetime) -> None:
    """Switch off a user, who is held and active: they are signed out everywhere, and nothing signs them in."""
    user.state = State.DISABLED
    await sign_out(session, user, why=Ending.USER_DISABLED, now=now)
    await state(session, UserDisabled(user=user.name, event_time=timestamp(now)))


async def sign_out(session: AsyncSession, user: User, *, why: "Ending.ValueType", now: datetime) -> None:
    """Sign a user, who is held and was changed, out of everything: programs too, and whoever looks at their account."""
    user.version, user.update_time = user.version + 1, now
    await session.flush()
    await sessions.revoke_all(session, user.id, now=now)
    await authorizations.end_those_of_user(session, user.id, now=now)
    await impersonations.end_those_of_user(session, user.id, why=why, now=now)


async def enable(session: AsyncSession, user: User, *, now: datetime) -> None:
    """Have a user, who is held and was switched off, sign in again as before."""
    user.state, user.version, user.update_time = State.ACTIVE, user.version + 1, now
    await session.flush()
    await state(session, UserEnabled(user=user.name, event_time=timestamp(now)))


async def set_photo(session: AsyncSession, id: UUID, *, photo: Photo, now: datetime) -> User:
    """Replace the photo by one that was read."""
    user = await hold_active(session, id)
    user.photo = photo
    await state_update(session, user, ["has_photo"], now)
    return user


async def photo_of(session: AsyncSession, id: UUID) -> Photo:
    """Return the photo, or refuse because there is none."""
    photo = await session.get(Photo, id, options=[undefer(Photo.content)])
    if photo is None:
        raise PhotoNotFound("There is no photo.")
    return photo


def change(user: User, field: str, value: Any) -> bool:
    """Set a field of the profile; whether it was anything else before."""
    before = getattr(user, field)
    if field not in PARTS or value is None:
        setattr(user, field, value)
        return bool(before != value)
    if before is None:
        setattr(user, field, PARTS[field](**value))
        return True
    said = {column: getattr(before, column) for column in value}
    for column, new in value.items():
        setattr(before, column, new)
    return bool(said != value)


def note_contact(user: User, paths: Iterable[str], now: datetime) -> None:
    """Who corrects how they are reached has looked at it. That mail comes back is mended by another address alone."""
    if CONTACT.isdisjoint(paths):
        return
    user.contact_confirm_time = now
    if "email" in paths or user.contact_doubt is ContactDoubt.OLD:
        user.contact_doubt = None


async def state_update(session: AsyncSession, user: User, paths: Sequence[str], now: datetime) -> None:
    user.version += 1
    user.update_time = now
    await session.flush()
    await state(session, UserUpdated(user=user.name, paths=paths, event_time=timestamp(now)))
