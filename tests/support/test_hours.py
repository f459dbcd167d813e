"""When support is open. The answers were reckoned by two independent engines before this one was written."""

import os
import threading
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.support.hours import (
    Availability,
    ServiceHours,
    Unworkable,
    Window,
    availability,
    minutes,
    openings,
)

MINUTE = timedelta(minutes=1)
NEW_YORK = "America/New_York"
HOLIDAYS = frozenset({date(2026, 7, 3), date(2026, 7, 4), date(2026, 11, 26), date(2026, 12, 25)})


def windows(days: range, *spans: str) -> tuple[Window, ...]:
    pairs = [span.split("-") for span in spans]
    return tuple(Window(day, minutes(start), minutes(end)) for day in days for start, end in pairs)


MONDAY_TO_THURSDAY, TUESDAY_TO_FRIDAY, ALL_WEEK = range(1, 5), range(2, 6), range(1, 8)
SHIFT = ServiceHours(NEW_YORK, windows(MONDAY_TO_THURSDAY, "21:00-23:30", "25:00-30:00"), HOLIDAYS)
LITERAL = ServiceHours(NEW_YORK, windows(MONDAY_TO_THURSDAY, "01:00-06:00", "21:00-23:30"), HOLIDAYS)
UNION = ServiceHours(NEW_YORK, (*SHIFT.windows, *LITERAL.windows), HOLIDAYS)
FIXED = replace(SHIFT, time_zone="Etc/GMT+5")
FIXED_LITERAL = replace(LITERAL, time_zone="Etc/GMT+5")
SHANGHAI = ServiceHours("Asia/Shanghai", windows(TUESDAY_TO_FRIDAY, "09:00-11:30", "13:00-18:00"), HOLIDAYS)
CALENDAR = replace(SHIFT, whole_days=True)
EVERY = {
    "shift": SHIFT,
    "literal": LITERAL,
    "union": UNION,
    "fixed": FIXED,
    "fixed_literal": FIXED_LITERAL,
    "shanghai": SHANGHAI,
    "calendar": CALENDAR,
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def those_open(moment: str) -> set[str]:
    return {name for name, hours in EVERY.items() if availability(hours, at(moment)).online}


EASTERN = {"shift", "literal", "union", "calendar"}


@pytest.mark.parametrize(
    ("case", "moment", "expected"),
    [
        ("BH1 Monday 21:00", "2026-07-07T01:00:00Z", EASTERN | {"shanghai"}),
        ("BH2 a second before", "2026-07-07T00:59:59Z", set()),
        ("BH3 the last second", "2026-07-07T03:29:59Z", EASTERN | {"fixed", "fixed_literal", "shanghai"}),
        ("BH3 the closing minute is shut", "2026-07-07T03:30:00Z", {"fixed", "fixed_literal"}),
        ("BH4 Sunday evening", "2026-07-06T01:00:00Z", set()),
        ("BH5 the small hours of Monday", "2026-07-06T05:30:00Z", {"literal", "union"}),
        ("BH6 the small hours of Friday", "2026-07-10T05:30:00Z", {"shift", "union", "calendar", "shanghai"}),
        ("BH7 Monday 21:00 in winter", "2026-01-13T02:00:00Z", EASTERN | {"fixed", "fixed_literal", "shanghai"}),
        ("BH7 half an hour before", "2026-01-13T01:30:00Z", {"shanghai"}),
        ("BH14 Thursday 02:30 is still Wednesday's shift", "2026-11-26T07:30:00Z", {"shift", "union", "fixed"}),
        ("BH14 Thanksgiving evening", "2026-11-27T02:30:00Z", {"shanghai"}),
        ("BH14 Friday 02:30, whose shift began on the holiday", "2026-11-27T07:30:00Z", {"shanghai", "calendar"}),
        ("BH15 Friday 02:00, a holiday", "2026-07-03T06:00:00Z", {"shift", "union", "fixed"}),
    ],
)
def test_each_reading_is_open_when_it_says(case: str, moment: str, expected: set[str]) -> None:
    assert those_open(moment) == expected


@pytest.mark.parametrize(
    ("case", "reading", "moment", "opens"),
    [
        ("BH8", "literal", "2026-07-10T12:00Z", "2026-07-13T05:00Z"),
        ("BH8", "shift", "2026-07-10T12:00Z", "2026-07-14T01:00Z"),
        ("BH8", "fixed_literal", "2026-07-10T12:00Z", "2026-07-13T06:00Z"),
        ("BH9 over the change to summer time", "literal", "2026-03-06T17:00Z", "2026-03-09T05:00Z"),
        ("BH9 over the change to summer time", "shift", "2026-03-06T17:00Z", "2026-03-10T01:00Z"),
        ("BH11 the meal between two windows", "shift", "2026-07-07T03:30Z", "2026-07-07T05:00Z"),
        ("BH14 after Thanksgiving's last shift", "shift", "2026-11-26T11:00Z", "2026-12-01T02:00Z"),
        ("BH14 whole days", "calendar", "2026-11-26T04:30Z", "2026-11-27T06:00Z"),
        ("BH14", "literal", "2026-11-26T04:30Z", "2026-11-30T06:00Z"),
    ],
)
def test_the_next_opening_is_found(case: str, reading: str, moment: str, opens: str) -> None:
    assert availability(EVERY[reading], at(moment)) == Availability(False, at(opens), None)


@pytest.mark.parametrize(
    ("reading", "moment", "closes"),
    [
        ("shift", "2026-07-07T01:00Z", "2026-07-07T03:30Z"),
        ("shift", "2026-07-10T05:30Z", "2026-07-10T10:00Z"),
        ("calendar", "2026-11-26T04:00Z", "2026-11-26T04:30Z"),
        ("shanghai", "2026-07-07T01:00Z", "2026-07-07T03:30Z"),
    ],
)
def test_the_next_closing_is_found(reading: str, moment: str, closes: str) -> None:
    assert availability(EVERY[reading], at(moment)) == Availability(True, None, at(closes))


def test_bh16_a_day_may_have_its_own_windows() -> None:
    early = replace(LITERAL, overrides=((date(2026, 12, 24), windows(range(1, 2), "01:00-03:00")),))
    online = [
        availability(early, at(f"2026-12-{moment}:00-05:00")).online for moment in ("24T02:30", "24T03:30", "24T22:00")
    ]
    assert online == [True, False, False]
    assert availability(early, at("2026-12-24T22:00:00-05:00")).next_open == at("2026-12-28T06:00Z")


def spans(hours: ServiceHours, day: str) -> list[tuple[str, str]]:
    found = [one for one in openings(hours, at(f"{day}T00:00Z")) if one.start < at(f"{day}T00:00Z") + timedelta(days=2)]
    return [(f"{start:%H:%M}", f"{end:%H:%M}") for start, end in found]


@pytest.mark.parametrize(
    ("case", "span", "day", "expected"),
    [
        ("BH17 the change to summer time inside", "01:00-06:00", "2026-03-08", [("06:00", "10:00")]),
        ("BH17 the change to winter time inside", "01:00-06:00", "2026-11-01", [("05:00", "11:00")]),
        ("BH18 it starts in the gap", "02:30-03:30", "2026-03-08", [("07:00", "07:30")]),
        ("it ends in the gap", "01:00-02:30", "2026-03-08", [("06:00", "07:00")]),
        ("the gap swallows it", "02:15-02:45", "2026-03-08", []),
        ("it starts and ends in the hour there twice", "01:15-01:45", "2026-11-01", [("05:15", "06:45")]),
    ],
)
def test_a_clock_change_lengthens_and_shortens(case: str, span: str, day: str, expected: list[tuple[str, str]]) -> None:
    assert spans(ServiceHours(NEW_YORK, windows(range(7, 8), span)), day) == expected


def test_bh19_a_day_of_24_hours_has_no_hole() -> None:
    always = ServiceHours(NEW_YORK, windows(ALL_WEEK, "00:00-24:00"))
    assert availability(always, at("2026-12-31T23:59:30-05:00")) == Availability(True, None, None)
    only_monday = ServiceHours(NEW_YORK, windows(range(1, 2), "00:00-24:00"))
    assert availability(only_monday, at("2026-07-06T23:59:30-04:00")).online
    assert not availability(only_monday, at("2026-07-07T00:00:00-04:00")).online


@pytest.mark.parametrize(
    "hours",
    [
        ServiceHours(NEW_YORK),
        replace(SHIFT, windows=windows(range(1, 2), "09:00-10:00"), overrides=(), holidays=frozenset()),
    ],
)
def test_bh20_a_calendar_without_openings_never_opens(hours: ServiceHours) -> None:
    mondays = frozenset(date(2026, 7, 6) + timedelta(days=7 * week) for week in range(120))
    shut = replace(hours, holidays=mondays)
    answer = availability(shut, at("2026-07-06T15:00Z"))
    assert not answer.online
    assert answer.next_open == (at("2028-10-23T13:00Z") if hours.windows else None)


def test_openings_go_on_over_the_turn_of_the_year() -> None:
    night = ServiceHours("UTC", windows(ALL_WEEK, "22:00-26:00"))
    assert availability(night, at("2026-12-31T23:30Z")) == Availability(True, None, at("2027-01-01T02:00Z"))
    assert availability(night, at("2027-01-01T00:30Z")) == Availability(True, None, at("2027-01-01T02:00Z"))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def test_bh21_the_zone_of_the_process_changes_nothing(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        from services.support.hours import open_in

        open_in.cache_clear()
        assert those_open("2026-07-07T01:00:00Z") == EASTERN | {"shanghai"}
        assert availability(SHIFT, at("2026-07-10T12:00Z")).next_open == at("2026-07-14T01:00Z")
    finally:
        os.environ.pop("TZ")
        time.tzset()


def test_bh21_threads_with_different_calendars_do_not_meet() -> None:
    moments = [at("2026-01-01T00:00Z") + timedelta(hours=7 * step) for step in range(500)]
    alone = {name: [availability(hours, moment) for moment in moments] for name, hours in EVERY.items()}
    together: dict[str, list[Availability]] = {}

    def ask(name: str) -> None:
        together[name] = [availability(EVERY[name], moment) for moment in moments]

    threads = [threading.Thread(target=ask, args=(name,)) for name in EVERY]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("zone", {"time_zone": "America/Gotham"}),
        ("zone", {"time_zone": ""}),
        ("zone", {"time_zone": "../../etc/passwd"}),
        ("weekday", {"windows": (Window(8, 0, 60),)}),
        ("window", {"windows": (Window(1, 60, 60),)}),
        ("window", {"windows": (Window(1, 60, 48 * 60 + 1),)}),
        ("between", {"holidays": frozenset({date(9999, 1, 1)})}),
        ("twice", {"overrides": ((date(2026, 11, 26), ()),)}),
        ("twice", {"overrides": ((date(2026, 12, 24), ()), (date(2026, 12, 24), ()))}),
    ],
)
def test_what_are_no_service_hours_is_said(said: str, change: dict[str, object]) -> None:
    with pytest.raises(Unworkable, match=said):
        replace(SHIFT, **change)  # type: ignore[arg-type]


