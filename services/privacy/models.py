"""Tables of the privacy service. Of the people in them it knows ids and decisions, nothing else."""

from datetime import datetime
from enum import Enum as PythonEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import database
from chassis.personal_data import impersonal, subject


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


class Use(PythonEnum):
    """As rapport.privacy.v1.Consent.Use."""

    POLICY = 1
    NEWSLETTER = 2
    TARGETED_ADVERTISING = 3
    SITE_STATISTICS = 4


class ErasureState(PythonEnum):
    """As rapport.privacy.v1.Erasure.State."""

    ORDERED = 1
    VERIFYING = 2
    COMPLETED = 3
    OVERDUE = 4


class Policy(Base):
    """A version of the policy's text, for good."""

    __tablename__ = "policy"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str] = impersonal("the store's own words")
    digest: Mapped[str] = impersonal("a hash of the store's own words", unique=True)
    publish_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"policies/{self.version}"


class Consent(Base):
    """One decision. The latest of a use is the one in force; none is ever changed."""

    __tablename__ = "consent"
    __table_args__ = (Index("consent_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(Personal(category=Category.USER_PRIVACY_PREFERENCES, purpose=Purpose.COMPLIANCE))
    use: Mapped[Use] = mapped_column(Enum(Use, name="consent_use"))
    granted: Mapped[bool]
    policy_version: Mapped[int] = mapped_column(ForeignKey("policy.version"))
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/consents/{self.id}"


class Export(Base):
    """That a person asked for a copy. The copy itself is never stored."""

    __tablename__ = "export"
    __table_args__ = (Index("export_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(Personal(category=Category.USER_PRIVACY_PREFERENCES, purpose=Purpose.COMPLIANCE))
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/exports/{self.id}"


class Erasure(Base):
    """A promise to forget, and how far it is kept. Its id is the receipt: it can not be guessed and names nobody."""

    __tablename__ = "erasure"
    __table_args__ = (
        CheckConstraint("(complete_time IS NOT NULL) = (state = 'COMPLETED')", name="complete_when_completed"),
        # Who it was about is forgotten last, and then for good.
        CheckConstraint("(user_id IS NULL) = (state = 'COMPLETED')", name="nobody_when_completed"),
        Index("erasure_open", "due_time", postgresql_where=text("state <> 'COMPLETED'")),
        Index("erasure_by_time", "create_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = subject(
        Personal(
            category=Category.USER_UNIQUE_ID,
            purpose=Purpose.COMPLIANCE,
            on_erasure=Personal.RETAIN,
            legal_basis="GDPR art. 17(1), 5(2): until every holder has proven that it forgot",
        ),
    )
    state: Mapped[ErasureState] = mapped_column(Enum(ErasureState, name="erasure_state"))
    create_time: Mapped[datetime]
    due_time: Mapped[datetime]
    complete_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"erasures/{self.id}"


class Answer(Base):
    """What one holder owes an erasure: silent until done_time, proven from verify_time on."""

    __tablename__ = "erasure_answer"

    erasure_id: Mapped[UUID] = mapped_column(ForeignKey("erasure.id"), primary_key=True)
    holder: Mapped[str] = impersonal("the name of a service of ours", primary_key=True)
    done_time: Mapped[datetime | None]
    outcomes: Mapped[list[dict[str, Any]]] = impersonal("columns and row counts", JSONB, default=list)
    verify_time: Mapped[datetime | None]
    remaining: Mapped[list[dict[str, Any]]] = impersonal("columns and row counts", JSONB, default=list)
