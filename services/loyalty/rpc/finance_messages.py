"""What finance asks for, as the contract says it, and as rows of CSV."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2 import Movement, Origin

from chassis.time import moment, timestamp
from services.loyalty.liability import Line, Report
from services.loyalty.models import Adjustment
from services.loyalty.sheets import Cell, row
from services.loyalty.statements import Scope

PARTS = ("available", "pending", "held", "arrears")
SUMS = (
    "corrected", "earned", "refunded", "redeemed", "expired", "reversed", "adjusted", "transferred", "forfeited",
    "written_off", "released", "set_aside",
)  # fmt: skip
LINES = ("effective_time", "booked_time", "movement", "kind", "points", "balance", "available", "correction", "order")
COLUMNS = (
    "opening", "issued", "redeemed", "expired", "reversed", "forfeited", "adjusted", "transferred", "written_off",
    "closing",
)  # fmt: skip
COHORTS = (
    "month", "origin", "issued", "redeemed", "expired", "removed", "outstanding", "expected_redemption",
    "expected_breakage",
)  # fmt: skip


def adjustment_message(asked: Adjustment) -> pb.Adjustment:
    account = f"users/{asked.user_id}/pointsAccount"
    return pb.Adjustment(
        name=f"{account}/adjustments/{asked.id}",
        state=pb.Adjustment.State.Value(asked.state.value),
        points=asked.points,
        reason=asked.reason or "",
        asked_by=f"users/{asked.asked_by}" if asked.asked_by else "",
        decided_by=f"users/{asked.decided_by}" if asked.decided_by else "",
        movement=f"{account}/movements/{asked.operation_id}" if asked.operation_id else "",
        create_time=timestamp(asked.create_time),
        decide_time=timestamp(asked.decide_time) if asked.decide_time else None,
        currency=asked.currency,
    )


def statement_message(name: str, about: Scope, sums: Any, known: datetime, word: str) -> pb.Statement:
    return pb.Statement(
        name=name,
        start_time=timestamp(about.start),
        end_time=timestamp(about.end),
        known_time=timestamp(known),
        opening=balances(sums.opening),
        closing=balances(sums.closing),
        currency=word,
        **{name: getattr(sums, name) for name in SUMS},
    )


def nothing_message(start: datetime, end: datetime, known: datetime, word: str) -> pb.Statement:
    """The statement of an account that was never used."""
    none = balances((0, 0, 0, 0))
    return pb.Statement(
        start_time=timestamp(start), end_time=timestamp(end), known_time=timestamp(known), opening=none, closing=none,
        currency=word,
    )  # fmt: skip


def balances(parts: Sequence[int]) -> pb.Balances:
    available, pending, held, arrears = parts
    total = available + pending + held - arrears
    return pb.Balances(total=total, available=available, pending=pending, held=held, arrears=arrears)


def line_message(user: UUID, line: Any) -> pb.StatementLine:
    return pb.StatementLine(
        movement=f"users/{user}/pointsAccount/movements/{line.id}",
        kind=Movement.Kind.Value(line.kind),
        points=line.points,
        balance=int(line.balance),
        available=line.available,
        effective_time=timestamp(line.effective_time),
        create_time=timestamp(line.booked_time),
        correction=line.correction,
        order=f"users/{user}/orders/{line.order_number}" if line.order_number else "",
    )


def report_message(report: Report, start: datetime, end: datetime, word: str) -> pb.LiabilityReport:
    cohorts = [
        pb.LiabilityReport.Cohort(
            month=one.month, origin=Origin.Value(one.origin.value), issued=one.issued, redeemed=one.redeemed,
            expired=one.expired, removed=one.removed, outstanding=one.outstanding, expected_redemption=one.expected,
            expected_breakage=one.outstanding - one.expected,
        )
        for one in report.cohorts
    ]  # fmt: skip
    return pb.LiabilityReport(
        start_time=timestamp(start),
        end_time=timestamp(end),
        currency=word,
        rows=[row_message(line) for line in report.lines],
        total=row_message(report.total),
        cohorts=cohorts,
    )


def row_message(line: Line) -> pb.LiabilityReport.Row:
    columns = {name: points for name, points in line.columns.items() if name in COLUMNS}
    return pb.LiabilityReport.Row(
        origin=Origin.Value(line.origin.value) if line.origin else Origin.ORIGIN_UNSPECIFIED,
        opening=line.opening, closing=line.closing, **columns,
    )  # fmt: skip


# As CSV --------------------------------------------------------------------------------------------------------------


def statement_head(whole: pb.Statement) -> list[bytes]:
    about: list[list[Cell]] = [
        ["statement", whole.name], ["currency", whole.currency], ["from", moment(whole.start_time)],
        ["before", moment(whole.end_time)], ["known at", moment(whole.known_time)],
        ["opening", whole.opening.total], [], [*LINES],
    ]  # fmt: skip
    return [row(cells) for cells in about]


def line_row(line: Any) -> bytes:
    return row([
        line.effective_time, line.booked_time, str(line.id), line.kind, line.points, int(line.balance), line.available,
        line.correction, line.order_number,
    ])  # fmt: skip


def statement_foot(whole: pb.Statement) -> list[bytes]:
    sums = [row([name, getattr(whole, name)]) for name in SUMS]
    parts = [row([f"closing {name}", getattr(whole.closing, name)]) for name in PARTS]
    return [row([]), *sums, *parts, row(["closing", whole.closing.total])]


def liability_rows(report: pb.LiabilityReport) -> list[bytes]:
    about: list[list[Cell]] = [
        ["currency", report.currency], ["booked from", moment(report.start_time)],
        ["booked before", moment(report.end_time)], [], ["origin", *COLUMNS],
    ]  # fmt: skip
    lines = [[origin_word(line, "OWED"), *(getattr(line, name) for name in COLUMNS)] for line in report.rows]
    whole = ["TOTAL", *(getattr(report.total, name) for name in COLUMNS)]
    cohorts = [
        [one.month, origin_word(one, ""), *(getattr(one, name) for name in COHORTS[2:])] for one in report.cohorts
    ]
    return [row(cells) for cells in (*about, *lines, whole, [], [*COHORTS], *cohorts)]


def origin_word(line: pb.LiabilityReport.Row | pb.LiabilityReport.Cohort, otherwise: str) -> str:
    return Origin.Name(line.origin) if line.origin else otherwise
