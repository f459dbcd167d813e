"""Card numbers that nobody has, and numbers of parcels as carriers print them."""

import random
from collections.abc import Iterator


def check_digit(digits: str) -> str:
    """What makes a card number of it: worked out from its end, by the words of ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        twice = 2 * digit
        total += digit if place % 2 else twice // 10 + twice % 10
    return str(-total % 10)


def card(prefix: str, length: int, dice: random.Random) -> str:
    digits = prefix + figures(length - len(prefix) - 1, dice)
    return digits + check_digit(digits)


def figures(count: int, dice: random.Random) -> str:
    return "".join(dice.choices("0123456789", k=count))


# Parcels -------------------------------------------------------------------------------------------------------------


def parcels(count: int, dice: random.Random) -> Iterator[str]:
    """So many numbers, of every carrier in turn."""
    carriers = (ups, usps_22, usps_20, usps_printed, fedex_12, fedex_15, fedex_20, dhl, post, fourpx, yanwen, cainiao)
    for turn in range(count):
        yield carriers[turn % len(carriers)](dice)


def ups(dice: random.Random) -> str:
    return "1Z" + "".join(dice.choices("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=6)) + figures(10, dice)


def usps_22(dice: random.Random) -> str:
    return checked(dice.choice(["9400", "9205", "9361", "9505"]) + figures(17, dice))


def usps_20(dice: random.Random) -> str:
    return checked(dice.choice(["91", "70", "03", "23"]) + figures(17, dice))


def usps_printed(dice: random.Random) -> str:
    """In groups of four, as it stands on a label."""
    number = usps_22(dice)
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))


def fedex_12(dice: random.Random) -> str:
    digits = figures(11, dice)
    weighed = sum(int(digit) * weight for digit, weight in zip(digits, (3, 1, 7) * 4, strict=False))
    return digits + str(weighed % 11 % 10)


def fedex_15(dice: random.Random) -> str:
    return checked(figures(14, dice))


def fedex_20(dice: random.Random) -> str:
    return checked("61299" + figures(14, dice))


def dhl(dice: random.Random) -> str:
    digits = figures(9, dice)
    return digits + str(int(digits) % 7)


def post(dice: random.Random) -> str:
    """Of the post of any country (UPU S10)."""
    digits = figures(8, dice)
    left = 11 - sum(int(digit) * weight for digit, weight in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    service, country = dice.choice(["RB", "LX", "EE", "UA", "CP"]), dice.choice(["CN", "DE", "US", "SG", "HK"])
    return service + digits + str({10: 0, 11: 5}.get(left, left)) + country


def fourpx(dice: random.Random) -> str:
    return "4PX" + figures(13, dice) + "CN"


def yanwen(dice: random.Random) -> str:
    return dice.choice(["YT", "UG"]) + figures(16, dice) if dice.random() < 0.5 else "8" + figures(10, dice)


def cainiao(dice: random.Random) -> str:
    return "LP" + figures(14, dice)


def checked(digits: str) -> str:
    """With the check digit of GS1."""
    return digits + str(-sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits))) % 10)
