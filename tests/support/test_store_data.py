"""The store's data says what the store's page says."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from deploy.local.apply import categories_of, hours_of
from services.support.hours import Availability, availability, openings, read

STORE = Path(__file__).parents[2] / "deploy/store"
PAGE = (STORE.parents[1] / "docs/promises/page.txt").read_text(encoding="utf-8").splitlines()
# What the page says beside its policy: the FAQ, service hours and programme keep these.
BESIDE = (
    "FAQs",
    "Pre-sales",
    "Our customer service is online now.",
    "For questions regarding",
    "Subscribe and get 500",
)


def load(name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((STORE / name).read_text(encoding="utf-8"))
    return said


def reading(name: str = "") -> Any:
    return read(MessageToDict(hours_of(load("hours.yaml"), name), preserving_proto_field_name=True))


# Words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [line.strip() for line in PAGE if line.strip() and not line.startswith(BESIDE)])
def test_the_policy_holds_every_line_of_the_page(line: str) -> None:
    assert (
        line in load("policy.yaml")["body"].split("\n\n")
        or line == load("policy.yaml")["body"].split("\n\n")[-1].strip()
    )


def test_the_policy_says_nothing_that_the_page_does_not() -> None:
    paragraphs = [paragraph.strip() for paragraph in load("policy.yaml")["body"].split("\n\n")]
    assert [paragraph for paragraph in paragraphs if paragraph not in [line.strip() for line in PAGE]] == []


def test_the_programme_gives_what_the_page_promises() -> None:
    programme = load("programme.yaml")
    assert f"Subscribe and get {programme['newsletter_bonus']} {programme['currency']}" in PAGE


@pytest.mark.parametrize(
    ("promise", "article"),
    [
        ("If you have any questions before making a purchase", "ask-before-you-buy"),
        ("For questions regarding order status and other after-sales support", "submit-a-ticket"),
        ("Subscribe to our newsletter and get 500 R points", "subscribe-and-get-points"),
        ("your website, your customer's name, address, etc.", "business-accounts"),
        ("we may record your conversation with us and collect additional information", "recorded-conversations"),
        ("verifying your identity", "what-it-is-used-for"),
        ("targeted advertisements", "what-it-is-used-for"),
        ("payment service providers", "who-sees-it"),
        ("credit risk assessment providers", "who-sees-it"),
        ("logistics partners", "who-sees-it"),
        ("right to access, correct, update or request deletion of your personal data", "your-rights"),
        ("accurate, complete, and up to date", "your-rights"),
        ("reasonable security methods to prevent unauthorized access", "security"),
        ("which is protected by a password", "view-and-edit"),
        ("social media platforms such as Facebook or Google", "register"),
    ],
)
def test_the_faq_answers_what_the_page_speaks_of(promise: str, article: str) -> None:
    articles = {one.name.rpartition("/")[2]: one for _, _, shelf in categories_of(load("faq.yaml")) for one in shelf}
    assert promise in articles[article].body


def test_no_text_names_a_service_time() -> None:
    """Whether support is online is reckoned, not printed: a text would be wrong the day the hours change."""
    texts = [one.body for _, _, shelf in categories_of(load("faq.yaml")) for one in shelf]
    assert [text for text in texts if any(f"{hour}:" in text for hour in range(24))] == []


# Times ---------------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_reading_in_force_is_the_eastern_shift() -> None:
    assert reading() == reading("eastern_shift")
    assert availability(reading(), at("2026-07-06T12:00Z")) == Availability(False, at("2026-07-07T01:00Z"), None)


@pytest.mark.parametrize(
    ("name", "online"),
    [
        # Monday 21:00 in summer, Monday 01:30, Friday 01:30, Monday 20:30 in winter, in New York
        ("eastern_shift", [True, False, True, False]),
        ("eastern_literal", [True, True, False, False]),
        ("fixed_utc_minus_5", [False, False, True, False]),
        ("shanghai_office", [True, False, True, True]),
    ],
)
def test_every_preset_reads_the_page_its_own_way(name: str, online: list[bool]) -> None:
    moments = ("2026-07-07T01:00Z", "2026-07-06T05:30Z", "2026-07-10T06:30Z", "2026-01-13T01:30Z")
    assert [availability(reading(name), at(moment)).online for moment in moments] == online


def test_each_week_has_thirty_hours_except_for_holidays() -> None:
    week = at("2026-08-03T00:00Z")
    for name in load("hours.yaml")["presets"]:
        spans = [one for one in openings(reading(name), week) if one.start < week + timedelta(days=7)]
        assert sum((span.end - span.start for span in spans), timedelta(0)) == timedelta(hours=30), name


def nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.isoweekday()) % 7 + 7 * (number - 1))


def federal(year: int) -> set[date]:
    """5 U.S.C. 6103, with the days they are observed on."""
    moving = {nth(year, 1, 1, 3), nth(year, 2, 1, 3), nth(year, 9, 1, 1), nth(year, 10, 1, 2), nth(year, 11, 4, 4)}
    memorial = next(day for number in (5, 4) if (day := nth(year, 5, 1, number)).month == 5)
    fixed = {date(year, 1, 1), date(year, 6, 19), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)}
    moved = {6: timedelta(days=-1), 7: timedelta(days=1)}
    return {memorial, *moving, *fixed, *(day + moved.get(day.isoweekday(), timedelta(0)) for day in fixed)}


def test_the_holidays_are_the_federal_ones() -> None:
    expected = {day for year in range(2026, 2030) for day in federal(year) if day.year <= 2028}
    assert {date.fromisoformat(one["date"]) for one in load("hours.yaml")["holidays"]} == expected


def test_the_list_of_holidays_reaches_a_year_ahead_of_its_making() -> None:
    assert max(reading().holidays) > datetime(2027, 12, 1, tzinfo=UTC).date()
