"""The store's staff, as far as a program of who employs them made them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import Base
from services.identity.models.people import User


class ProvisionedUser(Base):
    """Which program made a user, and sees them. It stays when the client goes: registered again, it goes on."""

    __tablename__ = "provisioned_user"
    __table_args__ = (Index("provisioned_user_of_client", "client_id", "create_time", "user_id"),)

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    client_id: Mapped[str] = impersonal("the store's word for a program")
    external_id: Mapped[str] = personal("rapport.identity.v1.ProvisionedUser.external_id")
    create_time: Mapped[datetime] = mapped_column()

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    @property
    def name(self) -> str:
        return f"provisionedUsers/{self.user_id}"
