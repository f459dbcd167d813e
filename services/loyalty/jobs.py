"""What loyalty does by the clock."""

from datetime import datetime, timedelta

from chassis.database import Sessions
from chassis.jobs import job
from services.loyalty import subscriptions
from services.loyalty.ledger import verify_continuously


@job(every=timedelta(minutes=10))
async def forget_ended_links(sessions: Sessions, now: datetime) -> int:
    async with sessions.begin() as session:
        return await subscriptions.forget_links(session, now)


JOBS = (forget_ended_links, verify_continuously)
