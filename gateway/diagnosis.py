"""What is wrong with a JSON body, all of it at once, each thing at its JSON Pointer and with what to do.

This runs only after the fast codec has refused: it may take its time to be exact.
"""

import base64
import binascii
import difflib
import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.refusal import InvalidField
from gateway.problems import Error, Problem, in_body, own
from gateway.refusals import MalformedJson, UnknownField

MOST = 50  # errors told at once
DEPTH = 50
# A name of the caller's own is repeated to them only where it looks like one: it may be anything.
NAME = re.compile(r"[\w-]{1,100}")
BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
# The JSON of these is one string, which each reads for itself.
READERS: dict[str, Callable[[str], None]] = {
    "google.protobuf.Timestamp": lambda text: Timestamp().FromJsonString(text),
    "google.protobuf.Duration": lambda text: Duration().FromJsonString(text),
    "google.protobuf.FieldMask": lambda text: FieldMask().FromJsonString(text),
}
SHAPES = {
    "google.protobuf.Timestamp": 'a time such as "2026-11-23T20:15:00Z"',
    "google.protobuf.Duration": 'a duration such as "30s"',
    "google.protobuf.FieldMask": 'names of fields such as "displayName,business"',
}
At: TypeAlias = tuple[str, ...]


def diagnose(data: bytes, message: Descriptor) -> Problem:
    """The refusal that tells what is wrong with `data` as a `message`."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse_constant)
    except UnicodeDecodeError as problem:
        return own(MalformedJson("The body is not UTF-8.", byte=str(problem.start)))
    except json.JSONDecodeError as problem:
        return own(MalformedJson("The body is not JSON.", line=str(problem.lineno), column=str(problem.colno)))
    except RecursionError:
        return own(MalformedJson("The body is nested too deeply."))
    except Unfit as problem:
        return own(MalformedJson(problem.sentence))
    except ValueError:  # Python's own bound on digits
        return own(MalformedJson("The body has a number that is too long."))
    if not isinstance(value, dict):
        return own(MalformedJson("The body must be one JSON object."))
    errors = list(islice(wrongs(value, message, ()), MOST))
    unknown = next((one for one in errors if one["reason"] == "UNKNOWN_FIELD"), None)
    if unknown:
        refusal = UnknownField("The body has a field that nobody reads.", field=unknown["pointer"])
        return own(refusal, errors)
    if errors:
        return own(InvalidField("The body has fields that need mending."), errors)
    return own(MalformedJson("The body cannot be read as what this route takes."))


class Unfit(Exception):  # noqa: N818 - it is what the body is
    """Python reads it, and JSON's rules forbid it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unfit("A field is given twice.")
    return found


def refuse_constant(_: str) -> None:
    raise Unfit("NaN and Infinity are no JSON.")


def wrongs(value: dict[str, Any], message: Descriptor, at: At) -> Iterator[Error]:
    if len(at) > DEPTH:
        yield in_body(at, "TOO_DEEP", "Nothing here nests this deeply.")
        return
    known = {name: field for field in message.fields for name in (field.name, field.json_name)}
    for name, inner in value.items():
        field = known.get(name)
        if field is None:
            near = difflib.get_close_matches(name, [field.json_name for field in message.fields], n=1)
            hint = f"Did you mean {near[0]}?" if near else "Leave it out: there is no such field."
            yield in_body((*at, name) if NAME.fullmatch(name) else at, "UNKNOWN_FIELD", hint)
        elif inner is not None:
            yield from wrong_in(inner, field, (*at, name))


def wrong_in(value: Any, field: FieldDescriptor, at: At) -> Iterator[Error]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            yield in_body(at, "WRONG_TYPE", "Send an object.")
            return
        for key, inner in value.items():
            yield from wrong_one(inner, field.message_type.fields_by_name["value"], (*at, key))
    elif field.is_repeated:
        if not isinstance(value, list):
            yield in_body(at, "WRONG_TYPE", "Send a list.")
            return
        for position, inner in enumerate(value):
            yield from wrong_one(inner, field, (*at, str(position)))
    else:
        yield from wrong_one(value, field, at)


def wrong_one(value: Any, field: FieldDescriptor, at: At) -> Iterator[Error]:
    message = field.message_type
    if message is not None and (read := READERS.get(message.full_name)):
        if not readable(value, read):
            yield in_body(at, "WRONG_TYPE", f"Send {SHAPES[message.full_name]}.")
    elif message is not None:
        if isinstance(value, dict):
            yield from wrongs(value, message, at)
        else:
            yield in_body(at, "WRONG_TYPE", "Send an object.")
    elif field.enum_type is not None:
        names = [one.name for one in field.enum_type.values]
        if not (value in names if isinstance(value, str) else is_whole(value, *BITS[FieldDescriptor.CPPTYPE_INT32])):
            yield in_body(at, "WRONG_TYPE", f"Send one of {', '.join(names[1:])}.")
    elif problem := scalar_problem(value, field):
        yield in_body(at, "WRONG_TYPE", problem)


def readable(value: Any, read: Callable[[str], None]) -> bool:
    if not isinstance(value, str):
        return False
    try:
        read(value)
    except ValueError:
        return False
    return True


def scalar_problem(value: Any, field: FieldDescriptor) -> str:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return "" if isinstance(value, bool) else "Send true or false."
    if kind in BITS:
        return "" if is_whole(value, *BITS[kind]) else "Send a whole number that fits."
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        return "" if good else "Send a number."
    if not isinstance(value, str):
        return "Send a text."
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "" if is_base64(value) else "Send base64."
    return "" if is_unicode(value) else "Send whole characters: this has half a surrogate pair."


def is_whole(value: Any, least: int, most: int) -> bool:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
