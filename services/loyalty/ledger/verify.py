"""Whether the books are right: every identity recomputed from what was written, and what does not hold, in words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.ledger import chain
from services.loyalty.models import Bucket

SHOWN = 5  # accounts or operations named with a finding: enough to start looking
ACCOUNT = re.compile(r"\{([a-z_.]+)\}")

LEGS = ("available", "pending", "held", "arrears", "amount")
PROGRAMME = text("SELECT against, sum(amount)::bigint FROM operation WHERE against IS NOT NULL GROUP BY against")
SUMS = text("""
SELECT coalesce(sum(available), 0)::bigint, coalesce(sum(pending), 0)::bigint, coalesce(sum(held), 0)::bigint,
    coalesce(sum(arrears), 0)::bigint, coalesce(sum(amount), 0)::bigint,
    count(*) FILTER (WHERE available <> 0) + count(*) FILTER (WHERE pending <> 0) + count(*) FILTER (WHERE held <> 0)
    + count(*) FILTER (WHERE arrears <> 0) + count(*) FILTER (WHERE amount <> 0)
FROM operation
""")
GUARDS = text("""
SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname = 'journal_is_kept'
    AND tgrelid IN ('operation'::regclass, 'lot_move'::regclass, 'seal'::regclass)
""")
CHECKS = text("""
SELECT count(*) FROM pg_constraint WHERE convalidated AND conname IN ('operation_sums_to_zero_check',
    'lot_each_in_one_place_check', 'account_positive_check')
