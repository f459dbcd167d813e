import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.cards import is_card, known_numbers, masked
from tests.cards import card, checked, parcels

ISSUED = [  # from the schemes' own pages for those who test
    *("4111111111111111", "4012888888881881", "4222222222222", "4000000000000000006"),
    *("5555555555554444", "5105105105105100", "2223003122003222"),
    *("378282246310005", "371449635398431"),
    *("6011111111111117", "6445644564456445", "6500000000000002"),
    *("30569309025904", "38520000023237", "36227206271667"),
    *("3530111333300000", "3566002020360505"),
    *("6200000000000005", "6205500000000000004"),
    *("5000000000000611", "6304000000000000", "6759649826438453"),
]


@pytest.mark.parametrize("number", ISSUED)
def test_of_a_card_number_the_last_four_are_left(number: str) -> None:
    hidden = "X" * (len(number) - 4) + number[-4:]
    assert masked(f"I paid with {number}.") == f"I paid with {hidden}."
    assert is_card(number)
    assert not is_card(f"I paid with {number}")


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("4111 1111 1111 1111", "XXXX XXXX XXXX 1111"),
        ("4111-1111-1111-1111", "XXXX-XXXX-XXXX-1111"),
        ("3782 822463 10005", "XXXX XXXXXX X0005"),
        ("4111\u00a01111\u00a01111\u00a01111", "XXXX\u00a0XXXX\u00a0XXXX\u00a01111"),
        ("**4111111111111111**", "**XXXXXXXXXXXX1111**"),
        ("Visa:4111111111111111,12/27", "Visa:XXXXXXXXXXXX1111,12/27"),
        ("4111 1111 1111 1111 12 27 123", "XXXX XXXX XXXX 1111 12 27 123"),
        ("order 12 4111 1111 1111 1111", "order 12 XXXX XXXX XXXX 1111"),
        ("4111 1111 1111 1111 5555 5555 5555 4444", "XXXX XXXX XXXX 1111 XXXX XXXX XXXX 4444"),
        ("\u5361\u53f74111111111111111\u3002", "\u5361\u53f7XXXXXXXXXXXX1111\u3002"),
        ("\uff14\uff11\uff11\uff11 1111 1111 1111", "XXXX XXXX XXXX 1111"),
        ("+4111111111111111", "+XXXXXXXXXXXX1111"),  # no telephone number is as long
    ],
)
def test_it_is_found_however_it_is_written(written: str, left: str) -> None:
    assert masked(written) == left


@pytest.mark.parametrize(
    "written",
    [
        "4111111111111112",  # no check digit
        "9111111111111116",  # no issuer
        "411111111111116",  # no length of theirs
        "A4111111111111111",
        "4111111111111111B",
        "41111111111111111111",
        "4111  1111  1111  1111",
        "+4915112345678",  # reads as a Visa of 13 digits
        "4006381333931",  # a barcode
        "5b1c64c0-4111-4111-8111-411111111111",
        "2026-11-29 12:00, 2026-11-30 12:00",
    ],
)
def test_other_digits_are_left_alone(written: str) -> None:
    assert masked(written) == written


def test_a_telephone_number_that_agrees_by_chance_is_one() -> None:
    number = card("49151", 13, random.Random(1))
    assert masked(f"Call +{number}, please") == f"Call +{number}, please"
    assert masked(f"Call {number}, please") != f"Call {number}, please"


def test_of_a_thousand_tracking_numbers_none_is_taken_for_a_card() -> None:
    numbers = list(parcels(1_000, random.Random(2)))
    assert len(set(numbers)) == 1_000
    assert [
        one
        for one in numbers
        if masked(f"My parcel {one} is late, where is it?") != f"My parcel {one} is late, where is it?"
    ] == []


def test_only_a_fedex_number_in_the_shape_of_an_american_express_card_is_ever_taken_for_one() -> None:
    numbers = list(parcels(30_000, random.Random(5)))
    hidden = [one for one in numbers if masked(one) != one]
    assert {(len(one), one[:2]) for one in hidden} <= {(15, "34"), (15, "37")}
    assert 0 < len(hidden) < len(numbers) / 2_000


def test_a_tracking_number_that_no_rule_can_tell_from_a_card_is_told_by_being_known() -> None:
    dice = random.Random(3)
    number = next(one for one in iter(lambda: card("37", 15, dice), "") if checked(one[:-1]) == one)
    said = f"FedEx says {number}."
    assert masked(said) == f"FedEx says XXXXXXXXXXX{number[-4:]}."
    assert masked(said, known_numbers([number])) == said
    assert masked(f"{number[:5]} {number[5:]}", known_numbers([number])) == f"{number[:5]} {number[5:]}"


def test_beside_a_known_number_a_card_is_hidden() -> None:
    order, number = "4111111111111111", "5555 5555 5555 4444"
    assert masked(f"{order} {number}", known_numbers([f"R-{order}"])) == f"{order} XXXX XXXX XXXX 4444"
    assert masked(number, known_numbers(["5555", "4444"])) == "XXXX XXXX XXXX 4444"  # too short to be taken for a card


NUMBERS = st.builds(
    lambda issuer, seed: card(issuer[0], issuer[1], random.Random(seed)),
    st.sampled_from([("4", 16), ("4", 19), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("36", 14), ("62", 17)]),
    st.integers(0, 2**32),
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def grouped(draw: Any) -> tuple[str, str]:
    """A card number, and how somebody wrote it."""
    number = draw(NUMBERS)
    gaps = draw(st.lists(st.sampled_from(["", "", " ", "-"]), min_size=len(number), max_size=len(number)))
    return number, "".join(digit + gap for digit, gap in zip(number, gaps, strict=True)).rstrip(" -")


@given(grouped(), WORDS, WORDS, st.sampled_from([" ", "\n", ": ", "(", ", ", " 12 "]))
def test_a_card_number_in_any_grouping_in_any_text_is_hidden(
    written: tuple[str, str], before: str, after: str, edge: str
) -> None:
    number, said = written
    text = masked(f"{before}{edge}{said}{edge}{after}")
    assert said not in text
    assert number not in "".join(one for one in text if one.isdecimal())
    assert masked(text) == text


@given(st.text(st.sampled_from("0123456789 -X4+"), max_size=80))
def test_what_is_hidden_once_stays_as_it_is(text: str) -> None:
    hidden = masked(text)
    assert masked(hidden) == hidden
    assert len(hidden) == len(text)
    assert all(new in (old, "X") for old, new in zip(text, hidden, strict=True))
