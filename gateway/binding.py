"""What came over HTTP as the request of a method: from body, path, query and headers, as google.api.http says.

The path has the last word on what it names. What a service finds wrong goes the same way back: to where in the HTTP
request the caller finds it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
from google.api.field_behavior_pb2 import IDENTIFIER, OUTPUT_ONLY, field_behavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass

from chassis.refusal import InvalidField, Refused, Violation
from gateway.codec import Codec
from gateway.diagnosis import READERS
from gateway.http import Headers, Request
from gateway.problems import Error, Problem, elsewhere, in_body, json_names, own
from gateway.refusals import MalformedJson, UnknownField
from gateway.routes import Rule

MOST_PARAMETERS = 100
KEY, IF_MATCH = b"idempotency-key", b"if-match"


class Binding:
    """How the requests of one method are read, worked out once."""

    def __init__(self, rule: Rule, codec: Codec) -> None:
        takes = rule.method.input_type
        self.rule, self.takes, self.new = rule, takes, GetMessageClass(takes)
        self.body = body_of(rule)
        self.body_field = rule.body if self.body is not None and rule.body != "*" else ""
        self.encode = codec.encoder(self.body) if self.body is not None else None
        self.ways = {one.field: one.field.split(".") for one in rule.template.variables}
        self.takes_request_id = "request_id" in takes.fields_by_name
        self.etag_in = etag_holder(takes, self.body_field)
        self.maskable = maskable(rule, self.body_field)

    async def read(self, request: Request, captured: Mapping[str, str]) -> bytes:
        """The method's request on the wire, or a problem."""
        bound: Any = self.new()
        if self.encode is not None:
            body = await request.json()
            part = getattr(bound, self.body_field) if self.body_field else bound
            part.SetInParent()
            part.MergeFromString(self.encode(body or b"{}"))
        elif await request.body():
            raise MalformedJson("This route takes no body.")
        if request.query:
            self.read_query(bound, request.query)
        for field, way in self.ways.items():
            put(bound, way, captured[field])
        if self.maskable and not bound.HasField("update_mask"):
            # Without a mask a PATCH changes what its body names (AIP-134).
            given = [self.maskable[name] for name in orjson.loads(body or b"{}") if name in self.maskable]
            bound.update_mask.paths.extend(dict.fromkeys(given))
        if self.takes_request_id and KEY in request.headers and not bound.request_id:
            bound.request_id = request.header(KEY).strip().strip('"')
        if self.etag_in is not None and IF_MATCH in request.headers:
            holder = getattr(bound, self.etag_in) if self.etag_in else bound
            holder.etag = etag_in(request.header(IF_MATCH))
        return cast(bytes, bound.SerializeToString())

    # The query ----------------------------------------------------------------------------------------------------

    def read_query(self, bound: Any, query: str) -> None:
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_PARAMETERS
            )
        except ValueError:
            raise InvalidField("The query is no list of name=value pairs in UTF-8.") from None
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        for name, given in values.items():
            self.read_parameter(bound, name, given)

    def read_parameter(self, bound: Any, name: str, given: Sequence[str]) -> None:
        field, owner = find(bound, name)
        if field is None or not is_text(field) or not self.is_free(name):
            # The name is the caller's own, and may be anything.
            shown = name if name.replace(".", "").replace("_", "").isalnum() and len(name) <= 100 else ""
            error = elsewhere("query", shown, "UNKNOWN_FIELD", "Leave it out: this route has no such parameter.")
            raise own(UnknownField("The query has a parameter that nobody reads.", field=shown), [error])
        if len(given) > 1 and not field.is_repeated:
            raise own(InvalidField("Give it once."), [elsewhere("query", name, "REPEATED", "Give it once.")])
        values = [value == "true" if is_bool(field) and value in ("true", "false") else value for value in given]
        try:
            ParseDict({field.json_name: values if field.is_repeated else values[0]}, owner)
        except ParseError:
            error = elsewhere("query", name, "WRONG_TYPE", "It cannot be read as what this parameter is.")
            raise own(InvalidField("A parameter of the query cannot be read."), [error]) from None

    def is_free(self, name: str) -> bool:
        """Whether neither the path nor the body holds the field of that name, so that the query may."""
        if self.rule.body == "*":
            return False
        first = named(self.takes, name.partition(".")[0])
        return first is not None and first.name not in {self.body_field, *(way[0] for way in self.ways.values())}

    # The way back -------------------------------------------------------------------------------------------------

    def problem(self, said: Refused, request: Request, asked: bytes) -> Problem:
        """What the service refused of `asked`, each thing where the caller finds it."""
        violations = said.violations or [Violation(one, said.reason, said.message) for one in self.meant(said, asked)]
        return Problem(said, [self.place(request, *violation) for violation in violations])

    def meant(self, said: Refused, asked: bytes) -> list[str]:
        """The field that a refusal speaks of without naming it."""
        match said.reason:
            case "PAGE_TOKEN_INVALID":
                return ["page_token"]
            case "REQUEST_ID_REUSED":
                return ["request_id"]
            case "ETAG_MISMATCH" if self.etag_in is not None:
                return [f"{self.etag_in}.etag" if self.etag_in else "etag"]
            case "MALFORMED_NAME":
                form = form_of(said.metadata.get("pattern", ""))
                alike = [field for field, text in texts(self.new.FromString(asked)) if form_of(text) == form]
                return alike if len(alike) == 1 else []
        return []

    def hidden(self, said: str | bytes) -> Headers:
        """The header that names the fields in which the service hid a card number, as the caller sent them."""
        paths = said.split(", ") if isinstance(said, str) and said else []
        ways = [json_names(self.takes, path) for path in paths]
        if self.body_field:
            ways = [way[1:] for way in ways]
        return [(b"rapport-masked", ", ".join(map(".".join, ways)).encode())] if ways else []

    def place(self, request: Request, field: str, reason: str, detail: str) -> Error:
        if any(field == path or path.startswith(f"{field}.") for path in self.ways):
            return elsewhere("path", field.rpartition(".")[2], reason, detail)
        if field == "request_id" and KEY in request.headers:
            return elsewhere("header", "Idempotency-Key", reason, detail)
        if self.etag_in is not None and field.rpartition(".")[2] == "etag" and IF_MATCH in request.headers:
            return elsewhere("header", "If-Match", reason, detail)
        names = json_names(self.takes, field)
        if self.rule.body == "*":
            return in_body(names, reason, detail)
        if self.body_field and field.partition(".")[0] == self.body_field:
            return in_body(names[1:], reason, detail)
        return elsewhere("query", ".".join(names), reason, detail)


