"""People without an account of whom we hold something: the customers of businesses."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import personal, subject
from services.identity.models.base import CREDENTIAL, Base
from services.identity.models.people import ADDRESS


class BusinessCustomer(Base):
    """Somebody whom a business sells to. All rows of one mail address are one subject's, whoever has them."""

    __tablename__ = "business_customer"
    __table_args__ = (
        UniqueConstraint("business_id", "email"),
        Index("business_customer_of_business", "business_id", "create_time", "id"),
        Index("business_customer_address", "email"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    business_id: Mapped[UUID]
    subject_id: Mapped[UUID] = subject()
    email: Mapped[str] = personal("rapport.identity.v1.BusinessCustomer.email")
    recipient: Mapped[str] = personal(f"{ADDRESS}.recipient")
    lines: Mapped[list[str]] = personal(f"{ADDRESS}.lines")
    postal_code: Mapped[str] = personal(f"{ADDRESS}.postal_code")
    city: Mapped[str] = personal(f"{ADDRESS}.city")
    region_code: Mapped[str] = personal(f"{ADDRESS}.region_code")
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"businesses/{self.business_id}/customers/{self.id}"


class SubjectAccess(Base):
    """A link by which somebody without an account sees what we hold of them. Of an address that is nobody's, too: it
    counts the mails."""

    __tablename__ = "subject_access"
    __table_args__ = (Index("subject_access_of_address", "email", "create_time"),)

    token_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    subject_id: Mapped[UUID] = subject()
    email: Mapped[str] = personal("rapport.identity.v1.BeginSubjectAccessRequest.email")
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)
