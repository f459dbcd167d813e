from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from rapport.annotations.v1.event_pb2 import Event, event
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from rapport.annotations.v1.personal_data_pb2 import personal as personal_option
from rapport.commerce.v1 import events_pb2 as commerce_events
from rapport.holder.v1 import holder_pb2
from rapport.identity.v1 import identity_pb2
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, TSVECTOR

from chassis.personal_data import Undeclared, check, holds_people, impersonal, personal, subject, unlinked
from chassis.personal_data.__main__ import every_contract, main
from chassis.personal_data.data_map import data_map
from chassis.personal_data.retention import Schedule, load
from tests.chassis.people import KEPT_ID, MARK, POINTS, TABLES

EMAIL = "rapport.identity.v1.User.email"
NAME = Personal(category=Category.USER_NAME, purpose=Purpose.ACCOUNT)
SCHEDULE = load()


def ids() -> Column[Any]:
    return Column("id", Uuid, primary_key=True)


def problem(*columns: Any, also: tuple[Any, ...] = (), schedule: Schedule = SCHEDULE) -> str:
    """What the check says of a table `t` of these columns, beside a table `other`."""
    metadata = MetaData()
    for name, those in (("t", columns), ("other", also)):
        Table(name, metadata, *(getattr(column, "column", column)._copy() for column in those))
    try:
        check(metadata.tables.values(), [], schedule)
    except Undeclared as said:
        return str(said)
    return ""


# Tables --------------------------------------------------------------------------------------------------------------


def test_all_ways_of_speaking_of_people_will_do() -> None:
    check(TABLES, every_contract(), SCHEDULE)


def test_every_service_has_declared_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().out
    assert "All declared." in capsys.readouterr().out


@pytest.mark.parametrize(
    "type", [String, Text, JSON, JSONB, Date, Float, LargeBinary, INET, TSVECTOR, ARRAY(Text)], ids=str
)
def test_a_column_that_can_hold_a_person_must_say(type: Any) -> None:
    assert "t.x: " in (said := problem(ids(), Column("x", type)))
    assert "can hold a person. Write personal(...), or impersonal('why')." in said


@pytest.mark.parametrize(
    "type", [Integer, Boolean, Uuid, DateTime, Numeric, Enum("a", "b", name="e"), ARRAY(Integer)], ids=str
)
def test_a_column_that_can_not_need_not(type: Any) -> None:
    assert problem(ids(), Column("x", type)) == ""


@pytest.mark.parametrize("name", ["user_id", "customer_id", "author_id", "assigned_agent_id", "person", "visitor"])
def test_the_id_of_somebody_is_not_a_mere_number(name: str) -> None:
    assert f"t.{name}: looks like the id of a person. Write subject()" in problem(ids(), Column(name, Uuid))


def test_nobodys_text_says_why() -> None:
    assert problem(ids(), impersonal("a currency", "x", Text)) == ""


def test_a_column_must_store_a_field_that_is() -> None:
    said = problem(subject("", "id", Uuid, primary_key=True), personal("rapport.identity.v1.User.emial", "x", Text))
    assert said == "rapport.identity.v1.User.emial: no contract has such a field."


def test_a_column_cannot_take_rules_from_a_field_without() -> None:
    said = problem(subject("", "id", Uuid, primary_key=True), personal("rapport.identity.v1.User.roles", "x", Text))
    assert "User.roles: the field is not (personal)" in said


def test_a_contract_need_not_be_imported_to_be_spoken_of() -> None:
    """Models may not import contracts, and say what they store by name."""
    assert problem(subject("", "id", Uuid, primary_key=True), personal("rapport.loyalty.v1.None.x", "x", Text)) == (
        "rapport.loyalty.v1.None.x: no contract has such a field."
    )
    assert problem(subject("", "id", Uuid, primary_key=True), personal("nowhere.v1.None.x", "x", Text))


@pytest.mark.parametrize("of", ["", "c_id"])
def test_a_column_of_two_people_must_say_whose(of: str) -> None:
    said = problem(
        ids(), subject(KEPT_ID, "a_id", Uuid), subject(KEPT_ID, "b_id", Uuid), personal(NAME, "x", Text, of=of)
    )
    assert said == "t.x: whose is it? Write of=..., naming one of the table's subject() columns."


