"""What is good once: the marks of what was shown, and the requests that wait to be shown."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal
from services.identity.models.base import Base


class Spent(Base):
    """Something that was shown and must not be shown again, until it is too old to be taken."""

    __tablename__ = "spent"

    digest: Mapped[bytes] = impersonal("a hash of a random number", primary_key=True)
    expire_time: Mapped[datetime] = mapped_column(index=True)


class PushedRequest(Base):
    """What a client wants to ask of somebody's browser, sealed by the secret that only the client was told."""

    __tablename__ = "pushed_request"

    digest: Mapped[bytes] = impersonal("a hash of the secret", primary_key=True)
    client_id: Mapped[str] = impersonal(
        "the store's word for a program", ForeignKey("client.id", ondelete="CASCADE"), index=True
    )
    sealed: Mapped[bytes] = impersonal("nobody opens it without the secret, which is not kept")
    open_time: Mapped[datetime | None]  # when a browser first showed it
    expire_time: Mapped[datetime] = mapped_column(index=True)
