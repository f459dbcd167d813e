"""OpenAPI 3.1 from the contracts: routes, schemas, limits, access, and what each method may be refused with.

The comments of the contracts are its texts, so there is nothing else to keep up to date.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from google.api.field_behavior_pb2 import OUTPUT_ONLY, REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto
from rapport.annotations.v1.access_pb2 import access as access_option
from rapport.annotations.v1.limits_pb2 import limits as limits_option

from gateway.problems import contracts, reasons
from gateway.routes import Route

WELL_KNOWN: Mapping[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "examples": ["30s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["displayName,business"]},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
}
WHOLE_64 = (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT64)
PROBLEM = "Problem"
JSON, PROBLEM_JSON = "application/json", "application/problem+json"


def document(routes: Iterable[Route], server: str) -> dict[str, Any]:
    """The whole description, in the routes' order of path."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {PROBLEM: problem_schema()}
    for route in sorted(routes, key=lambda one: (one.template, one.verb)):
        paths.setdefault(path_of(route), {})[route.verb.lower()] = operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rapport", "version": "1", "description": "The customer side of the store."},
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in sorted({tag(route) for route in routes})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-rapport"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "service": {"type": "apiKey", "in": "header", "name": "X-Rapport-Service"},
            },
        },
    }


def path_of(route: Route) -> str:
    """/v1/users/{user}/tickets/{ticket}:solve: a parameter for each segment that varies."""
    found = list(route.parts)
    for name, position in parameters_of(route):
        found[position] = f"{{{name}}}"
    return "/" + "/".join(found) + (f":{route.custom}" if route.custom else "")


def parameters_of(route: Route) -> Iterator[tuple[str, int]]:
    for position, part in enumerate(route.parts):
        if part == "*":
            yield re.sub(r"ies$", "y", route.parts[position - 1]).removesuffix("s"), position


def tag(route: Route) -> str:
    return str(route.method.containing_service.file.package.split(".")[1])


def operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    method, said = route.method, comment(route.method.full_name)
    first, _, rest = said.partition(". ")
    told: dict[str, Any] = {
        "operationId": method.name[0].lower() + method.name[1:],
        "tags": [tag(route)],
        "summary": first.rstrip("."),
        "parameters": [*path_parameters(route), *query_parameters(route, schemas), *header_parameters(route)],
        "responses": {"200": success(method.output_type, schemas), "default": refused(said, tag(route))},
    }
    if rest:
        told["description"] = said
    if route.body:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_of(body_of(route), schemas)}}}
    told |= access(route)
    return told


def path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name, _ in parameters_of(route)
    ]


def query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields that neither the path nor the body holds."""
    if route.body == "*":
        return []
    held = {variable.field.partition(".")[0] for variable in route.variables} | {route.body}
    found = []
    for field in route.method.input_type.fields:
        if field.name in held or field.name == "request_id" or not is_text(field):
            continue
        told: dict[str, Any] = {"name": field.json_name, "in": "query", "schema": field_schema(field, schemas)}
        if REQUIRED in behavior(field):
            told["required"] = True
        if said := comment(field.full_name):
            told["description"] = said
        found.append(told)
    return found


def behavior(field: FieldDescriptor) -> Any:
    return field.GetOptions().Extensions[field_behavior]  # type: ignore[index]  # googleapis' stub says less than it is


def is_text(field: FieldDescriptor) -> bool:
    return field.message_type is None or field.message_type.full_name in WELL_KNOWN


def header_parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    if "request_id" in route.method.input_type.fields_by_name:
        found.append(header("Idempotency-Key", "A UUID of your choice: sent again, the request is done once."))
    if (route.verb in ("PATCH", "DELETE") or route.custom) and takes_etag(route):
        found.append(header("If-Match", "The ETag you read: refused with 412 when somebody changed it since."))
    return found


def takes_etag(route: Route) -> bool:
    return any("etag" in holder.fields_by_name for holder in (route.method.input_type, body_of(route)))


def body_of(route: Route) -> Descriptor:
    """The message that the body is."""
    field = route.method.input_type.fields_by_name.get(route.body)
    return field.message_type if field is not None and field.message_type is not None else route.method.input_type


def header(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": said}


def success(message: Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if message.full_name == "google.api.HttpBody":
        return {"description": "The content itself.", "content": {"*/*": {"schema": {"type": "string"}}}}
    return {"description": "Done.", "content": {JSON: {"schema": schema_of(message, schemas)}}}


def refused(said: str, package: str) -> dict[str, Any]:
    """The problem, with the reasons that the method's own comment names."""
    known = {reason for its, reason, _ in reasons() if its in (package, "platform")}
    named = [word for word in dict.fromkeys(re.findall(r"\b[A-Z][A-Z_]{3,}\b", said)) if word in known]
    text = f"Refused: {', '.join(named)}, or for a reason every route has." if named else "Refused."
    return {"description": text, "content": {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}}}


