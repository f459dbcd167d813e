"""Invitations: a link by mail makes who opens it, signed in, a member.

The answer is the same whether the address has an account. A link is good once, for a day; the mails to one address are
counted over all businesses, so that nobody's mailbox is filled by asking for it here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import addresses, opaque, users
from services.identity.businesses import accounts, mails, members
from services.identity.businesses.states import BusinessState
from services.identity.models import BusinessAccount, BusinessInvitation, MemberRole, User
from services.identity.refusals import BusinessFull
from services.identity.registrations import MAILS_AN_HOUR, link_invalid

LINK_LASTS = timedelta(hours=24)
MOST_A_DAY = 50  # of one business
BATCH = 1_000
RANK = list(MemberRole)


async def invite(
    session: AsyncSession, business: UUID, *, email: str, role: MemberRole, public_url: str, now: datetime
) -> None:
    """Mail a link to the address; nothing when it had enough mail lately."""
    address = addresses.exact(email)
    held = await accounts.hold(session, business)
    today = select(func.count()).where(
        BusinessInvitation.business_id == business, BusinessInvitation.create_time > now - LINK_LASTS
    )
    if (await session.scalar(today) or 0) >= MOST_A_DAY:
        raise BusinessFull("That are as many invitations as there can be in a day.", most=str(MOST_A_DAY))
    await addresses.take_turns(session, address)
    lately = select(func.count()).where(
        BusinessInvitation.email == address, BusinessInvitation.create_time > now - timedelta(hours=1)
    )
    if (await session.scalar(lately) or 0) >= MAILS_AN_HOUR:
        return
    person = await session.scalar(select(User.id).where(User.email == address)) or uuid4()
    token, token_hash = opaque.make()
    session.add(
        BusinessInvitation(
            business_id=business,
            person_id=person,
            token_hash=token_hash,
            email=address,
            role=role,
            create_time=now,
            expire_time=now + LINK_LASTS,
        )
    )
    await session.flush()
    company = held.company if held.state is BusinessState.APPROVED else ""
    await mails.invitation(
        session, to=address, person=person, role=role, company=company, token=token, public_url=public_url
    )


async def accept(session: AsyncSession, token: str, user: UUID, *, now: datetime) -> tuple[BusinessAccount, MemberRole]:
    """Make a user a member. Of two at once, one finds the link used. Nobody gets a lower role by it."""
    said = opaque.hash_of(token)
    asked = select(BusinessInvitation).where(
        BusinessInvitation.token_hash == said, BusinessInvitation.expire_time > now
    )
    found = await session.scalar(asked)
    if found is None:
        raise link_invalid()
    business = await accounts.hold(session, found.business_id)
    link = await session.scalar(asked.execution_options(populate_existing=True))  # as it is after who held it before
    if link is None:
        raise link_invalid()
    link.expire_time = now
    await users.hold_active(session, user)
    one = await members.find(session, business.id, user)
    if one is None:
        await members.check_room(session, user)
        if len(await members.of(session, business.id)) >= members.MOST:
            raise BusinessFull("There are as many members as there can be.", most=str(members.MOST))
        one = await members.add(session, business.id, user, link.role, now=now)
    elif RANK.index(link.role) > RANK.index(one.role):
        await members.set_role(session, business.id, user, link.role, now=now)
    return business, one.role


async def of(
    session: AsyncSession, business: UUID, *, after: tuple[datetime, UUID] | None, limit: int, now: datetime
) -> Sequence[BusinessInvitation]:
    """The invitations that wait, newest first."""
    waiting = select(BusinessInvitation).where(BusinessInvitation.business_id == business)
    waiting = waiting.where(BusinessInvitation.expire_time > now).limit(limit)
    if after is not None:
        waiting = waiting.where(tuple_(BusinessInvitation.create_time, BusinessInvitation.id) < after)
    newest = waiting.order_by(BusinessInvitation.create_time.desc(), BusinessInvitation.id.desc())
    return (await session.scalars(newest)).all()


async def take_back(session: AsyncSession, business: UUID, id: UUID, *, now: datetime) -> None:
    """End an invitation; it goes on to count. One that has ended stays as it is."""
    await accounts.hold(session, business)
    mine = (BusinessInvitation.id == id) & (BusinessInvitation.business_id == business)
    ended = update(BusinessInvitation).where(mine, BusinessInvitation.expire_time > now).values(expire_time=now)
    await session.execute(ended)


@job(every=timedelta(hours=1))
async def forget_invitations(sessions: Sessions, now: datetime) -> int:
    """Links go when they have ended and no longer count, and with them the address of who did not come."""
    async with sessions.begin() as session:
        old = select(BusinessInvitation.id).where(BusinessInvitation.create_time <= now - LINK_LASTS).limit(BATCH)
        gone = delete(BusinessInvitation).where(BusinessInvitation.id.in_(old)).returning(BusinessInvitation.id)
        return len((await session.execute(gone)).all())
