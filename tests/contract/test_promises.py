"""The check of promises itself: each way of not keeping one is found."""

import pytest

from tests.promises import problems

KEPT = {
    "sentence": "We answer.",
    "rpcs": ["support.GetArticle"],
    "tests": ["tests/contract/test_promises.py::test_a_kept_promise_is_no_problem"],
}


def test_a_kept_promise_is_no_problem() -> None:
    assert list(problems("We answer.\n", [KEPT])) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"sentence": "We never sleep."}, "not on the page"),
        ({"tests": []}, "neither test nor status"),
        ({"tests": ["tests/contract/test_promises.py::test_that_never_was"]}, "no such test"),
        ({"rpcs": ["support.ReadMinds"]}, "no such RPC"),
    ],
)
def test_a_promise_that_is_not_kept_is_found(change: dict[str, object], found: str) -> None:
    assert any(one.startswith(found) for one in problems("We answer.\n", [KEPT | change]))


def test_a_sentence_that_nobody_lists_is_found() -> None:
    assert list(problems("We answer.\nWe sing.\n", [KEPT])) == ["no promise lists: We sing."]
