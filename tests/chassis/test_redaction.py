import io
from enum import StrEnum
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
import structlog
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from rapport.annotations.v1.personal_data_pb2 import Category
from rapport.holder.v1 import holder_pb2
from rapport.identity.v1 import identity_pb2 as pb
from rapport.support.v1 import support_pb2
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.database import Sessions
from chassis.names import Name
from chassis.personal_data.__main__ import every_contract
from chassis.personal_data.check import messages_of, rules_on
from chassis.redaction import redact, safe_repr
from tests.chassis.conftest import People

CANARY = bytes.fromhex(
    "63616e617279"
).decode()  # a traceback quotes source lines, so no line that fails may hold it whole
REDACTED = [
    field
    for file in every_contract()
    for message in messages_of(file)
    for field in message.fields
    if (rules := rules_on(field)) and Category.DESCRIPTOR.values_by_number[rules.category].GetOptions().debug_redact
]


class Colour(StrEnum):
    RED = "red"


def user() -> pb.User:
    return pb.User(name="users/1", email="canary@x", display_name="canary", etag="7", state=pb.User.ACTIVE)


def written(**line: Any) -> str:
    out = io.StringIO()
    write = structlog.processors.JSONRenderer(default=str)
    structlog.wrap_logger(structlog.PrintLogger(out), processors=[redact, write]).info("it_happened", **line)
    return out.getvalue()


# Messages ------------------------------------------------------------------------------------------------------------


def test_a_message_shows_itself_but_for_the_person() -> None:
    assert safe_repr(user()) == (
        "User(name='users/1', email=[user.contact.email], display_name=[user.name], state=1, etag='7')"
    )


@pytest.mark.parametrize("field", REDACTED, ids=lambda field: field.full_name)
def test_no_personal_field_of_any_contract_is_shown(field: FieldDescriptor) -> None:
    message: Message = GetMessageClass(cast(Descriptor, field.containing_type))()
    value: Any = CANARY.encode() if field.type == FieldDescriptor.TYPE_BYTES else CANARY
    if field.type not in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_STRING):
        pytest.fail("say here how to plant a word in it")
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)
    assert CANARY in str(message)  # protobuf itself shows it
    assert CANARY not in safe_repr(message)
    assert CANARY not in written(request=message, method=message, event_=[message])


def test_a_person_inside_is_hidden_as_well() -> None:
    said = safe_repr(pb.ListUsersResponse(users=[user()], next_page_token="n"))
    assert "canary" not in said
    assert "users/1" in said


def test_a_store_text_is_shown() -> None:
    assert "'How to pay?'" in safe_repr(support_pb2.Article(title="How to pay?", keywords=["by card"]))


def test_an_address_in_the_place_of_a_name_is_not_shown() -> None:
    assert safe_repr(pb.GetUserRequest(name="canary@x")) == "GetUserRequest(name=[malformed])"


def test_what_a_newer_peer_sent_is_not_shown() -> None:
    assert "canary" not in safe_repr(pb.GetUserRequest.FromString(b"\x9a\x06\x06canary"))


def test_a_foreign_message_shows_no_text() -> None:
    bag = Struct()
    bag.update({"canary": "canary"})
    assert "canary" not in safe_repr(bag)


def test_a_map_is_shown_where_it_is_nobodys() -> None:
    from rapport.loyalty.v1 import loyalty_pb2

    assert "{'issued': -5}" in safe_repr(loyalty_pb2.VerifyLedgerResponse(totals={"issued": -5}))


# Log lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *(user(), [user()], {"a": user()}, {"a": (1, {"canary": user()})}, {"method": user()}),
        *("canary", b"canary", bytearray(b"canary"), ValueError("canary"), {"canary"}, object),
        type("Odd", (), {"__repr__": lambda _: "canary", "__str__": lambda _: "canary"})(),
    ],
    ids=repr,
)
def test_no_person_reaches_the_log(value: object) -> None:
    assert "canary" not in written(value=value)


def test_a_word_of_ours_is_written_under_its_key_only() -> None:
    assert '"method": "/x.Y/Z"' in written(method="/x.Y/Z")
    assert '"value": "[str]"' in written(value="/x.Y/Z")


