"""Tables of the support service."""

from datetime import datetime
from decimal import Decimal
from enum import Enum as PythonEnum
from typing import Any
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category as Data
from rapport.annotations.v1.personal_data_pb2 import Personal, Purpose
from sqlalchemy import (
    CheckConstraint,
    Computed,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import database
from chassis.personal_data import impersonal, personal, subject

STORES_WORDS = "the store's own words, the same for every reader"


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


# The help centre -----------------------------------------------------------------------------------------------------


class Category(Base):
    """A shelf of the FAQ."""

    __tablename__ = "category"

    slug: Mapped[str] = impersonal(STORES_WORDS, primary_key=True)
    title: Mapped[str] = impersonal(STORES_WORDS)
    rank: Mapped[int]

    @property
    def name(self) -> str:
        return f"categories/{self.slug}"


class Article(Base):
    """An answer, and the words it is found by: those of its title count most, then its keywords, then its body."""

    __tablename__ = "article"
    __table_args__ = (Index("article_search_idx", "search", postgresql_using="gin"),)

    category_slug: Mapped[str] = impersonal(STORES_WORDS, ForeignKey("category.slug"), primary_key=True)
    slug: Mapped[str] = impersonal(STORES_WORDS, primary_key=True)
    title: Mapped[str] = impersonal(STORES_WORDS)
    body: Mapped[str] = impersonal(STORES_WORDS)
    keywords: Mapped[list[str]] = impersonal(STORES_WORDS, JSONB)
    rank: Mapped[int]
    update_time: Mapped[datetime]
    search: Mapped[str] = impersonal(
        STORES_WORDS,
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('english', title), 'A')"
            " || setweight(to_tsvector('english', keywords), 'B')"
            " || setweight(to_tsvector('english', body), 'C')",
            persisted=True,
        ),
        deferred=True,
    )

    @property
    def name(self) -> str:
        return f"categories/{self.category_slug}/articles/{self.slug}"


class ServiceHoursVersion(Base):
    """The service times as they were set once; the latest version is in force, and none is ever changed."""

    __tablename__ = "service_hours"
    __table_args__ = (CheckConstraint("version > 0", name="counts_from_one"),)

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    said: Mapped[dict[str, Any]] = impersonal("speaks of the store")
    create_time: Mapped[datetime]


# Orders --------------------------------------------------------------------------------------------------------------

BOUGHT = Personal(category=Data.USER_BEHAVIOR_PURCHASE_HISTORY, purpose=Purpose.ORDERS)


class OrderState(PythonEnum):
    """As rapport.support.v1.Order.State."""

    PLACED = 1
    PAID = 2
    SHIPPED = 3
    PARTLY_REFUNDED = 4
    REFUNDED = 5
    CANCELLED = 6


class Order(Base):
    """What the shop told about an order: facts that only gather, so that the order they come in does not matter."""

    __tablename__ = "order"
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_is_iso"),
        CheckConstraint("total >= 0 AND refunded >= 0", name="amounts_not_negative"),
        Index("order_of_user_idx", "user_id", "place_time", "number"),
    )

    user_id: Mapped[UUID] = subject(BOUGHT, primary_key=True)
    number: Mapped[str] = personal(BOUGHT, primary_key=True)  # the shop's own
    lines: Mapped[list[dict[str, Any]]] = personal(BOUGHT, JSONB)
    currency: Mapped[str] = impersonal("a currency")
    total: Mapped[Decimal] = mapped_column(Numeric(28, 9))
    refunded: Mapped[Decimal] = mapped_column(Numeric(28, 9), default=Decimal(0))
    tracking_numbers: Mapped[list[str]] = personal(
        "rapport.support.v1.Order.tracking_numbers", JSONB, server_default="[]"
    )
    place_time: Mapped[datetime]
    pay_time: Mapped[datetime | None]
    ship_time: Mapped[datetime | None]
    cancel_time: Mapped[datetime | None]
    dispute_time: Mapped[datetime | None]
    dispute_end_time: Mapped[datetime | None]
    update_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.user_id}/orders/{self.number}"

    @property
    def state(self) -> OrderState:
        """The furthest of all that was told."""
        if self.cancel_time:
            return OrderState.CANCELLED
        if self.refunded:
            return OrderState.REFUNDED if self.refunded >= self.total else OrderState.PARTLY_REFUNDED
        if self.ship_time:
            return OrderState.SHIPPED
        return OrderState.PAID if self.pay_time else OrderState.PLACED


