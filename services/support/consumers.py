"""What support does about what others state."""

from collections.abc import Sequence

from rapport.commerce.v1.events_pb2 import (
    OrderCancelled,
    OrderDisputed,
    OrderDisputeResolved,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderShipped,
)
from rapport.identity.v1.events_pb2 import UserUpdated
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, Handler, on
from chassis.names import parse
from chassis.validation import check
from services.support import messages, orders
from services.support.people import People

CHECKS = {
    fact: check(fact.DESCRIPTOR)
    for fact in (
        OrderPlaced,
        OrderPaid,
        OrderShipped,
        OrderRefunded,
        OrderCancelled,
        OrderDisputed,
        OrderDisputeResolved,
    )
}


def handlers(people: People) -> Sequence[Handler]:
    """Everything support listens to."""

    @on(UserUpdated)
    async def refresh_author_name(session: AsyncSession, event: UserUpdated, _: Arrival) -> None:
        """Somebody corrected their name: it is shown beside all they ever said."""
        if "display_name" in event.paths:
            user = parse("users/{user}", event.user)
            await messages.rename_author(session, user, await people.name(user))

    return [refresh_author_name, *SHOP]


# What the shop's own systems tell by message: the same facts as by call, looked at as closely.


async def keep(session: AsyncSession, event: orders.Fact, about: Arrival) -> None:
    CHECKS[type(event)](event)
    await orders.state(session, event, now=about.now)


@on(OrderPlaced, ingress=True)
async def hear_order_placed(session: AsyncSession, event: OrderPlaced, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderPaid, ingress=True)
async def hear_order_paid(session: AsyncSession, event: OrderPaid, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderShipped, ingress=True)
async def hear_order_shipped(session: AsyncSession, event: OrderShipped, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderRefunded, ingress=True)
async def hear_order_refunded(session: AsyncSession, event: OrderRefunded, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderCancelled, ingress=True)
async def hear_order_cancelled(session: AsyncSession, event: OrderCancelled, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderDisputed, ingress=True)
async def hear_order_disputed(session: AsyncSession, event: OrderDisputed, about: Arrival) -> None:
    await keep(session, event, about)


@on(OrderDisputeResolved, ingress=True)
async def hear_dispute_resolved(session: AsyncSession, event: OrderDisputeResolved, about: Arrival) -> None:
    await keep(session, event, about)


SHOP = (
    hear_order_placed,
    hear_order_paid,
    hear_order_shipped,
    hear_order_refunded,
    hear_order_cancelled,
    hear_order_disputed,
    hear_dispute_resolved,
)
