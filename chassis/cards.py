"""Card numbers: telling one from other digits, and hiding it in a text but for its last four.

    masked("My card 4111 1111 1111 1111 was charged twice")  # "My card XXXX XXXX XXXX 1111 was charged twice"

One is told by issuer prefix, length and check digit together (ISO/IEC 7812-1), written in one or in groups that a space
or a dash parts. Numbers of products and parcels that carry GS1's check digit, and those the caller says are known, are
none; nor is a telephone number with its plus (E.164).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Set
from itertools import accumulate

SHORTEST, LONGEST, SHOWN = 13, 19, 4  # digits
LONGEST_PHONE = 15  # digits (E.164)
NOTHING: frozenset[str] = frozenset()

# The first digits, from and to, and how many digits there are in all. Narrower than the schemes' own lists where nobody
# issues such cards and parcels have such numbers: no Diners Club of 15, no Maestro below 16 nor on all of 6.
LONG, DINERS = range(16, 20), (14, *range(16, 20))
ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    *(("51", "55", (16,)), ("2221", "2720", (16,))),  # Mastercard
    *(("34", "34", (15,)), ("37", "37", (15,))),  # American Express
    *(("6011", "6011", LONG), ("644", "649", LONG), ("65", "65", LONG)),  # Discover
    *(("300", "305", DINERS), ("3095", "3095", DINERS), ("36", "36", DINERS), ("38", "39", DINERS)),
    ("3528", "3589", LONG),  # JCB
    ("62", "62", LONG),  # UnionPay
    *(("50", "50", LONG), ("56", "58", LONG), ("63", "63", LONG), ("67", "67", LONG)),  # Maestro
)
OF_LENGTH = {
    length: [(first, last) for first, last, lengths in ISSUERS if length in lengths]
    for length in range(SHORTEST, LONGEST + 1)
}
DOUBLED = str.maketrans("0123456789", "0246813579")  # the sum of the digits of twice as much
GAP = "[ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}-]"
# Groups of digits that a gap parts, with no letter beside them. Ids of ours are looked past whole.
RUN = re.compile(
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    rf"|(?<![0-9A-Za-z])(?P<run>\d(?:{GAP}?\d){{{SHORTEST - 1},}})(?![0-9A-Za-z])"
)
GROUP = re.compile(r"\d+")
PARCEL = re.compile("00|9[1-5]|420")  # SSCC, and what carriers of the USA print; 420 comes before a ZIP code


def masked(text: str, known: Set[str] = NOTHING) -> str:
    """The text with an X for every digit of a card number but the last four; `known` are digits that are none."""
    hidden = {place for places in cards_in(text, known) for place in places[:-SHOWN]}
    # A letter: the four digits that are left stand beside one, and so make no other number with their neighbours.
    return "".join("X" if place in hidden else one for place, one in enumerate(text)) if hidden else text


def has_card(text: str, *, longer_than: int = 0) -> bool:
    """Whether there is one in it, of more digits than that."""
    return any(len(places) > longer_than for places in cards_in(text, NOTHING))


def is_card(text: str) -> bool:
    """Whether all of it is one."""
    digits = plain(text)
    return is_card_number(digits) and not re.sub(rf"\d|{GAP}", "", text)


def cards_in(text: str, known: Set[str]) -> Iterator[list[int]]:
    """Of each card number in the text, where its digits stand. They may overlap."""
    if len(text) < SHORTEST:
        return
    for match in RUN.finditer(text):
        if match["run"] is None:
            continue
        groups = [[*range(*group.span())] for group in GROUP.finditer(text, match.start(), match.end())]
        is_phone = text[match.start() - 1 : match.start()] == "+"
        for places in numbers(groups, "".join(plain(text[one[0] : one[-1] + 1]) for one in groups), known):
            if not (is_phone and places[0] == match.start() and len(places) <= LONGEST_PHONE):
                yield places


def numbers(groups: list[list[int]], digits: str, known: Set[str]) -> Iterator[list[int]]:
    """The card numbers among the groups of one run."""
    if is_parcel(digits):
        return
    places = [place for group in groups for place in group]
    edges = [0, *accumulate(map(len, groups))]
    taken = [span for span in spans(edges, max(map(len, known), default=0)) if digits[slice(*span)] in known]
    for start, end in spans(edges, LONGEST):
        if is_card_number(digits[start:end]) and not any(start < last and first < end for first, last in taken):
            yield places[start:end]


def spans(edges: list[int], longest: int) -> Iterator[tuple[int, int]]:
    """From where to where whole groups have as many digits as a card number, or up to `longest`."""
    for place, start in enumerate(edges):
        least, most = bisect_left(edges, start + SHORTEST, place), bisect_right(edges, start + longest, place)
        yield from ((start, end) for end in edges[least:most])


def is_card_number(digits: str) -> bool:
    issuers = OF_LENGTH.get(len(digits), ())
    has_issuer = any(first <= digits[: len(first)] <= last for first, last in issuers)
    return has_issuer and luhn(digits) and not is_product(digits)


def luhn(digits: str) -> bool:
    """Whether the check digit agrees (ISO/IEC 7812-1, annex B)."""
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(DOUBLED)))) % 10 == 0


def gs1(digits: str) -> bool:
    """Whether GS1's check digit agrees, which numbers of products and of parcels carry."""
    return (sum(map(int, digits[-1::-2])) + 3 * sum(map(int, digits[-2::-2]))) % 10 == 0


def is_product(digits: str) -> bool:
    # Cards of 13 digits are long out of use, and barcodes of 13 are on everything that a store sells.
    return len(digits) == 13 and gs1(digits)


def is_parcel(digits: str) -> bool:
    """Whether all of a run is one number of a parcel, longer than any card's."""
    return len(digits) > LONGEST and PARCEL.match(digits) is not None and gs1(digits)


def plain(text: str) -> str:
    """The digits alone, as ASCII has them."""
    return "".join(one if one.isascii() else str(int(one)) for one in text if one.isdecimal())


def known_numbers(texts: Collection[str]) -> frozenset[str]:
    """The digits of numbers that are somebody's: those long enough to be taken for a card's."""
    return frozenset(digits for digits in map(plain, texts) if len(digits) >= SHORTEST)
