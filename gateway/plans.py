"""One HTTP request as one gRPC call, and its answer as JSON: everything from the contract, worked out once a route."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl

import grpc
import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.client import Metadata
from chassis.refusal import InvalidField, Violation
from gateway.codec import Codec, Decode, Encode
from gateway.diagnosis import READERS
from gateway.refusals import MalformedJson, UnknownField
from gateway.routes import Route

HTTP_BODY = "google.api.HttpBody"
PATIENCE = 10.0  # seconds that a browser is kept waiting for an answer


@dataclass(frozen=True)
class Plan:
    """How one route is carried."""

    route: Route
    request: type[Message]
    response: type[Message]
    encode: Encode | None  # the body's JSON; None where the route takes none
    decode: Decode
    body_field: str  # "" where the body is the whole request
    call: Any  # bytes in, bytes out

    @property
    def is_download(self) -> bool:
        return self.route.method.output_type.full_name == HTTP_BODY

    @property
    def takes_request_id(self) -> bool:
        return "request_id" in self.route.method.input_type.fields_by_name


@dataclass(frozen=True)
class Answer:
    """What came back: JSON, and the etag of the resource where it has one."""

    body: bytes
    etag: str
    content_type: str = "application/json"


def plan(route: Route, codec: Codec, channel: grpc.aio.Channel) -> Plan:
    """Work out `route`, or refuse to start because the contract says what cannot be carried."""
    takes, gives = route.method.input_type, route.method.output_type
    field = takes.fields_by_name.get(route.body) if route.body not in ("", "*") else None
    if route.body not in ("", "*") and (field is None or field.message_type is None):
        raise ValueError(f"{route.method.full_name}: body {route.body} is no message of the request.")
    body = takes if route.body == "*" else field.message_type if field is not None else None
    if route.method.server_streaming and gives.full_name != HTTP_BODY:
        raise ValueError(f"{route.method.full_name}: a stream over HTTP is a download, of {HTTP_BODY}.")
    make = channel.unary_stream if route.method.server_streaming else channel.unary_unary
    return Plan(
        route=route,
        request=GetMessageClass(takes),
        response=GetMessageClass(gives),
        encode=codec.encoder(body) if body is not None else None,
        decode=codec.decoder(gives),
        body_field=field.name if field is not None else "",
        call=make(route.path, request_serializer=None, response_deserializer=None),
    )


def request_of(
    plan: Plan, captured: Mapping[str, str], query: str, body: bytes, *, request_id: str, etag: str
) -> bytes:
    """The request's bytes, from body, path, query and headers. The path has the last word on what it names."""
    request: Any = plan.request()
    if plan.encode is not None:
        part = getattr(request, plan.body_field) if plan.body_field else request
        if plan.body_field:
            part.SetInParent()
        part.MergeFromString(plan.encode(body or b"{}"))
    elif body:
        raise MalformedJson("This route takes no body.")
    bind_query(request, query, taken=captured.keys() | ({plan.body_field} if plan.body_field else set()))
    for path, value in captured.items():
        put(request, path, value)
    if request_id and plan.takes_request_id and not request.request_id:
        request.request_id = request_id
    if etag:
        put_etag(request, plan.body_field, etag)
    if plan.route.verb == "PATCH":
        fill_mask(request, plan, body)
    return cast(bytes, request.SerializeToString())


def bind_query(request: Any, query: str, taken: set[str]) -> None:
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=100
        )
    except (ValueError, UnicodeDecodeError):
        raise InvalidField("The query is no list of name=value pairs in UTF-8.") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    for name, given in values.items():
        field, owner = find(request, name)
        if field is None or not is_text(field) or name in taken or field.name in taken:
            shown = name if name.replace(".", "").replace("_", "").isalnum() and len(name) < 100 else "(query)"
            violation = Violation(shown, "UNKNOWN_FIELD", "Leave it out: this route has no such parameter.")
            raise UnknownField("The query has a parameter that nobody reads.", violations=[violation], field=shown)
        if len(given) > 1 and not field.is_repeated:
            raise InvalidField("Give it once.", violations=[Violation(name, "REPEATED", "Give it once.")])
        set_text(owner, field, given, name)


def find(message: Any, path: str) -> tuple[FieldDescriptor | None, Any]:
    *way, last = path.split(".")
    for step in way:
        field = named(message.DESCRIPTOR, step)
        if field is None or field.message_type is None or field.is_repeated:
            return None, message
        message = getattr(message, field.name)
    return named(message.DESCRIPTOR, last), message


def named(message: Descriptor, name: str) -> FieldDescriptor | None:
    return message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)


def set_text(owner: Any, field: FieldDescriptor, given: Sequence[str], name: str) -> None:
    values = [value == "true" if is_bool(field) and value in ("true", "false") else value for value in given]
    try:
        ParseDict({field.json_name: values if field.is_repeated else values[0]}, owner)
    except ParseError:
        violation = Violation(name, "WRONG_TYPE", "It cannot be read as what this parameter is.")
        raise InvalidField("A parameter of the query cannot be read.", violations=[violation]) from None


def is_text(field: FieldDescriptor) -> bool:
    """Whether the field's JSON is one text or number, and so fits a query."""
    return field.message_type is None or field.message_type.full_name in READERS


def is_bool(field: FieldDescriptor) -> bool:
    return bool(field.cpp_type == FieldDescriptor.CPPTYPE_BOOL)


def put(request: Any, path: str, value: str) -> None:
    *way, last = path.split(".")
    for step in way:
        request = getattr(request, step)
    setattr(request, last, value)


def put_etag(request: Any, body_field: str, etag: str) -> None:
    """If-Match becomes the etag of the resource sent, or of the request that acts on one."""
    for holder in (getattr(request, body_field) if body_field else request, request):
        if "etag" in holder.DESCRIPTOR.fields_by_name:
            holder.etag = etag
            return


def fill_mask(request: Any, plan: Plan, body: bytes) -> None:
    """Without an update_mask, a PATCH changes what its body names (AIP-134)."""
    if not plan.body_field or "update_mask" not in request.DESCRIPTOR.fields_by_name or request.HasField("update_mask"):
        return
    resource = getattr(request, plan.body_field)
    names = [named(resource.DESCRIPTOR, key) for key in orjson.loads(body or b"{}")]
    paths = [field.name for field in names if field is not None and field.name not in ("name", "etag")]
    request.update_mask.CopyFrom(FieldMask(paths=paths))


async def carry(plan: Plan, request: bytes, metadata: Metadata) -> Answer:
    """Ask the service once."""
    data = await plan.call(request, timeout=PATIENCE, metadata=metadata)
    if plan.is_download:
        body: Any = plan.response.FromString(data)
        return Answer(body.data, "", body.content_type)
    etag = ""
    if "etag" in plan.route.method.output_type.fields_by_name:
        resource: Any = plan.response.FromString(data)
        etag = resource.etag
    return Answer(plan.decode(data).encode(), etag)


async def download(plan: Plan, request: bytes, metadata: Metadata) -> tuple[str, AsyncIterator[bytes]]:
    """The content type and the pieces of a streamed download; refuses before the first piece, or not at all."""
    call = plan.call(request, metadata=metadata)
    pieces = call.__aiter__()

    async def rest(first: Any) -> AsyncIterator[bytes]:
        try:
            yield first.data
            async for data in pieces:
                yield cast(Any, plan.response.FromString(data)).data
        finally:
            call.cancel()

    try:
        first: Any = plan.response.FromString(await anext(pieces))
    except StopAsyncIteration:
        return "application/octet-stream", nothing()
    return first.content_type, rest(first)


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""
