"""Resource names: `users/{user}/tickets/{ticket}` and back.

    user = parse("users/{user}", request.name)
    user, ticket = parse("users/{user}/tickets/{ticket}", request.name)
    user = parse_parent("users/{user}", request.parent)  # None for `users/-`: everybody's

A placeholder stands for a UUID in its canonical form, so that one thing has one name and names compare as text;
`{order:id}` stands for an id that somebody else gave (letters, digits, `.`, `_`, `-`; at most 64).
"""

import re
from functools import lru_cache
from typing import Any
from uuid import UUID

from google.api.field_behavior_pb2 import IDENTIFIER, field_behavior
from google.api.field_info_pb2 import FieldInfo, field_info
from google.api.resource_pb2 import resource_reference
from google.protobuf.descriptor import FieldDescriptor

from chassis.refusal import MalformedName

ANY = "-"
ONE_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ONE_ID = "(?=[._-]*[A-Za-z0-9])[A-Za-z0-9._-]{1,64}"  # never `-`, `.` or `..` alone: those mean something in a path
PLACEHOLDER = re.compile(r"\{(\w+)(:id)?\}")


class Name(str):
    """A resource name, for log lines: it says whose the text is, and so is written as it stands."""

    __slots__ = ()


def parse(pattern: str, name: str) -> Any:
    """The ids in `name`: a UUID (or str, for `{order:id}`) where the pattern has one placeholder, else a tuple."""
    match = reader(pattern, wild=False).fullmatch(name)
    if match is None:
        raise malformed(pattern)
    return ids(pattern, match)


def parse_parent(pattern: str, name: str) -> Any:
    """As `parse`, with None for each `-`: the caller asks across all of them."""
    match = reader(pattern, wild=True).fullmatch(name)
    if match is None:
        raise malformed(pattern)
    return ids(pattern, match)


@lru_cache(maxsize=1_000)
def reader(pattern: str, *, wild: bool) -> re.Pattern[str]:
    def group(placeholder: re.Match[str]) -> str:
        one = ONE_ID if placeholder[2] else ONE_UUID
        return f"({one}|{ANY})" if wild else f"({one})"

    return re.compile(PLACEHOLDER.sub(group, pattern))


def ids(pattern: str, match: re.Match[str]) -> Any:
    slugs = [bool(slug) for _, slug in PLACEHOLDER.findall(pattern)]
    found = tuple(
        None if text == ANY else text if slug else UUID(text) for slug, text in zip(slugs, match.groups(), strict=True)
    )
    return found[0] if len(found) == 1 else found


def malformed(pattern: str) -> MalformedName:
    # What was sent is not repeated: people type addresses into the wrong field.
    shape = pattern.replace(":id}", "}")
    return MalformedName(f"A name here reads `{shape}`.", pattern=shape)


def is_name(field: FieldDescriptor) -> bool:
    """Whether the contract says that `field` holds a resource name."""
    said: Any = field.GetOptions()
    return said.HasExtension(resource_reference) or IDENTIFIER in said.Extensions[field_behavior]


def is_id(field: FieldDescriptor) -> bool:
    """Whether the contract says that `field` holds a name or an id, and so nobody's own words."""
    said: Any = field.GetOptions()
    return is_name(field) or said.Extensions[field_info].format == FieldInfo.UUID4
