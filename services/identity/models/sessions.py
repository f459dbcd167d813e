"""Where people are signed in."""

from datetime import datetime
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import Base

SESSION_SECRET = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.SECURITY, secret=True)


class Session(Base):
    """One browser that is signed in: live until revoke_time is set or expire_time has come, whichever is first."""

    __tablename__ = "session"
    __table_args__ = (Index("session_of_user", "user_id", "create_time", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), index=False)
    secret_hash: Mapped[bytes] = personal(SESSION_SECRET, unique=True)
    device: Mapped[str] = personal("rapport.identity.v1.Session.device")
    acr: Mapped[str] = impersonal("one of our own words for a way of signing in")
    amr: Mapped[list[str]] = impersonal("words of RFC 8176 for ways of signing in", server_default="{pwd}")
    create_time: Mapped[datetime]
    auth_time: Mapped[datetime]
    last_use_time: Mapped[datetime]
    expire_time: Mapped[datetime] = mapped_column(index=True)
    revoke_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/sessions/{self.id}"
