"""When support works: pure reckoning over a store's service hours.

    hours = ServiceHours("America/New_York", windows=(Window(1, minutes("21:00"), minutes("23:30")), ...))
    availability(hours, now)  # online or not, and when that changes

Every answer comes from the same list of UTC intervals, half-open, merged, a year of them made once. A window belongs to
the weekday its shift begins on, also past midnight. Where a clock change makes a time ambiguous, a window opens at the
first and closes at the last of the two; a time that the change skips is the first moment after it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

CLOCK = re.compile(r"([0-4][0-9]):([0-5][0-9])")
LONGEST = 48 * 60
# Dates a store may list. The search for the next opening ends a year after the last of them, so it always ends.
FIRST_YEAR, LAST_YEAR = 2000, 2099
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
# A shift lasts to the second midnight after its own, and zones differ by less than a day.
REACH = 3


class Unworkable(Exception):  # noqa: N818 - what a store asked for, no fault of ours
    """These are no service hours; the text says what to mend."""


class Window(NamedTuple):
    """Open from `start` to `end`, minutes after the midnight that `weekday` (1 is Monday) begins with."""

    weekday: int
    start: int
    end: int


class Interval(NamedTuple):
    start: datetime
    end: datetime


@dataclass(frozen=True)
class ServiceHours:
    """The times of a store. `whole_days`: holidays shut the calendar day, not the shift that begins on it."""

    time_zone: str
    windows: tuple[Window, ...] = ()
    holidays: frozenset[date] = frozenset()
    overrides: tuple[tuple[date, tuple[Window, ...]], ...] = ()
    whole_days: bool = False

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Unworkable("time_zone is no IANA zone, such as America/New_York") from None
        special = [day for day, _ in self.overrides]
        for window in (*self.windows, *(window for _, windows in self.overrides for window in windows)):
            if not 1 <= window.weekday <= 7:
                raise Unworkable("a weekday is 1 (Monday) to 7")
            if not 0 <= window.start < window.end <= LONGEST:
                raise Unworkable("a window ends after it starts, and by 48:00")
        for day in (*self.holidays, *special):
            if not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise Unworkable(f"{day} is not between {FIRST_YEAR} and {LAST_YEAR}")
        for day in special:
            if day in self.holidays or special.count(day) > 1:
                raise Unworkable(f"{day} is listed twice: it has one override, or is a holiday")


class Availability(NamedTuple):
    online: bool
    next_open: datetime | None  # while shut, and if ever
    next_close: datetime | None  # while open, and if ever


def read(said: Mapping[str, Any]) -> ServiceHours:
    """Service hours from the fields of rapport.support.v1.ServiceHours, or refuse because they are none."""
    return ServiceHours(
        time_zone=said.get("time_zone", ""),
        windows=tuple(read_window(one, one.get("weekday", 0)) for one in said.get("windows", ())),
        holidays=frozenset(read_date(one) for one in said.get("holidays", ())),
        overrides=tuple(read_override(one) for one in said.get("overrides", ())),
        whole_days=said.get("holiday_scope") == "CALENDAR_DAY",
    )


def read_window(said: Mapping[str, Any], weekday: int) -> Window:
    return Window(weekday, minutes(said.get("start", "")), minutes(said.get("end", "")))


def read_override(said: Mapping[str, Any]) -> tuple[date, tuple[Window, ...]]:
    day = read_date(said)
    return day, tuple(read_window(one, day.isoweekday()) for one in said.get("windows", ()))


def read_date(said: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(said.get("date", ""))
    except ValueError:
        raise Unworkable("a date is written 2026-11-26") from None


def minutes(clock: str) -> int:
    """Minutes after midnight of "21:00", or of "25:00" on the morning after."""
    match = CLOCK.fullmatch(clock)
    if match is None:
        raise Unworkable("a time is written 21:00, or 25:00 for 1 in the morning after")
    return int(match[1]) * 60 + int(match[2])


def availability(hours: ServiceHours, now: datetime) -> Availability:
    """Whether support is open at `now`, and when that changes next."""
    opening = next(openings(hours, now), None)
    if opening is None:
        return Availability(online=False, next_open=None, next_close=None)
    if opening.start > now:
        return Availability(online=False, next_open=opening.start, next_close=None)
    closes = opening.end if opening.end < horizon(hours, now) else None
    return Availability(online=True, next_open=None, next_close=closes)


def openings(hours: ServiceHours, start: datetime) -> Iterator[Interval]:
    """The open intervals that end after `start`, in order, up to the horizon."""
    earlier: Interval | None = None
    for year in range(start.astimezone(UTC).year, horizon(hours, start).year):
        intervals = open_in(hours, year)
        for interval in intervals[bisect_right(intervals, start, key=lambda one: one.end) :]:
            if earlier and interval.start <= earlier.end:  # over the turn of the year
                earlier = Interval(earlier.start, interval.end)
                continue
            if earlier:
                yield earlier
            earlier = interval
    if earlier:
        yield earlier


def horizon(hours: ServiceHours, start: datetime) -> datetime:
    listed = (*hours.holidays, *(day for day, _ in hours.overrides))
    last = max([start.astimezone(UTC).year, *(day.year for day in listed)])
    return new_year(last + 2)


@lru_cache(maxsize=256)
def open_in(hours: ServiceHours, year: int) -> tuple[Interval, ...]:
    """The open intervals of a UTC year, merged and in order."""
    zone, special = ZoneInfo(hours.time_zone), dict(hours.overrides)
    first, last = date(year, 1, 1) - REACH * DAY, date(year, 12, 31) + REACH * DAY
    days = [first + offset * DAY for offset in range((last - first).days + 1)]
    shut = [whole_day(day, zone) for day in days if day in hours.holidays] if hours.whole_days else []
    shut += [
        Interval(instant(first, 0, zone), new_year(year)),
        Interval(new_year(year + 1), instant(last, LONGEST, zone)),
    ]
    shifts = []
    for day in days:
        if day in hours.holidays and not hours.whole_days:
            continue
        windows = special.get(day, [window for window in hours.windows if window.weekday == day.isoweekday()])
        shifts += [
            Interval(instant(day, window.start, zone), instant(day, window.end, zone, latest=True))
            for window in windows
        ]
    return tuple(without(merged(shifts), merged(shut)))


def whole_day(day: date, zone: ZoneInfo) -> Interval:
    return Interval(instant(day, 0, zone), instant(day + DAY, 0, zone))


def instant(day: date, minute: int, zone: ZoneInfo, *, latest: bool = False) -> datetime:
    """The moment, in UTC, at which clocks of `zone` show `minute` counted from the midnight of `day`."""
    shown = datetime.combine(day, time()) + minute * timedelta(minutes=1)
    before, after = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before > after:  # no clock shows it
        return change_between(after, before, zone)
    return after if latest else before


def change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which `zone` counts as it does at `late`."""
    offset = late.astimezone(zone).utcoffset()
    while late - early > SECOND:
        middle = early + (late - early) // SECOND // 2 * SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for one in sorted(intervals):
        if one.start >= one.end:  # a clock change skipped it
            continue
        if joined and one.start <= joined[-1].end:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    return joined


def without(intervals: Iterable[Interval], shut: Iterable[Interval]) -> Iterator[Interval]:
    """What is left of `intervals` outside of `shut`, both merged."""
    closed = list(shut)
    for start, end in intervals:
        for one in closed:
            if one.end <= start or one.start >= end:
                continue
            if one.start > start:
                yield Interval(start, one.start)
            start = min(one.end, end)
        if start < end:
            yield Interval(start, end)


def new_year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)