def access(route: Route) -> dict[str, Any]:
    """Who may call, as the contract says it."""
    said = route.method.GetOptions().Extensions[access_option]
    ways: list[dict[str, list[str]]] = []
    told: dict[str, Any] = {}
    if said.public:
        ways.append({})
    if said.signed_in or said.roles or said.owner:
        ways += [{"session": []}, {"bearer": [said.scope] if said.scope else []}]
    if said.services:
        ways.append({"service": []})
    told["security"] = ways
    policy = {
        "owner": said.owner,
        "roles": list(said.roles),
        "services": list(said.services),
        "scope": said.scope,
        "freshSeconds": said.fresh.seconds,
    }
    told["x-access"] = {name: value for name, value in policy.items() if value} or {"public": True}
    return told


# Schemas -------------------------------------------------------------------------------------------------------------


def schema_of(message: Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if message.full_name in WELL_KNOWN:
        return dict(WELL_KNOWN[message.full_name])
    name = message.full_name.removeprefix("rapport.").replace(".v1.", ".")
    if name not in schemas:
        schemas[name] = {}  # so that a message that holds its like ends
        properties = {field.json_name: field_schema(field, schemas) for field in message.fields}
        told: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        needed = [f.json_name for f in message.fields if REQUIRED in behavior(f)]
        if needed:
            told["required"] = needed
        if said := comment(message.full_name):
            told["description"] = said
        schemas[name] = told
    return {"$ref": f"#/components/schemas/{name}"}


def field_schema(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": one(field.message_type.fields_by_name["value"], schemas)}
    told = one(field, schemas)
    limits = field.GetOptions().Extensions[limits_option]
    if field.is_repeated:
        told = {"type": "array", "items": told, "maxItems": limits.max_items or 100}
    if OUTPUT_ONLY in behavior(field):
        told["readOnly"] = True
    if said := comment(field.full_name):
        told["description"] = said
    return told


def one(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None:
        return schema_of(field.message_type, schemas)
    if field.enum_type is not None:
        return enum_schema(field.enum_type)
    limits = field.GetOptions().Extensions[limits_option]
    if field.type == FieldDescriptor.TYPE_STRING:
        told: dict[str, Any] = {"type": "string", "maxLength": limits.max_length or 1000}
        return told | ({"pattern": f"^(?:{limits.pattern})$"} if limits.pattern else {})
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in WHOLE_64:
        return {"type": "string", "pattern": "^-?[0-9]+$"}
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return {"type": "number"}
    bounds = {"minimum": limits.min} if limits.HasField("min") else {}
    bounds |= {"maximum": limits.max} if limits.HasField("max") else {}
    return {"type": "integer", "format": "int32", **bounds}


def enum_schema(enum: EnumDescriptor) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "string", "enum": [value.name for value in enum.values]}
    meanings = [f"{value.name}: {said}" for value in enum.values if (said := comment(f"{enum.full_name}.{value.name}"))]
    if meanings:
        told["description"] = " ".join(meanings)
    return told


def problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    error = {"type": "object", "properties": {"pointer": text, "parameter": text, "reason": text, "detail": text}}
    return {
        "type": "object",
        "description": "RFC 9457. `reason` is one of those that /problems explains, and never changes its meaning.",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "reason": text,
            "domain": text,
            "help": text,
            "requestId": text,
            "traceId": text,
            "retryable": {"type": "boolean"},
            "metadata": {"type": "object", "additionalProperties": text},
            "errors": {"type": "array", "items": error},
        },
        "required": ["type", "title", "status", "detail", "reason", "domain", "requestId", "traceId", "retryable"],
    }


# Comments ------------------------------------------------------------------------------------------------------------


def comment(full_name: str) -> str:
    """What the contract says about a thing, on one line."""
    return comments().get(full_name, "")


@cache
def comments() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for file in contracts().file:
        if not file.package.startswith("rapport."):
            continue
        said = {tuple(place.path): " ".join(place.leading_comments.split()) for place in file.source_code_info.location}

        def note(path: tuple[int, ...], name: str, said: Mapping[tuple[int, ...], str] = said) -> None:
            if text := said.get(path):
                found[name] = text

        for number, service in enumerate(file.service):
            for position, method in enumerate(service.method):
                note((6, number, 2, position), f"{file.package}.{service.name}.{method.name}")
        for number, message in enumerate(file.message_type):
            in_message(message, (4, number), file.package, note)
        for number, enum in enumerate(file.enum_type):
            in_enum(enum, (5, number), file.package, note)
    return found


Note = Callable[[tuple[int, ...], str], None]


def in_message(message: DescriptorProto, path: tuple[int, ...], within: str, note: Note) -> None:
    name = f"{within}.{message.name}"
    note(path, name)
    for number, field in enumerate(message.field):
        note((*path, 2, number), f"{name}.{field.name}")
    for number, inner in enumerate(message.nested_type):
        in_message(inner, (*path, 3, number), name, note)
    for number, enum in enumerate(message.enum_type):
        in_enum(enum, (*path, 4, number), name, note)


def in_enum(enum: EnumDescriptorProto, path: tuple[int, ...], within: str, note: Note) -> None:
    note(path, f"{within}.{enum.name}")
    for number, value in enumerate(enum.value):
        note((*path, 2, number), f"{within}.{enum.name}.{value.name}")
