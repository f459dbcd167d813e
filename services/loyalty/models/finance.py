"""What finance asks for and signs: corrections by hand, statements, and how far the books were checked."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject
from services.loyalty.models.base import POINTS, Base, one_of

SALT = Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.LOYALTY, secret=True)
DECIDING = Personal(
    category=Category.USER_UNIQUE_ID,
    purpose=Purpose.COMPLIANCE,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(c): books of account say who had a booking made, as long as they are kept",
)


class AdjustmentState(StrEnum):
    WAITING = "WAITING"
    BOOKED = "BOOKED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


class Adjustment(Base):
    """A correction that somebody asked for. Why is here alone: the journal has a salted hash of it, for ever."""

    __tablename__ = "adjustment"

    id: Mapped[UUID] = mapped_column(primary_key=True)  # the request's
    user_id: Mapped[UUID | None] = subject(POINTS)
    currency: Mapped[str] = impersonal("the store's code for its points")
    points: Mapped[int]
    reason: Mapped[str | None] = personal("rapport.loyalty.v1.Adjustment.reason", of="user_id")
    salt: Mapped[bytes | None] = personal(SALT, of="user_id")
    state: Mapped[AdjustmentState] = mapped_column(one_of(AdjustmentState))
    asked_by: Mapped[UUID | None] = subject(DECIDING)
    decided_by: Mapped[UUID | None] = subject(DECIDING)
    operation_id: Mapped[UUID | None]
    create_time: Mapped[datetime]
    decide_time: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("points <> 0", "points"),
        CheckConstraint("decided_by <> asked_by", "two_people"),
        CheckConstraint("(state = 'BOOKED') = (operation_id IS NOT NULL)", "operation"),
        CheckConstraint("(state = 'WAITING') = (decide_time IS NULL)", "decided"),
        Index(None, "create_time", "id"),
    )


class Statement(Base):
    """A period of an account that was stated. What it says is made again from the journal, up to the `known_seq` that
    was the last one then: so it says the same for ever."""

    __tablename__ = "statement"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id", index=False)
    start_time: Mapped[datetime]
    end_time: Mapped[datetime]
    known_seq: Mapped[int]
    opening_seq: Mapped[int]  # what the statement before knew
    create_time: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("start_time < end_time", "period"),
        CheckConstraint("opening_seq <= known_seq", "known"),
        Unique("account_id", "start_time"),
    )


class Checkpoint(Base):
    """How far the continuous check has come, in the one row there is."""

    __tablename__ = "checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]  # of the last seal that was checked
    root: Mapped[bytes] = impersonal("a hash over hashes")
    seq: Mapped[int]  # no operation under a later seal has one as low
    totals: Mapped[dict[str, Any]] = impersonal("sums over everybody")  # of all that is under it
    account_id: Mapped[UUID | None]  # after which the next accounts are looked at in turn
    full_time: Mapped[datetime | None]
    findings: Mapped[int]  # of the last full check
    stated_number: Mapped[int]  # of the last seal that was stated

    __table_args__ = (CheckConstraint("id = 1", "one_row"),)
