"""What the contracts say of a request's fields, checked before the servicer sees it.

    checks(support_pb2.DESCRIPTOR)["/rapport.support.v1.SupportService/CreateTicket"](request)
    check(OrderPlaced.DESCRIPTOR)(event)  # for a message that came another way

A check raises one refusal with everything that has to be mended, by field path, and clears what only we may set.
REQUIRED and OUTPUT_ONLY come from google.api.field_behavior, lengths from our own `limits`, UUID4 from
google.api.field_info, the shape of a name from the google.api.resource it refers to, where this process knows it.
No text about a person may hold a card number, but for secrets and what people write, which chassis.masking sees to.
What was sent is never repeated: people type addresses into the wrong field.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from google.api.field_behavior_pb2 import OUTPUT_ONLY, REQUIRED, field_behavior
from google.api.field_info_pb2 import FieldInfo, field_info
from google.api.resource_pb2 import resource, resource_definition, resource_reference
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message
from rapport.annotations.v1.limits_pb2 import Limits, limits
from rapport.annotations.v1.personal_data_pb2 import USER_CONTACT_PHONE_NUMBER, USER_CONTENT_PRIVATE, Personal, personal

from chassis.access import methods
from chassis.cards import LONGEST_PHONE, has_card
from chassis.names import reader
from chassis.refusal import CardNumber, InvalidField, MalformedName, Violation

MOST_CHARACTERS, MOST_BYTES, MOST_ITEMS = 1_000, 64 << 10, 100  # where `limits` says nothing
MOST_VIOLATIONS = 20  # who has made more mistakes will ask again
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
# What google.protobuf allows in seconds (the years 1 to 9999, and as long a time either way) and in nanoseconds.
SPANS = {
    "google.protobuf.Timestamp": (-62_135_596_800, 253_402_300_799, 0),
    "google.protobuf.Duration": (-315_576_000_000, 315_576_000_000, -999_999_999),
}

Check: TypeAlias = Callable[[Any], None]


class Found:
    """What has to be mended."""

    __slots__ = ("patterns", "violations")

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.patterns: list[str] = []  # of each name that has another

    def add(self, path: str, reason: str, description: str) -> None:
        self.violations.append(Violation(path, reason, description))

    def refusal(self) -> InvalidField | MalformedName | CardNumber:
        violations = self.violations[:MOST_VIOLATIONS]
        if all(one.reason == CardNumber.reason for one in self.violations):
            return CardNumber("Leave the card number out.", violations=violations)
        if len(self.patterns) == len(self.violations):
            return MalformedName(violations[0].description, violations=violations, pattern=self.patterns[0])
        return InvalidField("Mend the fields listed.", violations=violations)


Rule: TypeAlias = Callable[[Any, str, Found], None]  # a value, its path, what is found wrong


class Shape:
    """What one kind of message has to look like."""

    __slots__ = ("cleared", "required", "rules")

    def __init__(self) -> None:
        self.required: tuple[str, ...] = ()
        self.cleared: tuple[str, ...] = ()
        self.rules: dict[str, Rule] = {}

    def inspect(self, message: Message, path: str, found: Found) -> None:
        for name in self.cleared:
            message.ClearField(name)
        present = message.ListFields()
        if self.required:
            names = {field.name for field, _ in present}
            for name in self.required:
                if name not in names:
                    found.add(path + name, "REQUIRED", "This is needed.")
        for field, value in present:
            rule = self.rules.get(field.name)
            if rule is not None:
                rule(value, path + field.name, found)


# From the contracts --------------------------------------------------------------------------------------------------


def checks(*contracts: FileDescriptor) -> dict[str, Check]:
    """The check of each method's request, by the method's path."""
    compiler = Compiler(patterns(contracts))
    return {path: compiler.check(method.input_type) for path, method in methods(*contracts)}


def check(message: Descriptor) -> Check:
    """The check of one kind of message."""
    return Compiler(patterns([message.file])).check(message)


class Compiler:
    """Turns what the contracts say into shapes, once for each kind of message."""

    def __init__(self, patterns: Mapping[str, tuple[str, ...]]) -> None:
        self.patterns = patterns
        self.shapes: dict[str, Shape] = {}

    def check(self, message: Descriptor) -> Check:
        shape, resource_name = self.shape(message), updated(message)

        def run(request: Any) -> None:
            found = Found()
            shape.inspect(request, "", found)
            if found.violations and resource_name:
                found.violations = unmasked(found.violations, resource_name, set(request.update_mask.paths))
            if found.violations:
                raise found.refusal()

        return run

    def shape(self, message: Descriptor) -> Shape:
        shape = self.shapes.get(message.full_name)
        if shape is None:
            shape = self.shapes[message.full_name] = Shape()  # before its fields: a message may hold its own kind
            shape.required = tuple(field.name for field in message.fields if is_required(field))
            shape.cleared = tuple(field.name for field in message.fields if behaves(field, OUTPUT_ONLY))
            rules = {field.name: self.rule(field) for field in message.fields}
            shape.rules = {name: rule for name, rule in rules.items() if rule is not None}
        return shape

    def rule(self, field: FieldDescriptor) -> Rule | None:
        if not field.is_repeated:
            return self.single(field)
        said = said_of(field)
        most = said.max_items or MOST_ITEMS
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return entries(most, *(self.single(entry.fields_by_name[part]) for part in ("key", "value")))
        return items(most, None if said.each_by_itself else self.single(field))

    def single(self, field: FieldDescriptor) -> Rule | None:
        said = said_of(field)
        if field.type == field.TYPE_STRING:
            return text(said.max_length or MOST_CHARACTERS, tuple(self.forms(field, said)))
        if field.type == field.TYPE_BYTES:
            return octets(said.max_length or MOST_BYTES)
        if field.enum_type is not None:
            return choice(frozenset(field.enum_type.values_by_number))
        if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
            return finite
        if field.message_type is not None:
            span = SPANS.get(field.message_type.full_name)
            return instant(*span) if span else nested(self.shape(field.message_type))
        if said.HasField("min") or said.HasField("max"):
            return between(said.min if said.HasField("min") else None, said.max if said.HasField("max") else None)
        return None

    def forms(self, field: FieldDescriptor, said: Limits) -> Iterator["Form | NoCard"]:
        """The forms that a text has to have."""
        if said.pattern:
            yield Form([re.compile(said.pattern)], "PATTERN_MISMATCH", f"This has to read like {said.pattern}")
        if options(field).Extensions[field_info].format == FieldInfo.UUID4:
            yield Form([UUID4], "UUID4_NEEDED", "This is a UUID of version 4.")
        if names := self.names(field):
            wild = field.name == "parent"  # `users/-`: asked across all of them
            # Which of the ids are UUIDs, the service knows.
            expressions = [reader(re.sub(r"\{(\w+)\}", r"{\1:id}", one), wild=wild) for one in names]
            shapes = "` or `".join(names)
            yield Form(expressions, MalformedName.reason, f"A name here reads `{shapes}`.", pattern=names[0])
        if said_of_people(field).category and not (is_free_text(field) or said_of_people(field).secret):
            # A shorter one may be a telephone number, in the field for them.
            is_phone = said_of_people(field).category == USER_CONTACT_PHONE_NUMBER
            yield NoCard(LONGEST_PHONE if is_phone else 0)

    def names(self, field: FieldDescriptor) -> tuple[str, ...]:
        """The patterns that a name in `field` has one of; none where it holds no name, or of nothing known here."""
        reference = options(field).Extensions[resource_reference]
        if reference.child_type:
            return tuple(filter(None, map(parent_of, self.patterns.get(reference.child_type, ()))))
        if reference.type:
            return self.patterns.get(reference.type, ())
        own = options(field.containing_type).Extensions[resource]
        return tuple(own.pattern) if field.name == (own.name_field or "name") else ()


def options(described: Any) -> Any:
    return described.GetOptions()


def said_of(field: FieldDescriptor) -> Limits:
    said: Limits = options(field).Extensions[limits]
    return said


def said_of_people(field: FieldDescriptor) -> Personal:
    said: Personal = options(field).Extensions[personal]
    return said


def is_free_text(field: FieldDescriptor) -> bool:
    """Whether it is what people write, in their own words."""
    said = said_of_people(field)
    return field.type == field.TYPE_STRING and said.category == USER_CONTENT_PRIVATE and not said.secret


def behaves(field: FieldDescriptor, behavior: int) -> bool:
    return behavior in options(field).Extensions[field_behavior]


def is_required(field: FieldDescriptor) -> bool:
    """Whether its absence can be told, and is a mistake: a plain 0 or false may be meant."""
    if not behaves(field, REQUIRED) or field.has_presence or field.is_repeated:
        return behaves(field, REQUIRED)
    said = said_of(field)
    return field.type != field.TYPE_BOOL and not (said.HasField("min") and said.min <= 0)


def updated(message: Descriptor) -> str:
    """For an update (AIP-134), the field that holds the resource; else ""."""
    held = [one.name for one in message.fields if one.message_type and options(one.message_type).HasExtension(resource)]
    return held[0] if "update_mask" in message.fields_by_name and len(held) == 1 else ""


def unmasked(violations: list[Violation], resource_name: str, mask: set[str]) -> list[Violation]:
    """Without those fields of the resource that an update leaves as they are."""

    def is_left_out(one: Violation) -> bool:
        holder, _, field = one.field.rpartition(".")
        return one.reason == "REQUIRED" and holder == resource_name and field not in mask and "*" not in mask

    return [one for one in violations if not is_left_out(one)]


def patterns(contracts: Iterable[FileDescriptor]) -> dict[str, tuple[str, ...]]:
    """The patterns of each kind of resource that the contracts speak of, here or in what they import."""
    found: dict[str, tuple[str, ...]] = {}
    for file in family(contracts):
        for kind in [
            *options(file).Extensions[resource_definition],
            *(options(message).Extensions[resource] for message in file.message_types_by_name.values()),
        ]:
            if kind.type and "*" not in kind.pattern:
                found[kind.type] = tuple(kind.pattern)
    return found


def family(contracts: Iterable[FileDescriptor]) -> Iterable[FileDescriptor]:
    found: dict[str, FileDescriptor] = {}
    waiting = list(contracts)
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file
            waiting += file.dependencies
    return found.values()


def parent_of(pattern: str) -> str:
    """users/{user} of users/{user}/tickets/{ticket}, and of users/{user}/photo."""
    steps = pattern.split("/")
    return "/".join(steps[: -2 if steps[-1].startswith("{") else -1])


# Rules ---------------------------------------------------------------------------------------------------------------


class Form:
    """A form that a text has to have: any of these expressions, the whole of it."""

    __slots__ = ("description", "expressions", "pattern", "reason")

    def __init__(
        self, expressions: Iterable[re.Pattern[str]], reason: str, description: str, *, pattern: str = ""
    ) -> None:
        self.expressions, self.reason, self.description, self.pattern = tuple(expressions), reason, description, pattern

    def inspect(self, value: str, path: str, found: Found) -> None:
        for expression in self.expressions:
            if expression.fullmatch(value):
                return
        found.add(path, self.reason, self.description)
        if self.pattern:
            found.patterns.append(self.pattern)


class NoCard:
    """That a text holds no card number of more digits than that."""

    __slots__ = ("longer_than",)

    def __init__(self, longer_than: int) -> None:
        self.longer_than = longer_than

    def inspect(self, value: str, path: str, found: Found) -> None:
        if has_card(value, longer_than=self.longer_than):
            found.add(path, CardNumber.reason, "Leave the card number out: no field of ours is for one.")


def text(most: int, forms: tuple[Form | NoCard, ...]) -> Rule:
    def rule(value: str, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, "TOO_LONG", f"This takes {most} characters at most.")
        elif "\0" in value:  # which PostgreSQL cannot keep
            found.add(path, "NUL_CHARACTER", "This cannot hold the character U+0000.")
        else:
            for form in forms:
                form.inspect(value, path, found)

    return rule


def octets(most: int) -> Rule:
    def rule(value: bytes, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, "TOO_LONG", f"This takes {most} bytes at most.")

    return rule


def choice(numbers: frozenset[int]) -> Rule:
    def rule(value: int, path: str, found: Found) -> None:
        if value not in numbers:
            found.add(path, "UNKNOWN_VALUE", "This is none of the values there are.")

    return rule


def finite(value: float, path: str, found: Found) -> None:
    if not math.isfinite(value):
        found.add(path, "OUT_OF_RANGE", "This has to be a number.")


def between(least: int | None, most: int | None) -> Rule:
    def rule(value: int, path: str, found: Found) -> None:
        if (least is not None and value < least) or (most is not None and value > most):
            found.add(path, "OUT_OF_RANGE", described)

    described = (
        f"This lies between {least} and {most}."
        if least is not None and most is not None
        else f"This is {least} or more."
        if most is None
        else f"This is {most} or less."
    )
    return rule


def instant(first: int, last: int, least_nanos: int) -> Rule:
    def rule(value: Any, path: str, found: Found) -> None:
        if not (first <= value.seconds <= last and least_nanos <= value.nanos <= 999_999_999):
            found.add(path, "OUT_OF_RANGE", "This is no time between the years 1 and 9999.")

    return rule


def nested(shape: Shape) -> Rule:
    def rule(value: Message, path: str, found: Found) -> None:
        shape.inspect(value, f"{path}.", found)

    return rule


def items(most: int, each: Rule | None) -> Rule:
    def rule(values: Any, path: str, found: Found) -> None:
        if len(values) > most:
            found.add(path, "TOO_MANY", f"This takes {most} items at most.")
        elif each is not None:
            for place, value in enumerate(values):
                each(value, f"{path}[{place}]", found)

    return rule


def entries(most: int, each_key: Rule | None, each_value: Rule | None) -> Rule:
    def rule(values: Any, path: str, found: Found) -> None:
        if len(values) > most:
            found.add(path, "TOO_MANY", f"This takes {most} entries at most.")
            return
        for key in values:  # which the path leaves out: it may be anything that somebody typed
            if each_key is not None:
                each_key(key, path, found)
            if each_value is not None:
                each_value(values[key], path, found)

    return rule
