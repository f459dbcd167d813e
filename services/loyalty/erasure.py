"""What only loyalty can do about somebody who is to be forgotten, before the rest is done from the declarations."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import points, reviews, subscriptions
from services.loyalty.people import People


def settling(people: People) -> Callable[[AsyncSession, UUID, datetime], Awaitable[None]]:
    """Settle and close the person's account, so that the books stay; and find what they began as a guest."""

    async def settle(session: AsyncSession, user: UUID, now: datetime) -> None:
        address = await people.address_of(user)  # identity is erased last, so it still knows
        if address is not None:
            await subscriptions.forget_guest(session, address)
        await points.close(session, user, now=now)
        await reviews.close(session, user, now=now)

    return settle
