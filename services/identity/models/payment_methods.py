"""How people pay: what a provider's token stands for."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, personal, subject
from services.identity.models.base import Base, one_of

OF_CARD = "rapport.identity.v1.PaymentMethod.last_four"
PAYS = Personal(category=Category.USER_FINANCIAL_CREDIT_CARD, purpose=Purpose.ORDERS)


class PaymentKind(StrEnum):
    """As rapport.identity.v1.PaymentMethod.Kind."""

    CARD = "CARD"
    PAYPAL = "PAYPAL"


class CardBrand(StrEnum):
    """As rapport.identity.v1.PaymentMethod.Brand."""

    VISA = "VISA"
    MASTERCARD = "MASTERCARD"
    AMERICAN_EXPRESS = "AMERICAN_EXPRESS"
    DISCOVER = "DISCOVER"
    DINERS_CLUB = "DINERS_CLUB"
    JCB = "JCB"
    UNIONPAY = "UNIONPAY"
    MAESTRO = "MAESTRO"
    OTHER = "OTHER"


class PaymentMethod(Base):
    """A card or an account elsewhere that a user pays with. What is told of a card is told whole, and never changes."""

    __tablename__ = "payment_method"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(brand, last_four, expire_month, expire_year) = CASE kind WHEN 'CARD' THEN 4 ELSE 0 END",
            name="card_told_whole",
        ),
        CheckConstraint("last_four ~ '^[0-9]{4}$'", name="no_more_than_four"),
        CheckConstraint("expire_month BETWEEN 1 AND 12", name="month_of_a_year"),
        Index("payment_method_of_user", "user_id", "create_time", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = subject(PAYS, ForeignKey("user.id"), index=False)
    provider: Mapped[str] = impersonal("the store's word for a provider")
    kind: Mapped[PaymentKind] = mapped_column(one_of(PaymentKind))
    # Its token, under a key that is not in the database.
    sealed: Mapped[bytes] = personal("rapport.identity.v1.CreatePaymentMethodRequest.provider_token")
    brand: Mapped[CardBrand | None] = personal(PAYS, one_of(CardBrand))
    last_four: Mapped[str | None] = personal(OF_CARD)
    expire_month: Mapped[int | None] = personal(PAYS)  # good until its end
    expire_year: Mapped[int | None] = personal(PAYS)
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/paymentMethods/{self.id}"