@pytest.mark.parametrize("text", ["canary@x", "a canary sang", "canary\n", "canary" * 100, "kanári-canary"])
def test_a_key_of_ours_does_not_let_a_sentence_through(text: str) -> None:
    assert "canary" not in written(reason=text, request_id=text)


def test_numbers_ids_times_enums_and_names_are_written() -> None:
    user = uuid4()
    said = written(count=3, user=user, colour=Colour.RED, ticket=Name("users/1/tickets/2"))
    assert f'"count": 3, "user": "{user}", "colour": "red", "ticket": "users/1/tickets/2"' in said


# Exceptions ----------------------------------------------------------------------------------------------------------


def told(error: BaseException) -> str:
    try:
        raise error
    except BaseException:
        return written(exc_info=True)


def test_an_exception_says_where_and_what_kind_and_not_what() -> None:
    said = told(ValueError(CANARY))
    assert "builtins.ValueError" in said
    assert "test_redaction.py" in said
    assert CANARY not in said
    assert "exc_info" not in said


def test_nor_does_its_cause_its_context_its_notes_or_its_company() -> None:
    inner = KeyError(CANARY)
    inner.add_note(CANARY)
    try:
        try:
            raise inner
        except KeyError:
            raise LookupError(CANARY)  # noqa: B904 - on purpose: the context is said as well
    except LookupError as error:
        group = ExceptionGroup(CANARY, [error, OSError(CANARY)])
    group.__cause__ = group.exceptions[0]
    said = told(group)
    assert CANARY not in said
    assert all(kind in said for kind in ("ExceptionGroup", "KeyError", "LookupError", "OSError"))


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(CANARY), TypeError(CANARY)
    first.__cause__, second.__cause__ = second, first
    assert CANARY not in told(first)


def test_what_a_peer_said_is_not_repeated() -> None:
    none = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, none, none, details=CANARY, debug_error_string=CANARY)
    said = told(error)
    assert CANARY not in said
    assert "'code': 'NOT_FOUND'" in said


QUOTING = {
    "the driver refuses an argument": "SELECT CAST(:it AS integer)",
    "the server refuses a value": "SELECT (:it)::text::uuid",
    "the server refuses a second of a kind": 'INSERT INTO "user" (id, email) VALUES (:id, :it)',
    "the server refuses a row": "INSERT INTO message (id, body, author_name) VALUES (:id, :it, :it)",
    "the server refuses a statement": "SELECT nothing FROM nowhere WHERE :it::text = ''",
}


@pytest.mark.parametrize("statement", QUOTING.values(), ids=QUOTING.keys())
async def test_a_databases_complaint_does_not_quote_the_row(held: Sessions, people: People, statement: str) -> None:
    values = {"it": f"{CANARY}-email@x"} | ({"id": uuid4()} if ":id" in statement else {})
    with pytest.raises(DBAPIError) as caught:
        async with held.begin() as session:
            await session.execute(text(statement), values)
    said = told(caught.value)
    assert CANARY not in said
    assert "test_redaction.py" in said
    assert type(caught.value).__name__ in said


async def test_a_databases_complaint_names_what_is_ours(held: Sessions, people: People) -> None:
    statement = QUOTING["the server refuses a second of a kind"]
    with pytest.raises(DBAPIError) as caught:
        async with held.begin() as session:
            await session.execute(text(statement), {"id": uuid4(), "it": f"{CANARY}-email@x"})
    driver: Any = caught.value.orig and caught.value.orig.__cause__
    assert isinstance(driver, asyncpg.UniqueViolationError)
    assert CANARY in str(vars(driver))  # hide_parameters does not hide it
    said = told(caught.value)
    assert "user_email_key" in said
    assert "23505" in said
    assert CANARY not in said


def test_an_id_is_shown_where_the_contract_says_it_may_be() -> None:
    assert str(UUID(int=7)) in safe_repr(holder_pb2.ScanSubjectRequest(subject=f"users/{UUID(int=7)}"))
