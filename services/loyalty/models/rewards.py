"""Vouchers, referrals, disputes, and what keeps the first two from being abused."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CHAR, CheckConstraint, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject, unlinked
from services.loyalty.models.base import POINTS, Base, one_of

STORES = "the store's own words and numbers"
REWARDS = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.LOYALTY)
COUNTED = Personal(
    category=Category.USER_CONTACT_EMAIL,
    purpose=Purpose.SECURITY,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(f): what is given once is not given again and again to one who pretends to be many",
)


class VoucherState(StrEnum):
    ACTIVE = "ACTIVE"
    USED = "USED"
    VOIDED = "VOIDED"


class ReferralState(StrEnum):
    CLAIMED = "CLAIMED"
    REWARDED = "REWARDED"
    TAKEN_BACK = "TAKEN_BACK"
    REFUSED = "REFUSED"


class DisputeState(StrEnum):
    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


class Action(StrEnum):
    BONUS = "BONUS"
    CLAIM = "CLAIM"


class Dimension(StrEnum):
    MEMBER = "MEMBER"
    MAILBOX = "MAILBOX"
    MAIL_DOMAIN = "MAIL_DOMAIN"


class Verdict(StrEnum):
    """In the order of how strict they are."""

    FLAG = "FLAG"
    HOLD = "HOLD"
    DENY = "DENY"


class ReviewState(StrEnum):
    NOTED = "NOTED"
    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"


class RewardRules(Base):
    """A version of the rules of rewards, as the contract says them. The highest is in force."""

    __tablename__ = "reward_rules"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    said: Mapped[dict[str, Any]] = impersonal(STORES)
    create_time: Mapped[datetime]


class VoucherOffer(Base):
    """What can be bought for points. Whoever sells one waits here for who did before, so that no more than all are."""

    __tablename__ = "voucher_offer"

    slug: Mapped[str] = impersonal(STORES, primary_key=True)
    title: Mapped[str] = impersonal(STORES)
    points: Mapped[int]
    currency: Mapped[str] = impersonal("ISO 4217", CHAR(3))
    value: Mapped[Decimal] = mapped_column(Numeric(28, 9))
    days_valid: Mapped[int]
    stock: Mapped[int]  # 0: as many as are asked for
    sold: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("points > 0 AND value > 0 AND days_valid > 0 AND stock >= 0 AND sold >= 0", "numbers"),
    )


class Voucher(Base):
    """A voucher as it was bought. It goes with its person, and so nobody finds it any more: that voids it."""

    __tablename__ = "voucher"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(REWARDS, index=False)
    code: Mapped[str] = personal("rapport.loyalty.v1.Voucher.code", unique=True)
    offer: Mapped[str] = impersonal(STORES)
    title: Mapped[str] = impersonal(STORES)
    points: Mapped[int]
    currency: Mapped[str] = impersonal("ISO 4217", CHAR(3))
    value: Mapped[Decimal] = mapped_column(Numeric(28, 9))
    operation_id: Mapped[UUID] = mapped_column(unique=True)  # that paid for it
    state: Mapped[VoucherState] = mapped_column(one_of(VoucherState))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime]
    end_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(state = 'ACTIVE') = (end_time IS NULL)", "end"),
        Index(None, "user_id", "create_time", "id"),
    )


class ReferralCode(Base):
    """What a person gives to those they bring."""

    __tablename__ = "referral_code"

    user_id: Mapped[UUID] = subject(REWARDS, primary_key=True)
    code: Mapped[str] = personal("rapport.loyalty.v1.ReferralCode.code", unique=True)


class Referral(Base):
    """Whom an account was brought by, and what both earn, by the rules of when it was said."""

    __tablename__ = "referral"

    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", primary_key=True)
    referrer_id: Mapped[UUID] = subject(POINTS, through="member.account_id")
    state: Mapped[ReferralState] = mapped_column(one_of(ReferralState))
    is_held: Mapped[bool]  # until somebody has looked at it
    points: Mapped[int]
    referrer_points: Mapped[int]
    return_days: Mapped[int]
    number: Mapped[str | None] = impersonal("the shop's own number of the order")
    due_time: Mapped[datetime | None]  # when that order can not go back any more
    create_time: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("points >= 0 AND referrer_points >= 0", "points"),
        CheckConstraint("account_id <> referrer_id", "two"),
        CheckConstraint("(number IS NULL) = (due_time IS NULL)", "order"),
    )


class Dispute(Base):
    """That an order is disputed, and how it ended."""

    __tablename__ = "dispute"

    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", primary_key=True)
    number: Mapped[str] = impersonal("the shop's own number of the order", primary_key=True)
    state: Mapped[DisputeState] = mapped_column(one_of(DisputeState))


class FrozenLot(Base):
    """Points that wait for the end of a dispute, and from when on they could be spent."""

    __tablename__ = "frozen_lot"

    lot_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id")
    number: Mapped[str] = impersonal("the shop's own number of the order")
    available_time: Mapped[datetime]


class Attempt(Base):
    """That something was given: known by a keyed mark of whom, and forgotten with the longest window it counts in."""

    __tablename__ = "attempt"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    mac: Mapped[bytes] = unlinked(COUNTED, "only who holds the key and is told the person can tell whose it is")
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (Index(None, "mac", "create_time"),)


class Review(Base):
    """What came too often, what was counted, and what became of it."""

    __tablename__ = "review"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id")
    action: Mapped[Action] = mapped_column(one_of(Action))
    verdict: Mapped[Verdict] = mapped_column(one_of(Verdict))
    state: Mapped[ReviewState] = mapped_column(one_of(ReviewState))
    dimension: Mapped[Dimension] = mapped_column(one_of(Dimension))
    counted: Mapped[int]
    most: Mapped[int]
    window_hours: Mapped[int]
    create_time: Mapped[datetime]
    decide_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(state IN ('APPROVED', 'REFUSED')) = (decide_time IS NOT NULL)", "decided"),
        CheckConstraint("(state = 'NOTED') = (verdict <> 'HOLD')", "who_decides"),
        Index(None, "create_time", "id"),
    )
