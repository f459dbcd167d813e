"""Whether the books are right: every identity recomputed from the entries, and what does not hold, in words."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.telemetry import REGISTRY
from services.loyalty.models import Bucket

SHOWN = 5  # accounts or operations named with a finding: enough to start looking
FINDINGS = Gauge("points_ledger_findings", "Identities of the ledger that do not hold: 0.", registry=REGISTRY)
IMBALANCE = Gauge("points_ledger_imbalance", "The sum of all legs: 0.", registry=REGISTRY)
log = structlog.get_logger()

TOTALS = text("SELECT bucket, sum(delta)::bigint, count(*) FROM entry GROUP BY bucket")
BALANCES = text("SELECT coalesce(sum(available), 0)::bigint, coalesce(sum(arrears), 0)::bigint FROM account")
GUARDS = text("""
SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname IN ('journal_is_kept', 'legs_sum_to_zero')
    AND tgrelid IN ('entry'::regclass, 'operation'::regclass)
""")

# Each gives the offenders, one a row.
IDENTITIES = {
    "The legs of an operation do not sum to zero": """
        SELECT operation_id FROM entry GROUP BY operation_id HAVING sum(delta) <> 0""",
    "An operation has no legs": """
        SELECT id FROM operation WHERE NOT EXISTS (SELECT FROM entry WHERE operation_id = operation.id)""",
    "The entries of an account do not add up to its balance": """
        SELECT account.id FROM account LEFT JOIN (
            SELECT account_id,
                coalesce(sum(delta) FILTER (WHERE bucket = 'AVAILABLE'), 0) AS available,
                coalesce(-sum(delta) FILTER (WHERE bucket = 'ARREARS'), 0) AS arrears
            FROM entry WHERE account_id IS NOT NULL GROUP BY account_id
        ) AS booked ON booked.account_id = account.id
        WHERE (account.available, account.arrears)
            IS DISTINCT FROM (coalesce(booked.available, 0), coalesce(booked.arrears, 0))""",
    "A balance after an entry is not the sum of the entries up to it": """
        SELECT DISTINCT account_id FROM (
            SELECT entry.account_id, balance_after,
                sum(CASE bucket WHEN 'ARREARS' THEN -delta ELSE delta END)
                    OVER (PARTITION BY entry.account_id, bucket ORDER BY seq) AS running
            FROM entry JOIN operation ON operation.id = operation_id WHERE entry.account_id IS NOT NULL
        ) AS walk WHERE balance_after <> running""",
    "An account has points and owes some": """
        SELECT id FROM account WHERE available < 0 OR arrears < 0 OR (available > 0 AND arrears > 0)""",
    "A closed account is not settled": """
        SELECT id FROM account WHERE close_time IS NOT NULL AND (available, arrears) <> (0, 0)""",
    "A closed account still says whose it was": """
        SELECT account.id FROM account JOIN member ON member.account_id = account.id WHERE close_time IS NOT NULL""",
    "An order's earnings are not what was booked for it": """
        SELECT account_id FROM (
            SELECT account_id, number, earned, taken_back FROM purchase
            UNION ALL
            SELECT operation.account_id, order_number,
                CASE bucket WHEN 'ISSUED' THEN delta ELSE 0 END, CASE bucket WHEN 'REVERSED' THEN -delta ELSE 0 END
            FROM operation JOIN entry ON operation_id = operation.id
            WHERE order_number IS NOT NULL AND bucket IN ('ISSUED', 'REVERSED')
        ) AS facts GROUP BY account_id, number HAVING sum(earned) <> 0 OR sum(taken_back) <> 0""",
}


@dataclass
class Verdict:
    sum_of_legs: int
    entries: int
    totals: dict[str, int]
    findings: list[str] = field(default_factory=list)


async def verify(session: AsyncSession) -> Verdict:
    """Recompute every identity over one state of the books; call it first in its transaction."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
    rows = (await session.execute(TOTALS)).all()
    # Each kind of account by its natural sign: what was issued, and what is owed, are legs of less than zero.
    negative = {Bucket.ISSUED, Bucket.ARREARS, Bucket.WRITTEN_OFF}
    totals = {bucket.lower(): 0 for bucket in Bucket}
    totals |= {bucket.lower(): -total if bucket in negative else total for bucket, total, _ in rows}
    verdict = Verdict(sum(total for _, total, _ in rows), sum(count for *_, count in rows), totals)
    verdict.findings.extend(await programme_findings(session, verdict))
    for sentence, query in IDENTITIES.items():
        offenders = [str(which) for (which,) in await session.execute(text(f"{query} LIMIT {SHOWN + 1}"))]
        if offenders:
            more = " and more" if len(offenders) > SHOWN else ""
            verdict.findings.append(f"{sentence}: {', '.join(offenders[:SHOWN])}{more}.")
    return verdict


async def programme_findings(session: AsyncSession, verdict: Verdict) -> list[str]:
    findings = []
    if verdict.sum_of_legs != 0:
        findings.append(f"All legs sum to {verdict.sum_of_legs}, not to zero.")
    totals = verdict.totals
    available, arrears = (await session.execute(BALANCES)).one()
    used = available - arrears + totals["reversed"] + totals["forfeited"] - totals["written_off"]
    if totals["issued"] != used:
        findings.append(f"Issued are {totals['issued']}, but available, owed, reversed and forfeited make {used}.")
    if await session.scalar(GUARDS) != 3:
        findings.append("A trigger that guards the journal is gone or disabled.")
    return findings


@job(every=timedelta(minutes=1))
async def verify_continuously(sessions: Sessions, now: datetime) -> int:  # noqa: ARG001 - the books have no clock
    """Say in metric and log when the books are wrong."""
    async with sessions.begin() as session:
        verdict = await verify(session)
    FINDINGS.set(len(verdict.findings))
    IMBALANCE.set(verdict.sum_of_legs)
    if verdict.findings:
        log.error("ledger_wrong", findings=len(verdict.findings), sum_of_legs=verdict.sum_of_legs)
    return 0
