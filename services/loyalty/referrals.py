"""Who brought whom. Both earn when the first order of a new customer is paid, and can spend it when the order's return
window is over; an order that is cancelled or refunded in full takes both back, as if they had never been earned.

Nobody brings themself: two accounts of one mailbox are one person, and a mailbox is brought once, which its mark
remembers as it does a bonus.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Refusal
from services.loyalty import addresses, bonus, orders, points, rewards, velocity
from services.loyalty.keys import Keys, is_one_mailbox
from services.loyalty.ledger.post import open_account, post
from services.loyalty.ledger.requests import SOMEDAY, Earn, Policy, Request, Reverse, Settle, Thaw, Whose
from services.loyalty.models import (
    Account,
    Action,
    Kind,
    Lot,
    Member,
    Operation,
    Origin,
    Purchase,
    Referral,
    ReferralCode,
    ReferralState,
    Verdict,
)
from services.loyalty.orders import Fact
from services.loyalty.people import Known
from services.loyalty.programme import MAIN
from services.loyalty.refusals import (
    AccountClosed,
    LimitReached,
    ReferralClaimed,
    ReferralClosed,
    ReferralCodeUnknown,
    ReferralOfSelf,
)
from services.loyalty.vouchers import ALPHABET

CAMPAIGN = "referral"
REWARDED, TAKEN_BACK, RELEASED = "referral/rewarded", "referral/taken-back", "referral/released"
LENGTH = 8  # short enough to tell a friend; who guesses one only gives somebody else points


@dataclass(frozen=True)
class Person:
    """Somebody who takes part, as identity knows them."""

    user: UUID
    known: Known


async def code_of(session: AsyncSession, user: UUID) -> str:
    """The code of a user, made when it is first asked for."""
    while True:
        fresh = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        made = insert(ReferralCode).values(user_id=user, code=fresh)
        await session.execute(made.on_conflict_do_nothing())  # there is one, or somebody else has that one
        found = await session.scalar(select(ReferralCode.code).where(ReferralCode.user_id == user))
        if found is not None:
            return str(found)


async def whose(session: AsyncSession, code: str) -> UUID:
    """Who gives that code to those they bring."""
    found: UUID | None = await session.scalar(
        select(ReferralCode.user_id).where(ReferralCode.code == code.strip().upper())
    )
    if found is None:
        raise unknown()
    return found


async def claim(session: AsyncSession, *, new: Person, by: Person, keys: Keys, now: datetime) -> Referral | Refusal:
    """Note who brought a new customer. What was too often is noted as well, and refused by what is returned."""
    rules = await rewards.latest(session)
    email = addresses.exact(new.known.email)
    if new.user == by.user or is_one_mailbox(keys, email, addresses.exact(by.known.email)):
        raise ReferralOfSelf("Nobody brings themself.")
    if not rules.referrer_points + rules.referred_points or now >= new.known.registered + days(rules.claim_days):
        raise closed()
    held = await points.hold(session, new.user, now=now)
    referrer = await account_of(session, by.user, now)
    if held is None:
        raise AccountClosed("The person of this account was erased: it takes no more points.")
    if await session.get(Referral, held.account_id) is not None:
        raise ReferralClaimed("You said before who brought you.")
    ordered = select(Purchase.number).where(Purchase.account_id == held.account_id, Purchase.paid.is_not(None))
    if await session.scalar(ordered.limit(1)) is not None:
        raise closed()
    ends = rewards.months_after(now, rules.mark_months)
    if not await bonus.remember(session, email, keys, campaign=CAMPAIGN, ends=ends, now=now):
        raise ReferralClaimed("You said before who brought you.")
    subject = velocity.Subject(Action.CLAIM, account=held.account_id, member=by.user, email=email)
    verdict = await velocity.judge(session, subject, keys, now=now)
    if verdict is Verdict.DENY:
        await bonus.forget(session, email, keys, campaign=CAMPAIGN)
        return LimitReached("That comes too often just now.")
    referral = Referral(
        account_id=held.account_id,
        referrer_id=referrer,
        state=ReferralState.CLAIMED,
        is_held=verdict is Verdict.HOLD,
        points=rules.referred_points,
        referrer_points=rules.referrer_points,
        return_days=rules.return_days,
        create_time=now,
    )
    session.add(referral)
    await session.flush()
    return referral


async def of(session: AsyncSession, user: UUID) -> Referral:
    """How a user was brought, as they said it; refuses where that came too often."""
    mine = select(Referral).join(Member, Member.account_id == Referral.account_id).where(Member.user_id == user)
    found = await session.scalar(mine)
    if found is None:
        raise LimitReached("That comes too often just now.")
    return found


async def account_of(session: AsyncSession, user: UUID, now: datetime) -> UUID:
    """The account of who brings somebody; it is not locked, for only its id is needed."""
    await open_account(session, Whose(user, MAIN), now=now)
    found = await points.account_id(session, user)
    if found is None:
        raise unknown()
    return found


# What becomes of it with the first order -----------------------------------------------------------------------------


async def lock_both(session: AsyncSession, user: UUID) -> None:
    """Before anything is booked of a brought user's order: both accounts in the order in which everybody locks them."""
    mine = (
        select(Referral.account_id, Referral.referrer_id)
        .join(Member, Member.account_id == Referral.account_id)
        .where(Member.user_id == user)
    )
    if (pair := (await session.execute(mine)).one_or_none()) is not None:
        await lock(session, *pair)


