"""Applications: corrected by members, handed in and taken back by owners, and moved from state to state."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from rapport.identity.v1 import events_pb2 as events
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.refusal import Violation
from chassis.time import timestamp
from services.identity.businesses import accounts, states
from services.identity.businesses.accounts import Said
from services.identity.businesses.states import BusinessState, Step
from services.identity.facts import state
from services.identity.models import BusinessAccount, BusinessDocument, BusinessKind, BusinessStep
from services.identity.refusals import BusinessIncomplete

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


async def correct(
    session: AsyncSession, id: UUID, *, said: Said, etag: str, actor: UUID, now: datetime
) -> BusinessAccount:
    """Correct what it says of itself. An approval that stood on what is changed has to be given again."""
    business = await accounts.hold(session, id)
    check_etag(etag, business.version, business.id)
    accounts.check_editable(business)
    paths = [field for field, value in said.items() if accounts.change(business, field, value)]
    if not paths:
        return business
    business.version, business.update_time = business.version + 1, now
    await session.flush()
    fact = events.BusinessUpdated(
        user=f"users/{business.owner_id}", business=business.name, paths=paths, event_time=timestamp(now)
    )
    await state(session, fact)
    if business.state is BusinessState.APPROVED:
        await check_complete(session, business)
        if states.JUDGED.intersection(paths):
            await take(session, business, Step.CHANGE, actor=actor, now=now)
    return business


async def submit(session: AsyncSession, id: UUID, *, actor: UUID, now: datetime) -> BusinessAccount:
    """Hand the application in, or refuse because something is missing."""
    business = await accounts.hold(session, id)
    if states.after(business.state, Step.SUBMIT) is None:
        raise accounts.in_state_refused(business)
    await check_complete(session, business)
    await take(session, business, Step.SUBMIT, actor=actor, now=now)
    return business


async def withdraw(session: AsyncSession, id: UUID, *, actor: UUID, now: datetime) -> BusinessAccount:
    business = await accounts.hold(session, id)
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
        violations = [Violation(field, "REQUIRED", f"{words(field)} is needed.") for field in missing]
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
    reached = states.after(business.state, step)
    if reached is None:
        raise accounts.in_state_refused(business)
    before = business.state
    values: dict[str, Any] = {
        "state_before": BusinessAccount.state,  # as the row has it: the database judges the way itself
        "state": reached,
        "reasons": list(reasons),
        "version": BusinessAccount.version + 1,
        "update_time": now,
    }
    if step in states.DECISIONS:
        values["review_text"] = text
    if reached is BusinessState.SUBMITTED:
        values["submit_time"] = now
    await accounts.write(session, business, values)
    session.add(
        BusinessStep(
            business_id=business.id,
            actor_id=actor,
            state_before=before,
            state=reached,
            reasons=list(reasons),
            create_time=now,
        )
    )
    await session.flush()
    fact = FACTS[step](user=f"users/{business.owner_id}", business=business.name, event_time=timestamp(now))
    await state(session, fact)


async def steps_of(
    session: AsyncSession, id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[BusinessStep]:
    """What has become of an application, newest first."""
    query = select(BusinessStep).where(BusinessStep.business_id == id).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessStep.create_time, BusinessStep.id) < after)
    return (await session.scalars(query.order_by(BusinessStep.create_time.desc(), BusinessStep.id.desc()))).all()
