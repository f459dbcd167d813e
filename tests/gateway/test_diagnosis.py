"""What is wrong with a body is told all at once, each thing where it stands, and nothing of it is repeated."""

from typing import Any

import orjson
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st
from rapport.identity.v1.identity_pb2 import CompleteRegistrationRequest, UpdateUserRequest, User
from rapport.loyalty.v1.loyalty_pb2 import Programme, VerifyLedgerResponse
from rapport.support.v1.support_pb2 import Article, ServiceHours, Ticket

from gateway.diagnosis import MOST, diagnose
from gateway.problems import Problem


def told(body: Any, message: Descriptor = User.DESCRIPTOR) -> Problem:
    return diagnose(body if isinstance(body, bytes) else orjson.dumps(body), message)


def places(problem: Problem) -> list[tuple[str, str]]:
    return [(error["pointer"], error["reason"]) for error in problem.errors]


def test_an_unknown_field_is_named_with_what_was_meant() -> None:
    problem = told({"displayNme": "Ada"})
    assert problem.said.reason == "UNKNOWN_FIELD"
    assert problem.errors == [
        {"pointer": "/displayNme", "reason": "UNKNOWN_FIELD", "detail": "Did you mean displayName?"}
    ]


def test_everything_wrong_is_told_at_once() -> None:
    problem = told({"displayName": 5, "billingAddress": {"lines": ["a", 7], "city": []}, "shippingAddress": "home"})
    assert problem.said.reason == "INVALID_FIELD"
    assert places(problem) == [
        ("/displayName", "WRONG_TYPE"),
        ("/billingAddress/lines/1", "WRONG_TYPE"),
        ("/billingAddress/city", "WRONG_TYPE"),
        ("/shippingAddress", "WRONG_TYPE"),
    ]


def test_a_field_is_pointed_at_by_the_name_that_was_sent() -> None:
    assert places(told({"display_name": 5})) == [("/display_name", "WRONG_TYPE")]


@pytest.mark.parametrize(
    ("body", "message", "pointer"),
    [
        ({"createTime": "yesterday"}, Ticket.DESCRIPTOR, "/createTime"),
        ({"createTime": 5}, Ticket.DESCRIPTOR, "/createTime"),
        ({"updateMask": "display_name!"}, UpdateUserRequest.DESCRIPTOR, "/updateMask"),
        ({"kind": "GIFT"}, Ticket.DESCRIPTOR, "/kind"),
        ({"kind": True}, Ticket.DESCRIPTOR, "/kind"),
        ({"rank": "1.5"}, Article.DESCRIPTOR, "/rank"),
        ({"rank": 1 << 31}, Article.DESCRIPTOR, "/rank"),
        ({"keywords": "one"}, Article.DESCRIPTOR, "/keywords"),
        ({"newsletterBonus": "many"}, Programme.DESCRIPTOR, "/newsletterBonus"),
        ({"newsletterBonus": False}, Programme.DESCRIPTOR, "/newsletterBonus"),
        ({"hasPhoto": 1}, User.DESCRIPTOR, "/hasPhoto"),
        ({"photo": "no base64!"}, CompleteRegistrationRequest.DESCRIPTOR, "/photo"),
        ({"business": {"kind": "SHOP"}}, User.DESCRIPTOR, "/business/kind"),
        ({"windows": [{"weekday": 1}, {"weekday": {}}]}, ServiceHours.DESCRIPTOR, "/windows/1/weekday"),
        ({"totals": {"a/b~c": "many"}}, VerifyLedgerResponse.DESCRIPTOR, "/totals/a~1b~0c"),
        ({"totals": []}, VerifyLedgerResponse.DESCRIPTOR, "/totals"),
        (b'{"title": "\\ud800"}', Ticket.DESCRIPTOR, "/title"),
    ],
)
def test_a_value_of_the_wrong_kind_is_pointed_at(body: Any, message: Descriptor, pointer: str) -> None:
    problem = told(body, message)
    assert [error["pointer"] for error in problem.errors] == [pointer]


@pytest.mark.parametrize(
    ("body", "metadata"),
    [
        (b'{"displayName": "A', {"line": "1", "column": "17"}),
        (b'{"displayName": "\xff"}', {"byte": "17"}),
        (b"[]", {}),
        (b"null", {}),
        (b'"text"', {}),
        (b'{"displayName": NaN}', {}),
        (b'{"displayName": "a", "displayName": "b"}', {}),
        (b'{"rank": ' + b"9" * 5_000 + b"}", {}),
        (b"[" * 200_000, {}),
    ],
)
def test_what_is_no_json_object_is_said_to_be_none(body: bytes, metadata: dict[str, str]) -> None:
    problem = told(body)
    assert (problem.said.reason, problem.said.metadata, problem.errors) == ("MALFORMED_JSON", metadata, ())


def test_a_name_that_could_be_anything_is_not_repeated() -> None:
    problem = told({"ada@example.org": 1, "business": {"a b": 1}})
    assert [error["pointer"] for error in problem.errors] == ["", "/business"]
    assert "ada@" not in repr(problem.errors) + repr(problem.said)


def test_no_value_is_repeated() -> None:
    problem = told({"displayName": {"secret": "canary"}, "email": ["canary"], "state": "canary"})
    assert len(problem.errors) == 3
    assert "canary" not in repr(problem.errors) + repr(problem.said)


def test_no_more_is_told_than_somebody_reads() -> None:
    problem = told({"billingAddress": {"lines": [1] * 1_000}})
    assert len(problem.errors) == MOST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["business", "kind", "email"]), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_sent_there_is_an_answer(body: Any) -> None:
    try:
        written = orjson.dumps(body)
    except orjson.JSONEncodeError:  # half a surrogate pair
        return
    assert told(written).said.reason in ("MALFORMED_JSON", "UNKNOWN_FIELD", "INVALID_FIELD")