# Tickets -------------------------------------------------------------------------------------------------------------


# What is left of an erased person's rows speaks of nobody.
TALKED = Personal(category=Data.USER_UNIQUE_ID, purpose=Purpose.SUPPORT, on_erasure=Personal.ANONYMISE)


class TicketKind(PythonEnum):
    """As rapport.support.v1.Ticket.Kind."""

    QUERY = 1
    FEEDBACK = 2
    CLAIM = 3
    DISPUTE = 4


class TicketState(PythonEnum):
    """As rapport.support.v1.Ticket.State."""

    NEW = 1
    OPEN = 2
    PENDING = 3
    SOLVED = 4
    CLOSED = 5


class Side(PythonEnum):
    """As rapport.support.v1.Message.Side."""

    CUSTOMER = 1
    STORE = 2


class Ticket(Base):
    """A conversation about an order. Of an erased customer's, that there was one is left, and how it went."""

    __tablename__ = "ticket"
    __table_args__ = (
        # One of the customer's own orders: the database is the judge. The order goes first when its customer is erased.
        ForeignKeyConstraint(
            ["customer_id", "order_number"], ["order.user_id", "order.number"], ondelete="SET NULL (order_number)"
        ),
        CheckConstraint("state <> 'SOLVED' OR solve_time IS NOT NULL", name="solved_when"),
        Index("ticket_of_customer_idx", "customer_id", "update_time", "id"),
        Index("ticket_update_time_idx", "update_time", "id"),
        Index("ticket_solved_idx", "solve_time", postgresql_where="state = 'SOLVED'"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID | None] = subject(TALKED, index=False)
    order_number: Mapped[str | None] = personal(
        Personal(category=Data.USER_BEHAVIOR_PURCHASE_HISTORY, purpose=Purpose.SUPPORT)
    )
    kind: Mapped[TicketKind] = mapped_column(Enum(TicketKind, name="ticket_kind"))
    title: Mapped[str | None] = personal("rapport.support.v1.Ticket.title")
    state: Mapped[TicketState] = mapped_column(Enum(TicketState, name="ticket_state"))
    messages: Mapped[int]  # how many, which is the number of the last
    version: Mapped[int]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    solve_time: Mapped[datetime | None]

    @property
    def name(self) -> str:
        return f"users/{self.customer_id}/tickets/{self.id}"


class Message(Base):
    """What one of them said: the words are the customer's, whoever said them; the name is the speaker's."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("ticket_id", "number"),
        CheckConstraint("(side = 'CUSTOMER') = (author_id = customer_id)", name="side_of_author"),
        Index("message_unnamed_idx", "author_id", postgresql_where="author_name IS NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id"))
    number: Mapped[int]
    customer_id: Mapped[UUID | None] = subject(TALKED)
    author_id: Mapped[UUID | None] = subject(TALKED)
    side: Mapped[Side] = mapped_column(Enum(Side, name="side"))
    body: Mapped[str | None] = personal("rapport.support.v1.Message.body", of="customer_id")
    # NULL until identity has said it.
    author_name: Mapped[str | None] = personal("rapport.support.v1.Message.author_name", of="author_id", erased="")
    create_time: Mapped[datetime]

    @property
    def name(self) -> str:
        return f"users/{self.customer_id}/tickets/{self.ticket_id}/messages/{self.id}"
