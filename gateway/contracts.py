"""The contracts as protoc wrote them: with the names of fields in JSON, and with the comments that explain them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import rapport
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

PLATFORM = "platform"  # what the reasons of rapport.annotations are listed under


@cache
def contracts() -> FileDescriptorSet:
    """Every contract, and all that they import."""
    return FileDescriptorSet.FromString((Path(next(iter(rapport.__path__))).parent / "rapport.binpb").read_bytes())


def ours() -> Iterator[FileDescriptorProto]:
    return (file for file in contracts().file if file.package.startswith("rapport."))


@cache
def reasons() -> Mapping[tuple[str, str], str]:
    """What a caller should do about each (package, reason) that there is: the comments of every ErrorReason."""
    found: dict[tuple[str, str], str] = {}
    for file in ours():
        if file.name.endswith("/errors.proto"):
            package = file.package.split(".")[1]
            for value in file.enum_type[0].value[1:]:
                advice = comment(f"{file.package}.{file.enum_type[0].name}.{value.name}")
                found[PLATFORM if package == "annotations" else package, value.name] = advice
    return found


def comment(full_name: str) -> str:
    """What the contracts say about a thing, on one line; "" where they say nothing."""
    return comments().get(full_name, "")


@cache
def comments() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for file in ours():
        names = dict(named(file))
        for place in file.source_code_info.location:
            if place.leading_comments and (name := names.get(tuple(place.path))):
                found[name] = " ".join(place.leading_comments.split())
    return found


# Where things stand in a file: the paths of SourceCodeInfo are field numbers of its own descriptor, and positions.
Place = tuple[int, ...]


def named(file: FileDescriptorProto) -> Iterator[tuple[Place, str]]:
    for number, service in enumerate(file.service):
        for position, method in enumerate(service.method):
            yield (6, number, 2, position), f"{file.package}.{service.name}.{method.name}"
    for number, message in enumerate(file.message_type):
        yield from in_message(message, (4, number), file.package)
    for number, enum in enumerate(file.enum_type):
        yield from in_enum(enum, (5, number), file.package)


def in_message(message: DescriptorProto, at: Place, within: str) -> Iterator[tuple[Place, str]]:
    name = f"{within}.{message.name}"
    yield at, name
    for number, field in enumerate(message.field):
        yield (*at, 2, number), f"{name}.{field.name}"
    for number, inner in enumerate(message.nested_type):
        yield from in_message(inner, (*at, 3, number), name)
    for number, enum in enumerate(message.enum_type):
        yield from in_enum(enum, (*at, 4, number), name)


def in_enum(enum: EnumDescriptorProto, at: Place, within: str) -> Iterator[tuple[Place, str]]:
    yield at, f"{within}.{enum.name}"
    for number, value in enumerate(enum.value):
        yield (*at, 2, number), f"{within}.{enum.name}.{value.name}"
