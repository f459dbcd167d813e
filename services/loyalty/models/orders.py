"""What orders are known by."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CHAR, CheckConstraint, ForeignKey, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, subject
from services.loyalty.models.base import Base

PURCHASES = Personal(
    category=Category.USER_BEHAVIOR_PURCHASE_HISTORY, purpose=Purpose.LOYALTY, on_erasure=Personal.ANONYMISE
)


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
    inputs_hash: Mapped[bytes | None] = impersonal("a hash of what the rules were asked about")
    shipped_time: Mapped[datetime | None]
    earned: Mapped[int] = mapped_column(default=0)
    taken_back: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        CheckConstraint("paid >= 0 AND refunded >= 0", "amounts"),
        CheckConstraint("taken_back BETWEEN 0 AND earned", "taken_back"),
        CheckConstraint("(paid IS NULL) = (programme_version IS NULL)", "rules"),
    )
