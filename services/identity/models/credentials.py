"""What people prove themselves with, and the links that wait for a click."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import personal, subject
from services.identity.models.base import CREDENTIAL, Base


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
