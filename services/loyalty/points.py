"""Points of people: whose account it is, what is in it, and how it closes."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.ledger import movements
from services.loyalty.ledger.movements import Totals
from services.loyalty.ledger.post import glance, open_account, post
from services.loyalty.ledger.requests import Settle, Whose
from services.loyalty.models import Account, Kind, Member
from services.loyalty.programme import MAIN

EXPIRING = 12  # dates that a balance names


NOTHING = Totals()


@dataclass(frozen=True)
class Holding:
    """A locked account, and whose it is: nobody's, once its person is erased."""

    account_id: UUID
    user: UUID | None


@dataclass(frozen=True)
class Balance:
    totals: Totals = NOTHING
    expiring: list[tuple[datetime, int]] = field(default_factory=list)


async def account_id(session: AsyncSession, user: UUID, currency: str = MAIN) -> UUID | None:
    found: UUID | None = await session.scalar(
        select(Member.account_id).where(Member.user_id == user, Member.currency == currency)
    )
    return found


async def balance(session: AsyncSession, user: UUID, currency: str, *, now: datetime) -> Balance:
    """What a user has now, whether it is written down already or not. Nobody needs an account to have nothing."""
    account = await account_id(session, user, currency)
    if account is None:
        return Balance()
    seen, _ = await glance(session, account, now=now)
    totals = Totals(seen.available, seen.pending, seen.held, seen.arrears)
    return Balance(totals, await movements.expiring(session, account, now=now, limit=EXPIRING))


async def balance_as_of(
    session: AsyncSession, user: UUID, currency: str, *, effective: datetime, known: datetime, now: datetime
) -> Balance:
    """What a user had by what had taken effect at a time, of what was known at another."""
    account = await account_id(session, user, currency)
    if account is None:
        return Balance()
    totals = await movements.as_of(session, account, effective=effective, known=known)
    _, due = await glance(session, account, now=now)
    for entry in due:  # true already, and not written down yet
        if entry.effective_time <= effective and entry.booked_time <= known:
            parts = (entry.available, entry.pending, entry.held, entry.arrears)
            totals = Totals(*(one + part for one, part in zip(totals, parts, strict=True)))
    return Balance(totals)


async def hold(session: AsyncSession, user: UUID, *, now: datetime) -> Holding | None:
    """Lock the account of a user, opened if need be; None when the user is erased."""
    found = await lock(session, user)
    if found is None and await open_account(session, Whose(user, MAIN), now=now):
        found = await lock(session, user)
    return found


async def lock(session: AsyncSession, user: UUID) -> Holding | None:
    found = await session.execute(
        select(Account.id, Account.close_time)
        .join(Member, Member.account_id == Account.id)
        .where(Member.user_id == user, Member.currency == MAIN)
        .with_for_update(of=Account)
    )
    row = found.one_or_none()
    # The wait for the lock may have been for the erasure.
    return Holding(row.id, user) if row and row.close_time is None else None


async def lock_id(session: AsyncSession, account_id: UUID) -> Holding:
    """Lock an account by its id, whoever's it is."""
    await session.execute(select(Account.id).where(Account.id == account_id).with_for_update())
    user: UUID | None = await session.scalar(select(Member.user_id).where(Member.account_id == account_id))
    return Holding(account_id, user)


async def open_closed(session: AsyncSession, *, now: datetime) -> Holding:
    """An account of nobody, for what is told of an erased person too late."""
    account = Account(currency=MAIN, create_time=now, close_time=now)
    session.add(account)
    await session.flush()
    return Holding(account.id, None)


async def close(session: AsyncSession, user: UUID, *, now: datetime) -> None:
    """Settle the accounts of a user who is being erased, and close them. The mapping goes with their other rows."""
    mine = select(Member.account_id).where(Member.user_id == user).order_by(Member.account_id)
    accounts = list(await session.scalars(mine))
    await post(session, [Settle(account=account, kind=Kind.FORFEIT) for account in accounts], now=now)
    await session.execute(update(Account).where(Account.id.in_(accounts)).values(close_time=now))
