"""What privacy does by the clock: prove erasures, and say which are late."""

from datetime import datetime, timedelta

import structlog
from google.protobuf.json_format import MessageToDict

from chassis.database import Sessions
from chassis.jobs import Job, job
from services.privacy import erasures
from services.privacy.holders import Holders
from services.privacy.refusals import HolderUnavailable

BATCH = 20
log = structlog.get_logger()


def jobs_of(holders: Holders, every: timedelta) -> tuple[Job, ...]:
    """The jobs, which ask `holders`."""

    @job(every=every)
    async def verify_erasures(sessions: Sessions, now: datetime) -> int:
        """Scan each holder that has answered; how many proved it."""
        async with sessions() as session:
            waiting = await erasures.unverified(session, limit=BATCH)
        proven = 0
        for erasure, person, holder in waiting:
            try:
                found = await holders.scan(holder, person)
            except HolderUnavailable:
                log.warning("erasure_scan_unanswered", erasure=erasure, holder=holder)
                continue
            remaining = [MessageToDict(one, preserving_proto_field_name=True) for one in found.remaining]
            async with sessions.begin() as session:
                proven += await erasures.verify(
                    session, id=erasure, holder=holder, erased=found.erased, remaining=remaining, now=now
                )
        return proven

    @job(every=timedelta(minutes=1))
    async def mark_overdue_erasures(sessions: Sessions, now: datetime) -> int:
        async with sessions.begin() as session:
            late = await erasures.mark_overdue(session, now=now)
        if late:
            log.error("erasures_overdue", count=late)
        return late

    return (verify_erasures, mark_overdue_erasures)