# Any calendar, quarter by quarter ---------------------------------------------------------------------------------

STARTS, DAYS = (at("2026-03-06T00:00Z"), at("2026-10-30T00:00Z"), at("2026-12-29T00:00Z")), 5
QUARTER = timedelta(minutes=15)  # every window and every change of a clock falls on one
A_DAY = timedelta(days=1) // QUARTER
ZONES = (
    NEW_YORK,
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Etc/GMT+5",
    "Pacific/Apia",
)
CLOCKS = st.integers(0, 2 * A_DAY).map(lambda quarter: quarter * 15)


@st.composite
def some_window(draw: st.DrawFn) -> Window:
    start, end = sorted(draw(st.tuples(CLOCKS, CLOCKS).filter(lambda pair: pair[0] != pair[1])))
    return Window(draw(st.integers(1, 7)), start, end)


@st.composite
def some_hours(draw: st.DrawFn) -> tuple[ServiceHours, datetime]:
    start = draw(st.sampled_from(STARTS))
    days = [start.date() + timedelta(days=offset) for offset in range(-2, DAYS + 2)]
    holidays = draw(st.frozensets(st.sampled_from(days), max_size=3))
    special = draw(st.dictionaries(st.sampled_from(days), st.lists(some_window(), max_size=2).map(tuple), max_size=2))
    return ServiceHours(
        draw(st.sampled_from(ZONES)),
        tuple(draw(st.lists(some_window(), max_size=4))),
        holidays,
        tuple((day, windows) for day, windows in special.items() if day not in holidays),
        draw(st.booleans()),
    ), start


