"""Accounts that people have elsewhere, and the ways to them that are under way."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import CREDENTIAL, Base, one_of

ELSEWHERE = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)
NAME = "rapport.identity.v1.ExternalIdentity.account_name"
ADDRESS = "rapport.identity.v1.GiveSocialAddressRequest.email"
PHOTO = "rapport.identity.v1.SetUserPhotoRequest.photo"
WORD = "the store's word for a provider"
ISSUER = "the address of a provider"


class ClaimKind(StrEnum):
    """What somebody who is proven to a provider still has to prove to us."""

    ADDRESS = "ADDRESS"
    PASSWORD = "PASSWORD"  # noqa: S105 - the word for it


class ExternalIdentity(Base):
    """An account elsewhere that a user may sign in with. It is known by who issued it and its id there, never by an
    address."""

    __tablename__ = "external_identity"
    __table_args__ = (
        UniqueConstraint("issuer", "sub"),
        Index("external_identity_of_user", "user_id", "create_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    provider: Mapped[str] = impersonal(WORD)
    issuer: Mapped[str] = impersonal(ISSUER)
    sub: Mapped[str] = personal(ELSEWHERE)
    account_name: Mapped[str] = personal(NAME)
    # Whether it came with proof of the user's own address: a recovery, which proves that address, leaves only those.
    is_proven: Mapped[bool]
    create_time: Mapped[datetime]
    last_use_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/externalIdentities/{self.id}"


class SocialFlow(Base):
    """A browser that was sent to a provider and is not back. What is sent along (nonce, verifier) is made of the secret
    that the browser keeps, and is not kept here."""

    __tablename__ = "social_flow"

    state_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    browser_hash: Mapped[bytes] = personal(CREDENTIAL)
    provider: Mapped[str] = impersonal(WORD)
    user_id: Mapped[UUID | None] = subject("", ForeignKey("user.id"))  # who links; nobody, to sign in or up
    expire_time: Mapped[datetime] = mapped_column(index=True)


class SocialClaim(Base):
    """Somebody who is proven to a provider and has to prove one thing more to us. `user_id` is whom they have or will
    have."""

    __tablename__ = "social_claim"
    __table_args__ = (CheckConstraint("(photo IS NULL) = (photo_type IS NULL)", "photo_with_its_type"),)

    claim_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    kind: Mapped[ClaimKind] = mapped_column(one_of(ClaimKind))
    user_id: Mapped[UUID] = subject()
    provider: Mapped[str] = impersonal(WORD)
    issuer: Mapped[str] = impersonal(ISSUER)
    sub: Mapped[str] = personal(ELSEWHERE)
    account_name: Mapped[str] = personal(NAME)
    email: Mapped[str | None] = personal(ADDRESS, index=True)
    token_hash: Mapped[bytes | None] = personal(CREDENTIAL)  # of the mailed link
    photo: Mapped[bytes | None] = personal(PHOTO, deferred=True)
    photo_type: Mapped[str | None] = impersonal("one of the media types we make")
    tries: Mapped[int] = mapped_column(default=0)  # of passwords, or mails asked for
    expire_time: Mapped[datetime] = mapped_column(index=True)


class SocialDeletion(Base):
    """What came of a deletion that a provider asked for: told by a code that names nobody."""

    __tablename__ = "social_deletion"

    code_hash: Mapped[bytes] = impersonal("the hash of a random number", primary_key=True)
    provider: Mapped[str] = impersonal(WORD)
    erasure_id: Mapped[UUID | None]
    create_time: Mapped[datetime] = mapped_column(index=True)
