"""Programs that ask for tokens, and what people let them do."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, subject
from services.identity.models.base import Base, one_of

AUTHORIZED = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)


class Profile(StrEnum):
    """As rapport.identity.v1.Client.Profile."""

    WEB = "WEB"
    PUBLIC = "PUBLIC"
    CONFORMANCE = "CONFORMANCE"
    SERVICE = "SERVICE"


class Algorithm(StrEnum):
    """As rapport.identity.v1.Client.Algorithm."""

    RS256 = "RS256"
    ED25519 = "ED25519"
    ES256 = "ES256"


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
    # Where the program itself is told of sign-outs; "" for nowhere.
    backchannel_logout_uri: Mapped[str] = impersonal("the address of a program", server_default="")
    backchannel_logout_session_required: Mapped[bool] = mapped_column(server_default=false())
    scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches")
    first_party: Mapped[bool]
    id_token_algorithm: Mapped[Algorithm] = mapped_column(one_of(Algorithm))
    version: Mapped[int] = mapped_column(default=1)
    # What its own tokens name: they end with it, when the secret is another or a key or a scope is gone.
    credential_id: Mapped[UUID] = mapped_column(default=uuid4, server_default=text("gen_random_uuid()"))
    keys: Mapped[list[dict[str, str]]] = impersonal("public keys of a program", JSONB, server_default="[]")
    pushes: Mapped[bool] = mapped_column(server_default=false())  # its requests have to be pushed (RFC 9126)
    types: Mapped[bool] = mapped_column(server_default=false())  # people type its codes (RFC 8628)
    binds: Mapped[bool] = mapped_column(server_default=false())  # its tokens have to be bound to a key (RFC 9449)
    # What it may ask for when it exchanges a person's token (RFC 8693); none, where it may not.
    exchange_scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches", server_default="{}")
    echoes: Mapped[bool] = mapped_column(server_default=false())  # its proofs have to say a nonce of ours (RFC 9449, 8)
    grantable_roles: Mapped[list[str]] = impersonal("agent, privacy_officer or admin", server_default="{}")

    @property
    def name(self) -> str:
        return f"clients/{self.id}"

    @property
    def credential(self) -> str:
        return f"{self.name}/credentials/{self.credential_id}"


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
    sign_in_id: Mapped[UUID | None] = mapped_column(index=True)  # the session it came of, ended with it or not
    scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches")
    # What was asked for by name, beside what the scopes let the client know (OpenID Connect Core, 5.5).
    userinfo_claims: Mapped[list[str]] = impersonal("names of claims, not what they say", server_default="{}")
    id_token_claims: Mapped[list[str]] = impersonal("names of claims, not what they say", server_default="{}")
    auth_time: Mapped[datetime]
    acr: Mapped[str] = impersonal("one of our own words for a way of signing in")
    amr: Mapped[list[str]] = impersonal("words of RFC 8176 for ways of signing in", server_default="{pwd}")
    # What the code is bound to, beside the client.
    redirect_uri: Mapped[str] = impersonal("the address of a program")
    challenge: Mapped[str] = impersonal("the hash of a program's random number")
    nonce: Mapped[str] = impersonal("a program's random number")
    thumbprint: Mapped[str] = impersonal("of a program's key, which its refresh token needs too", server_default="")
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


class SignOutNotice(Base):
    """A client that is still to be told that a session ended, until it was told or it is too late to matter."""

    __tablename__ = "sign_out_notice"
    __table_args__ = (UniqueConstraint("session_id", "client_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(AUTHORIZED, ForeignKey("user.id"))
    client_id: Mapped[str] = impersonal("the store's word for a program", index=True)
    session_id: Mapped[UUID]
    attempts: Mapped[int] = mapped_column(default=0)
    next_time: Mapped[datetime] = mapped_column(index=True)
    expire_time: Mapped[datetime]
