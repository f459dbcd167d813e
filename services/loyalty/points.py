"""Points of people: whose account it is, what they earn, what is taken back, and how an account closes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from rapport.loyalty.v1.events_pb2 import PointsEarned, PointsReversed
from rapport.loyalty.v1.loyalty_pb2 import Movement as MovementMessage
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.personal_data.tombstone import refused_person
from chassis.time import timestamp
from services.loyalty import journal
from services.loyalty.journal import Booked, Movement
from services.loyalty.models import Account, Bucket, Kind, Member
from services.loyalty.refusals import AccountClosed

GOODWILL = "goodwill"  # no caller in it: an employee's id would stay in the journal for ever

# Account and mapping together, or neither where somebody was faster.
OPEN = text("""
WITH mapped AS (
    INSERT INTO member (user_id, account_id) VALUES (:user, :account) ON CONFLICT DO NOTHING RETURNING account_id
)
INSERT INTO account (id, available, arrears, create_time) SELECT account_id, 0, 0, :now FROM mapped
""")


@dataclass(frozen=True)
class Holding:
    """A locked account, and whose it is: nobody's, once its person is erased."""

    account_id: UUID
    user: UUID | None

    @property
    def name(self) -> str:
        return f"users/{self.user}/pointsAccount"


@dataclass(frozen=True)
class Balance:
    available: int = 0
    arrears: int = 0


async def balance(session: AsyncSession, user: UUID) -> Balance:
    """What a user has. Nobody needs an account to have nothing."""
    found = await session.execute(
        select(Account.available, Account.arrears).join(Member, Member.account_id == Account.id).where(
            Member.user_id == user
        )
    )  # fmt: skip
    row = found.one_or_none()
    return Balance(*row) if row else Balance()


async def account_id(session: AsyncSession, user: UUID) -> UUID | None:
    found: UUID | None = await session.scalar(select(Member.account_id).where(Member.user_id == user))
    return found


async def hold(session: AsyncSession, user: UUID, *, now: datetime) -> Holding | None:
    """Lock the account of a user, opened if need be; None when the user is erased."""
    found = await lock(session, user)
    if found is None:
        try:
            async with session.begin_nested():
                await session.execute(OPEN, {"user": user, "account": uuid4(), "now": now})
        except DBAPIError as error:
            if refused_person(error) is None:
                raise
            return None
        found = await lock(session, user)
    return found


async def lock(session: AsyncSession, user: UUID) -> Holding | None:
    found = await session.execute(
        select(Account.id, Account.close_time)
        .join(Member, Member.account_id == Account.id)
        .where(Member.user_id == user)
        .with_for_update(of=Account)
    )
    row = found.one_or_none()
    # The wait for the lock may have been for the erasure.
    return Holding(row.id, user) if row and row.close_time is None else None


async def open_closed(session: AsyncSession, *, now: datetime) -> Holding:
    """An account of nobody, for what is told of an erased person too late."""
    account = Account(create_time=now, close_time=now)
    session.add(account)
    await session.flush()
    return Holding(account.id, None)


async def give(session: AsyncSession, user: UUID, points: int, *, key: str, now: datetime) -> Movement:
    """Give points for goodwill. The same key finds the same movement, for ever."""
    held = await hold(session, user, now=now)
    if held is None:
        raise AccountClosed("The person of this account was erased: it takes no more points.")
    booked = await earn(session, held, points, kind=Kind.GOODWILL, scope=GOODWILL, key=key, effective=now, now=now)
    return await journal.movement(session, booked.id)


async def earn(
    session: AsyncSession,
    held: Holding,
    points: int,
    *,
    kind: Kind,
    scope: str,
    key: str,
    effective: datetime,
    now: datetime,
    order_number: str | None = None,
    programme_version: int | None = None,
) -> Booked:
    """Give points, once for each scope and key. What is owed is settled first."""
    booked = await journal.book(
        session, held.account_id, points, against=Bucket.ISSUED, kind=kind, scope=scope, key=key, effective=effective,
        now=now, order_number=order_number, programme_version=programme_version,
    )  # fmt: skip
    if held.user is None:
        await settle(session, held.account_id, after=booked.id, now=now)
    elif booked.is_new:
        event = PointsEarned(
            user=f"users/{held.user}",
            points_account=held.name,
            movement=f"{held.name}/movements/{booked.id}",
            kind=MovementMessage.Kind.Value(kind.name),
            points=points,
            event_time=timestamp(effective),
        )
        await publish(session, event)
    return booked


async def take_back(
    session: AsyncSession,
    held: Holding,
    points: int,
    *,
    scope: str,
    key: str,
    effective: datetime,
    now: datetime,
    order_number: str,
    programme_version: int | None,
) -> Booked:
    """Take points back as if never earned, once for each scope and key. What is not there any more is owed."""
    booked = await journal.book(
        session, held.account_id, -points, against=Bucket.REVERSED, kind=Kind.ORDER_REFUND, scope=scope, key=key,
        effective=effective, now=now, order_number=order_number, programme_version=programme_version,
    )  # fmt: skip
    if held.user is None:
        await settle(session, held.account_id, after=booked.id, now=now)
    elif booked.is_new:
        event = PointsReversed(
            user=f"users/{held.user}",
            points_account=held.name,
            movement=f"{held.name}/movements/{booked.id}",
            points=points,
            event_time=timestamp(effective),
        )
        await publish(session, event)
    return booked


async def close(session: AsyncSession, user: UUID, *, now: datetime) -> None:
    """Settle the account of a user who is being erased, and close it. The mapping goes with the person's other rows."""
    held = await lock(session, user)
    if held is not None:
        await settle(session, held.account_id, after=held.account_id, now=now)
        await session.execute(update(Account).where(Account.id == held.account_id).values(close_time=now))


async def settle(session: AsyncSession, account_id: UUID, *, after: UUID, now: datetime) -> None:
    """Bring a closed account to nothing: what is there is forfeited, what is owed written off."""
    found = await session.execute(select(Account.available, Account.arrears).where(Account.id == account_id))
    available, arrears = found.one()
    if available:
        points, against, kind = -available, Bucket.FORFEITED, Kind.FORFEIT
    elif arrears:
        points, against, kind = arrears, Bucket.WRITTEN_OFF, Kind.WRITE_OFF
    else:
        return
    await journal.book(
        session, account_id, points, against=against, kind=kind, scope="settlement", key=str(after), effective=now,
        now=now,
    )  # fmt: skip
