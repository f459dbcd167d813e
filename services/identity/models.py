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
AUTHORIZED = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)
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


class Profile(StrEnum):
    """As rapport.identity.v1.Client.Profile."""

    WEB = "WEB"
    PUBLIC = "PUBLIC"
    CONFORMANCE = "CONFORMANCE"


class Algorithm(StrEnum):
    """As rapport.identity.v1.Client.Algorithm."""

    RS256 = "RS256"
    ED25519 = "ED25519"


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


class Recovery(Base):
    """A link that waits for who forgot their password. Each works until one of them is used."""

    __tablename__ = "recovery"
    __table_args__ = (Index("recovery_of_user", "user_id", "create_time"),)

    token_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    create_time: Mapped[datetime] = mapped_column(index=True)
    expire_time: Mapped[datetime]


class EmailChange(Base):
    """Another address that a user wants, until who reads at the present one and who reads at the new one say yes."""

    __tablename__ = "email_change"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    email: Mapped[str] = personal("rapport.identity.v1.ChangeEmailRequest.email")
    present_hash: Mapped[bytes] = personal(CREDENTIAL, unique=True)
    present_time: Mapped[datetime | None]  # when the link to the present address was used
    new_hash: Mapped[bytes] = personal(CREDENTIAL, unique=True)
    new_time: Mapped[datetime | None]
    asked: Mapped[int]  # how often since
    since: Mapped[datetime]
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


class Client(Base):
    """A program that asks for tokens."""

    __tablename__ = "client"
    __table_args__ = (CheckConstraint("profile <> 'PUBLIC' OR secret_hash IS NULL", "public_keeps_no_secret"),)

    id: Mapped[str] = impersonal("the store's word for a program", primary_key=True)
    title: Mapped[str] = impersonal("what the store calls a program")
    profile: Mapped[Profile] = mapped_column(one_of(Profile))
    secret_hash: Mapped[bytes | None] = impersonal("a program's secret, hashed")
    redirect_uris: Mapped[list[str]] = impersonal("addresses of programs")
    post_logout_redirect_uris: Mapped[list[str]] = impersonal("addresses of programs", server_default="{}")
    scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches")
    first_party: Mapped[bool]
    id_token_algorithm: Mapped[Algorithm] = mapped_column(one_of(Algorithm))
    version: Mapped[int] = mapped_column(default=1)

    @property
    def name(self) -> str:
        return f"clients/{self.id}"


class Authorization(Base):
    """What a person let a client do in one sign-in: its code until that is redeemed, and then its refresh token.

    Neither is kept. Both are made of the id and a key; this says whether they still hold.
    """

    __tablename__ = "authorization"
    __table_args__ = (
        CheckConstraint("(generation > 0) = (redeem_time IS NOT NULL)", "redeemed_first"),
        Index("authorization_of_user", "user_id", "create_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(AUTHORIZED, ForeignKey("user.id"), index=False)
    client_id: Mapped[str] = impersonal("the store's word for a program", ForeignKey("client.id"), index=True)
    session_id: Mapped[UUID | None] = mapped_column(index=True)  # it ends with; none where it was asked to live on
    scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches")
    auth_time: Mapped[datetime]
    acr: Mapped[str] = impersonal("one of our own words for a way of signing in")
    # What the code is bound to, beside the client.
    redirect_uri: Mapped[str] = impersonal("the address of a program")
    challenge: Mapped[str] = impersonal("the hash of a program's random number")
    nonce: Mapped[str] = impersonal("a program's random number")
    code_expire_time: Mapped[datetime]
    redeem_time: Mapped[datetime | None]
    # Of the refresh token: counted, because two may come in one instant.
    generation: Mapped[int] = mapped_column(default=0)
    rotate_time: Mapped[datetime | None]
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)
    revoke_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/authorizations/{self.id}"
