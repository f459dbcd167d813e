"""The newsletter, and the mark of a bonus that was given for it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject, unlinked
from services.loyalty.models.base import Base, one_of

CREDENTIAL = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.MARKETING, secret=True)
ADDRESS = "rapport.loyalty.v1.BeginSubscriptionRequest.email"
MARK = Personal(
    category=Category.USER_CONTACT_EMAIL,
    purpose=Purpose.SECURITY,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(f): a bonus that is given once is not given again to who comes back",
)


class State(StrEnum):
    CONFIRMED = "CONFIRMED"
    ENDED = "ENDED"


class Bonus(StrEnum):
    BONUS_UNSPECIFIED = "BONUS_UNSPECIFIED"
    GRANTED = "GRANTED"
    ALREADY_GRANTED = "ALREADY_GRANTED"
    CLAIM_WAITING = "CLAIM_WAITING"
    IN_REVIEW = "IN_REVIEW"
    DENIED = "DENIED"


class OptIn(Base):
    """A mailed link that waits to be confirmed. Kept until the link ends, so that a second click finds its answer."""

    __tablename__ = "opt_in"

    token_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    user_id: Mapped[UUID | None] = subject()
    email: Mapped[str] = personal(ADDRESS, index=True)
    end_token: Mapped[str] = personal(CREDENTIAL, index=True)
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)
    confirm_time: Mapped[datetime | None]


class Subscription(Base):
    """An address that gets the newsletter, or did. A guest's belongs to no user, and goes when it ends."""

    __tablename__ = "subscription"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID | None] = subject()
    email: Mapped[str] = personal(ADDRESS, unique=True)
    # In plain, because every newsletter carries it; all it can do is end the subscription.
    end_token: Mapped[str] = personal(CREDENTIAL, unique=True)
    state: Mapped[State] = mapped_column(one_of(State))
    bonus: Mapped[Bonus] = mapped_column(one_of(Bonus))
    bonus_points: Mapped[int] = mapped_column(default=0)
    confirm_time: Mapped[datetime]
    claim_end_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("user_id IS NOT NULL OR state = 'CONFIRMED'", "guest"),
        CheckConstraint("(bonus = 'CLAIM_WAITING') = (claim_end_time IS NOT NULL)", "claim"),
        CheckConstraint("(bonus = 'GRANTED') = (bonus_points > 0)", "bonus_points"),
    )


class BonusMark(Base):
    """That a bonus was given for an address: remembered without the address, and without the person."""

    __tablename__ = "bonus_mark"

    campaign: Mapped[str] = impersonal("one of our own words for a campaign", primary_key=True)
    key_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    form: Mapped[str] = impersonal("exact or canonical", primary_key=True)
    mac: Mapped[bytes] = unlinked(
        MARK, "only who holds the key and is told the address can tell whether it is there", primary_key=True
    )
    create_time: Mapped[datetime]  # the month: more would tell which movement it goes with
    delete_time: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (CheckConstraint("form IN ('exact', 'canonical')", "form"),)
