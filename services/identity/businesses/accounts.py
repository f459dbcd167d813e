"""Businesses: begun by a user who is then their owner, found, and held by whoever changes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Violation
from services.identity import addresses, users
from services.identity.businesses import members, states
from services.identity.businesses.states import BusinessState
from services.identity.models import (
    BusinessAccount,
    BusinessContact,
    BusinessMember,
    MemberRole,
)
from services.identity.refusals import BusinessInState, BusinessNotFound, EmailMalformed

# What it says of itself, by the names of the contract; contacts as a list of the columns of each.
Said: TypeAlias = Mapping[str, Any]
FIELDS = ("kind", "company", "website", "region_code", "tax_id", "contacts")


async def create(session: AsyncSession, owner: UUID, *, said: Said, now: datetime) -> BusinessAccount:
    """Begin an application, or refuse because the user is in too many businesses."""
    await users.hold_active(session, owner)
    await members.check_room(session, owner)
    begun = BusinessAccount(owner_id=owner, contacts=[], create_time=now, update_time=now)
    for field, value in said.items():
        change(begun, field, value)
    session.add(begun)
    await session.flush()
    await members.add(session, begun.id, owner, MemberRole.OWNER, now=now)
    return begun


async def get(session: AsyncSession, id: UUID) -> BusinessAccount:
    """Return the business, or refuse because there is none."""
    business = await session.get(BusinessAccount, id)
    if business is None:
        raise not_found(id)
    return business


async def hold(session: AsyncSession, id: UUID) -> BusinessAccount:
    """Return the business, which nobody else changes until this transaction ends, or refuse because there is none."""
    await session.execute(select(BusinessAccount.id).where(BusinessAccount.id == id).with_for_update())
    business = await session.get(BusinessAccount, id, populate_existing=True)
    if business is None:
        raise not_found(id)
    return business


def not_found(id: UUID) -> BusinessNotFound:
    return BusinessNotFound("There is no such business.", business=f"businesses/{id}")


async def of_user(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[tuple[BusinessAccount, MemberRole]]:
    """The businesses that a user is a member of, newest first, and what they are in each."""
    query = select(BusinessAccount, BusinessMember.role).join(
        BusinessMember, BusinessMember.business_id == BusinessAccount.id
    )
    query = query.where(BusinessMember.user_id == user).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessAccount.create_time, BusinessAccount.id) < after)
    query = query.order_by(BusinessAccount.create_time.desc(), BusinessAccount.id.desc())
    return [(row[0], row[1]) for row in await session.execute(query)]


async def in_state(
    session: AsyncSession, state: BusinessState, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[BusinessAccount]:
    """The businesses in a state, who has waited longest first."""
    since = BusinessAccount.create_time if state is BusinessState.DRAFT else BusinessAccount.submit_time
    query = select(BusinessAccount).where(BusinessAccount.state == state).limit(limit)
    if after is not None:
        query = query.where(tuple_(since, BusinessAccount.id) > after)
    return (await session.scalars(query.order_by(since, BusinessAccount.id))).all()


def waits_since(business: BusinessAccount) -> datetime:
    """Since it was handed in last, or begun where it is a draft."""
    if business.state is BusinessState.DRAFT or business.submit_time is None:
        return business.create_time
    return business.submit_time


def change(business: BusinessAccount, field: str, value: Any) -> bool:
    """Set a field; whether it was anything else before."""
    if field != "contacts":
        before = getattr(business, field)
        setattr(business, field, value)
        return bool(before != value)
    for one in value:
        if one["email"]:
            one["email"] = contact_address(one["email"])
    said = [{"name": one.name, "email": one.email, "phone": one.phone} for one in business.contacts]
    if said == value:
        return False
    # Row by row: a contact that is deleted and made again in one flush would meet itself.
    for place, one in enumerate(value[: len(said)]):
        for column, text in one.items():
            setattr(business.contacts[place], column, text)
    del business.contacts[len(value) :]
    for place, one in enumerate(value[len(said) :], len(said)):
        business.contacts.append(BusinessContact(position=place, owner_id=business.owner_id, **one))
    return True


def contact_address(email: str) -> str:
    try:
        return addresses.exact(email)
    except EmailMalformed:
        violation = Violation("business.contacts", "EMAIL_MALFORMED", addresses.WRONG)
        raise EmailMalformed("That is no mail address.", violations=[violation]) from None


def check_editable(business: BusinessAccount) -> None:
    if business.state not in states.EDITABLE:
        raise in_state_refused(business)


def in_state_refused(business: BusinessAccount) -> BusinessInState:
    said = business.state.replace("_", " ").lower()
    return BusinessInState(f"That cannot be done while the business is {said}.", state=business.state)


async def write(session: AsyncSession, business: BusinessAccount, values: Mapping[str, Any]) -> None:
    """Have the database work out what a business that is held becomes, and read it."""
    await session.flush()
    changed = update(BusinessAccount).where(BusinessAccount.id == business.id).values(values)
    await session.execute(changed.execution_options(synchronize_session=False))
    await session.refresh(business)
