"""What requests leave to the programme: how long points live, and how long those live on that came back too late.

It is asked once for a whole batch, and is no part of what makes a request the same: the programme may have changed
when it comes again.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import programme
from services.loyalty.ledger.requests import Earn, Refund, Request
from services.loyalty.rules import Rules

Asked = Sequence[tuple[UUID | None, Request]]


async def with_defaults(session: AsyncSession, requests: Asked, *, now: datetime) -> Asked:
    """The requests, with what the rules of their time say where they say nothing."""
    if not any(leaves_open(one) for _, one in requests):
        return requests
    latest = await programme.latest_or_none(session)
    if latest is None:
        return requests
    rules = Rules.of(latest)
    return [(account, await filled(session, one, rules, latest.start_time, now)) for account, one in requests]


def leaves_open(request: Request) -> bool:
    if isinstance(request, Earn):
        return request.default_term and request.expire_time is None
    return isinstance(request, Refund) and request.grace is None


async def filled(
    session: AsyncSession, request: Request, rules: Rules, since: datetime, now: datetime
) -> Request:  # fmt: skip
    if not leaves_open(request):
        return request
    if isinstance(request, Earn):
        effective = request.effective or now
        by = rules if effective >= since else Rules.of(await programme.in_force(session, effective))
        return replace(request, term=by.term)
    return replace(request, default_grace=timedelta(days=rules.grace_days)) if isinstance(request, Refund) else request
