"""How much of a sale is deferred for the points that went with it, and when it becomes revenue (IFRS 15).

Whole minor units of money (cents), and one rounding: what is recognised in all so far is rounded half to even, and a
period's part is that less what was recognised before. So the parts of all periods sum to the whole, whatever the
number of periods and however the estimate moved.
"""

from fractions import Fraction


def allocate(price: int, own_price: int, points_price: int) -> int:
    """The part of a price that the points bear: by what the goods and the points would sell for each alone."""
    return round(Fraction(price * points_price, own_price + points_price))


def recognised(allocated: int, redeemed: int, expected: int) -> int:
    """What has become revenue in all, once so many points of those expected to be redeemed were."""
    if expected <= 0 or redeemed >= expected:
        return allocated
    return round(Fraction(allocated * redeemed, expected))


def revenue(allocated: int, redeemed: int, expected: int, before: int) -> int:
    """The revenue of a period; with what earlier ones had too much or too little, where the estimate has moved."""
    return recognised(allocated, redeemed, expected) - before


def expected_redemption(outstanding: int, redeemed: int, expired: int) -> int:
    """How many of the outstanding points will be redeemed, if they go the way of those whose way has ended. Where none
    has, all of them: nothing is released before there is a reason to."""
    ended = redeemed + expired
    if redeemed < 0 or ended <= 0:
        return outstanding
    return min(outstanding, round(Fraction(outstanding * redeemed, ended)))
