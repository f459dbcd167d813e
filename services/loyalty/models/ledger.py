"""The journal, the lots, and the accounts both add up to. What must hold is stated here, judged by the database."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, Computed, ForeignKey, Identity, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, subject
from services.loyalty.models.base import POINTS, Base, one_of

MEMBERSHIP = Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.LOYALTY, on_erasure=Personal.ERASE)


class Bucket(StrEnum):
    """The programme's side of an operation. These have no row and no balance of their own, so nobody waits for one."""

    ISSUED = "ISSUED"
    REDEEMED = "REDEEMED"
    EXPIRED = "EXPIRED"
    REVERSED = "REVERSED"
    FORFEITED = "FORFEITED"
    ADJUSTED = "ADJUSTED"
    TRANSFERRED = "TRANSFERRED"  # what left one account and came into another: zero
    WRITTEN_OFF = "WRITTEN_OFF"


class Kind(StrEnum):
    """Why points moved; the names are those of the contract's Movement.Kind."""

    NEWSLETTER_BONUS = "NEWSLETTER_BONUS"
    ORDER = "ORDER"
    ORDER_REFUND = "ORDER_REFUND"
    GOODWILL = "GOODWILL"
    FORFEIT = "FORFEIT"
    WRITE_OFF = "WRITE_OFF"
    ACTIVATE = "ACTIVATE"
    EXPIRE = "EXPIRE"
    REDEEM = "REDEEM"
    HOLD = "HOLD"
    CAPTURE = "CAPTURE"
    RELEASE = "RELEASE"
    REFUND = "REFUND"
    REVERSE = "REVERSE"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"
    ADJUST = "ADJUST"
    IMPORT = "IMPORT"
    REFERRAL = "REFERRAL"
    CAMPAIGN = "CAMPAIGN"
    VOUCHER = "VOUCHER"
    DISPUTE = "DISPUTE"


class Origin(StrEnum):
    """Where points come from; the names are those of the contract."""

    PURCHASE = "PURCHASE"
    PROMOTION = "PROMOTION"
    GOODWILL = "GOODWILL"
    IMPORTED = "IMPORTED"


