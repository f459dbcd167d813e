"""The journal, the accounts it moves, and the newsletter. What must hold is stated here and judged by the database."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CHAR, CheckConstraint, Enum, ForeignKey, ForeignKeyConstraint, Identity, Index, Numeric
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import database
from chassis.personal_data import impersonal, personal, subject, unlinked

# Points are about a person while `member` says whose they are; without it they are sums about nobody, which the
# store's books need.
POINTS = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.LOYALTY, on_erasure=Personal.ANONYMISE)
PURCHASES = Personal(
    category=Category.USER_BEHAVIOR_PURCHASE_HISTORY, purpose=Purpose.LOYALTY, on_erasure=Personal.ANONYMISE
)
MEMBERSHIP = Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.LOYALTY, on_erasure=Personal.ERASE)
CREDENTIAL = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.MARKETING, secret=True)
ADDRESS = "rapport.loyalty.v1.BeginSubscriptionRequest.email"
MARK = Personal(
    category=Category.USER_CONTACT_EMAIL,
    purpose=Purpose.SECURITY,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(f): a bonus that is given once is not given again to who comes back",
)


class Bucket(StrEnum):
    """Where points are. The first two belong to an account; the others are the programme's, and have no row at all."""

    AVAILABLE = "AVAILABLE"
    ARREARS = "ARREARS"  # what a member owes: its legs are negative while it grows
    ISSUED = "ISSUED"
    REVERSED = "REVERSED"
    FORFEITED = "FORFEITED"
    WRITTEN_OFF = "WRITTEN_OFF"


class Kind(StrEnum):
    """Why points moved; the names are those of the contract's Movement.Kind."""

    NEWSLETTER_BONUS = "NEWSLETTER_BONUS"
    ORDER = "ORDER"
    ORDER_REFUND = "ORDER_REFUND"
    GOODWILL = "GOODWILL"
    FORFEIT = "FORFEIT"
    WRITE_OFF = "WRITE_OFF"


class State(StrEnum):
    CONFIRMED = "CONFIRMED"
    ENDED = "ENDED"


class Bonus(StrEnum):
    BONUS_UNSPECIFIED = "BONUS_UNSPECIFIED"
    GRANTED = "GRANTED"
    ALREADY_GRANTED = "ALREADY_GRANTED"
    CLAIM_WAITING = "CLAIM_WAITING"


def one_of(words: type[StrEnum]) -> Enum:
    """A text column that holds one of our own words, and a CHECK that says so."""
    return Enum(words, native_enum=False, create_constraint=True, name=words.__name__.lower(), length=30)


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


class Account(Base):
    """Points of somebody: `member` says whose. Closed once that person is erased."""

    __tablename__ = "account"

    id: Mapped[UUID] = subject(POINTS, through="member.account_id", primary_key=True, default=uuid4)
    available: Mapped[int] = mapped_column(default=0)
    arrears: Mapped[int] = mapped_column(default=0)
    create_time: Mapped[datetime]
    close_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("available >= 0", "available"),
        CheckConstraint("arrears >= 0", "arrears"),
        CheckConstraint("arrears = 0 OR available = 0", "arrears_first"),
        # Every movement updates this row: room on the page keeps it there, and off the index.
        {"postgresql_with": {"fillfactor": 70}},
    )


class Member(Base):
    """Whose an account is. All that ties the journal to a person: erasing them deletes this row."""

    __tablename__ = "member"

    user_id: Mapped[UUID] = subject(MEMBERSHIP, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), unique=True)


class Purchase(Base):
    """What was told of an order so far; what it earned, by which rules, and what was taken back."""

    __tablename__ = "purchase"

    account_id: Mapped[UUID] = subject(
        PURCHASES, ForeignKey("account.id"), through="member.account_id", primary_key=True, index=False
    )
    number: Mapped[str] = impersonal("the shop's own number of the order", primary_key=True, index=True)
    currency: Mapped[str | None] = impersonal("ISO 4217", CHAR(3))
    paid: Mapped[Decimal | None] = mapped_column(Numeric(28, 9))
    refunded: Mapped[Decimal] = mapped_column(Numeric(28, 9), default=Decimal(0))
    cancelled: Mapped[bool] = mapped_column(default=False)
    programme_version: Mapped[int | None] = mapped_column(ForeignKey("programme.version"))
    earned: Mapped[int] = mapped_column(default=0)
    taken_back: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("paid >= 0 AND refunded >= 0", "amounts"),
        CheckConstraint("taken_back BETWEEN 0 AND earned", "taken_back"),
        CheckConstraint("(paid IS NULL) = (programme_version IS NULL)", "rules"),
    )


class Operation(Base):
    """One thing that happened to an account's points. Never changed, never deleted."""

    __tablename__ = "operation"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # Drawn under the account's lock, so within an account it is the order of booking.
    seq: Mapped[int] = mapped_column(Identity(always=True), unique=True)
    account_id: Mapped[UUID] = subject(POINTS, ForeignKey("account.id"), through="member.account_id", index=False)
    kind: Mapped[Kind] = mapped_column(one_of(Kind))
    # What the operation answers, for ever: the same scope and key is the same operation.
    scope: Mapped[str] = impersonal("one of our own words for a source of operations")
    key: Mapped[str] = impersonal("ids, by the rules of the scope")
    fingerprint: Mapped[bytes] = impersonal("a hash over ids and numbers")
    order_number: Mapped[str | None] = impersonal("the shop's own number of the order")
    programme_version: Mapped[int | None] = mapped_column(ForeignKey("programme.version"))
    effective_time: Mapped[datetime]
    booked_time: Mapped[datetime]

    __table_args__ = (
        Unique("scope", "key"),
        ForeignKeyConstraint(["account_id", "order_number"], ["purchase.account_id", "purchase.number"]),
        Index(None, "account_id", "seq"),
    )


class Entry(Base):
    """One leg of an operation. The legs of each sum to zero: a trigger refuses what does not."""

    __tablename__ = "entry"

    operation_id: Mapped[UUID] = mapped_column(ForeignKey("operation.id"), primary_key=True)
    leg: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[Bucket] = mapped_column(one_of(Bucket))
    account_id: Mapped[UUID | None] = subject(POINTS, ForeignKey("account.id"), through="member.account_id")
    delta: Mapped[int]
    balance_after: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("delta <> 0", "delta"),
        CheckConstraint("(bucket IN ('AVAILABLE', 'ARREARS')) = (account_id IS NOT NULL)", "owner"),
        CheckConstraint("(balance_after IS NULL) = (account_id IS NULL) AND balance_after >= 0", "balance_after"),
    )


class Programme(Base):
    """A version of the rules that points are given by. The highest is in force."""

    __tablename__ = "programme"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    currency: Mapped[str] = impersonal("the store's word for its points")
    newsletter_bonus: Mapped[int]
    points_per_unit: Mapped[int]
    start_time: Mapped[datetime]

    __table_args__ = (CheckConstraint("newsletter_bonus >= 0 AND points_per_unit >= 0", "rules"),)


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
    create_time: Mapped[datetime] = mapped_column(index=True)  # the month: more would tell which movement it goes with

    __table_args__ = (CheckConstraint("form IN ('exact', 'canonical')", "form"),)


JOURNAL: tuple[Any, ...] = (Operation.__table__, Entry.__table__)
