"""Lists, a page at a time, by keyset.

    page = self.pages.of(request)
    rows = await tickets.of(session, user, after=page.cursor, limit=page.reach)  # newest first: < (create_time, id)
    shown, token = page.cut(rows, lambda ticket: (ticket.create_time, ticket.id))
    return pb.ListTicketsResponse(tickets=map(ticket_message, shown), next_page_token=token)

A token carries the cursor and a MAC over it, the message's type and all its other fields: it works for the same
question only, in every replica. It grants nothing (access is asked for each page anew) and holds times and ids only,
for it travels in URLs.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from chassis.refusal import InvalidField, PageTokenInvalid, Violation

Cursor: TypeAlias = tuple[datetime | UUID | int | str, ...]
Row = TypeVar("Row")

DEFAULT_SIZE, MOST = 50, 200
MAC_BYTES = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """What a caller asked for: at most `size` rows, from after `cursor` on (the first page has none)."""

    size: int
    cursor: Any  # a Cursor, or None; each list knows the types of its own
    token: Callable[[Cursor], str]

    @property
    def reach(self) -> int:
        """How many rows to read: one more than to show, to see whether a next page exists."""
        return self.size + 1

    def cut(self, rows: Sequence[Row], cursor_of: Callable[[Row], Cursor]) -> tuple[Sequence[Row], str]:
        """The rows to show, and the token of the next page: "" on the last."""
        shown = rows[: self.size]
        return shown, self.token(cursor_of(shown[-1])) if len(rows) > self.size else ""


class Pages:
    """Reads and makes page tokens under the key that all replicas of a service share."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("A page key has at least 16 bytes.")
        self.key = key

    def of(self, request: Any, *, default: int = DEFAULT_SIZE, most: int = MOST) -> Page:
        """The page that `request` (which has page_size and page_token) asks for. More than `most` means `most`."""
        if request.page_size < 0:
            violation = Violation("page_size", "OUT_OF_RANGE", "Zero, for what we think best, or more.")
            raise InvalidField("page_size cannot be negative.", violations=[violation])
        question = bound(request)
        return Page(
            size=min(request.page_size or default, most),
            cursor=self.open(request.page_token, question) if request.page_token else None,
            token=lambda cursor: self.seal(cursor, question),
        )

    def seal(self, cursor: Cursor, question: bytes) -> str:
        body = json.dumps([written(value) for value in cursor], separators=(",", ":")).encode()
        return urlsafe_b64encode(self.mac(body, question) + body).decode().rstrip("=")

    def open(self, token: str, question: bytes) -> Cursor:
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (NotBase64, UnicodeEncodeError):
            raw = b""
        mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if not hmac.compare_digest(mac, self.mac(body, question)):
            raise PageTokenInvalid("Start again without a page_token: this one is not from the same question.")
        return tuple(read(value) for value in json.loads(body))

    def mac(self, body: bytes, question: bytes) -> bytes:
        return hmac.digest(self.key, len(body).to_bytes(4) + body + question, "sha256")[:MAC_BYTES]


def bound(request: Message) -> bytes:
    """The question a token belongs to: everything in the request but how much of the answer, and from where."""
    question: Any = type(request)()
    question.CopyFrom(request)
    question.ClearField("page_size")
    question.ClearField("page_token")
    text: bytes = question.SerializeToString(deterministic=True)
    return f"{question.DESCRIPTOR.full_name}\n".encode() + text


def written(value: datetime | UUID | int | str) -> str | int:
    match value:
        case datetime():
            return f"t{(value - EPOCH) // timedelta(microseconds=1)}"
        case UUID():
            return f"u{value.hex}"
        case int():
            return value
        case str():
            return f"s{value}"
        case _:  # a float would not come back as it went, and NULL has no place in an order
            raise TypeError(f"A cursor holds times, ids and whole numbers, not {type(value).__name__}.")


def read(value: str | int) -> datetime | UUID | int | str:
    if isinstance(value, int):
        return value
    kind, text = value[0], value[1:]
    if kind == "t":
        return EPOCH + timedelta(microseconds=int(text))
    return UUID(text) if kind == "u" else text
