"""What the store owes in points, by where they came from, and what became of it in a period.

The period is one of booking: a month that was signed stays as it was signed, and what is told late is in the month in
which it was told. Every column is summed from the lots and their moves; together with what people owe they are what
the journal has against the programme's accounts, which VerifyLedger sums by itself.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.deferral import expected_redemption
from services.loyalty.models import Kind, Origin, Place

COHORTS = 1_200
LIABLE = (Place.PENDING, Place.OPEN, Place.HELD)
# Which column points go to when they leave what is owed, and come from when they return to it. What settled arrears
# was taken back, too: the reversal that left them had found no points.
COLUMN = {Place.SPENT: "redeemed", Place.EXPIRED: "expired", Place.REVERSED: "reversed", Place.ABSORBED: "reversed"}
# Points that left a lot for another one, or for good; and those that a lot began with.
REMOVED = {Kind.TRANSFER_OUT: "transferred", Kind.ADJUST: "adjusted", Kind.FORFEIT: "forfeited", Kind.REFUND: "renewed"}
BROUGHT = {Kind.TRANSFER_IN: "transferred", Kind.ADJUST: "adjusted", Kind.REFUND: "renewed"}
ADDS = ("issued", "adjusted", "transferred", "written_off", "renewed")
TAKES = ("redeemed", "expired", "reversed", "forfeited")

# What lots began with (no source, no target), and their moves; before the period and in it.
CHANGES = text("""
SELECT month, origin, kind, is_renewed, source, target,
    coalesce(sum(points) FILTER (WHERE booked_time < :start), 0)::bigint AS before,
    coalesce(sum(points) FILTER (WHERE booked_time >= :start), 0)::bigint AS within
FROM (
    SELECT to_char(available_time AT TIME ZONE 'UTC', 'YYYY-MM') AS month, origin, kind,
        parent_id IS NOT NULL AS is_renewed, NULL AS source, NULL AS target, lot.amount AS points, booked_time
    FROM lot JOIN operation ON operation.id = lot.operation_id JOIN account ON account.id = lot.account_id
    WHERE currency = :currency AND booked_time < :end
    UNION ALL
    SELECT to_char(available_time AT TIME ZONE 'UTC', 'YYYY-MM'), origin, kind, parent_id IS NOT NULL,
        source, target, points, booked_time
    FROM lot_move JOIN operation ON operation.id = lot_move.operation_id JOIN lot ON lot.id = lot_id
        JOIN account ON account.id = lot.account_id
    WHERE currency = :currency AND booked_time < :end
) AS change GROUP BY month, origin, kind, is_renewed, source, target
""")
OWED = text("""
SELECT coalesce(sum(operation.arrears) FILTER (WHERE booked_time < :start), 0)::bigint AS before,
    coalesce(sum(operation.arrears) FILTER (WHERE booked_time >= :start), 0)::bigint AS within,
    coalesce(-sum(operation.amount) FILTER (WHERE against = 'WRITTEN_OFF' AND booked_time >= :start), 0)::bigint
        AS written_off
FROM operation JOIN account ON account.id = account_id
WHERE currency = :currency AND booked_time < :end AND (operation.arrears <> 0 OR against = 'WRITTEN_OFF')
""")


@dataclass
class Line:
    """A row of the report: columns by their names."""

    origin: Origin | None
    opening: int = 0
    columns: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*ADDS, *TAKES), 0))

    @property
    def closing(self) -> int:
        return self.opening + self.change(self.columns)

    @staticmethod
    def change(columns: dict[str, int]) -> int:
        return sum(columns[name] for name in ADDS) - sum(columns[name] for name in TAKES)


@dataclass
class Cohort:
    """The points of a month, as of the end of the period."""

    month: str
    origin: Origin
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    removed: int = 0
    expected: int = 0

    @property
    def outstanding(self) -> int:
        return self.issued - self.redeemed - self.expired - self.removed


@dataclass
class Report:
    lines: list[Line]
    total: Line
    cohorts: list[Cohort]


async def report(session: AsyncSession, currency: str, start: datetime, end: datetime) -> Report:
    """What was owed at `start`, what became of it, and what is owed at `end`."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
    values = {"currency": currency, "start": start, "end": end}
    changes = list(await session.execute(CHANGES, values))
    owed = (await session.execute(OWED, values)).one()
    lines = [*by_origin(changes), arrears(owed.before, owed.within, owed.written_off)]
    return Report(lines, total(lines), cohorts(changes)[:COHORTS])


def by_origin(changes: list[Row[tuple[object, ...]]]) -> list[Line]:
    lines = {origin: Line(origin) for origin in Origin}
    for change in changes:
        line = lines[Origin(change.origin)]
        for column, sign in effects(change):
            line.columns[column] += sign * change.within
            line.opening += sign * change.before * (1 if column in ADDS else -1)
    return list(lines.values())


def effects(change: Row[tuple[object, ...]]) -> list[tuple[str, int]]:
    """The columns that a change is in, each with its sign."""
    kind = Kind(change.kind)
    if change.target is None:
        return [(BROUGHT.get(kind, "issued"), 1)]
    found = []
    for place, sign in ((Place(change.source), -1), (Place(change.target), 1)):
        if place is Place.REMOVED:
            column = REMOVED[kind]
            found.append((column, -sign if column in ADDS else sign))
        elif place not in LIABLE:
            found.append((COLUMN[place], sign))
    return found


def arrears(before: int, within: int, written_off: int) -> Line:
    """What people owe, which no lot knows: less than nothing is owed to them."""
    line = Line(None, opening=-before)
    line.columns["written_off"] = written_off
    line.columns["reversed"] = within + written_off
    return line


def total(lines: list[Line]) -> Line:
    whole = Line(None, opening=sum(one.opening for one in lines))
    for one in lines:
        for name, points in one.columns.items():
            whole.columns[name] += points
    return whole


def cohorts(changes: list[Row[tuple[object, ...]]]) -> list[Cohort]:
    """The points by the month from which on they could be spent, newest first. What lives on in another lot stays
    where it was: that lot has the origin and the month of the one before."""
    found: dict[tuple[str, Origin], Cohort] = {}
    for change in changes:
        origin, points = Origin(change.origin), change.before + change.within
        cohort = found.setdefault((change.month, origin), Cohort(change.month, origin))
        if change.target is None and not change.is_renewed:
            cohort.issued += points
        elif change.target is None:
            cohort.removed -= points
        else:
            leave(cohort, change.source, -points)
            leave(cohort, change.target, points)
    fates: dict[Origin, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for one in found.values():
        redeemed, expired = fates[one.origin]
        fates[one.origin] = redeemed + one.redeemed, expired + one.expired
    for one in found.values():
        one.expected = expected_redemption(one.outstanding, *fates[one.origin])
    return sorted(found.values(), key=lambda one: (one.month, one.origin), reverse=True)


def leave(cohort: Cohort, place: str, points: int) -> None:
    name = {Place.SPENT: "redeemed", Place.EXPIRED: "expired"}.get(Place(place), "removed")
    if Place(place) not in LIABLE:
        setattr(cohort, name, getattr(cohort, name) + points)
