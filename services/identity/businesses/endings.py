"""What ends: a membership, whoever answered for a business, and the business with its last owner."""

from datetime import datetime
from uuid import UUID

from rapport.identity.v1.events_pb2 import BusinessClosed
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from chassis.time import timestamp
from services.identity.businesses import accounts, members
from services.identity.facts import state
from services.identity.models import (
    BusinessAccount,
    BusinessCustomer,
    BusinessDocument,
    BusinessDocumentPiece,
    BusinessInvitation,
    BusinessMember,
    BusinessStep,
    MemberRole,
)
from services.identity.refusals import BusinessNotFound


async def set_role(session: AsyncSession, id: UUID, user: UUID, role: MemberRole, *, now: datetime) -> BusinessMember:
    """Give a member another role."""
    business = await accounts.hold(session, id)
    one = await members.set_role(session, id, user, role, now=now)
    if role is not MemberRole.OWNER:
        await hand_over(session, business, but=user)
    return one


async def remove(session: AsyncSession, id: UUID, user: UUID, *, now: datetime) -> None:
    """End a membership. Who is no member is none already."""
    business = await accounts.hold(session, id)
    await members.remove(session, id, user, now=now)
    await hand_over(session, business, but=user)


async def hand_over(session: AsyncSession, business: BusinessAccount, *, but: UUID) -> None:
    """Where `but` answered for a business, have another of its owners do so."""
    heir = await members.heir(session, business.id, but=but)
    if business.owner_id == but and heir is not None:
        await accounts.write(session, business, {"owner_id": heir})


# The end -------------------------------------------------------------------------------------------------------------


async def close(session: AsyncSession, id: UUID, *, etag: str, now: datetime) -> None:
    """Close a business with all that is kept of it."""
    business = await accounts.hold(session, id)
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
    await state(session, BusinessClosed(user=owner, business=business.name, event_time=timestamp(now)))


async def let_go(session: AsyncSession, user: UUID, *, address: str, now: datetime) -> None:
    """End all memberships of a user who is being erased. A business that has no other owner is closed: what it says of
    itself goes with who answered for it."""
    await session.execute(delete(BusinessInvitation).where(BusinessInvitation.email == address))
    mine = select(BusinessMember.business_id).where(BusinessMember.user_id == user).order_by(BusinessMember.business_id)
    for which in (await session.scalars(mine)).all():
        try:
            business = await accounts.hold(session, which)
        except BusinessNotFound:  # closed meanwhile
            continue
        one = await members.find(session, which, user)
        if one is None:
            continue
        if one.role is MemberRole.OWNER and await members.heir(session, which, but=user) is None:
            await dismiss(session, business, now=now)
        else:
            await members.end(session, one, now=now)
            await hand_over(session, business, but=user)
