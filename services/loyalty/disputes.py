"""Orders whose payment is disputed: what they earned waits meanwhile. See docs/decisions/0143.

Facts come in any order, as those of orders do: a dispute that is decided before it is told of freezes nothing, and an
order that is paid while it is disputed earns points that wait from the beginning.
"""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Refusal
from services.loyalty import orders
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Freeze, Request, Thaw
from services.loyalty.models import Dispute, DisputeState, FrozenLot, Lot, Operation
from services.loyalty.orders import Fact
from services.loyalty.points import Holding

FROZEN, THAWED = "dispute/frozen", "dispute/thawed"


async def opened(session: AsyncSession, fact: Fact) -> None:
    """An order is disputed; it is so once."""
    held, _ = await orders.purchase_of(session, fact)
    await session.flush()
    await dispute_of(session, held, fact, DisputeState.OPEN)
    await follow(session, fact)


async def resolved(session: AsyncSession, fact: Fact, state: DisputeState) -> None:
    """A dispute is decided. Lost, the order earns nothing, as if it were cancelled; won, all is as before."""
    held, _ = await orders.purchase_of(session, fact)
    await session.flush()
    dispute = await dispute_of(session, held, fact, state)
    if dispute.state not in (DisputeState.OPEN, state):
        return  # the first decision counts
    dispute.state = state
    if state is DisputeState.LOST:
        await orders.cancelled(session, fact)
    await thaw(session, held, fact)


async def follow(session: AsyncSession, fact: Fact) -> None:
    """Have wait what a disputed order has earned and nobody has spent."""
    held, _ = await orders.purchase_of(session, fact)
    dispute = await session.get(Dispute, (held.account_id, fact.number))
    if held.user is None or dispute is None or dispute.state is not DisputeState.OPEN:
        return
    left = Lot.is_open | Lot.is_pending
    fresh = (
        select(Lot.id, func.coalesce(Lot.wait_time, Lot.available_time))
        .join(Operation, Operation.id == Lot.operation_id)
        .where(Operation.account_id == held.account_id, Operation.order_number == fact.number, left)
        .where(Lot.account_id == held.account_id, Lot.id.not_in(select(FrozenLot.lot_id)))
        .order_by(Lot.seq)
    )
    for lot, available in (await session.execute(fresh)).all():
        session.add(
            FrozenLot(lot_id=lot, account_id=held.account_id, number=fact.number, available_time=available)
        )  # fmt: skip
        await booked(session, fact, Freeze(account=held.account_id, scope=FROZEN, key=str(lot), operation=lot))


async def thaw(session: AsyncSession, held: Holding, fact: Fact) -> None:
    """Let go what waited for the end of the dispute."""
    mine = (FrozenLot.account_id == held.account_id) & (FrozenLot.number == fact.number)
    for frozen in (await session.scalars(select(FrozenLot).where(mine))).all():
        if held.user is None:
            continue  # forfeited since
        going = Thaw(
            account=held.account_id,
            scope=THAWED,
            key=str(frozen.lot_id),
            operation=frozen.lot_id,
            available_time=frozen.available_time,
        )
        await booked(session, fact, going)
    await session.execute(delete(FrozenLot).where(mine))


async def booked(session: AsyncSession, fact: Fact, request: Request) -> None:
    await session.flush()
    [result] = await post(session, [request], now=fact.now)
    if isinstance(result, Refusal):
        raise result


async def dispute_of(session: AsyncSession, held: Holding, fact: Fact, state: DisputeState) -> Dispute:
    place: tuple[UUID, str] = (held.account_id, fact.number)
    made = insert(Dispute).values(account_id=place[0], number=place[1], state=state)
    await session.execute(made.on_conflict_do_nothing())
    return await session.get_one(Dispute, place, with_for_update=True)
