"""What may be written down: nothing that holds a person, by kind, not by vigilance.

`redact` is the structlog processor before the renderer. A text is written as it stands when its key is one of ours
(OUR_WORDS) and it looks like a word of ours, when it is an Enum's, or when it is a `chassis.names.Name`. Numbers, ids
and times are written. Messages are written with their personal fields replaced. Everything else is only named by kind.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from rapport.annotations.v1 import personal_data_pb2 as options
from rapport.annotations.v1.personal_data_pb2 import Category
from structlog.typing import EventDict, WrappedLogger

from chassis.names import Name
from chassis.personal_data.check import can_hold, rules_on
from chassis.personal_data.holdings import key

# The only keys whose text is written as it stands.
OUR_WORDS = frozenset(
    {
        *("event", "level", "logger", "timestamp", "exception", "reason", "code", "service", "replica"),
        *("method", "request_id", "trace_id", "span_id", "parent_id", "route", "peer"),
        *("type", "kind", "error", "state", "handler", "stream", "consumer", "job", "lease", "holder", "kid"),
        *("table", "column"),
    }
)
OUR_WORD = re.compile(r"[\w./:+\-]{1,200}", re.ASCII)  # no blank, no @: nobody's sentence, nobody's address
FRAMES = 40


def redact(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Take the people out of a log line."""
    error = line.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    redacted = {name: shown(name, value) for name, value in line.items()}
    if isinstance(error, BaseException):
        redacted["exception"] = safe_traceback(error)
    return redacted


def shown(name: str, value: Any) -> Any:
    return value if name in OUR_WORDS and isinstance(value, str) and OUR_WORD.fullmatch(value) else safe(value)


def safe(value: Any) -> Any:
    """`value` without the people in it, for any sink."""
    match value:
        case None | bool() | int() | float() | UUID() | datetime() | timedelta() | Enum() | Name():
            return value
        case Message():
            return safe_repr(value)
        case BaseException():
            return safe_traceback(value)
        case Mapping():
            return {name if name in OUR_WORDS else safe(name): shown(name, item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [safe(item) for item in value]
        case _:
            return f"[{type(value).__name__}]"


# Messages ------------------------------------------------------------------------------------------------------------


def safe_repr(message: Message) -> str:
    """`message` on a line, each personal field by its category."""
    return f"{message.DESCRIPTOR.name}({', '.join(parts(message))})"


def parts(message: Message) -> Iterator[str]:
    plan = plans(message.DESCRIPTOR)
    for field, value in message.ListFields():  # never the unknown fields: nobody can speak for them
        veil, show = plan[field.name]
        if veil:
            yield f"{field.name}={veil}"
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield f"{field.name}={{{', '.join(f'{show(name)}: {show(value[name])}' for name in value)}}}"
        elif field.is_repeated:
            yield f"{field.name}=[{', '.join(map(show, value))}]"
        else:
            yield f"{field.name}={show(value)}"


@cache
def plans(message: Descriptor) -> dict[str, tuple[str, Callable[[Any], str]]]:
    """By field: what stands for its value, or "" and how it is shown."""
    return {field.name: (veil_of(field), declared if is_declared(field) else doubted) for field in message.fields}


def veil_of(field: FieldDescriptor) -> str:
    """What stands for the field's value, or "" where it may be shown. C++ and Java go by the same `debug_redact`."""
    if (rules := rules_on(field)) is None:
        return "[undeclared]" if can_hold(field) else ""
    redacted = Category.DESCRIPTOR.values_by_number[rules.category].GetOptions().debug_redact
    return f"[{key(Category, rules.category)}]" if redacted else ""


def is_declared(field: FieldDescriptor) -> bool:
    """Whether the contract says that the text in `field` is nobody's."""
    around = field.containing_type
    return field.GetOptions().HasExtension(options.impersonal) or bool(
        around and around.GetOptions().HasExtension(options.impersonal_message)
    )


def declared(value: Any) -> str:
    return safe_repr(value) if isinstance(value, Message) else repr(value)


def doubted(value: Any) -> str:
    """As `declared`, for a name or an id: a caller may have put an address in its place."""
    return "[malformed]" if isinstance(value, str) and not OUR_WORD.fullmatch(value) else declared(value)


# Exceptions ----------------------------------------------------------------------------------------------------------


def safe_traceback(error: BaseException) -> str:
    """Where it went wrong and what kind of thing it was. Never str(error): databases quote rows in it."""
    said: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_tb(link.__traceback__, limit=-FRAMES))
        said.append(f"{frames}{type(link).__module__}.{type(link).__qualname__}{facts(link)}")
        if isinstance(link, BaseExceptionGroup):
            said.extend(f"of which\n{safe_traceback(inner)}" for inner in link.exceptions)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\ncaused by\n".join(said)


def facts(error: BaseException) -> str:
    """The parts of a complaint that name our things, not a person's."""
    names = ("sqlstate", "schema_name", "table_name", "column_name", "constraint_name", "reason")
    known = {name: getattr(error, name, None) for name in names}
    if isinstance(error, grpc.aio.AioRpcError):
        known["code"] = error.code().name
    words = {name: word for name, word in known.items() if isinstance(word, str) and OUR_WORD.fullmatch(word)}
    return f" {words}" if words else ""
