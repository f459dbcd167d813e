import math
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.identity.v1 import events_pb2

from chassis.refusal import InvalidField, MalformedName, Violation
from chassis.validation import MOST_VIOLATIONS, check, checks
from tests.chassis.oracle import FILE, PATH, Omen, Ordered, Place, Question, UpdateOmenRequest, contract

NAME = f"users/{uuid4()}/omens/{uuid4()}"


def mistakes(message: Any) -> list[tuple[str, str]]:
    """The path and the reason of everything that the check minds."""
    try:
        check(message.DESCRIPTOR)(message)
    except (InvalidField, MalformedName) as refusal:
        return [(one.field, one.reason) for one in refusal.violations]
    return []


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"text": "x" * 20},
        {"text": "\u00e9" * 20},
        {"name": NAME},
        {"name": "users/1/omens/AB-1.2_3"},
        {"parent": f"users/{uuid4()}"},
        {"parent": "users/-"},
        {"request_id": str(uuid4())},
        {"request_id": str(uuid4()).upper()},
        {"seal": b"1234"},
        {"signs": ["abc", ""]},
        {"notes": {"a": "b"}},
        {"stars": 1},
        {"stars": 5},
        {"years": 2**63 - 1},
        {"weight": -1e300},
        {"mood": 1},
        {"dusk": Timestamp(seconds=253_402_300_799, nanos=999_999_999)},
        {"more": [Question(text="a")]},
        {"apart": [Question(stars=9)]},  # which is for whoever takes them
        {"omen": Omen(title="a")},
    ],
)
def test_what_the_contract_allows_passes(question: dict[str, Any]) -> None:
    assert mistakes(Question(**question)) == []


