"""Who acts for somebody else."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.personal_data import personal, subject
from services.identity.models.base import Base, one_of

SEEN = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.SECURITY)


class ImpersonationReason(StrEnum):
    """As rapport.identity.v1.Impersonation.Reason."""

    SUPPORT_REQUEST = "SUPPORT_REQUEST"
    FRAUD_REVIEW = "FRAUD_REVIEW"
    LEGAL_REQUEST = "LEGAL_REQUEST"


class Impersonation(Base):
    """One of the store's people sees what a customer sees: until end_time is set or expire_time has come."""

    __tablename__ = "impersonation"
    __table_args__ = (Index("impersonation_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(SEEN, ForeignKey("user.id"), index=False)
    session_id: Mapped[UUID] = mapped_column(index=True)  # of who looks: it ends with it
    reason: Mapped[ImpersonationReason] = mapped_column(one_of(ImpersonationReason))
    note: Mapped[str] = personal("rapport.identity.v1.Impersonation.note")
    create_time: Mapped[datetime] = mapped_column(index=True)
    expire_time: Mapped[datetime]
    end_time: Mapped[datetime | None]

    looked: Mapped["ImpersonationStaff | None"] = relationship(
        primaryjoin="Impersonation.id == foreign(ImpersonationStaff.impersonation_id)", lazy="selectin", uselist=False
    )

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/impersonations/{self.id}"

    def is_live(self, now: datetime) -> bool:
        return self.end_time is None and self.expire_time > now

    @property
    def staff(self) -> str:
        """Who looks; "" when they are gone."""
        return f"users/{self.looked.staff_id}" if self.looked else ""


class ImpersonationStaff(Base):
    """Who of the store's people it was: a row of its own, because each goes with its own person, or by its age."""

    __tablename__ = "impersonation_staff"

    impersonation_id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = subject(SEEN)
    create_time: Mapped[datetime]
