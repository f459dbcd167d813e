"""How often somebody guessed."""

from datetime import datetime

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import unlinked
from services.identity.models.base import Base

COUNTED = Personal(
    category=Category.USER_CONTACT_EMAIL,
    purpose=Purpose.SECURITY,
    on_erasure=Personal.RETAIN,
    legal_basis="GDPR art. 6(1)(f): who guesses at passwords is not let begin anew; forgotten with the count",
)


class Attempts(Base):
    """Wrong guesses in a row, and when the next may come: known by a keyed mark of what is counted."""

    __tablename__ = "attempts"

    mac: Mapped[bytes] = unlinked(
        COUNTED, "only who holds the key and is told the address can tell whose it is", primary_key=True
    )
    failures: Mapped[int]
    free_time: Mapped[datetime]  # by when all that were made would be free again, one after the other (GCRA)
    expire_time: Mapped[datetime] = mapped_column(index=True)
