"""Businesses, what shows that they are one, and who acts for them.

`owner_id` is who answers for a business: one of its owners, and with the last of them it goes. All it says of itself
hangs on that person; members are people of their own, and no key holds them to it: who closes it sees to them.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.personal_data import impersonal, personal, subject
from services.identity.businesses.states import BusinessState, ways
from services.identity.models.base import CREDENTIAL, Base, one_of
from services.identity.models.people import BusinessKind

ACCOUNT = "rapport.identity.v1.BusinessAccount"
CONTACT = "rapport.identity.v1.BusinessContact"
MEMBER = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)
ACTOR = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT, on_erasure=Personal.ANONYMISE)


class MemberRole(StrEnum):
    """As rapport.identity.v1.BusinessMember.Role."""

    VIEWER = "VIEWER"
    MANAGER = "MANAGER"
    OWNER = "OWNER"


def taken(before: str, state: str) -> str:
    """Where the way from one state to the other is one that a step takes."""
    pairs = ", ".join(f"('{one}', '{other}')" for one, other in ways())
    return f"({before}, {state}) IN ({pairs})"


BEFORE = taken("coalesce(state_before, '')", "state")  # a check that is neither true nor false lets a row pass


class BusinessAccount(Base):
    """A business that trades with the store, or would."""

    __tablename__ = "business_account"
    __table_args__ = (
        UniqueConstraint("id", "owner_id"),
        # Of every change: the statement that sets a state keeps the one before beside it.
        CheckConstraint(f"state_before IS NULL AND state = 'DRAFT' OR {BEFORE}", "step"),
        CheckConstraint("(state = 'REFUSED') = (cardinality(reasons) > 0)", "refused_with_reasons"),
        CheckConstraint("state = 'DRAFT' OR submit_time IS NOT NULL", "submitted"),
        Index("business_account_queue", "state", "submit_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID] = subject("", ForeignKey("user.id"))
    kind: Mapped[BusinessKind] = mapped_column(one_of(BusinessKind))
    company: Mapped[str] = personal(f"{ACCOUNT}.company")
    website: Mapped[str] = personal(f"{ACCOUNT}.website")
    region_code: Mapped[str] = impersonal("the code of a country")
    tax_id: Mapped[str] = personal(f"{ACCOUNT}.tax_id")
    state: Mapped[BusinessState] = mapped_column(one_of(BusinessState), default=BusinessState.DRAFT)
    state_before: Mapped[str | None] = impersonal("one of our own words for a state")
    reasons: Mapped[list[str]] = impersonal("some of our own words for why", default=list)
    review_text: Mapped[str] = personal(f"{ACCOUNT}.review_text", default="")
    submit_time: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]

    contacts: Mapped[list["BusinessContact"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="BusinessContact.position"
    )

    @property
    def name(self) -> str:
        return f"businesses/{self.id}"


class BusinessContact(Base):
    """Whom to ask about a business: given by who answers for it, and gone with them."""

    __tablename__ = "business_contact"
    __table_args__ = (
        ForeignKeyConstraint(
            ["business_id", "owner_id"], ["business_account.id", "business_account.owner_id"], onupdate="CASCADE"
        ),
    )

    business_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[UUID] = subject("")
    name: Mapped[str] = personal(f"{CONTACT}.name")
    email: Mapped[str] = personal(f"{CONTACT}.email")
    phone: Mapped[str] = personal(f"{CONTACT}.phone")


class BusinessDocument(Base):
    """What shows that a business is one."""

    __tablename__ = "business_document"
    __table_args__ = (
        ForeignKeyConstraint(
            ["business_id", "owner_id"], ["business_account.id", "business_account.owner_id"], onupdate="CASCADE"
        ),
        UniqueConstraint("id", "owner_id"),
        CheckConstraint("size_bytes BETWEEN 1 AND 2097152 AND received_bytes BETWEEN 0 AND size_bytes", "size"),
        CheckConstraint("(received_bytes = 0) = (content_type = '')", "told_by_its_first_bytes"),
        Index("business_document_of_business", "business_id", "create_time", "id"),
        Index("business_document_unfinished", "create_time", postgresql_where="received_bytes < size_bytes"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    business_id: Mapped[UUID]
    owner_id: Mapped[UUID] = subject("")
    title: Mapped[str] = personal("rapport.identity.v1.BusinessDocument.title")
    size_bytes: Mapped[int]
    received_bytes: Mapped[int] = mapped_column(default=0)
    content_type: Mapped[str] = impersonal("one of the media types we take", default="")
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"businesses/{self.business_id}/documents/{self.id}"


class BusinessDocumentPiece(Base):
    """A part of a document, small enough to travel: to us, and in an export."""

    __tablename__ = "business_document_piece"
    __table_args__ = (
        ForeignKeyConstraint(
            ["document_id", "owner_id"],
            ["business_document.id", "business_document.owner_id"],
            onupdate="CASCADE",
        ),
    )

    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    offset_bytes: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[UUID] = subject("")
    content: Mapped[bytes] = personal("rapport.identity.v1.AppendBusinessDocumentRequest.content")


class BusinessStep(Base):
    """What became of an application at one time, and who did it."""

    __tablename__ = "business_step"
    __table_args__ = (
        CheckConstraint(taken("state_before", "state"), "step"),
        Index("business_step_of_business", "business_id", "create_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    business_id: Mapped[UUID]
    actor_id: Mapped[UUID | None] = subject(ACTOR)
    state_before: Mapped[str] = impersonal("one of our own words for a state")
    state: Mapped[BusinessState] = mapped_column(one_of(BusinessState))
    reasons: Mapped[list[str]] = impersonal("some of our own words for why")
    create_time: Mapped[datetime]


class BusinessMember(Base):
    """Somebody who acts for a business. Tokens speak of `membership_id`, which is another one with every role."""

    __tablename__ = "business_member"

    business_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = subject(MEMBER, ForeignKey("user.id"), primary_key=True, index=True)
    role: Mapped[MemberRole] = mapped_column(one_of(MemberRole))
    membership_id: Mapped[UUID] = mapped_column(unique=True, default=uuid4)
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"businesses/{self.business_id}/members/{self.user_id}"

    @property
    def membership(self) -> str:
        return f"businesses/{self.business_id}/memberships/{self.membership_id}"


class BusinessInvitation(Base):
    """A link that waits for who is to be a member. `person_id` is theirs, where the address has an account."""

    __tablename__ = "business_invitation"
    __table_args__ = (
        Index("business_invitation_of_business", "business_id", "create_time", "id"),
        Index("business_invitation_to_address", "email", "create_time"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    business_id: Mapped[UUID]
    person_id: Mapped[UUID] = subject()
    token_hash: Mapped[bytes] = personal(CREDENTIAL, unique=True)
    email: Mapped[str] = personal("rapport.identity.v1.InviteBusinessMemberRequest.email")
    role: Mapped[MemberRole] = mapped_column(one_of(MemberRole))
    create_time: Mapped[datetime] = mapped_column(index=True)
    expire_time: Mapped[datetime]  # also when it was used or taken back: it counts the mails for a day

    @property
    def name(self) -> str:
        return f"businesses/{self.business_id}/invitations/{self.id}"
