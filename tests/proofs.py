"""Whether each statement of tests/identity/statements.toml is shown by tests that exist, and passed where they ran.

That they exist and cover every statement is a test (tests/identity/test_statements.py). That one which ran did not
pass, or was skipped each time, is known when all have run: then the run fails with a line that says which.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.promises import exists

FILE = Path(__file__).with_name("identity") / "statements.toml"
IDS = [f"S{number}" for number in range(1, 31)]
outcomes: dict[str, set[str]] = {}


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(FILE.read_text())["statement"]
    return found


def problems(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the file itself."""
    if [one["id"] for one in found] != IDS:
        yield f"the statements are {IDS[0]} to {IDS[-1]}, each once and in order"
    for one in found:
        if not one["text"].strip():
            yield f"{one['id']} says nothing"
        if (one.get("status") == "open") != bool(one.get("reason")) or one.get("status", "open") != "open":
            yield f"{one['id']} is open with a reason, or has neither status nor reason"
        if not one["tests"] and one.get("status") != "open":
            yield f"{one['id']} is neither shown by a test nor open"
        yield from (f"{one['id']} names no such test: {test}" for test in one["tests"] if not exists(test))


def unproven(found: Sequence[Mapping[str, Any]], outcomes: Mapping[str, set[str]]) -> Iterator[str]:
    """The tests that a statement names, that ran, and that did not pass."""
    for one in found:
        for test in one["tests"]:
            seen = outcomes.get(test)
            if seen is not None and ("failed" in seen or "passed" not in seen):
                yield f"{one['id']} is not shown: {test} {' and '.join(sorted(seen))}"


# Heard from pytest, in the process that hears of every test ----------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        outcomes.setdefault(report.nodeid.partition("[")[0].partition("@")[0], set()).add(report.outcome)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    found = list(unproven(statements(), outcomes))
    if found and not hasattr(session.config, "workerinput"):
        print("", *found, sep="\n")
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
