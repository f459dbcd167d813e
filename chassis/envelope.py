"""An event on the wire: CloudEvents 1.0 in binary mode. The attributes are headers, the payload is the message alone.

Ours is protobuf; an outsider may send JSON and says so by the content type.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote, unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg

PROTOBUF, JSON = "application/protobuf", "application/json"
E = TypeVar("E", bound=Message)
# What may stand in a header as it is; the rest is percent-encoded (CloudEvents, HTTP binding 3.1.3.2).
PLAIN = re.compile(r"[!#$&-~]*")
KEPT = ("content-type", "traceparent", "x-request-id")
SEQUENCE = re.compile(r"[0-9]{1,19}")
SAFE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"


class Undecodable(Exception):  # noqa: N818 - it is what the event is
    """These bytes are not what their headers say."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers say, and the payload."""

    id: UUID
    type: str  # the full name of the message
    key: str  # the resource it is about
    owner: str  # the id of the person it is about, "-" for nobody
    time: datetime | None
    version: int  # counts the events of this owner and key; 0 where nobody counts
    previous: UUID | None  # the event of this type before it
    content_type: str
    traceparent: str
    request_id: str
    stream: str  # where it stands: for people, and to read it again soon; not for ever the same
    sequence: int
    headers: dict[str, str]
    data: bytes

    @property
    def lane(self) -> str:
        """What order is kept by."""
        return f"{self.owner} {self.key}"


def read(headers: Mapping[str, str] | None, data: bytes, *, stream: str, sequence: int, stored: str) -> Envelope:
    """Read the message that `stream` stored at `sequence` at the time `stored`, which identify one without an id."""
    said = {name.lower(): value for name, value in (headers or {}).items()}

    def attribute(name: str) -> str:
        return unquote(said.get(f"ce-{name}", ""))

    own = attribute("id")
    return Envelope(
        id=as_uuid(own)
        or uuid5(NAMESPACE_URL, f"{attribute('source')} {own}" if own else f"{stream} {sequence} {stored}"),
        type=attribute("type"),
        key=attribute("subject"),
        owner=attribute("partitionkey"),
        time=as_time(attribute("time")),
        version=int(counted) if SEQUENCE.fullmatch(counted := attribute("sequence")) else 0,
        previous=as_uuid(attribute("previous")),
        content_type=(said.get("ce-datacontenttype") or said.get("content-type") or PROTOBUF).partition(";")[0].strip(),
        traceparent=said.get("traceparent", ""),
        request_id=said.get("x-request-id", ""),
        stream=stream,
        sequence=sequence,
        headers={name: value for name, value in said.items() if name in KEPT or name.startswith("ce-")},
        data=data,
    )


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def as_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def from_stream(message: Msg) -> Envelope:
    """The event in a message that a stream delivered, or that was read from its place."""
    said = message.headers or {}
    if "Nats-Sequence" in said:
        stream, sequence, stored = said["Nats-Stream"], int(said["Nats-Sequence"]), said["Nats-Time-Stamp"]
    else:
        about = message.metadata
        stream, sequence, stored = about.stream, about.sequence.stream, about.timestamp.isoformat()
    return read(said, message.data, stream=stream, sequence=sequence, stored=stored)


def message(envelope: Envelope, event_type: type[E]) -> E:
    """The message itself, without the fields this program does not know: they could hold anything."""
    if envelope.type not in ("", event_type.DESCRIPTOR.full_name):
        raise Undecodable("another type")
    event = event_type()
    try:
        if envelope.content_type == JSON:
            Parse(envelope.data, event, ignore_unknown_fields=True)
        else:
            event.ParseFromString(envelope.data)
            event.DiscardUnknownFields()
    except (DecodeError, ParseError, UnicodeDecodeError, RecursionError):
        raise Undecodable("not such a message") from None
    return event


def encoded(value: str) -> str:
    return value if PLAIN.fullmatch(value) else quote(value, safe=SAFE)


def headers(
    *,
    id: UUID,
    type: str,
    source: str,
    key: str,
    owner: str,
    time: datetime,
    version: int,
    previous: UUID | None,
    traceparent: str,
    request_id: str,
) -> dict[str, str]:
    """What `read` reads."""
    said = {
        "Nats-Msg-Id": str(id),  # a publication repeated within minutes is kept once
        "ce-specversion": "1.0",
        "ce-id": str(id),
        "ce-type": type,
        "ce-source": source,
        "ce-subject": encoded(key),
        "ce-time": time.isoformat(),
        "ce-partitionkey": encoded(owner),
        "ce-sequence": f"{version:019d}",  # compares as text
        "ce-datacontenttype": PROTOBUF,
    }
    if previous:
        said["ce-previous"] = str(previous)
    if traceparent:
        said["traceparent"] = traceparent
    if request_id:
        said["x-request-id"] = request_id
    return said