# What the contract says ----------------------------------------------------------------------------------------------


def body_of(rule: Rule) -> Descriptor | None:
    """The message that the body is, or nothing where the route takes none."""
    takes = rule.method.input_type
    if rule.body in ("", "*"):
        return takes if rule.body else None
    field = takes.fields_by_name.get(rule.body)
    if field is None or field.message_type is None or field.is_repeated:
        raise ValueError(f"{rule.method.full_name}: body {rule.body} is no message of the request.")
    return field.message_type


def etag_holder(takes: Descriptor, body_field: str) -> str | None:
    """The field of the request that has the etag which If-Match becomes: "" for the request itself."""
    body = takes.fields_by_name[body_field].message_type if body_field else None
    if body is not None and "etag" in body.fields_by_name:
        return body_field
    return "" if "etag" in takes.fields_by_name else None


def maskable(rule: Rule, body_field: str) -> dict[str, str]:
    """By each name in JSON, the field that a PATCH without an update_mask changes when its body names it."""
    if rule.verb != "PATCH" or not body_field or "update_mask" not in rule.method.input_type.fields_by_name:
        return {}
    body = body_of(rule)
    ours = [
        field
        for field in (body.fields if body else ())
        if not {OUTPUT_ONLY, IDENTIFIER} & behavior(field) and field.name != "etag"
    ]
    return {name: field.name for field in ours for name in (field.name, field.json_name)}


def behavior(field: FieldDescriptor) -> set[int]:
    said: Any = field.GetOptions()  # googleapis' stub says less than it is
    return set(said.Extensions[field_behavior])


def find(message: Any, path: str) -> tuple[FieldDescriptor | None, Any]:
    """The field at the end of a path, and the message that has it."""
    *way, last = path.split(".")
    for step in way:
        field = named(message.DESCRIPTOR, step)
        if field is None or field.message_type is None or field.is_repeated:
            return None, message
        message = getattr(message, field.name)
    return named(message.DESCRIPTOR, last), message


def named(message: Descriptor, name: str) -> FieldDescriptor | None:
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def is_text(field: FieldDescriptor) -> bool:
    """Whether the field's JSON is one text or number, and so fits a query."""
    return field.message_type is None or field.message_type.full_name in READERS


def is_bool(field: FieldDescriptor) -> bool:
    return bool(field.cpp_type == FieldDescriptor.CPPTYPE_BOOL)


def put(message: Any, way: Sequence[str], value: str) -> None:
    for step in way[:-1]:
        message = getattr(message, step)
    setattr(message, way[-1], value)


def texts(message: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every single text in a message, by the path of its field."""
    for field, value in message.ListFields():
        if not field.is_repeated and field.message_type is not None:
            yield from texts(value, f"{at}{field.name}.")
        elif isinstance(value, str):
            yield f"{at}{field.name}", value


def form_of(name: str) -> str:
    """users/*/tickets/* of a name, or of its pattern."""
    return "/".join("*" if place % 2 else part for place, part in enumerate(name.split("/")))


def etag_in(header: str) -> str:
    """The etag of an If-Match; "" for `*`, which any state of the resource matches."""
    given = header.strip()
    return "" if given == "*" else given.removeprefix("W/").strip('"') or given