def test_a_personal_column_needs_somebody() -> None:
    assert "t.x: whose is it?" in problem(ids(), personal(NAME, "x", Text))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Personal(purpose=Purpose.ACCOUNT), "t.x: personal without a category."),
        (Personal(category=Category.USER_NAME), "t.x: personal without a purpose."),
        (
            Personal(category=Category.USER_NAME, purpose=Purpose.ACCOUNT, on_erasure=Personal.RETAIN),
            "t.x: RETAINed without a legal_basis: the article or claim that obliges us.",
        ),
    ],
)
def test_rules_are_whole(rules: Personal, said: str) -> None:
    assert said in problem(subject(KEPT_ID, "id", Uuid, primary_key=True), personal(rules, "x", Text))


def test_a_purpose_without_a_period_is_refused() -> None:
    nothing = Schedule(1, {})
    said = problem(subject("", "id", Uuid, primary_key=True), personal(NAME, "x", Text), schedule=nothing)
    assert "t.x: The retention schedule has no period for the purpose ACCOUNT." in said


def test_a_row_that_stays_cannot_keep_what_cannot_be_empty() -> None:
    columns = ids(), subject(POINTS, "user_id", Uuid)
    assert problem(*columns, personal(NAME, "x", Text)) == ""
    assert problem(*columns, personal(NAME, "x", Text, nullable=False, erased="")) == ""
    assert problem(*columns, personal(NAME, "x", Text, nullable=False)) == (
        "t.x: its row outlives it. Make it nullable, or say what it becomes: erased=..."
    )


def test_a_row_that_goes_may_hold_what_cannot_be_empty() -> None:
    assert problem(subject("", "id", Uuid, primary_key=True), personal(NAME, "x", Text, nullable=False)) == ""


def test_a_row_that_others_need_stays() -> None:
    mine = subject("", "id", Uuid, primary_key=True), personal(NAME, "x", Text, nullable=False)
    theirs = ids(), Column("t_id", Uuid, ForeignKey("t.id"))
    assert "t.x: its row outlives it." in problem(*mine, also=theirs)
    let_go = ids(), Column("t_id", Uuid, ForeignKey("t.id", ondelete="SET NULL"))
    assert problem(*mine, also=let_go) == ""
    carried = subject("", "t_id", Uuid, ForeignKey("t.id"), primary_key=True), personal(NAME, "x", Text)
    assert problem(*mine, also=carried) == ""
    other_person = ids(), Column("t_id", Uuid, ForeignKey("t.id")), subject("", "user_id", Uuid)
    assert "t.x: its row outlives it." in problem(*mine, also=(*other_person, personal(NAME, "x", Text)))


def test_a_row_goes_only_with_one_that_is_surely_the_same_persons() -> None:
    """A foreign key on the person's id that leads to something else says nothing of whose the other row is."""
    mine = subject("", "id", Uuid, primary_key=True), personal(NAME, "x", Text, nullable=False)
    number = Column("number", Uuid, unique=True)
    theirs = subject("", "person_id", Uuid, ForeignKey("t.number"), primary_key=True), personal(NAME, "x", Text)
    assert "t.x: its row outlives it." in problem(*mine, number, also=theirs)


def test_a_row_of_two_people_stays() -> None:
    two = subject("", "a_id", Uuid), subject("", "b_id", Uuid)
    theirs = personal(NAME, "x", Text, of="a_id", nullable=False), personal(NAME, "y", Text, of="b_id")
    assert "t.x: its row outlives it." in problem(ids(), *two, *theirs)


def test_a_row_that_refers_to_its_own_kind_stays() -> None:
    metadata = MetaData()
    columns = (
        *(ids(), subject("", "user_id", Uuid).column, personal(NAME, "x", Text, nullable=False).column),
        *(Column("before_id", Uuid), ForeignKeyConstraint(["before_id", "user_id"], ["t.id", "t.user_id"])),
    )
    with pytest.raises(Undeclared, match=r"t\.x: its row outlives it\."):
        check([Table("t", metadata, *columns)], [], SCHEDULE)


def test_two_erased_people_cannot_become_the_same_unique_word() -> None:
    columns = ids(), subject(POINTS, "user_id", Uuid)
    assert "t.x: unique, so" in problem(*columns, personal(NAME, "x", Text, nullable=False, unique=True, erased="gone"))


