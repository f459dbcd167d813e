"""Provisioned users: the store's own staff, made, changed and taken away by a program of who employs them.

A program sees those that it made, until they are being erased: for it, a customer and somebody of another program are
not there. It gives no password and learns none: who was made is mailed a link to choose one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.refusal import QuotaExceeded, Violation
from services.identity import addresses, deletions, email_changes, mails, recoveries, registrations, users, ways_in
from services.identity.models import Client, ProvisionedUser, State, User
from services.identity.refusals import ProvisionedUserNotFound, RoleNotGrantable

# What a program can say of somebody, by its name in the contract.
Wanted: TypeAlias = Mapping[str, Any]
FIELDS = ("email", "display_name", "external_id", "active", "roles")
USUALLY = ("agent",)  # what a client may give that lists nothing
MOST_AN_HOUR = 1_000  # made by one program: whoever has its secret mails no more strangers than that
NOBODY = UUID(int=0)


class Filters(NamedTuple):
    """Whom a list is of; None lets everybody through."""

    id: UUID | None = None
    email: str | None = None
    external_id: str | None = None
    active: bool | None = None


async def provision(
    session: AsyncSession, client: str, wanted: Wanted, *, public_url: str, now: datetime
) -> ProvisionedUser:
    """Make a user, or refuse because the address belongs to one: of a customer, too."""
    email = addresses.exact(wanted["email"])
    await check_room(session, client, now=now)
    profile = {"display_name": wanted.get("display_name", "")}
    user = await users.create(session, id=uuid4(), email=email, password_hash=None, profile=profile, now=now)
    await registrations.forget(session, email)
    made = ProvisionedUser(
        user_id=user.id, user=user, client_id=client, external_id=wanted.get("external_id", ""), create_time=now
    )
    session.add(made)
    await session.flush()
    await users.give_roles(session, user, await roles_after(session, client, user, wanted.get("roles", ())), now=now)
    if wanted.get("active", True):
        await recoveries.invite(session, user, public_url=public_url, now=now)
    else:
        await users.disable(session, user, now=now)
    return made


async def check_room(session: AsyncSession, client: str, *, now: datetime) -> None:
    hour = timedelta(hours=1)
    lately = select(func.count()).where(ProvisionedUser.client_id == client, ProvisionedUser.create_time > now - hour)
    if (await session.scalar(lately) or 0) >= MOST_AN_HOUR:
        raise QuotaExceeded("These are too many new users.", retry_after=hour / 4, quota="new users an hour")


async def get(session: AsyncSession, client: str, id: UUID) -> ProvisionedUser:
    """Return one whom this program made, or refuse because it made none."""
    found = await session.scalar(mine(client, Filters(id=id)).execution_options(populate_existing=True))
    if found is None:
        raise ProvisionedUserNotFound("There is no such user.")
    return found


async def hold(session: AsyncSession, client: str, id: UUID, *, etag: str) -> ProvisionedUser:
    """As `get`, and nobody else changes them until this transaction ends; refuses when the etag is of another state."""
    await get(session, client, id)
    await users.hold(session, id)
    found = await get(session, client, id)  # as they are after whoever held them before
    check_etag(etag, found.user.version, found.user.id)
    return found


async def oldest(
    session: AsyncSession, client: str, filters: Filters, *, after: tuple[datetime, UUID] | None, skip: int, limit: int
) -> tuple[Sequence[ProvisionedUser], int]:
    """Some of those whom the filters fit, and how many there are."""
    query = mine(client, filters)
    total = await session.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(ProvisionedUser.create_time, ProvisionedUser.user_id).limit(limit)
    if after is not None:
        query = query.where(tuple_(ProvisionedUser.create_time, ProvisionedUser.user_id) > after)
    else:
        query = query.offset(skip)
    return (await session.scalars(query)).all(), total


def mine(client: str, filters: Filters) -> Select[ProvisionedUser]:
    query = select(ProvisionedUser).join(User, User.id == ProvisionedUser.user_id)
    return query.where(ProvisionedUser.client_id == client, User.state != State.DELETING, *said(filters))


def said(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.id is not None:
        conditions.append(User.id == filters.id)
    if filters.email is not None:
        conditions.append(User.email == filters.email.strip().lower())
    if filters.external_id is not None:
        conditions.append(ProvisionedUser.external_id == filters.external_id)
    if filters.active is not None:
        conditions.append(User.state == (State.ACTIVE if filters.active else State.DISABLED))
    return conditions


# Changing and taking away ---------------------------------------------------------------------------------------------


async def update(
    session: AsyncSession, client: str, id: UUID, wanted: Wanted, *, etag: str, public_url: str, now: datetime
) -> ProvisionedUser:
    """Make somebody as this says: only the fields in it."""
    found = await hold(session, client, id, etag=etag)
    user = found.user
    if "email" in wanted:
        await move(session, user, wanted["email"], public_url=public_url, now=now)
    if "display_name" in wanted and users.change(user, "display_name", wanted["display_name"]):
        await users.state_update(session, user, ["display_name"], now)
    if "external_id" in wanted and found.external_id != wanted["external_id"]:
        found.external_id = wanted["external_id"]
        user.version, user.update_time = user.version + 1, now
    if "roles" in wanted:
        await users.give_roles(session, user, await roles_after(session, client, user, wanted["roles"]), now=now)
    if "active" in wanted:
        await switch(session, user, wanted["active"], public_url=public_url, now=now)
    await session.flush()
    return found


async def move(session: AsyncSession, user: User, email: str, *, public_url: str, now: datetime) -> None:
    """Give them another address. A link that waits at the one before is over, so who needs it gets another."""
    address = addresses.exact(email)
    if address == user.email:
        return
    before = await email_changes.make(session, user, address, now=now)
    await mails.address_managed(session, to=before, person=user.id)
    if user.state is State.ACTIVE:
        await invite(session, user, public_url=public_url, now=now)


async def switch(session: AsyncSession, user: User, on: bool, *, public_url: str, now: datetime) -> None:
    """Switch an account on or off. Who comes on for the first time has no way in yet, and is mailed one."""
    if on == (user.state is State.ACTIVE):
        return
    if not on:
        await users.disable(session, user, now=now)
        return
    await users.enable(session, user, now=now)
    await invite(session, user, public_url=public_url, now=now)


async def invite(session: AsyncSession, user: User, *, public_url: str, now: datetime) -> None:
    """Mail them a link to choose a password, where they have no way in yet."""
    if not await ways_in.has_another(session, user.id, but=NOBODY):
        await recoveries.invite(session, user, public_url=public_url, now=now)


async def roles_after(session: AsyncSession, client: str, user: User, wanted: Sequence[str]) -> set[str]:
    """What the user's roles become, of which the program decides those that it may give; or refuse."""
    known = await session.get(Client, client)
    may = set(known.grantable_roles or USUALLY) if known else set()
    strange = [place for place, role in enumerate(wanted) if role not in may and role not in user.roles]
    if strange:
        why = f"This program may give {', '.join(sorted(may)) or 'no role'}."
        wrong = [Violation(f"user.roles[{place}]", "ROLE_NOT_GRANTABLE", why) for place in strange]
        raise RoleNotGrantable(why, violations=wrong)
    return {*wanted, *(role for role in user.roles if role not in may)}


async def deprovision(session: AsyncSession, client: str, id: UUID, *, etag: str, now: datetime) -> None:
    """Take every role, sign them out, and have them erased."""
    found = await hold(session, client, id, etag=etag)
    await users.give_roles(session, found.user, set(), now=now)
    await deletions.request(session, id, etag="", now=now)
