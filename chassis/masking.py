"""What people write, before anything else sees it: card numbers in it are hidden but for their last four.

    hide = hiding(support_pb2.DESCRIPTOR, known=numbers_of)["/rapport.support.v1.SupportService/CreateTicket"]
    await hide(request)  # ["ticket.body"]: what was changed, by field path

Which texts those are is in the contract: category USER_CONTENT_PRIVATE, and not secret. `known` is asked only where a
card number seems to be there: it gives the numbers that are no cards but, say, orders of whom the request is about.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from google.api.field_behavior_pb2 import OUTPUT_ONLY
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from rapport.annotations.v1.personal_data_pb2 import USER_CONTENT_PRIVATE

from chassis.access import methods
from chassis.cards import known_numbers, masked
from chassis.validation import behaves, is_free_text, said_of_people

MASKED = "rapport-masked"  # in the trailing metadata: the fields in which a card number was hidden
Hide: TypeAlias = Callable[[Any], Awaitable[Sequence[str]]]
Known: TypeAlias = Callable[[Any], Awaitable[Sequence[str]]]  # a request; the numbers that are known


async def nothing_known(_: Any) -> Sequence[str]:
    return ()


def hiding(*contracts: FileDescriptor, known: Known = nothing_known) -> dict[str, Hide]:
    """By its path, what to do with the requests of each method that takes what people write."""
    return {path: hide(method.input_type, known) for path, method in methods(*contracts) if leads(method.input_type)}


def hide(kind: Descriptor, known: Known) -> Hide:
    fields = {one.full_name: texts_of(one) for one in kinds(kind)}

    async def run(request: Any) -> Sequence[str]:
        found = [(path, text, put) for path, text, put in texts(request, fields) if masked(text) != text]
        if not found:
            return ()
        numbers = known_numbers(await known(request))
        changed = []
        for path, text, put in found:
            if (hidden := masked(text, numbers)) != text:
                put(hidden)
                changed.append(path)
        return changed

    return run


Put: TypeAlias = Callable[[str], None]
Fields: TypeAlias = Mapping[str, Sequence[FieldDescriptor]]  # by the full name of a kind of message


def texts(message: Any, fields: Fields, path: str = "") -> Iterator[tuple[str, str, Put]]:
    """Every text that people wrote in a message: its path, what it says, and how to change that."""
    for field in fields[message.DESCRIPTOR.full_name]:
        at, value = path + field.name, getattr(message, field.name)
        if field.message_type is None:
            if field.is_repeated:
                yield from ((f"{at}[{place}]", one, item(value, place)) for place, one in enumerate(value))
            elif value:
                yield at, value, single(message, field.name)
        elif field.is_repeated:
            for place, one in enumerate(value):
                yield from texts(one, fields, f"{at}[{place}].")
        elif message.HasField(field.name):
            yield from texts(value, fields, f"{at}.")


def item(values: Any, place: int) -> Put:
    return lambda text: values.__setitem__(place, text)


def single(message: Any, name: str) -> Put:
    return lambda text: setattr(message, name, text)


# What the contract says ----------------------------------------------------------------------------------------------


def kinds(kind: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[Descriptor]:
    """The kind of message, and those within it that hold what people write."""
    yield kind
    for field in texts_of(kind):
        if field.message_type is not None and field.message_type.full_name not in seen | {kind.full_name}:
            yield from kinds(field.message_type, seen | {kind.full_name})


def texts_of(kind: Descriptor) -> list[FieldDescriptor]:
    """The fields of a message that are such texts, or lead to one."""
    return [field for field in kind.fields if is_one(field) or leads_on(field, frozenset())]


def is_one(field: FieldDescriptor) -> bool:
    return is_free_text(field) and not behaves(field, OUTPUT_ONLY)


def leads(kind: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    """Whether anything in such a message is what people write."""
    if kind.full_name in seen:
        return False
    deeper = seen | {kind.full_name}
    return any(is_one(field) or leads_on(field, deeper) for field in kind.fields)


def leads_on(field: FieldDescriptor, seen: frozenset[str]) -> bool:
    inner = field.message_type
    if inner is None:
        return False
    found = leads(inner, seen)
    if inner.GetOptions().map_entry and (found or said_of_people(field).category == USER_CONTENT_PRIVATE):
        raise ValueError(f"{field.full_name}: what people write stands in no map: it could not be looked at.")
    return found
