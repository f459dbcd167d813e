"""What a reversal leaves to be looked at: the points may have counted towards a tier, which then is another one."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.ledger.book import Entry
from services.loyalty.models import Kind

LOOK_AGAIN = text("UPDATE member_tier SET due_time = :now WHERE account_id = ANY(CAST(:accounts AS uuid[]))")


async def remind(session: AsyncSession, entries: Sequence[Entry], *, now: datetime) -> None:
    """Have the tiers of these accounts judged anew by the next round of the job."""
    accounts = sorted({one.account.id for one in entries if one.kind is Kind.REVERSE and one.refusal is None})
    if accounts:
        await session.execute(LOOK_AGAIN, {"accounts": accounts, "now": now})
