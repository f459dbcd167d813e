"""Who a column speaks of, said once: on the contract's field, or on the column where no contract carries it.

    id: Mapped[UUID] = subject(primary_key=True, default=uuid4)
    email: Mapped[str] = personal("rapport.identity.v1.User.email", unique=True)
    queue: Mapped[str] = impersonal("one of the store's own queue keys")
    account_id: Mapped[UUID] = subject(RULES, through="account.id")

In a Core Table the same, with the column's name and type, and `.column`:

    Table("mail", chassis_metadata, subject("", "person_id", Uuid, nullable=False).column, ...)
"""

from typing import Any

from rapport.annotations.v1.personal_data_pb2 import Personal
from sqlalchemy.orm import MappedColumn, mapped_column

# What a kept row says once its person is erased. A plain value: triggers and statements both spell it out.
Erased = str | int | bool | None


def personal(
    rules: str | Personal, *args: Any, of: str = "", erased: Erased = None, **column: Any
) -> MappedColumn[Any]:
    """A column that holds a person: the one whose id stands in column `of`. `erased` is what a kept row says after."""
    return mapped_column(*args, info={"personal": rules, "of": of, "erased": erased}, **column)


def impersonal(why: str, *args: Any, **column: Any) -> MappedColumn[Any]:
    """A column that could hold a person and does not."""
    return mapped_column(*args, info={"impersonal": why}, **column)


def subject(rules: str | Personal = "", *args: Any, through: str = "", **column: Any) -> MappedColumn[Any]:
    """The id of the person this row speaks of, with `rules` where the row's mere existence says something of them.

    With `through="account.id"` it holds the value of that column, whose own table says who the person is.
    """
    said: dict[str, Any] = {"subject": True, "through": through}
    if rules:
        said |= {"personal": rules, "of": "", "erased": None}
    indexed = column.pop("index", not column.get("primary_key", False))
    return mapped_column(*args, info=said, index=indexed, **column)


def unlinked(rules: str | Personal, why: str, *args: Any, **column: Any) -> MappedColumn[Any]:
    """A column that holds a person nobody can tell from the row: a keyed mark, say. `why` says how that is meant."""
    return mapped_column(*args, info={"personal": rules, "of": "", "erased": None, "unlinked": why}, **column)
