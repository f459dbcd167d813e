"""Tables of the identity service. What must hold of them is stated here and judged by the database."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from chassis import database
from chassis.personal_data import impersonal, personal, subject

CREDENTIAL = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.ACCOUNT, secret=True)
SESSION_SECRET = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.SECURITY, secret=True)
USER = "rapport.identity.v1.User"
ADDRESS = "rapport.identity.v1.Address"
BUSINESS = "rapport.identity.v1.Business"


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


class State(StrEnum):
    """As rapport.identity.v1.User.State."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


class BusinessKind(StrEnum):
    """As rapport.identity.v1.Business.Kind."""

    WHOLESALER = "WHOLESALER"
    DROPSHIPPER = "DROPSHIPPER"
    AFFILIATE = "AFFILIATE"


def one_of(words: type[StrEnum]) -> Enum:
    """A text column that holds one of our own words, and a CHECK that says so."""
    return Enum(words, native_enum=False, create_constraint=True, name=words.__name__.lower(), length=30)


class User(Base):
    """A person who can sign in. Each part of the profile is a row of its own, there or not."""

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint('email = lower(email COLLATE "C")', "email_compares_as_text"),
        CheckConstraint("roles <@ ARRAY['agent', 'privacy_officer', 'admin']", "roles"),
        CheckConstraint("(erasure_id IS NOT NULL) = (state = 'DELETING')", "receipt_while_deleting"),
        Index("user_by_time", "create_time", "id"),
    )

    id: Mapped[UUID] = subject(primary_key=True)
    email: Mapped[str] = personal(f"{USER}.email", unique=True)
    display_name: Mapped[str] = personal(f"{USER}.display_name")
    state: Mapped[State] = mapped_column(one_of(State), default=State.ACTIVE)
    roles: Mapped[list[str]] = impersonal("agent, privacy_officer or admin")
    erasure_id: Mapped[UUID | None]
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
    """The picture a user shows, as it was given."""

    __tablename__ = "photo"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    content_type: Mapped[str] = impersonal("one of the media types we take")
    content: Mapped[bytes] = personal("rapport.identity.v1.SetUserPhotoRequest.photo", deferred=True)


class Credential(Base):
    """What a user proves themself with."""

    __tablename__ = "credential"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    password_hash: Mapped[str] = personal(CREDENTIAL)


class Registration(Base):
    """A link that waits for a click. Whose address it went to is `user_id`, the id they have or will have.

    All links of an address that wait share that id, and each works until one of them is used.
    """

    __tablename__ = "registration"
    __table_args__ = (Index("registration_of_address", "email", "create_time"),)

    token_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    user_id: Mapped[UUID] = subject()
    email: Mapped[str] = personal("rapport.identity.v1.BeginRegistrationRequest.email")
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)


class Session(Base):
    """One browser that is signed in: live until revoke_time is set or expire_time has come, whichever is first."""

    __tablename__ = "session"
    __table_args__ = (Index("session_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    secret_hash: Mapped[bytes] = personal(SESSION_SECRET, unique=True)
    device: Mapped[str] = personal("rapport.identity.v1.Session.device")
    acr: Mapped[str] = impersonal("one of our own words for a way of signing in")
    create_time: Mapped[datetime]
    auth_time: Mapped[datetime]
    last_use_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)
    revoke_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/sessions/{self.id}"
