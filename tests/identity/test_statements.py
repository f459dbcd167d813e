"""The list of statements itself: complete, shown by tests that exist, and honest about what is open."""

import pytest

from tests.proofs import problems, statements, unproven

HERE = "tests/identity/test_statements.py::test_every_statement_is_shown_by_tests_or_says_what_is_missing"
SHOWN = {"id": "S1", "text": "It holds.", "tests": [HERE]}


def test_every_statement_is_shown_by_tests_or_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    found = statements()
    still_open = [one for one in found if one.get("status") == "open"]
    with capsys.disabled():
        print(f"\n  statements: {len(found) - len(still_open)} shown, {len(still_open)} open", end="")
        print(*(f"\n    {one['id']}: {one['reason']}" for one in still_open), sep="", end="")
    assert list(problems(found)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tests": []}, "S1 is neither shown by a test nor open"),
        ({"tests": ["tests/identity/test_statements.py::test_that_never_was"]}, "S1 names no such test"),
        ({"tests": ["tests/identity/test_nowhere.py::test_x"]}, "S1 names no such test"),
        ({"text": " "}, "S1 says nothing"),
        ({"status": "open"}, "S1 is open with a reason"),
        ({"reason": "later"}, "S1 is open with a reason"),
        ({"status": "done", "reason": "it is"}, "S1 is open with a reason"),
        ({"id": "S31"}, "the statements are S1 to S30"),
    ],
)
def test_a_statement_that_is_not_shown_is_found(change: dict[str, object], said: str) -> None:
    assert any(one.startswith(said) for one in problems([SHOWN | change]))


@pytest.mark.parametrize(
    ("outcomes", "is_fine"),
    [
        ({}, True),  # it did not run here
        ({HERE: {"passed"}}, True),
        ({HERE: {"passed", "skipped"}}, True),
        ({HERE: {"skipped"}}, False),
        ({HERE: {"passed", "failed"}}, False),
    ],
)
def test_a_statement_whose_test_did_not_pass_is_found(outcomes: dict[str, set[str]], is_fine: bool) -> None:
    assert (list(unproven([SHOWN], outcomes)) == []) is is_fine
