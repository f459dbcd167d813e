"""What loyalty does by the clock."""

from datetime import datetime, timedelta

from sqlalchemy import select

from chassis.database import Sessions
from chassis.jobs import job
from services.loyalty import bonus, grants, points, standings, subscriptions, velocity
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Catch
from services.loyalty.ledger.watch import state_head, verify_continuously
from services.loyalty.models import Account

BATCH = 200


@job(every=timedelta(minutes=10))
async def forget_ended_links(sessions: Sessions, now: datetime) -> int:
    async with sessions.begin() as session:
        return await subscriptions.forget_links(session, now)


@job(every=timedelta(hours=1))
async def forget_ended_marks(sessions: Sessions, now: datetime) -> int:
    async with sessions.begin() as session:
        return await bonus.forget_ended(session, now)


@job(every=timedelta(hours=1))
async def forget_old_attempts(sessions: Sessions, now: datetime) -> int:
    async with sessions.begin() as session:
        return await velocity.forget(session, now)


@job(every=timedelta(minutes=1))
async def book_what_is_due(sessions: Sessions, now: datetime) -> int:
    """Write down what time has done, and what was true before: points wait no more, holds and lots have ended."""
    due = select(Account.id).where(Account.due_time <= now).order_by(Account.due_time).limit(BATCH)
    done = 0
    while True:
        async with sessions.begin() as session:
            accounts = list(await session.scalars(due))
            await post(session, [Catch(account=account) for account in accounts], now=now)
        done += len(accounts)
        if len(accounts) < BATCH:
            return done


@job(every=timedelta(minutes=1))
async def book_tiers_that_are_due(sessions: Sessions, now: datetime) -> int:
    """State the tiers that time took, or that a new ladder gives."""
    async with sessions() as session:
        accounts = await standings.due(session, now=now, limit=BATCH)
    for account in accounts:
        async with sessions.begin() as session:
            await standings.book_due(session, account, now=now)
    return len(accounts)


@job(every=timedelta(minutes=1))
async def release_points_of_orders(sessions: Sessions, now: datetime) -> int:
    """Let be spent what waited for some days after its order was shipped."""
    async with sessions() as session:
        accounts = await grants.accounts_to_release(session, now=now, limit=BATCH)
    for account in accounts:
        async with sessions.begin() as session:
            await points.lock_id(session, account)
            await grants.release_due(session, account, now=now)
    return len(accounts)


JOBS = (
    forget_ended_links,
    forget_ended_marks,
    forget_old_attempts,
    book_what_is_due,
    release_points_of_orders,
    book_tiers_that_are_due,
    verify_continuously,
    state_head,
)
