"""What people prove themselves with besides a password, and how far they have got with it."""

from datetime import datetime
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import CREDENTIAL, Base

GUESSED = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.SECURITY)


class Totp(Base):
    """An app that shows codes. It is none yet until confirm_time is set."""

    __tablename__ = "totp"
    __table_args__ = (UniqueConstraint("user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    sealed: Mapped[bytes] = personal(CREDENTIAL)  # its secret, under a key that is not in the database
    last_step: Mapped[int]  # of time: no code of it, or of one before it, is taken any more
    create_time: Mapped[datetime]
    confirm_time: Mapped[datetime | None]
    last_use_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/factors/{self.id}"


class Passkey(Base):
    """The public half of a key that a device or a password manager keeps (WebAuthn)."""

    __tablename__ = "passkey"
    __table_args__ = (Index("passkey_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    credential_id: Mapped[bytes] = personal(CREDENTIAL, unique=True)
    public_key: Mapped[bytes] = personal(CREDENTIAL)  # COSE
    sign_count: Mapped[int]  # as it said itself, last; 0 where it does not count
    is_synced: Mapped[bool]  # so it may be on many devices
    title: Mapped[str] = personal("rapport.identity.v1.Factor.title")
    create_time: Mapped[datetime]
    last_use_time: Mapped[datetime | None]
    suspect_time: Mapped[datetime | None]  # when it counted backwards

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/factors/{self.id}"


class RecoveryCode(Base):
    """A code on paper that was not used yet."""

    __tablename__ = "recovery_code"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    code_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)


class Challenge(Base):
    """A sign-in that waits for the second factor: something else was proven."""

    __tablename__ = "challenge"
    __table_args__ = (
        CheckConstraint("tries >= 0", "tries"),
        Index("challenge_of_user", "user_id", "create_time"),
    )

    token_hash: Mapped[bytes] = personal(CREDENTIAL, primary_key=True)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    device: Mapped[str] = personal("rapport.identity.v1.Session.device")
    amr: Mapped[list[str]] = impersonal("words of RFC 8176 for a way of signing in")
    tries: Mapped[int]  # that were made with it
    create_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)


class Guess(Base):
    """How often in a row a code of a user was wrong, from one place: a device that is known, a session, or anywhere
    else. Who guesses elsewhere keeps nobody waiting where they are known."""

    __tablename__ = "guess"

    user_id: Mapped[UUID] = subject(GUESSED, ForeignKey("user.id"), primary_key=True)
    place: Mapped[UUID] = mapped_column(primary_key=True)
    failures: Mapped[int]
    next_time: Mapped[datetime]  # when the next one is looked at
    expire_time: Mapped[datetime] = mapped_column(index=True)


class Device(Base):
    """A browser that has proven a second factor, and keeps a secret by which it is known again."""

    __tablename__ = "device"
    __table_args__ = (Index("device_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    secret_hash: Mapped[bytes] = personal(CREDENTIAL, unique=True)
    title: Mapped[str] = personal("rapport.identity.v1.Device.title")
    proof_time: Mapped[datetime]  # of the second factor, last
    trust_expire_time: Mapped[datetime | None]
    create_time: Mapped[datetime]
    last_use_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/devices/{self.id}"
