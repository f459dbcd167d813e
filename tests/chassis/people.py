"""A made-up service's tables: one of each way in which rows speak of people."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis import database
from chassis.migrations import keepers
from chassis.personal_data import impersonal, personal, subject, unlinked
from chassis.personal_data.holdings import tables_of

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TICKET = "rapport.support.v1.Ticket"
MESSAGE = "rapport.support.v1.Message"
BIRTHDAY = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.ACCOUNT)
SECRET = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.ACCOUNT, secret=True)
WORDS = Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.SUPPORT)
POINTS = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.LOYALTY, on_erasure=Personal.ANONYMISE)
WHO_IT_WAS = Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.SUPPORT, on_erasure=Personal.ANONYMISE)
KEPT_ID = Personal(
    category=Category.USER_UNIQUE_ID, purpose=Purpose.COMPLIANCE, on_erasure=Personal.RETAIN, legal_basis="tax law"
)
KEPT_ADDRESS = Personal(
    category=Category.USER_CONTACT_ADDRESS,
    purpose=Purpose.COMPLIANCE,
    on_erasure=Personal.RETAIN,
    legal_basis="tax law",
)
MARK = Personal(
    category=Category.USER_CONTACT_EMAIL, purpose=Purpose.SECURITY, on_erasure=Personal.RETAIN, legal_basis="fraud"
)


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()


class User(Base):
    """Somebody who can sign in."""

    __tablename__ = "user"

    id: Mapped[UUID] = subject(primary_key=True)
    email: Mapped[str] = personal("rapport.identity.v1.User.email", unique=True)
    display_name: Mapped[str | None] = personal("rapport.identity.v1.User.display_name")
    birth_date: Mapped[date | None] = personal(BIRTHDAY)


class Credential(Base):
    """Goes with its user: the foreign key carries who that is."""

    __tablename__ = "credential"

    user_id: Mapped[UUID] = subject("", ForeignKey("user.id"), primary_key=True)
    hash: Mapped[bytes] = personal(SECRET)


class Ticket(Base):
    """Stays, because messages of others need it."""

    __tablename__ = "ticket"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID] = subject(KEPT_ID)
    title: Mapped[str | None] = personal(f"{TICKET}.title")
    queue: Mapped[str] = impersonal("one of the store's own queue keys", default="returns")
    create_time: Mapped[datetime] = mapped_column(default=NOW)
    update_time: Mapped[datetime] = mapped_column(default=NOW)


class Message(Base):
    """Of two people: the words are the customer's, the name is the author's."""

    __tablename__ = "message"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("ticket.id"), index=True)
    customer_id: Mapped[UUID | None] = subject(WHO_IT_WAS)
    author_id: Mapped[UUID | None] = subject(WHO_IT_WAS)
    body: Mapped[str | None] = personal(f"{MESSAGE}.body", of="customer_id")
    author_name: Mapped[str] = personal(f"{MESSAGE}.author_name", of="author_id", erased="someone")
    create_time: Mapped[datetime] = mapped_column(default=NOW)


class Call(Base):
    """That a customer was on the line. Nothing but numbers, and still about a person."""

    __tablename__ = "call"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID | None] = subject(WHO_IT_WAS)
    seconds: Mapped[int]
    create_time: Mapped[datetime] = mapped_column(default=NOW)


class Bill(Base):
    """What the law keeps, beside what it does not."""

    __tablename__ = "bill"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    buyer_id: Mapped[UUID] = subject(KEPT_ID)
    address: Mapped[str] = personal(KEPT_ADDRESS)
    greeting: Mapped[str] = personal(WORDS, erased="Dear customer")
    create_time: Mapped[datetime] = mapped_column(default=NOW)


class Folder(Base):
    """Stays, for a foreign key that does not carry its person may come from somebody else's row."""

    __tablename__ = "folder"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID | None] = subject(Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.ACCOUNT))
    label: Mapped[str | None] = personal(Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.ACCOUNT))


class Paper(Base):
    __tablename__ = "paper"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    folder_id: Mapped[UUID] = mapped_column(ForeignKey("folder.id"))
    writer_id: Mapped[UUID] = subject()
    words: Mapped[str] = personal(Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.ACCOUNT))


class Drawer(Base):
    """Goes: whatever refers to it is about the same person, and goes as well."""

    __tablename__ = "drawer"
    __table_args__ = (UniqueConstraint("id", "owner_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID] = subject()
    label: Mapped[str] = personal(Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.ACCOUNT))


class Sock(Base):
    __tablename__ = "sock"
    __table_args__ = (ForeignKeyConstraint(["drawer_id", "owner_id"], ["drawer.id", "drawer.owner_id"]),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    drawer_id: Mapped[UUID]
    owner_id: Mapped[UUID] = subject()
    colour: Mapped[str] = personal(Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.ACCOUNT))


class Member(Base):
    """All that ties an account to a person."""

    __tablename__ = "member"

    user_id: Mapped[UUID] = subject(
        Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.LOYALTY), primary_key=True
    )
    account_id: Mapped[UUID] = mapped_column(unique=True)


class Entry(Base):
    """Stays as it is, about nobody, when the member is gone."""

    __tablename__ = "entry"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    account_id: Mapped[UUID] = subject(POINTS, through="member.account_id")
    points: Mapped[int]


class Leg(Base):
    """Two steps away from its person."""

    __tablename__ = "leg"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    entry_id: Mapped[UUID] = subject(POINTS, ForeignKey("entry.id"), through="entry.id")
    points: Mapped[int]


class Mark(Base):
    """Somebody's, but nobody can tell whose."""

    __tablename__ = "mark"
    __table_args__ = (Index(None, "create_time"),)

    mac: Mapped[bytes] = unlinked(MARK, "only who holds the key can tell", primary_key=True)
    create_time: Mapped[datetime] = mapped_column(default=NOW)


TABLES = tables_of([Base.metadata, keepers()])
