"""The books looked after all the time, at a cost that grows with what is booked and not with what was.

    every minute    the chain from the last seal that was checked on; every identity of the accounts that were touched
                    under it, and of some others in turn; the totals, carried forward
    once a day      everything (`verify`), and at once where the minute's look finds anything

What an old row says can only change behind the ledger's back: the day's check finds that, or the turn of its account.
How far the look has come is in `checkpoint`, so that any replica goes on where another one stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Gauge
from rapport.loyalty.v1.events_pb2 import LedgerSealed
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.outbox import publish
from chassis.telemetry import REGISTRY
from chassis.time import timestamp
from services.loyalty.ledger import chain, verify
from services.loyalty.ledger.chain import Link
from services.loyalty.models import Account, Chain, Checkpoint

IN_TURN = 500  # accounts of a look that nothing touched
# Numbers of operations are drawn before the commit, so a seal may hold lower ones than the seal before. No more than
# this are under way at a time: were there more, the look would miss some, say so, and have everything checked.
UNDER_WAY = 10_000
FULL = timedelta(days=1)
WRONG = timedelta(minutes=10)  # until everything is checked again, while something is wrong

FINDINGS = Gauge("points_ledger_findings", "Identities of the ledger that do not hold: 0.", registry=REGISTRY)
IMBALANCE = Gauge("points_ledger_imbalance", "The sum of all legs: 0.", registry=REGISTRY)
SEALED = Gauge("points_ledger_seals", "The number of the last seal.", registry=REGISTRY)
CHECKED = Gauge("points_ledger_checked_seals", "The number of the last seal that was checked.", registry=REGISTRY)
FULLY = Gauge("points_ledger_full_check_timestamp_seconds", "When everything was checked last.", registry=REGISTRY)
log = structlog.get_logger()

# Rows lie in the order of their numbers, so these are found without looking at the others.
NEW = """
FROM operation WHERE seq > :seq
    AND NOT EXISTS (SELECT FROM seal WHERE seal.batch = operation.batch AND seal.number <= :after)
"""
TOUCHED = text(f"SELECT DISTINCT account_id {NEW}")
SUMS = text(f"""
SELECT coalesce(max(seq), 0) AS seq, coalesce(sum(available), 0)::bigint AS available,
    coalesce(sum(pending), 0)::bigint AS pending, coalesce(sum(held), 0)::bigint AS held,
    coalesce(sum(arrears), 0)::bigint AS arrears, coalesce(sum(amount), 0)::bigint AS amount {NEW}
""")


@dataclass(frozen=True)
class Look:
    """What one look saw: the head there was, the sums of what is new, after whom it goes on, and what is wrong."""

    link: Link
    sums: Mapping[str, int]
    turn: UUID | None
    findings: list[str]


@job(every=timedelta(minutes=1))
async def verify_continuously(sessions: Sessions, now: datetime) -> int:
    """Look at what is new, or at everything where it is time; say in metrics and log what is wrong."""
    async with sessions() as session:
        mark = (await session.scalars(select(Checkpoint))).one()
    if mark.full_time is None or now - mark.full_time >= (WRONG if mark.findings else FULL):
        await check_everything(sessions, now=now)
    elif mark.findings:
        tell(mark, head=mark.number)  # known, and said until everything is right again
    else:
        await check_new(sessions, mark, now=now)
    return 0


async def check_new(sessions: Sessions, mark: Checkpoint, *, now: datetime) -> None:
    """Check what was booked since the mark, and move it; where anything is wrong, check all there is."""
    async with sessions() as session:
        look = await look_at_new(session, mark)
    if look.findings:
        log.error("ledger_wrong", findings=len(look.findings), since_seal=mark.number)
        await check_everything(sessions, now=now)
        return
    totals = {name: mark.totals.get(name, 0) + points for name, points in look.sums.items()}
    await move(sessions, look.link, totals=totals, account_id=look.turn)


async def look_at_new(session: AsyncSession, mark: Checkpoint) -> Look:
    """One look, at one state of the books; call it first in its transaction."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
    known = Link(mark.number, mark.root, mark.seq)
    touched = set(await session.scalars(TOUCHED, {"seq": known.seq, "after": known.number}))
    turn = select(Account.id).order_by(Account.id).limit(IN_TURN)
    in_turn = list(await session.scalars(turn.where(Account.id > mark.account_id) if mark.account_id else turn))
    findings = [
        *await verify.unguarded(session),
        *await verify.disagreements(session, sorted(touched.union(in_turn))),
        *await chain.broken(session, known),
    ]
    link, sums = await head_of(session, known)
    return Look(link, sums, in_turn[-1] if in_turn and len(in_turn) == IN_TURN else None, findings)


async def head_of(session: AsyncSession, known: Link) -> tuple[Link, dict[str, int]]:
    """The last seal there is, and the sums of the legs that were booked after `known`."""
    head = (await session.execute(select(Chain.number, Chain.root))).one()
    row = (await session.execute(SUMS, {"seq": known.seq, "after": known.number})).one()
    sums = {name: int(getattr(row, name)) for name in verify.LEGS}
    return Link(head.number, head.root, max(known.seq, row.seq - UNDER_WAY)), sums


async def check_everything(sessions: Sessions, *, now: datetime) -> None:
    """Check all there is; where it is right, go on from there."""
    async with sessions() as session:
        verdict = await verify.verify(session)
        link, sums = await head_of(session, chain.BEGINNING)
    if verdict.findings:
        log.error("ledger_wrong", findings=len(verdict.findings), sum_of_legs=verdict.sum_of_legs)
        await move(sessions, None, full_time=now, findings=len(verdict.findings), totals=sums, head=link.number)
    else:
        await move(sessions, link, full_time=now, findings=0, totals=sums)


async def move(sessions: Sessions, link: Link | None, *, head: int = 0, **columns: Any) -> None:
    """Write down how far the check has come: to a seal, or no further."""
    reached = {} if link is None else {"number": link.number, "root": link.root, "seq": link.seq}
    async with sessions.begin() as session:
        mark = (await session.scalars(update(Checkpoint).values(**columns, **reached).returning(Checkpoint))).one()
        tell(mark, head=mark.number if link else head)


def tell(mark: Checkpoint, *, head: int) -> None:
    FINDINGS.set(mark.findings)
    legs = {name: int(mark.totals.get(name, 0)) for name in verify.LEGS}
    IMBALANCE.set(sum(legs.values()) - 2 * legs["arrears"])
    SEALED.set(head)
    CHECKED.set(mark.number)
    FULLY.set(mark.full_time.timestamp() if mark.full_time else 0)


@job(every=timedelta(days=1))
async def state_head(sessions: Sessions, now: datetime) -> int:
    """State the last seal where it is another than the day before: whoever hears it holds it against us."""
    async with sessions.begin() as session:
        head = (await session.scalars(select(Chain))).one()
        mark = (await session.scalars(select(Checkpoint).with_for_update())).one()
        if head.number == mark.stated_number:
            return 0
        mark.stated_number = head.number
        name = f"ledger/seals/{head.number}"
        await publish(
            session, LedgerSealed(seal=name, number=head.number, root=head.root.hex(), event_time=timestamp(now))
        )
    return 0
