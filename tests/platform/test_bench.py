"""What was measured is told with its spread, and a bound is held against the samples and not against a word."""

import json

import pytest

from tests.bench.figures import Figure, printed, ratio
from tests.platform.conftest import Terminal

GOOD = Figure("a call", "us", [1.0, 9.0, 2.0, 3.0, 2.5], bound=3)
SLOW = Figure("a call", "us", [1.0, 9.0, 4.0, 5.0, 2.5], bound=3)


def test_a_bound_holds_for_the_median_of_the_samples(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([GOOD], as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hold"] is True
    [figure] = told["figures"]
    assert (figure["median"], figure["least"], figure["most"], figure["samples"]) == (2.5, 1.0, 9.0, GOOD.samples)


def test_one_bound_that_does_not_hold_fails_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([GOOD, SLOW], as_json=False) == 1
    assert capsys.readouterr().out.count("DOES NOT HOLD") == 1
    assert printed([GOOD, SLOW], as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["hold"] is False


def test_a_ratio_is_taken_round_by_round_and_may_have_a_floor() -> None:
    figure = ratio("relay / bare", [6.0, 1.0, 9.0], [10.0, 1.0, 10.0], bound=0.95, is_least=True)
    assert figure.samples == [0.6, 1.0, 0.9]
    assert not figure.holds
    assert figure.detail == {"measured": [6.0, 1.0, 9.0], "beside": [10.0, 1.0, 10.0]}


def test_what_there_is_no_measurement_of_is_refused(terminal: Terminal) -> None:
    done = terminal.type("bench", "everything", "--json")
    assert done.returncode == 1
    assert (
        "no measurement called everything. There are: chassis, identity, loyalty, calls"
        in json.loads(done.stdout)["error"]
    )


def test_a_measurement_is_printed_as_json(terminal: Terminal) -> None:
    done = terminal.type("bench", "token_check", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    [figure] = json.loads(done.stdout)["figures"]
    assert (figure["bound"], len(figure["samples"])) == (15, 5)
