"""Where an event travels, read from its contract.

`rapport.identity.v1.UserDeleted` about users/U travels on `rapport.identity.v1.user.deleted.p17.U.U`: package, entity,
past verb, partition and id of its owner, id of its key. So one filter gives a team every
`rapport.identity.v1.user.deleted.>`, and a browser everything of its own person.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote
from zlib import crc32

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from rapport.annotations.v1.event_pb2 import event as event_option

PARTITIONS = 64
NOBODY = "-"  # the owner of what is about no person


@dataclass(frozen=True)
class Grammar:
    """What the contract says of a type of event."""

    stream: str
    stem: str  # "rapport.identity.v1.user.deleted"
    owner: str  # the fields, "" where there is no owner
    key: str


@lru_cache(maxsize=1_000)
def grammar(descriptor: Descriptor) -> Grammar:
    options = descriptor.GetOptions()
    if not options.HasExtension(event_option):
        raise TypeError(f"{descriptor.full_name} is no event: it lacks the option (rapport.annotations.v1.event).")
    package = descriptor.file.package
    entity, *verb = [word.lower() for word in re.findall("[A-Z][a-z0-9]*", descriptor.name)]
    said = options.Extensions[event_option]
    return Grammar(stream_of(package), f"{package}.{entity}.{'_'.join(verb)}", said.owner, said.key)


def stream_of(package: str) -> str:
    """The stream that keeps a package's events: RAPPORT_IDENTITY_V1."""
    return package.upper().replace(".", "_")


def subject_of(event: Message) -> str:
    """Where `event` travels."""
    said = grammar(event.DESCRIPTOR)
    owner = last(getattr(event, said.owner)) if said.owner else NOBODY
    return f"{said.stem}.{partition(owner)}.{owner}.{last(getattr(event, said.key))}"


def filter_of(event_type: type[Message], owner: str = "*") -> str:
    """The subjects of all events of a type, or of those about one owner (an id)."""
    stem = grammar(event_type.DESCRIPTOR).stem
    return f"{stem}.>" if owner == "*" else f"{stem}.{partition(owner)}.{owner}.*"


@lru_cache(maxsize=10_000)
def partition(owner: str) -> str:
    return f"p{crc32(owner.encode()) % PARTITIONS:02d}"


@lru_cache(maxsize=10_000)
def last(name: str) -> str:
    """The last segment of a resource name, as one token of a subject: an order's number may hold a dot."""
    if not name:
        raise ValueError("An event must name its owner and its key.")
    return quote(name.rpartition("/")[2], safe="").replace(".", "%2E").replace("~", "%7E")


def key_of(event: Message) -> tuple[str, str]:
    """The resource `event` is about, and what its order is kept by: that resource, of that owner."""
    said = grammar(event.DESCRIPTOR)
    key: str = getattr(event, said.key)
    owner: str = getattr(event, said.owner) if said.owner else ""
    # holders/support answers about many people, each in an order of its own.
    return key, key if not owner or key == owner or key.startswith(f"{owner}/") else f"{owner} {key}"


def owner_of(subject: str) -> str:
    """The owner's token in the subject of an event."""
    return subject.rsplit(".", 2)[1]
