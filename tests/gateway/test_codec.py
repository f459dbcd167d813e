"""JSON and protobuf's wire form: the fast codec says what google's own says, and cannot be crashed."""

from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapport.commerce.v1 import commerce_pb2
from rapport.identity.v1 import identity_pb2
from rapport.loyalty.v1 import loyalty_pb2
from rapport.privacy.v1 import privacy_pb2
from rapport.support.v1 import support_pb2

from gateway.codec import Codec
from gateway.problems import Problem

CODEC = Codec()
FILES = (commerce_pb2, identity_pb2, loyalty_pb2, privacy_pb2, support_pb2)
MESSAGES = [one for file in FILES for one in file.DESCRIPTOR.message_types_by_name.values()]
BOUNDED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PERSON = "users/7b0c2a52-3f0f-4c8e-9a57-1f2d3c4b5a69"

# Messages of every kind ----------------------------------------------------------------------------------------------

SECONDS = {  # google's limits, the years 1 to 9999
    "google.protobuf.Timestamp": st.integers(-62_135_596_800, 253_402_300_799),
    "google.protobuf.Duration": st.integers(0, 315_576_000_000),
}
WHOLE = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 3),
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def value_of(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return message_of(field.message_type, depth + 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=20)
    return WHOLE.get(field.cpp_type, TEXT)


def field_of(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(TEXT, value_of(field.message_type.fields_by_name["value"], depth), max_size=3)
    return st.lists(value_of(field, depth), max_size=3) if field.is_repeated else value_of(field, depth)


def message_of(message: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    make = GetMessageClass(message)
    if message.full_name in SECONDS:
        nanos = st.integers(0, 999_999_999)
        return st.builds(make, seconds=SECONDS[message.full_name], nanos=nanos)
    if message.full_name == "google.protobuf.FieldMask":
        return st.builds(make, paths=st.lists(st.sampled_from(["display_name", "business", "billing_address"])))
    if depth > 3:
        return st.just(make())
    chosen: dict[str, FieldDescriptor] = {}
    for field in message.fields:  # of the fields of a oneof, the first
        chosen.setdefault(field.containing_oneof.name if field.containing_oneof else field.name, field)
    return st.fixed_dictionaries({}, optional={field.name: field_of(field, depth) for field in chosen.values()}).map(
        lambda values: make(**values)
    )


MESSAGE = st.sampled_from(MESSAGES).flatmap(message_of)


def decode(message: Message) -> tuple[bytes, str]:
    kind: Any = message.DESCRIPTOR
    return CODEC.decoder(kind)(message.SerializeToString())


def encode(message: Message, written: bytes) -> bytes:
    kind: Any = message.DESCRIPTOR
    return CODEC.encoder(kind)(written)


def googles(message: Message) -> Any:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


@BOUNDED
@given(MESSAGE)
def test_bytes_become_the_json_that_google_would_print(message: Message) -> None:
    told, _ = decode(message)
    assert orjson.loads(told) == googles(message)


@BOUNDED
@given(MESSAGE)
def test_json_becomes_the_message_that_google_would_read(message: Message) -> None:
    written = orjson.dumps(googles(message))
    read = type(message).FromString(encode(message, written))
    assert read == message == json_format.Parse(written, type(message)())


# What google takes and JSON's own rules leave open, we refuse: a number as text or a fraction for an enum.
TAKEN_BY_GOOGLE_ONLY = "WRONG_TYPE"


@BOUNDED
@given(MESSAGE, st.data())
def test_what_google_refuses_is_refused(message: Message, data: st.DataObject) -> None:
    json = googles(message)
    if not json:
        return
    name = data.draw(st.sampled_from(sorted(json)))
    json[name] = data.draw(st.sampled_from([{"a": 1}, [[1]], "no\u0007such", 1.5, True, -1, "", 1 << 70]))
    written = orjson.dumps(json) if json[name] != 1 << 70 else str(json).replace("'", '"').encode()
    try:
        expected = json_format.Parse(written, type(message)())
    except json_format.ParseError:
        with pytest.raises(Problem):
            encode(message, written)
        return
    try:
        read = type(message).FromString(encode(message, written))
    except Problem as problem:
        reasons = {error["reason"] for error in problem.errors}
    else:
        reasons = set() if read == expected else {"READ DIFFERENTLY"}
    assert reasons <= {TAKEN_BY_GOOGLE_ONLY}


# By hand -------------------------------------------------------------------------------------------------------------


def decoded(message: Message) -> tuple[Any, str]:
    told, etag = decode(message)
    return orjson.loads(told), etag


def test_zero_values_are_printed_and_absent_messages_are_not() -> None:
    told, _ = decoded(support_pb2.Availability(time_zone="America/New_York"))
    assert told == {"online": False, "timeZone": "America/New_York"}


def test_the_etag_comes_with_the_json() -> None:
    told, etag = decoded(support_pb2.Ticket(etag="abc"))
    assert (told["etag"], etag) == ("abc", "abc")
    assert decoded(support_pb2.Category(name="categories/a"))[1] == ""


def test_what_a_newer_service_sends_is_left_out() -> None:
    newer = support_pb2.Ticket(name="t").SerializeToString() + b"\xa2\x06\x05later"  # field 100
    told, _ = CODEC.decoder(support_pb2.Ticket.DESCRIPTOR)(newer)
    assert orjson.loads(told)["name"] == "t"
    assert b"later" not in told


@pytest.mark.parametrize("opener", [b"[", b'{"title":', b'{"title":[', b'[{"title":'])
@pytest.mark.parametrize("depth", [900, 5_000, 100_000])
def test_json_nested_however_deeply_is_refused(opener: bytes, depth: int) -> None:
    with pytest.raises(Problem) as refused:
        CODEC.encoder(support_pb2.Ticket.DESCRIPTOR)(opener * depth)
    assert refused.value.said.reason in ("MALFORMED_JSON", "INVALID_FIELD")


def test_a_list_may_be_long_without_being_deep() -> None:
    json = {"windows": [{"weekday": 1, "start": "21:00", "end": "23:00"}] * 2_000}
    read = CODEC.encoder(support_pb2.ServiceHours.DESCRIPTOR)(orjson.dumps(json))
    assert len(support_pb2.ServiceHours.FromString(read).windows) == 2_000


def test_names_are_taken_as_json_and_as_the_contract_write_them() -> None:
    user = identity_pb2.User()
    assert encode(user, b'{"displayName": "Ada"}') == encode(user, b'{"display_name": "Ada"}')