def as_looked_at(hours: ServiceHours, moments: list[datetime]) -> list[bool]:
    """Look at the clock on the wall each quarter: has the shift begun, has it not ended, is it no holiday."""
    walls = [moment.astimezone(ZoneInfo(hours.time_zone)).replace(tzinfo=None) for moment in moments]
    latest_yet = list(accumulate(walls, max))
    earliest_left = [*accumulate(reversed(walls), min)][::-1]
    earliest_after = [*earliest_left[1:], datetime.max]  # noqa: DTZ901 - what a wall shows
    answer = [False] * len(moments)
    for offset in range(-3, DAYS + 4):
        day = moments[0].date() + timedelta(days=offset)
        if day in hours.holidays and not hours.whole_days:
            continue
        usual = tuple(window for window in hours.windows if window.weekday == day.isoweekday())
        for window in dict(hours.overrides).get(day, usual):
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - what a wall shows
            start, end = midnight + window.start * MINUTE, midnight + window.end * MINUTE
            for i, (past, left, after) in enumerate(zip(latest_yet, earliest_left, earliest_after, strict=True)):
                shut = hours.whole_days and walls[i].date() in hours.holidays
                answer[i] |= not shut and past >= start and (left < end or after <= end)
    return answer


@settings(max_examples=100, deadline=None)
@given(some_hours())
def test_the_engine_agrees_with_looking_at_the_clock(given: tuple[ServiceHours, datetime]) -> None:
    check(*given)


@pytest.mark.long
@settings(max_examples=2_000, deadline=None)
@given(some_hours())
def test_the_engine_agrees_with_looking_at_the_clock_many_times(given: tuple[ServiceHours, datetime]) -> None:
    check(*given)


def check(hours: ServiceHours, start: datetime) -> None:
    moments = [start + quarter * QUARTER for quarter in range(-A_DAY, (DAYS + 2) * A_DAY)]
    seen = as_looked_at(hours, moments)
    inside = range(A_DAY, (DAYS + 1) * A_DAY)
    for i in inside:
        told = availability(hours, moments[i])
        assert told.online == seen[i], moments[i]
        changes = next((moments[j] for j in range(i, len(moments)) if seen[j] != seen[i]), None)
        if changes is not None and changes <= moments[inside[-1]]:
            assert (told.next_close if told.online else told.next_open) == changes
