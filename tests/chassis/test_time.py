import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chassis.time import TestClock, clock_from, moment, system_clock, timestamp

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True)
class Settings:
    test_clock: str


def test_an_advance_is_seen_by_everybody_at_once(tmp_path: Path) -> None:
    ours, theirs = TestClock.create(tmp_path / "clock"), TestClock(tmp_path / "clock")
    before = theirs()
    assert ours.advance(30 * DAY) - before >= 30 * DAY
    assert 30 * DAY <= theirs() - before < 30 * DAY + 60 * SECOND


def test_another_process_sees_the_same_time(tmp_path: Path) -> None:
    clock = TestClock.create(tmp_path / "clock")
    theirs = [
        "import sys; from chassis.time import TestClock; clock = TestClock(sys.argv[1])",
        "for _ in sys.stdin: print(clock().isoformat(), flush=True)",
    ]
    command = [sys.executable, "-c", "\n".join(theirs), str(tmp_path / "clock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(3):
            before = clock.advance(DAY)
            process.stdin.write("\n")
            process.stdin.flush()
            assert before <= datetime.fromisoformat(process.stdout.readline().strip()) <= clock()
        process.stdin.close()


def test_a_restart_does_not_turn_time_back(tmp_path: Path) -> None:
    advanced = TestClock.create(tmp_path / "clock").advance(DAY)
    assert TestClock.create(tmp_path / "clock")() >= advanced


def test_a_clock_that_was_half_made_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / "clock").touch()
    assert abs(TestClock.create(tmp_path / "clock")() - system_clock()) < 60 * SECOND


def test_time_goes_forward_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="forward only"):
        TestClock.create(tmp_path / "clock").advance(-SECOND)


def test_two_who_advance_at_once_both_count(tmp_path: Path) -> None:
    clock = TestClock.create(tmp_path / "clock")
    before = clock()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: clock.advance(DAY), range(80)))
    assert 80 * DAY <= clock() - before < 81 * DAY


def test_the_system_clock_is_the_default(tmp_path: Path) -> None:
    assert clock_from(Settings("")) is system_clock
    TestClock.create(tmp_path / "clock").advance(DAY)
    assert clock_from(Settings(str(tmp_path / "clock")))() - system_clock() > DAY / 2


def test_a_moment_survives_the_contract_to_the_microsecond() -> None:
    then = datetime(2026, 11, 23, 4, 5, 6, 789012, tzinfo=UTC)
    assert moment(timestamp(then)) == then
    assert moment(timestamp(then)).tzinfo is UTC
