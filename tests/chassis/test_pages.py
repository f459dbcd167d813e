from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport.identity.v1 import identity_pb2 as pb

from chassis.pages import Cursor, Pages
from chassis.refusal import InvalidField, PageTokenInvalid

PAGES = Pages(b"the same in all replicas")
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CURSORS = st.lists(st.one_of(MOMENTS, st.uuids(), st.integers(), st.text(alphabet="aZ0-._"))).map(tuple)


def request(token: str = "", size: int = 0, parent: str = "users/ada") -> pb.ListSessionsRequest:
    return pb.ListSessionsRequest(parent=parent, page_size=size, page_token=token)


@given(CURSORS)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    token = PAGES.of(request()).token(cursor)
    assert PAGES.of(request(token)).cursor == cursor


def test_any_replica_reads_the_token_of_another() -> None:
    token = Pages(b"the same in all replicas").of(request()).token((1,))
    assert PAGES.of(request(token)).cursor == (1,)


def test_the_size_is_ours_to_bound() -> None:
    assert PAGES.of(request()).size == 50
    assert PAGES.of(request(), default=10).size == 10
    assert PAGES.of(request(size=7)).size == 7
    assert PAGES.of(request(size=10**9)).size == 200
    assert PAGES.of(request(size=99), most=20).size == 20
    with pytest.raises(InvalidField) as caught:
        PAGES.of(request(size=-1))
    assert [violation.field for violation in caught.value.violations] == ["page_size"]


def test_a_token_answers_its_own_question_only() -> None:
    token = PAGES.of(request()).token((1,))
    assert PAGES.of(request(token, size=3)).cursor == (1,)  # the size is no part of the question
    with pytest.raises(PageTokenInvalid):
        PAGES.of(request(token, parent="users/eve"))
    with pytest.raises(PageTokenInvalid):
        PAGES.of(pb.ListUsersRequest(page_token=token))
    with pytest.raises(PageTokenInvalid):
        Pages(b"another key altogether").of(request(token))


@pytest.mark.parametrize(
    "token", ["x", "é", "nonsense", "=", "A" * 500, urlsafe_b64encode(bytes(16) + b"[1]").decode()]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        PAGES.of(request(token))


def test_a_token_with_any_bit_turned_is_refused() -> None:
    raw = bytearray(urlsafe_b64decode(PAGES.of(request()).token((7, uuid4())) + "=="))
    for byte in range(len(raw)):
        raw[byte] ^= 1
        with pytest.raises(PageTokenInvalid):
            PAGES.of(request(urlsafe_b64encode(raw).decode().rstrip("=")))
        raw[byte] ^= 1


def test_the_last_page_has_no_next() -> None:
    page = PAGES.of(request(size=2))
    assert page.reach == 3
    shown, token = page.cut([1, 2, 3], lambda row: (row,))
    assert shown == [1, 2]
    assert PAGES.of(request(token)).cursor == (2,)
    assert page.cut([1, 2], lambda row: (row,)) == ([1, 2], "")
    assert page.cut([], lambda row: (row,)) == ([], "")


@pytest.mark.parametrize("value", [1.5, None, b"x"])
def test_a_cursor_of_anything_else_is_our_own_mistake(value: Any) -> None:
    with pytest.raises(TypeError):
        PAGES.of(request()).token((value,))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Pages(b"short")
