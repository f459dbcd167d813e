"""Reviews: somebody of the store, who is no member, decides about an application, and its owners are told."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from services.identity.businesses import accounts, applications, mails, members
from services.identity.businesses.states import Step
from services.identity.models import BusinessAccount
from services.identity.refusals import ReviewerIsMember


async def decide(
    session: AsyncSession,
    id: UUID,
    step: Step,
    *,
    reviewer: UUID,
    etag: str,
    now: datetime,
    public_url: str,
    reasons: Sequence[str] = (),
    text: str = "",
) -> BusinessAccount:
    """Take a reviewer's step; of many at once, one finds the state it goes by."""
    business = await accounts.hold(session, id)
    if await members.find(session, id, reviewer) is not None:
        raise ReviewerIsMember("Nobody decides about a business of their own.")
    check_etag(etag, business.version, business.id)
    once = list(dict.fromkeys(reasons))
    await applications.take(session, business, step, actor=reviewer, now=now, reasons=once, text=text)
    for owner in await members.owners(session, id):
        await mails.decided(session, owner, step, reasons=once, text=text, public_url=public_url)
    return business