""")

# Each gives the offenders, one a row. What stands in braces is the account that a row is about: there a question about
# some accounts alone is narrowed.
IDENTITIES = {
    "The legs of an operation do not sum to zero": """
        SELECT id FROM operation WHERE available + pending + held - arrears + amount <> 0 {account_id}""",
    "The operations of an account do not add up to its balances": """
        SELECT account.id FROM account LEFT JOIN (
            SELECT account_id, sum(available) AS available, sum(pending) AS pending, sum(held) AS held,
                sum(arrears) AS arrears FROM operation WHERE true {account_id} GROUP BY account_id
        ) AS booked ON booked.account_id = account.id
        WHERE true {account.id}
            AND (account.available, account.pending, account.held, account.arrears) IS DISTINCT FROM (
            coalesce(booked.available, 0), coalesce(booked.pending, 0), coalesce(booked.held, 0),
            coalesce(booked.arrears, 0))""",
    "A balance after an operation is not the sum of those up to it": """
        SELECT DISTINCT account_id FROM (
            SELECT account_id, available_after, pending_after, held_after, arrears_after,
                sum(available) OVER walk AS available, sum(pending) OVER walk AS pending, sum(held) OVER walk AS held,
                sum(arrears) OVER walk AS arrears
            FROM operation WHERE true {account_id} WINDOW walk AS (PARTITION BY account_id ORDER BY seq)
        ) AS running WHERE (available_after, pending_after, held_after, arrears_after)
            IS DISTINCT FROM (available, pending, held, arrears)""",
    "The lots of an account do not add up to its balances": """
        SELECT account.id FROM account LEFT JOIN (
            SELECT account_id, sum(open) AS open, sum(pending) AS pending, sum(held) AS held FROM lot
            WHERE true {account_id} GROUP BY account_id
        ) AS kept ON kept.account_id = account.id
        WHERE true {account.id} AND (account.available, account.pending, account.held) IS DISTINCT FROM
            (coalesce(kept.open, 0), coalesce(kept.pending, 0), coalesce(kept.held, 0))""",
    "What was spent, expired or taken back of an account's lots is not what was booked": """
        SELECT account_id FROM (
            SELECT account_id, spent, expired, reversed + absorbed AS reversed FROM lot WHERE true {account_id}
            UNION ALL
            SELECT account_id, CASE WHEN against = 'REDEEMED' THEN -amount ELSE 0 END,
                CASE WHEN against = 'EXPIRED' THEN -amount ELSE 0 END,
                CASE WHEN against IN ('REVERSED', 'WRITTEN_OFF') THEN -amount ELSE 0 END + arrears
            FROM operation WHERE true {account_id}
        ) AS both_layers GROUP BY account_id
        HAVING (sum(spent), sum(expired), sum(reversed)) IS DISTINCT FROM (0, 0, 0)""",
    "The moves of a lot do not lead to where its points are": """
        SELECT lot_id FROM (
            SELECT lot_id, sum(points) FILTER (WHERE target = 'SPENT') AS into_spent,
                sum(points) FILTER (WHERE source = 'SPENT') AS from_spent,
                sum(points) FILTER (WHERE target = 'EXPIRED') AS gone,
                sum(points) FILTER (WHERE target = 'HELD') AS into_held,
                sum(points) FILTER (WHERE source = 'HELD') AS from_held
            FROM lot_move JOIN operation ON operation.id = operation_id WHERE true {account_id} GROUP BY lot_id
        ) AS moved JOIN lot ON lot.id = lot_id
        WHERE (coalesce(into_spent, 0) - coalesce(from_spent, 0), coalesce(gone, 0),
            coalesce(into_held, 0) - coalesce(from_held, 0)) IS DISTINCT FROM (spent, expired, held)""",
    "An account has points and owes some": """
        SELECT id FROM account
        WHERE (available < 0 OR arrears < 0 OR (available > 0 AND arrears > 0)) {id}""",
    "A closed account is not settled": """
        SELECT id FROM account
        WHERE close_time IS NOT NULL AND (available, pending, held, arrears) <> (0, 0, 0, 0) {id}""",
    "A closed account still says whose it was": """
        SELECT account.id FROM account JOIN member ON member.account_id = account.id
        WHERE close_time IS NOT NULL {account.id}""",
    "A hold is not what its lots say": """
        SELECT account_id FROM (
            SELECT account_id, points - captured - released AS held FROM hold WHERE true {account_id}
            UNION ALL SELECT account_id, -held FROM lot WHERE true {account_id}
        ) AS both_layers GROUP BY account_id HAVING sum(held) <> 0""",
    "More of a movement came back than went": """
        SELECT operation.id FROM refunded JOIN operation ON operation.id = operation_id
        WHERE points > amount {account_id}""",
    "An order's earnings are not what was booked for it": """
        SELECT account_id FROM (
            SELECT account_id, number, earned, taken_back FROM purchase WHERE true {account_id}
            UNION ALL
            SELECT account_id, order_number, CASE against WHEN 'ISSUED' THEN amount ELSE 0 END,
                CASE WHEN kind = 'ORDER_REFUND' THEN -(asked ->> 'points')::bigint ELSE 0 END
            FROM operation WHERE order_number IS NOT NULL AND refusal IS NULL AND kind IN ('ORDER', 'ORDER_REFUND')
                {account_id}
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
    verdict = await totals(session)
    if verdict.sum_of_legs != 0:
        verdict.findings.append(f"All legs sum to {verdict.sum_of_legs}, not to zero.")
    if verdict.totals["transferred"] != 0:
        verdict.findings.append(f"{verdict.totals['transferred']} points left an account and came into none.")
    verdict.findings += await unguarded(session)
    verdict.findings += await disagreements(session)
    verdict.findings += await chain.broken(session)
    return verdict


async def unguarded(session: AsyncSession) -> list[str]:
    if (await session.scalar(GUARDS), await session.scalar(CHECKS)) == (3, 3):
        return []
    return ["A trigger or a constraint that guards the journal is gone or disabled."]


async def disagreements(session: AsyncSession, accounts: Sequence[UUID] | None = None) -> list[str]:
    """The identities that do not hold, in words: for all accounts, or for some."""
    found, values = [], {} if accounts is None else {"accounts": list(accounts)}
    for sentence, query in IDENTITIES.items():
        asked = text(f"{narrowed(query, is_about_some=accounts is not None)} LIMIT {SHOWN + 1}")
        offenders = [str(which) for (which,) in await session.execute(asked, values)]
        if offenders:
            more = " and more" if len(offenders) > SHOWN else ""
            found.append(f"{sentence}: {', '.join(offenders[:SHOWN])}{more}.")
    return found


def narrowed(query: str, *, is_about_some: bool) -> str:
    return ACCOUNT.sub(r"AND \1 = ANY(CAST(:accounts AS uuid[]))" if is_about_some else "", query)


async def totals(session: AsyncSession) -> Verdict:
    """Each kind of account by its natural sign: what was issued, and what is owed, are legs of less than zero."""
    available, pending, held, arrears, amount, entries = (await session.execute(SUMS)).one()
    told = {"available": available, "pending": pending, "held": held, "arrears": arrears}
    told |= {bucket.lower(): 0 for bucket in Bucket}
    negative = {Bucket.ISSUED, Bucket.WRITTEN_OFF}
    for bucket, total in await session.execute(PROGRAMME):
        told[bucket.lower()] = -total if bucket in negative else total
    return Verdict(available + pending + held - arrears + amount, entries, told)