class Place(StrEnum):
    """Where points of a lot are: each of them in one place at any time."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    HELD = "HELD"
    SPENT = "SPENT"
    EXPIRED = "EXPIRED"
    REVERSED = "REVERSED"
    ABSORBED = "ABSORBED"  # settled what the account owed
    REMOVED = "REMOVED"  # into another lot or account, forfeited, or corrected away


class HoldState(StrEnum):
    OPEN = "OPEN"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class Account(Base):
    """Points of one currency: `member` says whose. Closed once that person is erased."""

    __tablename__ = "account"

    id: Mapped[UUID] = subject(POINTS, through="member.account_id", primary_key=True, default=uuid4)
    currency: Mapped[str] = impersonal("the store's code for its points")
    available: Mapped[int] = mapped_column(default=0)
    pending: Mapped[int] = mapped_column(default=0)
    held: Mapped[int] = mapped_column(default=0)
    arrears: Mapped[int] = mapped_column(default=0)
    # No later than the first thing of it that is due by the clock: an expiry, an activation, the end of a hold.
    due_time: Mapped[datetime | None]
    create_time: Mapped[datetime]
    close_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("available >= 0 AND pending >= 0 AND held >= 0 AND arrears >= 0", "positive"),
        CheckConstraint("arrears = 0 OR available = 0", "arrears_first"),
        Index(None, "due_time", postgresql_where="due_time IS NOT NULL"),
        # Every movement updates this row: room on the page keeps it there, and off the index.
        {"postgresql_with": {"fillfactor": 70}},
    )


class Member(Base):
    """Whose an account is. All that ties the journal to a person: erasing them deletes this row."""

    __tablename__ = "member"

    user_id: Mapped[UUID] = subject(MEMBERSHIP, primary_key=True)
    currency: Mapped[str] = impersonal("the store's code for its points", primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), unique=True)


class Operation(Base):
    """One thing that happened to an account's points, or was refused. Never changed, never deleted.

    Its legs are columns: what became of the account's four balances (more owed is less), and against which of the
    programme's. They sum to zero in every row, and no way of writing one gets around that. No foreign key: a batch
    writes only accounts that it has locked, and every look-up would cost what an insert does.
    """

    __tablename__ = "operation"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # Drawn under the account's lock, so within an account it is the order of booking.
    seq: Mapped[int] = mapped_column(Identity(always=True))
    batch: Mapped[UUID]  # those that were committed together, and are sealed together
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", index=False)
    kind: Mapped[Kind] = mapped_column(one_of(Kind))
    # What the operation answers, for ever: the same scope and key is the same operation. What comes of time has none.
    scope: Mapped[str | None] = impersonal("one of our own words for a source of operations")
    key: Mapped[str | None] = impersonal("ids, by the rules of the scope")
    asked: Mapped[dict[str, Any]] = impersonal("ids and numbers of what was asked for")
    refusal: Mapped[dict[str, Any] | None] = impersonal("a reason of the contract, with its numbers")
    about: Mapped[UUID | None]  # the operation or the hold that this one goes on with
    order_number: Mapped[str | None] = impersonal("the shop's own number of the order")
    programme_version: Mapped[int | None]
    effective_time: Mapped[datetime]
    booked_time: Mapped[datetime]
    available: Mapped[int]
    pending: Mapped[int]
    held: Mapped[int]
    arrears: Mapped[int]
    against: Mapped[Bucket | None] = mapped_column(one_of(Bucket))
    amount: Mapped[int]
    available_after: Mapped[int]
    pending_after: Mapped[int]
    held_after: Mapped[int]
    arrears_after: Mapped[int]

    __table_args__ = (
        Unique("scope", "key"),
        CheckConstraint("available + pending + held - arrears + amount = 0", "sums_to_zero"),
        CheckConstraint("(against IS NULL) = (amount = 0)", "against"),
        CheckConstraint("refusal IS NULL OR (available, pending, held, arrears, amount) = (0, 0, 0, 0, 0)", "refusal"),
        CheckConstraint("(scope IS NULL) = (key IS NULL)", "key"),
        Index(None, "account_id", "seq", unique=True),
        Index(None, "about", postgresql_where="about IS NOT NULL"),
        # Where the newest are: a few bytes for each 128 pages, because rows lie in the order of seq.
        Index("operation_seq_idx", "seq", postgresql_using="brin"),
    )


class Lot(Base):
    """What one earning brought: each of its points is in one place at any time, and that is checked in every row."""

    __tablename__ = "lot"

    id: Mapped[UUID] = mapped_column(primary_key=True)  # where an operation earned one lot, that of the operation
    seq: Mapped[int] = mapped_column(Identity(always=True))
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", index=False)
    operation_id: Mapped[UUID]  # that earned it
    parent_id: Mapped[UUID | None]  # the lot it was before: of another account, or of before a grace
    origin: Mapped[Origin] = mapped_column(one_of(Origin))
    rule: Mapped[str | None] = impersonal("the programme's word for the rule that gave it")
    priority: Mapped[int]
    available_time: Mapped[datetime]
    expire_time: Mapped[datetime | None]  # exclusive: at that instant they are gone
    amount: Mapped[int]
    pending: Mapped[int]
    open: Mapped[int]
    held: Mapped[int]
    spent: Mapped[int]
    expired: Mapped[int]
    reversed: Mapped[int]
    absorbed: Mapped[int]
    removed: Mapped[int]
    clawed: Mapped[int]  # how many were asked back, whoever paid for it
    # Until when what is pending waits, where somebody said otherwise than `available_time`, which is sealed.
    wait_time: Mapped[datetime | None]
    # What the indexes go by: as long as these stay, an update stays on its page and touches none of them.
    is_open: Mapped[bool] = mapped_column(Computed("open > 0", persisted=True))
    is_pending: Mapped[bool] = mapped_column(Computed("pending > 0", persisted=True))

    __table_args__ = (
        CheckConstraint(
            "pending >= 0 AND open >= 0 AND held >= 0 AND spent >= 0 AND expired >= 0 AND reversed >= 0"
            " AND absorbed >= 0 AND removed >= 0 AND clawed BETWEEN 0 AND amount AND amount > 0",
            "positive",
        ),
        CheckConstraint(
            "amount = pending + open + held + spent + expired + reversed + absorbed + removed", "each_in_one_place"
        ),
        # The order in which they are spent.
        Index(
            "lot_burn_idx",
            "account_id",
            "priority",
            "expire_time",
            "available_time",
            "seq",
            postgresql_where="is_open",
        ),
        Index("lot_pending_idx", "account_id", "available_time", postgresql_where="is_pending"),
        Index(None, "account_id", "seq"),
        Index("lot_descended_idx", "operation_id", postgresql_where="id <> operation_id"),
        {"postgresql_with": {"fillfactor": 85}},
    )


class LotMove(Base):
    """What an operation did to a lot that was there before. Never changed, never deleted."""

    __tablename__ = "lot_move"

    operation_id: Mapped[UUID] = subject(POINTS, through="operation.id", primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID]
    source: Mapped[Place] = mapped_column(one_of(Place, "source"))
    target: Mapped[Place] = mapped_column(one_of(Place, "target"))
    points: Mapped[int]

    __table_args__ = (CheckConstraint("points > 0", "points"),)


class Hold(Base):
    """Points set aside for a purchase under way. Its slices are what its operation took from lots."""

    __tablename__ = "hold"

    id: Mapped[UUID] = mapped_column(primary_key=True)  # that of the operation that made it
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", index=False)
    points: Mapped[int]
    captured: Mapped[int]
    released: Mapped[int]
    state: Mapped[HoldState] = mapped_column(one_of(HoldState))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("points > 0 AND captured >= 0 AND released >= 0", "positive"),
        CheckConstraint("captured + released <= points", "no_more_than_held"),
        CheckConstraint("(state = 'OPEN') = (captured + released < points)", "open"),
        Index(None, "account_id", "expire_time"),
    )


class Refunded(Base):
    """How much of a redemption came back so far."""

    __tablename__ = "refunded"

    operation_id: Mapped[UUID] = subject(POINTS, through="operation.id", primary_key=True)
    points: Mapped[int]

    __table_args__ = (CheckConstraint("points > 0", "points"),)


class Substitution(Base):
    """A lot paid for another that was reversed after it was spent: what comes back to that one goes to this first."""

    __tablename__ = "substitution"

    operation_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID] = subject(POINTS, through="lot.id")  # that was spent
    payer_id: Mapped[UUID]
    points: Mapped[int]
    returned: Mapped[int]

    __table_args__ = (CheckConstraint("points > 0 AND returned BETWEEN 0 AND points", "points"),)


class Seal(Base):
    """A link of the chain over all that was booked: the hash of the link before, and of what one batch wrote."""

    __tablename__ = "seal"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    batch: Mapped[UUID] = mapped_column(unique=True)
    operations: Mapped[int]
    digest: Mapped[bytes] = impersonal("a hash over ids and numbers")
    root: Mapped[bytes] = impersonal("a hash over hashes")


class Chain(Base):
    """The last link, in the one row there is: whoever adds one waits here for who did before."""

    __tablename__ = "chain"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    root: Mapped[bytes] = impersonal("a hash over hashes")

    __table_args__ = (CheckConstraint("id = 1", "one_row"),)


JOURNAL: tuple[Any, ...] = (Operation.__table__, LotMove.__table__, Seal.__table__)