def test_a_row_about_a_person_is_personal_whatever_its_types() -> None:
    assert "t.user_id: a row about a person that holds nothing" in problem(ids(), subject("", "user_id", Uuid))
    assert problem(ids(), subject(POINTS, "user_id", Uuid), Column("seconds", Integer)) == ""


def test_an_id_that_stays_says_so() -> None:
    two = subject("", "a_id", Uuid), subject(POINTS, "b_id", Uuid)
    said = problem(ids(), *two, personal(NAME, "x", Text, of="a_id"))
    assert said == "t.a_id: its rows stay after erasure, with the id. Write subject(RULES): ANONYMISE, or RETAIN."


def test_what_is_kept_can_be_found_again() -> None:
    kept = Personal(category=Category.USER_NAME, purpose=Purpose.ACCOUNT, on_erasure=Personal.RETAIN, legal_basis="tax")
    said = problem(ids(), subject(POINTS, "user_id", Uuid), personal(kept, "x", Text))
    assert "t.user_id: goes, while columns of theirs are RETAINed" in said


def test_the_id_of_a_person_is_a_uuid_and_has_an_index() -> None:
    assert "t.user_id: TEXT. A subject() is a UUID." in problem(ids(), subject(POINTS, "user_id", Text))
    assert "t.user_id: no index begins with it" in problem(ids(), subject(POINTS, "user_id", Uuid, index=False))
    second = subject("", "user_id", Uuid, primary_key=True), personal(NAME, "x", Text)
    assert "t.user_id: no index begins with it" in problem(ids(), *second)  # the key begins with the other column


def test_a_mark_is_kept_on_a_legal_basis_and_is_nobodys() -> None:
    assert problem(ids(), Column("create_time", DateTime), unlinked(MARK, "why", "x", LargeBinary)) == ""
    assert "Its rules say RETAIN" in problem(ids(), unlinked(NAME, "why", "x", LargeBinary))
    said = problem(subject(KEPT_ID, "id", Uuid, primary_key=True), unlinked(MARK, "why", "x", LargeBinary))
    assert "t.x: unlinked in a table with a subject()." in said


def test_a_way_to_a_person_leads_to_one() -> None:
    def way(through: str, rules: Personal | str = POINTS) -> Any:
        return ids(), subject(rules, "account_id", Uuid, through=through)

    member = subject("", "user_id", Uuid, primary_key=True), personal(NAME, "x", Text), Column("account_id", Uuid)
    assert problem(*way("other.account_id"), also=member) == ""
    assert "names no column" in problem(*way("other.nothing"), also=member)
    assert "names no column" in problem(*way("nowhere.id"))
    assert "leads back to where it began" in problem(*way("t.id"))
    assert "other has no subject()" in problem(*way("other.id"), also=(ids(),))
    retained = "erasure takes the way to the person, so the rules of the row say ANONYMISE."
    assert retained in problem(*way("other.account_id", KEPT_ID), also=member)


def test_a_row_reached_through_another_holds_nothing_of_its_own() -> None:
    member = subject("", "user_id", Uuid, primary_key=True), personal(NAME, "x", Text), Column("account_id", Uuid)
    entry = ids(), subject(POINTS, "account_id", Uuid, through="other.account_id")
    assert "t.x: erasure does not reach rows" in problem(*entry, personal(NAME, "x", Text), also=member)
    both = "t: reaches its person through another table and by itself. Leave one."
    assert both in problem(*entry, subject(POINTS, "user_id", Uuid), also=member)


def test_a_period_that_is_to_be_swept_has_a_time_to_count_from() -> None:
    words = Personal(category=Category.USER_CONTENT_PRIVATE, purpose=Purpose.SUPPORT)
    columns = subject("", "id", Uuid, primary_key=True), personal(words, "x", Text)
    assert "t.x: is kept 730 days after last change, and its table has no create_time" in problem(*columns)
    assert problem(*columns, Column("update_time", DateTime)) == ""
    assert problem(*columns, Column("expire_time", DateTime)) == ""  # its service sees to it


# Contracts -----------------------------------------------------------------------------------------------------------

FIELD = descriptor_pb2.FieldDescriptorProto


