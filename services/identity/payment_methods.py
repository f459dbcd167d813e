"""Ways to pay: a provider's token, sealed, and what may be shown of it. No card number comes this far."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from rapport.identity.v1.events_pb2 import PaymentMethodAdded, PaymentMethodRemoved
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cards import is_card
from chassis.personal_data import restrict
from chassis.refusal import CardNumber, InvalidField, Violation
from chassis.sealing import Sealer
from chassis.time import timestamp
from services.identity import mails, users
from services.identity.facts import state
from services.identity.models import CardBrand, PaymentKind, PaymentMethod
from services.identity.refusals import PaymentMethodNotFound, PaymentMethodsFull, PaymentProviderUnknown

MOST = 20  # of one user
log = structlog.get_logger()


@dataclass(frozen=True)
class Card:
    """What may be shown of a card."""

    brand: CardBrand
    last_four: str
    expire_month: int
    expire_year: int


async def add(
    session: AsyncSession,
    user: UUID,
    *,
    provider: str,
    token: str,
    card: Card | None,
    providers: Collection[str],
    sealer: Sealer,
    public_url: str,
    now: datetime,
) -> PaymentMethod:
    """Keep a way to pay: a card, or without one an account with PayPal."""
    if provider not in providers:
        raise PaymentProviderUnknown("The store takes no payments by it.", providers=", ".join(sorted(providers)))
    if is_card(token):
        wrong = Violation("provider_token", CardNumber.reason, "Bring the provider's token, not the number of a card.")
        raise CardNumber("Leave the card number out.", violations=[wrong])
    owner = await users.hold_active(session, user)
    if await session.scalar(select(func.count()).where(PaymentMethod.user_id == user)) == MOST:
        raise PaymentMethodsFull("Remove one first.", most=str(MOST))
    added = PaymentMethod(
        user_id=user,
        provider=provider,
        kind=PaymentKind.CARD if card else PaymentKind.PAYPAL,
        sealed=sealer.seal(token.encode(), owner=user),
        create_time=now,
        **(vars(card) if card else {}),
    )
    session.add(added)
    await session.flush()
    fact = PaymentMethodAdded(user=owner.name, payment_method=added.name, event_time=timestamp(now))
    await state(session, fact)
    await mails.payment_method_added(session, to=owner.email, person=user, public_url=public_url)
    return added


def card_told(
    *, is_card: bool, brand: CardBrand | None, last_four: str, expire_month: int, expire_year: int, now: datetime
) -> Card | None:
    """The card, which has to be told whole and to be good; of what is none, nothing is told."""
    told = {"brand": brand, "last_four": last_four, "expire_month": expire_month, "expire_year": expire_year}
    if wrong := [name for name, value in told.items() if bool(value) is not is_card]:
        reason, text = (
            ("REQUIRED", "This is needed of a card.") if is_card else ("NOT_TAKEN", "This is of cards alone.")
        )
        raise invalid(*(Violation(f"payment_method.{name}", reason, text) for name in wrong))
    if brand is None:
        return None
    card = Card(brand, last_four, expire_month, expire_year)
    if is_over(card, now):
        raise invalid(Violation("payment_method.expire_year", "OUT_OF_RANGE", "That card has expired."))
    return card


def invalid(*wrong: Violation) -> InvalidField:
    return InvalidField("Mend the fields listed.", violations=wrong)


def is_over(one: Card | PaymentMethod, now: datetime) -> bool:
    """Whether a card's last month is over, in UTC. What is no card does not end."""
    if one.expire_year is None or one.expire_month is None:
        return False
    years, month = divmod(one.expire_month, 12)
    return datetime(one.expire_year + years, month + 1, 1, tzinfo=UTC) <= now


async def get(session: AsyncSession, user: UUID, id: UUID) -> PaymentMethod:
    """Return one of the user's, or refuse because there is no such one of theirs."""
    found = await session.scalar(select(PaymentMethod).where(PaymentMethod.user_id == user, PaymentMethod.id == id))
    if found is None:
        raise not_found()
    return found


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[PaymentMethod]:
    """A user's, oldest first."""
    place = (PaymentMethod.create_time, PaymentMethod.id)
    query = select(PaymentMethod).where(PaymentMethod.user_id == user).order_by(*place).limit(limit)
    if after:
        query = query.where(tuple_(*place) > after)
    return (await session.scalars(query)).all()


async def remove(session: AsyncSession, user: UUID, id: UUID, *, public_url: str, now: datetime) -> None:
    """Forget one, and its token."""
    owner = await users.hold_active(session, user)
    gone = await get(session, user, id)
    await session.delete(gone)
    fact = PaymentMethodRemoved(user=owner.name, payment_method=gone.name, event_time=timestamp(now))
    await state(session, fact)
    await mails.payment_method_removed(session, to=owner.email, person=user, public_url=public_url)


async def token_of(session: AsyncSession, user: UUID, id: UUID, *, sealer: Sealer) -> tuple[str, str]:
    """The provider, and what it charges by; of nobody who is leaving, or whose data is not to be worked with."""
    await users.hold_active(session, user)
    await restrict.refuse(session, user)
    found = await get(session, user, id)
    token = sealer.open(found.sealed, owner=user)
    if token is None:
        log.error("payment_key_missing", user=user)
        raise not_found()
    if sealer.is_old(found.sealed):
        found.sealed = sealer.seal(token, owner=user)
    return found.provider, token.decode()


def not_found() -> PaymentMethodNotFound:
    return PaymentMethodNotFound("There is no such way to pay.")
