"""The audit log: rows that are added, get their place in a chain of hashes, and are never changed."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, subject
from services.identity.models.base import Base, one_of

LOGGED = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)
# The chain outlives the person: who the entry was about is only in `audit_account`, which goes with them.
ANONYMISED = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.SECURITY, on_erasure=Personal.ANONYMISE)


class Actor(StrEnum):
    """As rapport.identity.v1.AuditEntry.Actor."""

    OWNER = "OWNER"
    STAFF = "STAFF"
    PROGRAM = "PROGRAM"
    CLOCK = "CLOCK"


class AuditAccount(Base):
    """Whom entries are about: a number of its own, so that entries need no word of the person."""

    __tablename__ = "audit_account"

    user_id: Mapped[UUID] = subject(LOGGED, primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True, default=uuid4)


class AuditEntry(Base):
    """One thing that happened to an account."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        CheckConstraint("(number IS NULL) = (root IS NULL) AND (number IS NULL) = (before IS NULL)", "in_the_chain"),
        Index("audit_entry_of_account", "account_id", "id"),
        Index("audit_entry_waiting", "id", postgresql_where="number IS NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)  # begins with the time
    number: Mapped[int | None] = mapped_column(unique=True)
    account_id: Mapped[UUID] = subject(ANONYMISED, through="audit_account.id", index=False)
    fact: Mapped[str] = impersonal("the name of a message of the contracts")
    details: Mapped[str] = impersonal("ids and our own words, as events carry them, in JSON")
    actor: Mapped[Actor] = mapped_column(one_of(Actor))
    staff_id: Mapped[UUID | None] = subject(ANONYMISED, through="audit_account.id")  # who, where it was STAFF
    program: Mapped[str] = impersonal("the name of a program")
    create_time: Mapped[datetime]
    before: Mapped[bytes | None] = impersonal("a hash over hashes")
    root: Mapped[bytes | None] = impersonal("a hash over ids, our own words and the hash before")
