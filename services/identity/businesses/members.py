"""Members of businesses: what each may do, and that there is always an owner. Who calls holds the business."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from rapport.identity.v1.events_pb2 import MembershipBegan, MembershipEnded
from sqlalchemy import bindparam, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Prepared
from chassis.time import timestamp
from services.identity.facts import state
from services.identity.models import BusinessMember, MemberRole, State, User
from services.identity.refusals import BusinessFull, LastOwner, MemberNotFound
from services.identity.tokens import Membership, Standing

MOST = 50  # of one business
MOST_EACH = 10  # businesses of one user: tokens speak of all of them
STANDING = Prepared(
    select(User.roles, BusinessMember.business_id, BusinessMember.membership_id, BusinessMember.role)
    .outerjoin(BusinessMember, BusinessMember.user_id == User.id)
    .where(User.id == bindparam("user"))
    .order_by(BusinessMember.create_time)
    .limit(MOST_EACH)
)


async def of(session: AsyncSession, business: UUID) -> Sequence[BusinessMember]:
    query = select(BusinessMember).where(BusinessMember.business_id == business).order_by(BusinessMember.user_id)
    return (await session.scalars(query)).all()


async def shown(
    session: AsyncSession, business: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[tuple[BusinessMember, User]]:
    """The members and who they are, oldest first."""
    query = select(BusinessMember, User).join(User, User.id == BusinessMember.user_id)
    query = query.where(BusinessMember.business_id == business).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessMember.create_time, BusinessMember.user_id) > after)
    found = await session.execute(query.order_by(BusinessMember.create_time, BusinessMember.user_id))
    return [(row[0], row[1]) for row in found]


async def standing(session: AsyncSession, user: UUID) -> Standing:
    """What tokens of a user, who is there, say that they are."""
    rows = await STANDING.rows(session, user=user)
    return Standing(rows[0][0], [Membership(*row[1:]) for row in rows if row[1] is not None])


async def owners(session: AsyncSession, business: UUID) -> Sequence[User]:
    """Who owns a business and is not being erased, oldest membership first."""
    query = select(User).join(BusinessMember, BusinessMember.user_id == User.id)
    query = query.where(BusinessMember.business_id == business, BusinessMember.role == MemberRole.OWNER)
    query = query.where(User.state == State.ACTIVE).order_by(BusinessMember.create_time, User.id)
    return (await session.scalars(query)).all()


async def heir(session: AsyncSession, business: UUID, *, but: UUID) -> UUID | None:
    """Which other owner answers for the business when `but` does not any more."""
    return next((one.id for one in await owners(session, business) if one.id != but), None)


async def find(session: AsyncSession, business: UUID, user: UUID) -> BusinessMember | None:
    return await session.get(BusinessMember, (business, user), populate_existing=True)


async def get(session: AsyncSession, business: UUID, user: UUID) -> BusinessMember:
    """Return the member, or refuse because there is none."""
    found = await find(session, business, user)
    if found is None:
        raise MemberNotFound("There is no such member.")
    return found


async def check_room(session: AsyncSession, user: UUID) -> None:
    """Refuse when a user, who is held, is in as many businesses as can be."""
    count = select(func.count()).select_from(BusinessMember).where(BusinessMember.user_id == user)
    if (await session.scalar(count) or 0) >= MOST_EACH:
        raise BusinessFull("You are in as many businesses as one can be.", most=str(MOST_EACH))


async def add(session: AsyncSession, business: UUID, user: UUID, role: MemberRole, *, now: datetime) -> BusinessMember:
    """Make a user a member, who is none."""
    one = BusinessMember(business_id=business, user_id=user, role=role, membership_id=uuid4(), create_time=now)
    session.add(one)
    await session.flush()
    await begin(session, one, now)
    return one


async def set_role(
    session: AsyncSession, business: UUID, user: UUID, role: MemberRole, *, now: datetime
) -> BusinessMember:
    """Give a member another role, and so another membership: tokens that speak of the one before end."""
    one = await get(session, business, user)
    if one.role is role:
        return one
    await check_owner_stays(session, one)
    await state_end(session, one, now)
    one.role, one.membership_id = role, uuid4()
    await session.flush()
    await begin(session, one, now)
    return one


async def remove(session: AsyncSession, business: UUID, user: UUID, *, now: datetime) -> None:
    """End a membership. Who is no member is none already."""
    one = await find(session, business, user)
    if one is not None:
        await check_owner_stays(session, one)
        await end(session, one, now=now)


async def check_owner_stays(session: AsyncSession, one: BusinessMember) -> None:
    if one.role is MemberRole.OWNER and await heir(session, one.business_id, but=one.user_id) is None:
        raise LastOwner("A business has always an owner: make somebody else one first, or close it.")


async def end(session: AsyncSession, one: BusinessMember, *, now: datetime) -> None:
    await state_end(session, one, now)
    await session.delete(one)
    await session.flush()


async def begin(session: AsyncSession, one: BusinessMember, now: datetime) -> None:
    user = f"users/{one.user_id}"
    await state(session, MembershipBegan(user=user, membership=one.membership, event_time=timestamp(now)))


async def state_end(session: AsyncSession, one: BusinessMember, now: datetime) -> None:
    user = f"users/{one.user_id}"
    await state(session, MembershipEnded(user=user, membership=one.membership, event_time=timestamp(now)))
