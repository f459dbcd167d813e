"""Vouchers for points: what can be bought, what was bought, and how it ends.

A voucher is made in the transaction of the movement that pays for it. It ends once: used by the shop, voided (then its
points go back to the lots they came from), or when its time is over; then it is final, and its points stay spent.
Whoever changes vouchers locks the account first, then the voucher, then the offer.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import points
from services.loyalty.ledger.post import book_one
from services.loyalty.ledger.requests import Redeem, Refund
from services.loyalty.models import Kind, Voucher, VoucherOffer, VoucherState
from services.loyalty.refusals import AccountClosed, OfferNotFound, OfferSoldOut, VoucherEnded, VoucherNotFound

BOUGHT, VOIDED = "voucher/bought", "voucher/voided"
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # 32 of them, and none that is read as another
LENGTH = 20  # 100 bits: nobody guesses one


@dataclass(frozen=True)
class Offered:
    """An offer as the store says it."""

    slug: str
    title: str
    points: int
    currency: str
    value: Decimal
    days_valid: int
    stock: int


async def offers(session: AsyncSession, *, after: str | None, limit: int) -> Sequence[VoucherOffer]:
    query = select(VoucherOffer).order_by(VoucherOffer.slug).limit(limit)
    return (await session.scalars(query if after is None else query.where(VoucherOffer.slug > after))).all()


async def put_offer(session: AsyncSession, offered: Offered) -> VoucherOffer:
    said = {name: getattr(offered, name) for name in Offered.__dataclass_fields__}
    put = insert(VoucherOffer).values(**said, sold=0)
    put = put.on_conflict_do_update(index_elements=["slug"], set_={name: put.excluded[name] for name in said})
    return (await session.scalars(put.returning(VoucherOffer), execution_options={"populate_existing": True})).one()


async def delete_offer(session: AsyncSession, slug: str) -> None:
    offer = await session.get(VoucherOffer, slug, with_for_update=True)
    if offer is None:
        raise OfferNotFound("There is no such voucher to buy.")
    await session.delete(offer)


async def buy(session: AsyncSession, *, user: UUID, slug: str, request_id: str, now: datetime) -> Voucher:
    """Sell a voucher: the points go and the voucher comes, or neither."""
    held = await points.hold(session, user, now=now)
    if held is None:
        raise AccountClosed("The person of this account was erased: it takes no more points.")
    offer = await session.get(VoucherOffer, slug, with_for_update=True)
    if offer is None:
        raise OfferNotFound("There is no such voucher to buy.")
    if offer.stock and offer.sold >= offer.stock:
        raise OfferSoldOut("All of them are sold.")
    paying = Redeem(
        account=held.account_id, scope=BOUGHT, key=request_id, points=offer.points, kind=Kind.VOUCHER
    )  # fmt: skip
    paid = await book_one(session, paying, now=now)
    if paid.is_replay:  # from before requests are forgotten; the ledger forgets none
        return (await session.scalars(select(Voucher).where(Voucher.operation_id == paid.id))).one()
    offer.sold += 1
    voucher = Voucher(
        user_id=user,
        code="".join(secrets.choice(ALPHABET) for _ in range(LENGTH)),
        offer=offer.slug,
        title=offer.title,
        points=offer.points,
        currency=offer.currency,
        value=offer.value,
        operation_id=paid.id,
        state=VoucherState.ACTIVE,
        create_time=now,
        expire_time=now + timedelta(days=offer.days_valid),
    )
    session.add(voucher)
    await session.flush()
    return voucher


async def of(
    session: AsyncSession, user: UUID, *, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Voucher]:
    """A person's vouchers, newest first."""
    place = (Voucher.create_time, Voucher.id)
    query = select(Voucher).where(Voucher.user_id == user).order_by(*(one.desc() for one in place)).limit(limit)
    return (await session.scalars(query if before is None else query.where(tuple_(*place) < before))).all()


async def get(session: AsyncSession, user: UUID, id: UUID) -> Voucher:
    found = await session.scalar(select(Voucher).where(Voucher.id == id, Voucher.user_id == user))
    if found is None:
        raise missing()
    return found


async def by_code(session: AsyncSession, code: str, *, lock: bool = False) -> Voucher:
    """The voucher of a code, as people write it: in groups, and in any case."""
    plain = code.replace("-", "").replace(" ", "").upper()
    query = select(Voucher).where(Voucher.code == plain)
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise missing()
    return found


async def use(session: AsyncSession, code: str, *, now: datetime) -> Voucher:
    """Take a voucher, once."""
    voucher = await by_code(session, code, lock=True)
    is_active(voucher, now)
    voucher.state, voucher.end_time = VoucherState.USED, now
    return voucher


async def void(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> Voucher:
    """Void a voucher that was not used, and give its points back to where they came from."""
    held = await points.lock(session, user)
    voucher = await session.scalar(
        select(Voucher).where(Voucher.id == id, Voucher.user_id == user).with_for_update(),
        execution_options={"populate_existing": True},
    )
    if voucher is None or held is None:
        raise missing()
    is_active(voucher, now)
    voucher.state, voucher.end_time = VoucherState.VOIDED, now
    back = Refund(
        account=held.account_id, scope=VOIDED, key=str(id), operation=voucher.operation_id, points=voucher.points
    )  # fmt: skip
    await book_one(session, back, now=now)
    again = update(VoucherOffer).where(VoucherOffer.slug == voucher.offer, VoucherOffer.sold > 0)
    await session.execute(again.values(sold=VoucherOffer.sold - 1))
    return voucher


def is_active(voucher: Voucher, now: datetime) -> None:
    if (state := state_of(voucher, now)) != "ACTIVE":
        raise VoucherEnded("This voucher is not good any more.", state=state)


def state_of(voucher: Voucher, now: datetime) -> str:
    """What has become of it; its time is over whether that is written down or not."""
    if voucher.state is VoucherState.ACTIVE and voucher.expire_time <= now:
        return "EXPIRED"
    return voucher.state.value


def missing() -> VoucherNotFound:
    return VoucherNotFound("There is no such voucher.")