async def lock(session: AsyncSession, *accounts: UUID) -> dict[UUID, bool]:
    """Lock accounts; whether each still has its person."""
    query = select(Account.id, Account.close_time).where(Account.id.in_(accounts)).order_by(Account.id)
    return {account: closed is None for account, closed in await session.execute(query.with_for_update())}


async def follow(session: AsyncSession, fact: Fact) -> None:
    """Give or take back what the first order brings, after what was told of it is booked."""
    held, purchase = await orders.purchase_of(session, fact)
    referral = await session.get(Referral, held.account_id, with_for_update=True)
    if referral is None or not purchase.paid:
        return
    if referral.number is None and held.user is not None:
        referral.number, referral.due_time = fact.number, fact.effective + days(referral.return_days)
    if referral.number != fact.number:
        return
    counts = not purchase.cancelled and purchase.paid > purchase.refunded
    if referral.state is ReferralState.CLAIMED:
        referral.state = ReferralState.REWARDED if counts else ReferralState.TAKEN_BACK
        await session.flush()
        if counts:
            await reward(session, referral, fact)
    elif referral.state is ReferralState.REWARDED and not counts:
        await take_back(session, referral, ReferralState.TAKEN_BACK, now=fact.now)


async def reward(session: AsyncSession, referral: Referral, fact: Fact) -> None:
    there = await lock(session, referral.account_id, referral.referrer_id)
    requests = [
        Earn(
            account=account,
            scope=REWARDED,
            key=key,
            effective=fact.effective,
            kind=Kind.REFERRAL,
            points=worth,
            origin=Origin.PROMOTION,
            rule=CAMPAIGN,
            available_time=SOMEDAY if referral.is_held else referral.due_time,
        )
        for account, key, worth in sides(referral)
        if worth and there[account]
    ]
    await booked(session, requests, now=fact.now)


async def take_back(session: AsyncSession, referral: Referral, state: ReferralState, *, now: datetime) -> None:
    """Take back what both earned, whatever became of it."""
    there = await lock(session, referral.account_id, referral.referrer_id)
    referral.state = state
    requests: list[Request] = []
    for lot, account, left in await rewards_of(session, referral):
        if left:
            requests.append(
                Reverse(
                    account=account,
                    scope=TAKEN_BACK,
                    key=str(lot),
                    operation=lot,
                    points=left,
                    policy=Policy.UNLIMITED,
                )
            )
        if not there[account]:
            requests.append(Settle(account=account))
    await booked(session, requests, now=now)


async def release(session: AsyncSession, referral: Referral, *, now: datetime) -> None:
    """Let what waited for a review wait for the return window only."""
    there = await lock(session, referral.account_id, referral.referrer_id)
    referral.is_held = False
    requests = [
        Thaw(account=account, scope=RELEASED, key=str(lot), operation=lot, available_time=referral.due_time or now)
        for lot, account, _ in await rewards_of(session, referral)
        if there[account]
    ]
    await booked(session, requests, now=now)


async def rewards_of(session: AsyncSession, referral: Referral) -> list[tuple[UUID, UUID, int]]:
    """What was given for it: the lots, whose they are, and how much was not taken back yet."""
    keys = [key for _, key, _ in sides(referral)]
    query = (
        select(Lot.id, Lot.account_id, Lot.amount - Lot.clawed)
        .join(Operation, Operation.id == Lot.id)
        .where(Operation.scope == REWARDED, Operation.key.in_(keys))
        .order_by(Lot.id)
    )
    return [(lot, account, left) for lot, account, left in await session.execute(query)]


def sides(referral: Referral) -> list[tuple[UUID, str, int]]:
    """Whose account, by which key, earns how much."""
    return [
        (referral.account_id, f"{referral.account_id}", referral.points),
        (referral.referrer_id, f"{referral.account_id}/referrer", referral.referrer_points),
    ]


async def booked(session: AsyncSession, requests: list[Request] | list[Earn] | list[Thaw], *, now: datetime) -> None:
    await session.flush()
    for result in await post(session, requests, now=now):
        if isinstance(result, Refusal):
            raise result


def days(number: int) -> timedelta:
    return timedelta(days=number)


def unknown() -> ReferralCodeUnknown:
    return ReferralCodeUnknown("Nobody has that code.")


def closed() -> ReferralClosed:
    return ReferralClosed("Only who registered a short while ago, and has not ordered yet, can say who brought them.")