@pytest.mark.parametrize(
    ("question", "path", "reason"),
    [
        ({"text": "x" * 21}, "text", "TOO_LONG"),
        ({"text": "a\0"}, "text", "NUL_CHARACTER"),
        ({"name": "users/1"}, "name", "MALFORMED_NAME"),
        ({"name": "users/-/omens/-"}, "name", "MALFORMED_NAME"),
        ({"name": f"{NAME}\n"}, "name", "MALFORMED_NAME"),
        ({"name": f"{NAME}/"}, "name", "MALFORMED_NAME"),
        ({"name": "users//omens/1"}, "name", "MALFORMED_NAME"),
        ({"parent": NAME}, "parent", "MALFORMED_NAME"),
        ({"request_id": "1"}, "request_id", "UUID4_NEEDED"),
        ({"request_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, "request_id", "UUID4_NEEDED"),
        ({"seal": b"12345"}, "seal", "TOO_LONG"),
        ({"signs": ["a", "b", "c"]}, "signs", "TOO_MANY"),
        ({"signs": ["a", "toolong"]}, "signs[1]", "TOO_LONG"),
        ({"signs": ["A"]}, "signs[0]", "PATTERN_MISMATCH"),
        ({"notes": {"a": "b", "c": "d"}}, "notes", "TOO_MANY"),
        ({"notes": {"a": "x" * 1001}}, "notes", "TOO_LONG"),
        ({"notes": {"x" * 1001: "a"}}, "notes", "TOO_LONG"),
        ({"stars": 6}, "stars", "OUT_OF_RANGE"),
        ({"stars": -1}, "stars", "OUT_OF_RANGE"),
        ({"years": -1}, "years", "OUT_OF_RANGE"),
        ({"weight": math.nan}, "weight", "OUT_OF_RANGE"),
        ({"weight": math.inf}, "weight", "OUT_OF_RANGE"),
        ({"mood": 7}, "mood", "UNKNOWN_VALUE"),
        ({"dusk": Timestamp(seconds=253_402_300_800)}, "dusk", "OUT_OF_RANGE"),
        ({"dusk": Timestamp(nanos=-1)}, "dusk", "OUT_OF_RANGE"),
        ({"more": [Question(), Question(stars=9)]}, "more[1].stars", "OUT_OF_RANGE"),
        ({"more": [Question()] * 101}, "more", "TOO_MANY"),
        ({"apart": [Question()] * 3}, "apart", "TOO_MANY"),
        ({"omen": Omen(title="x" * 1001)}, "omen.title", "TOO_LONG"),
        ({"omen": Omen()}, "omen.title", "REQUIRED"),
        ({"omen": Omen(title="a", name="x")}, "omen.name", "MALFORMED_NAME"),
        ({"omen": Omen(title="a", place=Place())}, "omen.place.city", "REQUIRED"),
    ],
)
def test_what_the_contract_does_not_allow_is_named_by_its_path(
    question: dict[str, Any], path: str, reason: str
) -> None:
    assert mistakes(Question(**question)) == [(path, reason)]


def test_a_time_span_has_its_bounds_too() -> None:
    file = contract(
        'syntax = "proto3"; package spans; import "google/protobuf/duration.proto";'
        "message Wait { google.protobuf.Duration time = 1; float share = 2; bytes rest = 3; }"
    )
    wait: Any = GetMessageClass(file.message_types_by_name["Wait"])
    assert mistakes(wait(time=Duration(seconds=-1, nanos=-5))) == []
    assert mistakes(wait(time=Duration(seconds=315_576_000_001))) == [("time", "OUT_OF_RANGE")]
    assert mistakes(wait(share=math.inf, rest=bytes(65_537))) == [("share", "OUT_OF_RANGE"), ("rest", "TOO_LONG")]


def test_all_that_is_required_is_missed_at_once() -> None:
    assert mistakes(Ordered()) == [(name, "REQUIRED") for name in ("title", "quantity", "items", "place")]


def test_a_zero_that_may_be_meant_is_not_missed() -> None:
    assert mistakes(Ordered(title="a", quantity=1, items=["a"], place=Place(city="b"), points=0, gift=False)) == []


def test_every_mistake_is_told_in_one_refusal() -> None:
    question = Question(text="x" * 21, stars=9, name="x", signs=["A", "B"])
    with pytest.raises(InvalidField) as caught:
        check(Question.DESCRIPTOR)(question)
    assert [one.field for one in caught.value.violations] == ["name", "text", "signs[0]", "signs[1]", "stars"]
    assert caught.value.violations[1] == Violation("text", "TOO_LONG", "This takes 20 characters at most.")


def test_a_malformed_name_alone_shows_the_shape_it_should_have() -> None:
    with pytest.raises(MalformedName) as caught:
        check(Question.DESCRIPTOR)(Question(name="x"))
    assert caught.value.metadata == {"pattern": "users/{user}/omens/{omen}"}
    assert [one.field for one in caught.value.violations] == ["name"]


def test_what_was_sent_is_not_repeated() -> None:
    with pytest.raises(InvalidField) as caught:
        check(Question.DESCRIPTOR)(
            Question(name="canary", request_id="canary", signs=["CANARY"], notes={"canary": "\0"})
        )
    assert "canary" not in f"{caught.value} {caught.value.violations} {caught.value.metadata}".lower()


def test_there_is_an_end_to_what_is_told() -> None:
    with pytest.raises(InvalidField) as caught:
        check(Question.DESCRIPTOR)(Question(more=[Question(stars=9)] * 100))
    assert len(caught.value.violations) == MOST_VIOLATIONS


def test_what_only_we_may_set_is_cleared() -> None:
    question = Question(omen=Omen(title="a", meaning="b"))
    assert mistakes(question) == []
    assert question == Question(omen=Omen(title="a"))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (None, []),
        (["place"], []),
        (["title"], [("omen.title", "REQUIRED")]),
        (["*"], [("omen.title", "REQUIRED")]),
    ],
)
def test_an_update_may_leave_out_what_its_mask_does_not_name(
    paths: list[str] | None, expected: list[tuple[str, str]]
) -> None:
    mask = None if paths is None else {"paths": paths}
    assert mistakes(UpdateOmenRequest(omen=Omen(name=NAME, place=Place(city="a")), update_mask=mask)) == expected


def test_an_update_still_needs_what_lies_deeper() -> None:
    request = UpdateOmenRequest(omen=Omen(name=NAME, place=Place()))
    assert mistakes(request) == [("omen.place.city", "REQUIRED")]
    assert mistakes(UpdateOmenRequest()) == [("omen", "REQUIRED")]


def test_every_method_has_its_check() -> None:
    found = checks(FILE)
    with pytest.raises(InvalidField):
        found[PATH + "Ask"](Question(text="x" * 21))
    with pytest.raises(InvalidField):
        found[PATH + "UpdateOmen"](UpdateOmenRequest())
    assert len(found) == len(FILE.services_by_name["OracleService"].methods)


def test_an_event_can_be_checked_too() -> None:
    assert mistakes(events_pb2.UserCreated(user="users/" + "x" * 1000)) == [("user", "TOO_LONG")]
