"""Days, weeks, months and years as the programme's calendar has them, and what becomes of points by it.

A day of the calendar begins with the first instant that exists on it, wherever the clocks change. Nothing here adds
hours: a day has 23, 24 or 25 of them.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MONTHS = 12


class Rounding(StrEnum):
    """To the end of what; the names are those of the contract."""

    ROUNDING_UNSPECIFIED = "ROUNDING_UNSPECIFIED"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


SPANS = {Rounding.MONTH: 1, Rounding.QUARTER: 3, Rounding.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Term:
    """How long points live, by the calendar of a zone; no months: they never end."""

    months: int
    zone: ZoneInfo
    rounding: Rounding = Rounding.ROUNDING_UNSPECIFIED

    def end(self, effective: datetime) -> datetime | None:
        """When points that were earned then are gone: as the day after their last begins."""
        if not self.months:
            return None
        last = months_after(day_of(effective, self.zone), self.months)
        if span := SPANS.get(self.rounding):
            last = last_day(last, span)
        return start_of(last + DAY, self.zone)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def months_after(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a month that has no such day."""
    years, month = divmod(day.month - 1 + months, MONTHS)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def first_day(day: date, months: int) -> date:
    """The first day of the so many months, counted from January, that a day lies in."""
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def last_day(day: date, months: int) -> date:
    return months_after(first_day(day, months), months) - DAY


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, that exists on a local day."""
    midnight = datetime.combine(day, time())
    before, after = (midnight.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before if before <= after else change_between(after, before, zone)


def change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clocks of a zone go as they do at `late`."""
    offset = late.astimezone(zone).utcoffset()
    while late - early > SECOND:
        middle = early + (late - early) // SECOND // 2 * SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            late = middle
        else:
            early = middle
    return late


def days_after(at: datetime, days: int, zone: ZoneInfo) -> datetime:
    """As the local day that is so many days later begins; none: at once."""
    return start_of(day_of(at, zone) + days * DAY, zone) if days else at