def contract(name: str, *messages: descriptor_pb2.DescriptorProto) -> FileDescriptor:
    """A contract that is none of ours, in the pool."""
    pool = descriptor_pool.Default()
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=f"rapport.{name}", syntax="proto3")
    file.dependency.extend(["rapport/identity/v1/identity.proto", "google/api/http.proto"])
    file.message_type.extend(messages)
    pool.Add(file)
    return pool.FindFileByName(f"{name}.proto")


def message(name: str, **fields: "FIELD.Type.ValueType | str") -> descriptor_pb2.DescriptorProto:
    made = descriptor_pb2.DescriptorProto(name=name)
    for number, (field, kind) in enumerate(fields.items(), start=1):
        if isinstance(kind, str):
            made.field.add(
                name=field, number=number, type=FIELD.TYPE_MESSAGE, type_name=kind, label=FIELD.LABEL_OPTIONAL
            )
        else:
            made.field.add(name=field, number=number, type=kind, label=FIELD.LABEL_OPTIONAL)
    return made


def said_of(file: FileDescriptor) -> str:
    with pytest.raises(Undeclared) as caught:
        check([], [file], SCHEDULE)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["STRING", "BYTES", "FLOAT", "DOUBLE"])
def test_a_field_that_can_hold_a_person_must_say(kind: str) -> None:
    said = said_of(contract(f"silent_{kind.lower()}", message("Said", x=FIELD.Type.Value(f"TYPE_{kind}"))))
    assert f"rapport.silent_{kind.lower()}.Said.x: can hold a person. Write (personal) = {{...}}" in said


def test_a_message_of_others_that_holds_anything_must_say() -> None:
    assert "Said.x: can hold a person." in said_of(contract("foreign", message("Said", x=".google.api.HttpRule")))


def test_a_field_that_can_not_need_not() -> None:
    file = contract("numbers", message("Said", x=FIELD.TYPE_INT64, etag=FIELD.TYPE_STRING, on=FIELD.TYPE_BOOL))
    check([], [file], SCHEDULE)


def test_a_fields_rules_are_whole() -> None:
    silent = message("Said", x=FIELD.TYPE_STRING)
    silent.field[0].options.Extensions[personal_option].CopyFrom(Personal(purpose=Purpose.ACCOUNT))
    assert "Said.x: personal without a category." in said_of(contract("halfway", silent))


def test_an_event_that_reaches_a_person_is_refused() -> None:
    told = message("UserTold", list=".rapport.identity.v1.ListUsersResponse", user=FIELD.TYPE_INT64)
    told.options.Extensions[event].CopyFrom(Event(key="user"))
    said = said_of(contract("telling", told))
    assert "rapport.telling.UserTold.list > rapport.identity.v1.ListUsersResponse.users > " in said
    assert "User.email: an event carries ids, never a person." in said


def test_an_event_names_its_key_and_its_owner() -> None:
    lost = message("UserLost", user=FIELD.TYPE_INT64)
    lost.options.Extensions[event].CopyFrom(Event(owner="person"))
    said = said_of(contract("keyless", lost))
    assert "UserLost: the event's key is '', and it has no such field." in said
    assert "UserLost: the event's owner is 'person', and it has no such field." in said


def test_holders_are_those_whose_contracts_hold_people() -> None:
    assert holds_people(identity_pb2.DESCRIPTOR)
    assert not holds_people(commerce_events.DESCRIPTOR)


# The data map --------------------------------------------------------------------------------------------------------


def test_the_data_map_names_every_column_that_holds_a_person() -> None:
    lines = {line.column: line for line in data_map(TABLES, SCHEDULE)}
    assert lines["user.email"] == holder_pb2.Holding(
        column="user.email",
        field=EMAIL,
        category="user.contact.email",
        purpose="essential.service.authentication",
        retention="until account end",
        on_erasure="ERASE",
        disclosed_to=["mail provider"],
    )
    assert lines["bill.address"] == holder_pb2.Holding(
        column="bill.address",
        category="user.contact.address",
        purpose="essential.legal_obligation",
        retention="3650 days after account end",
        on_erasure="RETAIN",
        legal_basis="tax law",
    )
    assert lines["restricted_subject.id"].retention == "until account end"  # of the same purpose, but it goes
    assert lines["message.body"].retention == "730 days after last change"
    assert lines.keys() >= {"credential.hash", "call.customer_id", "leg.entry_id", "mark.mac", "erased_subject.id"}
