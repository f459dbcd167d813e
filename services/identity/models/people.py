"""People who can sign in. Each part of the profile is a row of its own, there or not."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import Base, one_of

USER = "rapport.identity.v1.User"
ADDRESS = "rapport.identity.v1.Address"
BUSINESS = "rapport.identity.v1.Business"


class State(StrEnum):
    """As rapport.identity.v1.User.State, where an ACTIVE user with a time to be purged at is PENDING_DELETION."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    DISABLED = "DISABLED"


class ContactDoubt(StrEnum):
    """As rapport.identity.v1.User.ContactConfirmation, where there is something to confirm."""

    OLD = "OLD"
    BOUNCED = "BOUNCED"


class BusinessKind(StrEnum):
    """As rapport.identity.v1.Business.Kind."""

    WHOLESALER = "WHOLESALER"
    DROPSHIPPER = "DROPSHIPPER"
    AFFILIATE = "AFFILIATE"


class User(Base):
    """A person who can sign in. Each part of the profile is a row of its own, there or not."""

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint('email = lower(email COLLATE "C")', "email_compares_as_text"),
        CheckConstraint("roles <@ ARRAY['agent', 'privacy_officer', 'admin']", "roles"),
        CheckConstraint("(erasure_id IS NOT NULL) = (state = 'DELETING')", "receipt_while_deleting"),
        Index("user_by_time", "create_time", "id"),
        Index("user_contact_by_age", "contact_confirm_time", postgresql_where=text("contact_doubt IS NULL")),
        Index("user_to_purge", "purge_time", postgresql_where=text("purge_time IS NOT NULL")),
        Index("user_with_roles", "create_time", "id", postgresql_where="cardinality(roles) > 0"),
    )

    id: Mapped[UUID] = subject(primary_key=True)
    email: Mapped[str] = personal(f"{USER}.email", unique=True)
    display_name: Mapped[str] = personal(f"{USER}.display_name")
    state: Mapped[State] = mapped_column(one_of(State), default=State.ACTIVE)
    roles: Mapped[list[str]] = impersonal("agent, privacy_officer or admin")
    erasure_id: Mapped[UUID | None]
    purge_time: Mapped[datetime | None]  # when the erasure starts that the owner asked for, while it can be taken back
    contact_confirm_time: Mapped[datetime] = mapped_column(server_default=func.now())
    contact_doubt: Mapped[ContactDoubt | None] = mapped_column(one_of(ContactDoubt))
    version: Mapped[int] = mapped_column(default=1)  # of everything the contract's User shows
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]

    billing_address: Mapped["BillingAddress | None"] = relationship(cascade="all, delete-orphan", lazy="joined")
    shipping_address: Mapped["ShippingAddress | None"] = relationship(cascade="all, delete-orphan", lazy="joined")
    business: Mapped["Business | None"] = relationship(cascade="all, delete-orphan", lazy="joined")
    photo: Mapped["Photo | None"] = relationship(cascade="all, delete-orphan", lazy="joined")

    @property
    def name(self) -> str:
        return f"users/{self.id}"

    @property
    def is_pending_deletion(self) -> bool:
        return self.state is not State.DELETING and self.purge_time is not None


class PostalAddress:
    """Where something is sent or billed."""

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    recipient: Mapped[str] = personal(f"{ADDRESS}.recipient")
    lines: Mapped[list[str]] = personal(f"{ADDRESS}.lines")
    postal_code: Mapped[str] = personal(f"{ADDRESS}.postal_code")
    city: Mapped[str] = personal(f"{ADDRESS}.city")
    region_code: Mapped[str] = personal(f"{ADDRESS}.region_code")


class BillingAddress(PostalAddress, Base):
    __tablename__ = "billing_address"


class ShippingAddress(PostalAddress, Base):
    __tablename__ = "shipping_address"


class Business(Base):
    """The business that a user trades as."""

    __tablename__ = "business"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    kind: Mapped[BusinessKind] = mapped_column(one_of(BusinessKind))
    company: Mapped[str] = personal(f"{BUSINESS}.company")
    website: Mapped[str] = personal(f"{BUSINESS}.website")


class Photo(Base):
    """The picture a user shows, written anew from what was given."""

    __tablename__ = "photo"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    content_type: Mapped[str] = impersonal("one of the media types we take")
    content: Mapped[bytes] = personal("rapport.identity.v1.SetUserPhotoRequest.photo", deferred=True)
