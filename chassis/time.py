"""Time comes in as an argument; this is where it comes from.

Locally and in tests every process of the platform shares one test clock, a file that says how far ahead of the real
time the platform is. Leases, deadlines, retries and caches use the monotonic clock instead, in the chassis only.
"""

import fcntl
import mmap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

Clock = Callable[[], datetime]
MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    return datetime.now(UTC)


class TestClock:
    """The real time and an offset that all processes see move at the same instant."""

    __test__ = False  # it is a clock for tests, not a test

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
        # One aligned machine word: read and stored whole, so nobody sees half of a move.
        self.offset = memoryview(mapped).cast("q")

    @classmethod
    def create(cls, path: Path | str) -> "TestClock":
        """Make the file, or keep the one there: over a restart the platform's time does not go back."""
        with Path(path).open("ab") as file:
            file.truncate(8)
        return cls(path)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset[0] * MICROSECOND

    def advance(self, by: timedelta) -> datetime:
        """Move the platform's time forward, and return the new time."""
        if by < timedelta(0):
            raise ValueError("A clock goes forward only.")
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two who advance at once both count
            with mmap.mmap(file.fileno(), 8) as mapped, memoryview(mapped) as view, view.cast("q") as offset:
                offset[0] += by // MICROSECOND
        return self()


class HasTestClock(Protocol):
    @property
    def test_clock(self) -> str: ...


def clock_from(settings: HasTestClock) -> Clock:
    """The platform's clock as the settings say: the test clock where one is named, else the system's."""
    return TestClock(settings.test_clock) if settings.test_clock else system_clock


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def moment(timestamp: Timestamp) -> datetime:
    return moment_of(timestamp.seconds, timestamp.nanos)


@lru_cache(maxsize=256)  # what is done together is done at one time
def moment_of(seconds: int, nanos: int) -> datetime:
    return Timestamp(seconds=seconds, nanos=nanos).ToDatetime(tzinfo=UTC)
