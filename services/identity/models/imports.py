"""Imports of users: which rows were taken, and what became of each. What a row held is not kept here."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, unlinked
from services.identity.models.base import Base, one_of

SEEN = Personal(
    category=Category.USER_CONTACT_EMAIL,
    purpose=Purpose.SECURITY,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(f): a dry run says who comes twice; forgotten when it is finished",
)


class Outcome(StrEnum):
    """As rapport.identity.v1.ImportUsersResponse.Outcome."""

    CREATED = "CREATED"
    EXISTS = "EXISTS"
    REFUSED = "REFUSED"


class UserImport(Base):
    """One run of bringing users in, or of trying to."""

    __tablename__ = "user_import"
    __table_args__ = (Index("user_import_by_time", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    validate_only: Mapped[bool]
    source_digest: Mapped[str] = impersonal("a hash over a whole file")
    created: Mapped[int] = mapped_column(default=0)
    existing: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    without_password: Mapped[int] = mapped_column(default=0)
    last_row: Mapped[int] = mapped_column(default=0)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime] = mapped_column(index=True)
    finish_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"userImports/{self.id}"


class UserImportRow(Base):
    """A row that was taken, and what became of it."""

    __tablename__ = "user_import_row"
    __table_args__ = (Index("user_import_row_refused", "import_id", "number", postgresql_where="outcome = 'REFUSED'"),)

    import_id: Mapped[UUID] = mapped_column(ForeignKey("user_import.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    outcome: Mapped[Outcome] = mapped_column(one_of(Outcome))
    reason: Mapped[str] = impersonal("one of our own words for why", default="")
    field: Mapped[str] = impersonal("the name of a field of the contract", default="")


class UserImportAddress(Base):
    """An address that a dry run has seen, so that the second row with it is told as it would be."""

    __tablename__ = "user_import_address"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("user_import.id"), primary_key=True)
    mac: Mapped[bytes] = unlinked(
        SEEN, "only who holds the key and is told the address can tell whose it is", primary_key=True
    )
    expire_time: Mapped[datetime] = mapped_column(index=True)
