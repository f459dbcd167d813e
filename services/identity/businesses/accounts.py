"""Businesses: begun by a user who is then their owner, corrected by members, handed in, and closed in the end."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from google.protobuf.message import Message
from rapport.identity.v1 import events_pb2 as events
from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.outbox import publish
from chassis.refusal import Violation
from chassis.time import timestamp
from services.identity import addresses, users
from services.identity.businesses import members, states
from services.identity.businesses.states import BusinessState, Step
from services.identity.models import (
    BusinessAccount,
    BusinessContact,
    BusinessCustomer,
    BusinessDocument,
    BusinessDocumentPiece,
    BusinessInvitation,
    BusinessKind,
    BusinessMember,
    BusinessStep,
    MemberRole,
)
from services.identity.refusals import BusinessIncomplete, BusinessInState, BusinessNotFound, EmailMalformed

# What it says of itself, by the names of the contract; contacts as a list of the columns of each.
Said: TypeAlias = Mapping[str, Any]
FIELDS = ("kind", "company", "website", "region_code", "tax_id", "contacts")
NEEDED = ("company", "website", "region_code")
PROVEN = frozenset({BusinessKind.WHOLESALER, BusinessKind.DROPSHIPPER})  # with a tax id and a document
FACTS: Mapping[Step, type[Message]] = {
    Step.SUBMIT: events.BusinessSubmitted,
    Step.CHANGE: events.BusinessSubmitted,
    Step.WITHDRAW: events.BusinessWithdrawn,
    Step.APPROVE: events.BusinessApproved,
    Step.ASK: events.BusinessInfoRequested,
    Step.REFUSE: events.BusinessRefused,
    Step.SUSPEND: events.BusinessSuspended,
    Step.REINSTATE: events.BusinessReinstated,
}


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


async def update_said(
    session: AsyncSession, id: UUID, *, said: Said, etag: str, actor: UUID, now: datetime
) -> BusinessAccount:
    """Correct what it says of itself. An approval that stood on what is changed has to be given again."""
    business = await hold(session, id)
    check_etag(etag, business.version, business.id)
    check_editable(business)
    paths = [field for field, value in said.items() if change(business, field, value)]
    if not paths:
        return business
    business.version, business.update_time = business.version + 1, now
    await session.flush()
    fact = events.BusinessUpdated(
        user=f"users/{business.owner_id}", business=business.name, paths=paths, event_time=timestamp(now)
    )
    await publish(session, fact)
    if business.state is BusinessState.APPROVED:
        await check_complete(session, business)
        if states.JUDGED.intersection(paths):
            await take(session, business, Step.CHANGE, actor=actor, now=now)
    return business


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


# Steps ---------------------------------------------------------------------------------------------------------------


async def submit(session: AsyncSession, id: UUID, *, actor: UUID, now: datetime) -> BusinessAccount:
    """Hand the application in, or refuse because something is missing."""
    business = await hold(session, id)
    if states.after(business.state, Step.SUBMIT) is None:
        raise in_state_refused(business)
    await check_complete(session, business)
    await take(session, business, Step.SUBMIT, actor=actor, now=now)
    return business


async def withdraw(session: AsyncSession, id: UUID, *, actor: UUID, now: datetime) -> BusinessAccount:
    business = await hold(session, id)
    await take(session, business, Step.WITHDRAW, actor=actor, now=now)
    return business


async def check_complete(session: AsyncSession, business: BusinessAccount) -> None:
    """Refuse while something is missing that a reviewer needs."""
    missing = [field for field in NEEDED if not getattr(business, field)]
    missing += [] if business.contacts else ["contacts"]
    if business.kind in PROVEN:
        missing += [] if business.tax_id else ["tax_id"]
        whole = BusinessDocument.received_bytes == BusinessDocument.size_bytes
        shown = select(func.count()).where(BusinessDocument.business_id == business.id, whole)
        missing += [] if await session.scalar(shown) else ["documents"]
    if missing:
        violations = [Violation(field, "REQUIRED", f"{words(field)} is needed to review it.") for field in missing]
        raise BusinessIncomplete("Something is missing that we need to review it.", violations=violations)


def words(field: str) -> str:
    said = {"region_code": "A country", "tax_id": "A tax id", "contacts": "A contact", "documents": "A document"}
    return said.get(field, f"A {field}")


async def take(
    session: AsyncSession,
    business: BusinessAccount,
    step: Step,
    *,
    actor: UUID,
    now: datetime,
    reasons: Sequence[str] = (),
    text: str = "",
) -> None:
    """Take a step with a business that is held, and state it; or refuse, because its state has no such step."""
    state = states.after(business.state, step)
    if state is None:
        raise in_state_refused(business)
    before = business.state
    values: dict[str, Any] = {
        "state_before": BusinessAccount.state,  # as the row has it: the database judges the way itself
        "state": state,
        "reasons": list(reasons),
        "version": BusinessAccount.version + 1,
        "update_time": now,
    }
    if step in states.DECISIONS:
        values["review_text"] = text
    if state is BusinessState.SUBMITTED:
        values["submit_time"] = now
    await write(session, business, values)
    session.add(
        BusinessStep(
            business_id=business.id,
            actor_id=actor,
            state_before=before,
            state=state,
            reasons=list(reasons),
            create_time=now,
        )
    )
    await session.flush()
    fact = FACTS[step](user=f"users/{business.owner_id}", business=business.name, event_time=timestamp(now))
    await publish(session, fact)


async def write(session: AsyncSession, business: BusinessAccount, values: Mapping[str, Any]) -> None:
    """Have the database work out what a business that is held becomes, and read it."""
    await session.flush()
    changed = update(BusinessAccount).where(BusinessAccount.id == business.id).values(values)
    await session.execute(changed.execution_options(synchronize_session=False))
    await session.refresh(business)


async def steps_of(
    session: AsyncSession, id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[BusinessStep]:
    """What has become of an application, newest first."""
    query = select(BusinessStep).where(BusinessStep.business_id == id).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessStep.create_time, BusinessStep.id) < after)
    return (await session.scalars(query.order_by(BusinessStep.create_time.desc(), BusinessStep.id.desc()))).all()


# Members -------------------------------------------------------------------------------------------------------------


async def set_role(session: AsyncSession, id: UUID, user: UUID, role: MemberRole, *, now: datetime) -> BusinessMember:
    """Give a member another role."""
    business = await hold(session, id)
    one = await members.set_role(session, id, user, role, now=now)
    if role is not MemberRole.OWNER:
        await hand_over(session, business, but=user)
    return one


async def remove(session: AsyncSession, id: UUID, user: UUID, *, now: datetime) -> None:
    """End a membership. Who is no member is none already."""
    business = await hold(session, id)
    await members.remove(session, id, user, now=now)
    await hand_over(session, business, but=user)


async def hand_over(session: AsyncSession, business: BusinessAccount, *, but: UUID) -> None:
    """Where `but` answered for a business, have another of its owners do so."""
    heir = await members.heir(session, business.id, but=but)
    if business.owner_id == but and heir is not None:
        await write(session, business, {"owner_id": heir})


# The end -------------------------------------------------------------------------------------------------------------


async def close(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> None:
    """Close a business with all that is kept of it."""
    business = await hold(session, id)
    check_etag(etag, business.version, business.id)
    await dismiss(session, business, now=now)
    documents = select(BusinessDocument.id).where(BusinessDocument.business_id == id)
    await session.execute(delete(BusinessDocumentPiece).where(BusinessDocumentPiece.document_id.in_(documents)))
    await session.execute(delete(BusinessDocument).where(BusinessDocument.business_id == id))
    await session.delete(business)


async def dismiss(session: AsyncSession, business: BusinessAccount, *, now: datetime) -> None:
    """End what other people have to do with a business that is held, and state that it is closed."""
    for one in await members.of(session, business.id):
        await members.end(session, one, now=now)
    for theirs in (BusinessInvitation, BusinessStep, BusinessCustomer):
        await session.execute(delete(theirs).where(theirs.business_id == business.id))
    owner = f"users/{business.owner_id}"
    await publish(session, events.BusinessClosed(user=owner, business=business.name, event_time=timestamp(now)))


async def let_go(session: AsyncSession, user: UUID, *, address: str, now: datetime) -> None:
    """End all memberships of a user who is being erased. A business that has no other owner is closed: what it says of
    itself goes with who answered for it."""
    await session.execute(delete(BusinessInvitation).where(BusinessInvitation.email == address))
    mine = select(BusinessMember.business_id).where(BusinessMember.user_id == user).order_by(BusinessMember.business_id)
    for which in (await session.scalars(mine)).all():
        business = await hold(session, which)
        one = await members.get(session, which, user)
        if one.role is MemberRole.OWNER and await members.heir(session, which, but=user) is None:
            await dismiss(session, business, now=now)
        else:
            await members.end(session, one, now=now)
            await hand_over(session, business, but=user)
