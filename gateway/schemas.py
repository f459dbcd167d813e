"""The JSON of the contracts' messages, as JSON Schema (2020-12), which OpenAPI 3.1 takes as it is."""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from google.api.field_behavior_pb2 import OUTPUT_ONLY, REQUIRED
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from rapport.annotations.v1.limits_pb2 import Limits
from rapport.annotations.v1.limits_pb2 import limits as limits_option

from chassis.validation import MOST_CHARACTERS, MOST_ITEMS
from gateway.binding import behavior
from gateway.contracts import comment

Schema: TypeAlias = dict[str, Any]
WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "examples": ["30s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["displayName,business"]},
}
WHOLE_64 = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
WHOLE_32 = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)


class Schemas:
    """The schemas that the description needs, each once."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, message: Descriptor) -> Schema:
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        name = name_of(message)
        if name not in self.named:
            self.named[name] = {}  # so that a message that holds its like ends
            self.named[name] = self.object_of(message)
        return reference(name)

    def patch_of(self, message: Descriptor) -> Schema:
        """As a PATCH takes it: what it leaves out stays as it is."""
        name = f"{name_of(message)}.Patch"
        if name not in self.named:
            ours = {field.name for field in message.fields if OUTPUT_ONLY in behavior(field)}
            self.named[name] = self.object_of(message, without=ours, is_partial=True)
        return reference(name)

    def object_of(self, message: Descriptor, *, without: Collection[str] = (), is_partial: bool = False) -> Schema:
        fields = [field for field in message.fields if field.name not in without]
        told: Schema = {
            "type": "object",
            "properties": {field.json_name: self.of_field(field) for field in fields},
            "additionalProperties": False,
        }
        needed = [field.json_name for field in fields if REQUIRED in behavior(field)]
        if needed and not is_partial:
            told["required"] = needed
        if said := comment(message.full_name):
            told["description"] = said
        return told

    def of_field(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self.one(field.message_type.fields_by_name["value"])}
        told = self.one(field)
        if field.is_repeated:
            told = {"type": "array", "items": told, "maxItems": limits_of(field).max_items or MOST_ITEMS}
        if OUTPUT_ONLY in behavior(field):
            told["readOnly"] = True
        said = " ".join(filter(None, [comment(field.full_name), told.get("description", "")]))
        return told | ({"description": said} if said else {})

    def one(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.of(field.message_type)
        return scalar(field)


def scalar(field: FieldDescriptor) -> Schema:
    limits, kind = limits_of(field), field.cpp_type
    if field.enum_type is not None:
        return enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if kind == FieldDescriptor.CPPTYPE_STRING:
        told: Schema = {"type": "string", "maxLength": limits.max_length or MOST_CHARACTERS}
        return told | ({"pattern": f"^(?:{limits.pattern})$"} if limits.pattern else {})
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if kind in WHOLE_64:  # as text, because a JavaScript number holds 53 bits
        return {"type": "string", "pattern": "^-?[0-9]+$"}
    if kind in WHOLE_32:
        bounds = {"minimum": limits.min} if limits.HasField("min") else {}
        bounds |= {"maximum": limits.max} if limits.HasField("max") else {}
        return {"type": "integer", "format": "int32", **bounds}
    return {"type": "number"}


def enum(values: EnumDescriptor) -> Schema:
    told: Schema = {"type": "string", "enum": [value.name for value in values.values]}
    meanings = [
        f"{value.name}: {said}" for value in values.values if (said := comment(f"{values.full_name}.{value.name}"))
    ]
    return told | ({"description": " ".join(meanings)} if meanings else {})


def limits_of(field: FieldDescriptor) -> Limits:
    return field.GetOptions().Extensions[limits_option]


def name_of(message: Descriptor) -> str:
    return str(message.full_name).removeprefix("rapport.").replace(".v1.", ".")


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
