"""Where a member stands: a pure fold over what counts towards a tier. The same gains give the same tier at any time.

Points count in the period in which they were earned, however late that is told. A tier is reached the moment a period
has its points, kept to the end of the next one, and lost when the grace after that is over.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.loyalty.terms import day_of, first_day, months_after, start_of


class Downgrade(StrEnum):
    ONE_DOWN = "ONE_DOWN"
    BALANCE_BASED = "BALANCE_BASED"


class Refold(StrEnum):
    """When points that were taken back count no more."""

    IMMEDIATE = "IMMEDIATE"
    AT_PERIOD_END = "AT_PERIOD_END"


@dataclass(frozen=True)
class Tier:
    id: str
    title: str
    threshold: int


@dataclass(frozen=True)
class Ladder:
    """The tiers from the lowest on, and how one is kept and lost."""

    tiers: Sequence[Tier]
    zone: ZoneInfo
    period_months: int = 12
    grace_days: int = 0
    downgrade: Downgrade = Downgrade.BALANCE_BASED
    refold: Refold = Refold.IMMEDIATE

    def level(self, points: int) -> int:
        """The highest tier that so many points reach."""
        return max((place for place, tier in enumerate(self.tiers) if points >= tier.threshold), default=0)

    def period(self, at: datetime) -> date:
        """The period that an instant lies in, by its first day."""
        return first_day(day_of(at, self.zone), self.period_months)

    def later(self, period: date, periods: int) -> date:
        return months_after(period, periods * self.period_months)

    def start(self, period: date) -> datetime:
        return start_of(period, self.zone)

    def due(self, period: date) -> datetime:
        """When what ends with the start of this period is lost."""
        return start_of(period + timedelta(days=self.grace_days), self.zone)

    def counts_no_more(self, taken_back: datetime) -> datetime:
        """From when on points that were taken back then are missing."""
        if self.refold is Refold.IMMEDIATE:
            return taken_back
        return self.start(self.later(self.period(taken_back), 1))


@dataclass(frozen=True)
class Gain:
    """Qualifying points, and what was taken back of them since."""

    at: datetime
    points: int
    losses: tuple[tuple[datetime, int], ...] = ()

    def left(self, ladder: Ladder, at: datetime) -> int:
        gone = sum(points for when, points in self.losses if ladder.counts_no_more(when) <= at)
        return max(self.points - gone, 0)


@dataclass(frozen=True)
class Standing:
    """A member's place on the ladder at a time."""

    level: int
    since: datetime | None
    end: datetime | None
    points: int
    period_start: datetime
    period_end: datetime
    in_grace: bool
    next_time: datetime | None  # when it may change though nothing happens


def fold(ladder: Ladder, gains: Iterable[Gain], at: datetime) -> Standing:
    """The standing at a time, of all that was earned by then."""
    earned = sorted((one for one in gains if one.at <= at), key=lambda one: one.at)
    climb = Climb(ladder)
    for one in earned:
        climb.gain(one.at, one.left(ladder, at))
    climb.pass_until(at)
    period = ladder.period(at)
    end = ladder.start(climb.end) if climb.end else None
    ahead = [ladder.counts_no_more(when) for one in earned for when, _ in one.losses]
    ahead += [ladder.due(climb.end)] if climb.end else []
    return Standing(
        level=climb.level,
        since=climb.since,
        end=end,
        points=climb.sums[period],
        period_start=ladder.start(period),
        period_end=ladder.start(ladder.later(period, 1)),
        in_grace=end is not None and end <= at,
        next_time=min((one for one in ahead if one > at), default=None),
    )


class Climb:
    """The fold's state: the tier, since when, and the period with whose start it ends."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.level, self.since, self.end = 0, None, None  # type: int, datetime | None, date | None
        self.sums: Counter[date] = Counter()

    def gain(self, at: datetime, points: int) -> None:
        self.pass_until(at)
        period = self.ladder.period(at)
        self.sums[period] += points
        reached = self.ladder.level(self.sums[period])
        if reached > self.level:
            self.since = at
        if reached and reached >= self.level:
            self.level, self.end = reached, self.ladder.later(period, 2)

    def pass_until(self, at: datetime) -> None:
        """Lose what time takes: the points of the period that ended decide, and those earned in the grace."""
        while self.end is not None and (due := self.ladder.due(self.end)) <= at:
            ended, now = self.ladder.level(self.sums[self.ladder.later(self.end, -1)]), self.reached(self.end)
            kept = self.level - 1 if self.ladder.downgrade is Downgrade.ONE_DOWN else 0
            self.level, self.since = max(ended, now, kept), due
            further = 2 if now and now == self.level else 1
            self.end = self.ladder.later(self.end, further) if self.level else None

    def reached(self, period: date) -> int:
        return self.ladder.level(self.sums[period])
