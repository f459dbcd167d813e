"""The rules that points are given by."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal
from services.loyalty.models.base import Base


class Programme(Base):
    """A version of the rules that points are given by. The highest is in force."""

    __tablename__ = "programme"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    currency: Mapped[str] = impersonal("the store's word for its points")
    currencies: Mapped[dict[str, Any]] = impersonal("the store's words for other points of its own, by their codes")
    newsletter_bonus: Mapped[int]
    points_per_unit: Mapped[int]
    terms: Mapped[dict[str, Any]] = impersonal(
        "the store's rules: the other fields of the contract, by their names there", server_default=text("'{}'")
    )
    start_time: Mapped[datetime]

    __table_args__ = (CheckConstraint("newsletter_bonus >= 0 AND points_per_unit >= 0", "rules"),)
