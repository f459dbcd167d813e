"""What the tables stand on, and what those about points have in common."""

from enum import StrEnum

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import Enum
from sqlalchemy.orm import DeclarativeBase

from chassis import database

# Points are about a person while `member` says whose they are; without it they are sums about nobody, which the
# store's books need.
POINTS = Personal(category=Category.USER_ACCOUNT, purpose=Purpose.LOYALTY, on_erasure=Personal.ANONYMISE)


def one_of(words: type[StrEnum], name: str = "") -> Enum:
    """A text column that holds one of our own words, and a CHECK of that name that says so."""
    return Enum(words, native_enum=False, create_constraint=True, name=name or words.__name__.lower(), length=30)


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()
