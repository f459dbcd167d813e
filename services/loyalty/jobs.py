"""What loyalty does by the clock."""

from datetime import datetime, timedelta

from sqlalchemy import select

from chassis.database import Sessions
from chassis.jobs import job
from services.loyalty import bonus, subscriptions, velocity
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Catch
from services.loyalty.ledger.verify import verify_continuously
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


JOBS = (forget_ended_links, forget_ended_marks, forget_old_attempts, book_what_is_due, verify_continuously)
