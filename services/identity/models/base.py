"""What the tables stand on, and the declarations that several share."""

from enum import StrEnum

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import Enum
from sqlalchemy.orm import DeclarativeBase

from chassis import database

CREDENTIAL = Personal(category=Category.USER_AUTHORIZATION_CREDENTIALS, purpose=Purpose.ACCOUNT, secret=True)


def one_of(words: type[StrEnum]) -> Enum:
    """A text column that holds one of our own words, and a CHECK that says so."""
    return Enum(words, native_enum=False, create_constraint=True, name=words.__name__.lower(), length=30)


class Base(database.Words, DeclarativeBase):
    metadata = database.metadata()
