"""Subjects: people without an account of whom a business has us hold something. A link by mail proves who they are.

Nothing here tells whether anything is held of an address: the answer and the work are the same, only the mail differs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import BusinessCustomerErased
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions, chassis_metadata
from chassis.jobs import job
from chassis.personal_data.erase import erase
from chassis.personal_data.holdings import tables_of
from chassis.refusal import PersonErased
from chassis.time import timestamp
from services.identity import addresses, mails, opaque
from services.identity.businesses import accounts
from services.identity.businesses.states import BusinessState
from services.identity.facts import state
from services.identity.models import Base, BusinessAccount, BusinessCustomer, SubjectAccess
from services.identity.refusals import BusinessFull
from services.identity.registrations import MAILS_AN_HOUR, link_invalid

LINK_LASTS = timedelta(hours=1)
MOST = 10_000  # customers of one business
BATCH = 1_000


async def keep(
    session: AsyncSession, business: UUID, *, email: str, address: Mapping[str, Any], now: datetime
) -> BusinessCustomer:
    """Keep a customer of an approved business, or correct the address of one who is known."""
    mail = addresses.exact(email)
    held = await accounts.hold(session, business)
    if held.state is not BusinessState.APPROVED:
        raise accounts.in_state_refused(held)
    await addresses.take_turns(session, mail)
    mine = select(BusinessCustomer).where(BusinessCustomer.business_id == business)
    known = await session.scalar(mine.where(BusinessCustomer.email == mail))
    if known is None:
        count = select(func.count()).select_from(BusinessCustomer).where(BusinessCustomer.business_id == business)
        if (await session.scalar(count) or 0) >= MOST:
            raise BusinessFull("There are as many customers as there can be.", most=str(MOST))
        who = await subject_of(session, mail)
        known = BusinessCustomer(business_id=business, subject_id=who, email=mail, create_time=now)
        session.add(known)
    for column, value in address.items():
        setattr(known, column, value)
    await session.flush()
    return known


async def subject_of(session: AsyncSession, mail: str) -> UUID:
    """Whose an address is, where it is anybody's that we know; else somebody new's."""
    query = select(BusinessCustomer.subject_id).where(BusinessCustomer.email == mail).limit(1)
    return await session.scalar(query) or uuid4()


async def customers(
    session: AsyncSession, business: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[BusinessCustomer]:
    """The customers of a business, newest first."""
    query = select(BusinessCustomer).where(BusinessCustomer.business_id == business).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessCustomer.create_time, BusinessCustomer.id) < after)
    newest = query.order_by(BusinessCustomer.create_time.desc(), BusinessCustomer.id.desc())
    return (await session.scalars(newest)).all()


async def get(session: AsyncSession, business: UUID, id: UUID) -> BusinessCustomer:
    """Return the customer, or refuse because they are forgotten."""
    found = await session.get(BusinessCustomer, id)
    if found is None or found.business_id != business:
        raise PersonErased("That customer is forgotten; nothing about them is kept any more.")
    return found


async def forget(session: AsyncSession, business: UUID, id: UUID) -> None:
    """Forget a customer, as the business wants it."""
    mine = (BusinessCustomer.id == id) & (BusinessCustomer.business_id == business)
    await session.execute(delete(BusinessCustomer).where(mine))


# What they do themselves ---------------------------------------------------------------------------------------------


async def begin(session: AsyncSession, *, email: str, public_url: str, now: datetime) -> None:
    """Mail a link to the address, or that nothing is held; nothing when it had enough mail lately."""
    mail = addresses.exact(email)
    await addresses.take_turns(session, mail)
    lately = select(func.count()).where(
        SubjectAccess.email == mail, SubjectAccess.create_time > now - timedelta(hours=1)
    )
    if (await session.scalar(lately) or 0) >= MAILS_AN_HOUR:
        return
    held = await session.scalar(select(func.count()).where(BusinessCustomer.email == mail))
    who, (token, token_hash) = await subject_of(session, mail), opaque.make()
    session.add(
        SubjectAccess(token_hash=token_hash, subject_id=who, email=mail, create_time=now, expire_time=now + LINK_LASTS)
    )
    await session.flush()
    link = f"{public_url}/my-data#token={token}" if held else ""
    await mails.subject_access(session, to=mail, person=who, link=link)


async def read(
    session: AsyncSession, token: str, *, now: datetime
) -> tuple[UUID, Sequence[tuple[str, BusinessCustomer]]]:
    """All that is held of whom the link's token speaks of, by what each business is called; or refuse."""
    found = await waiting(session, token, now=now)
    return found.subject_id, [(business.company, one) for one, business in await records(session, found.subject_id)]


async def erase_all(session: AsyncSession, token: str, *, now: datetime) -> int:
    """Erase it for good, and tell the businesses. Of two at once, one finds the link used."""
    found = await waiting(session, token, now=now)
    await addresses.take_turns(session, found.email)
    used = delete(SubjectAccess).where(SubjectAccess.token_hash == found.token_hash, SubjectAccess.expire_time > now)
    if await session.scalar(used.returning(SubjectAccess.subject_id)) is None:
        raise link_invalid()
    gone = await records(session, found.subject_id)
    for one, business in gone:
        user = f"users/{business.owner_id}"
        await state(
            session,
            BusinessCustomerErased(user=user, business=business.name, customer=one.name, event_time=timestamp(now)),
        )
    await erase(session, tables_of([Base.metadata, chassis_metadata]), found.subject_id, now)
    return len(gone)


async def waiting(session: AsyncSession, token: str, *, now: datetime) -> SubjectAccess:
    found = await session.get(SubjectAccess, opaque.hash_of(token))
    if found is None or found.expire_time <= now:
        raise link_invalid()
    return found


async def records(session: AsyncSession, who: UUID) -> Sequence[tuple[BusinessCustomer, BusinessAccount]]:
    query = select(BusinessCustomer, BusinessAccount)
    query = query.join(BusinessAccount, BusinessAccount.id == BusinessCustomer.business_id)
    found = await session.execute(
        query.where(BusinessCustomer.subject_id == who).order_by(BusinessAccount.id).limit(1_000)
    )
    return [(row[0], row[1]) for row in found]


@job(every=timedelta(minutes=10))
async def forget_subject_links(sessions: Sessions, now: datetime) -> int:
    """Links go when they have ended, and with them the address of who asked."""
    async with sessions.begin() as session:
        over = select(SubjectAccess.token_hash).where(SubjectAccess.expire_time <= now).limit(BATCH)
        gone = delete(SubjectAccess).where(SubjectAccess.token_hash.in_(over)).returning(SubjectAccess.subject_id)
        return len((await session.execute(gone)).all())
