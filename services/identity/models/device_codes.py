"""Codes that people type for a device that has no browser."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal
from services.identity.models.base import Base


class DeviceCode(Base):
    """What a device waits for: until somebody typed its code, and then for what they said."""

    __tablename__ = "device_code"

    digest: Mapped[bytes] = impersonal("a hash of a program's random secret", primary_key=True)
    typed_digest: Mapped[bytes] = impersonal("a hash of what is typed, for minutes", unique=True)
    client_id: Mapped[str] = impersonal(
        "the store's word for a program", ForeignKey("client.id", ondelete="CASCADE"), index=True
    )
    scopes: Mapped[list[str]] = impersonal("our own words for what a token reaches")
    authorization_id: Mapped[UUID | None]  # of who said yes; it may be gone
    denied: Mapped[bool] = mapped_column(server_default=false())
    interval: Mapped[int]  # seconds that the device leaves between two questions
    ask_time: Mapped[datetime | None]  # when it asked last
    expire_time: Mapped[datetime] = mapped_column(index=True)
