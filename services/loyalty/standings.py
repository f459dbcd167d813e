"""Tiers of members: the fold is the truth at any time; a row remembers which tier was stated last, and what is due."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from rapport.loyalty.v1.events_pb2 import TierChanged
from sqlalchemy import BigInteger, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.time import timestamp
from services.loyalty import points, programme
from services.loyalty.models import Kind, MemberTier, Operation, Programme, RuleGrant
from services.loyalty.points import Holding
from services.loyalty.refusals import TiersNotSet
from services.loyalty.rules import Rules
from services.loyalty.tiers import Gain, Ladder, Standing, fold

TAKES_BACK = (Kind.ORDER_REFUND, Kind.REVERSE)
# Everybody who has points that count is looked at anew: the ladder is another one.
LOOK_AGAIN = text("""
INSERT INTO member_tier (account_id, tier, due_time)
SELECT DISTINCT account_id, CAST(:tier AS text), CAST(:now AS timestamptz) FROM rule_grant
WHERE qualifying AND granted > 0
ON CONFLICT (account_id) DO UPDATE SET due_time = excluded.due_time
""")

NOT_DUE = text("UPDATE member_tier SET due_time = NULL WHERE account_id = :account")


async def ladder_of(session: AsyncSession) -> Ladder:
    """The ladder in force, or refuse because there is none."""
    ladder = Rules.of(await programme.latest(session)).ladder
    if ladder is None:
        raise TiersNotSet("The programme has no tiers.")
    return ladder


async def of_account(session: AsyncSession, account_id: UUID | None, ladder: Ladder, at: datetime) -> Standing:
    """Where an account stood at a time, by all that is known now; without an account, at the bottom."""
    return fold(ladder, await gains_of(session, account_id) if account_id else (), at)


async def tier_at(session: AsyncSession, account_id: UUID, ladder: Ladder | None, at: datetime) -> str:
    if ladder is None:
        return ""
    return ladder.tiers[(await of_account(session, account_id, ladder, at)).level].id


async def gains_of(session: AsyncSession, account_id: UUID) -> Iterable[Gain]:
    """All that an account earned that counts, and what was asked back of it since."""
    counting = select(RuleGrant.operation_id, RuleGrant.effective_time, RuleGrant.granted).where(
        RuleGrant.account_id == account_id, RuleGrant.qualifying, RuleGrant.operation_id.is_not(None)
    )
    earned = {operation: (at, count) for operation, at, count in await session.execute(counting)}
    asked = Operation.asked["points"].astext.cast(BigInteger)
    back = select(Operation.about, Operation.effective_time, asked).where(
        Operation.about.in_(earned), Operation.kind.in_(TAKES_BACK), Operation.refusal.is_(None)
    )
    losses: dict[UUID | None, list[tuple[datetime, int]]] = {}
    for operation, at, count in await session.execute(back):
        losses.setdefault(operation, []).append((at, count))
    return [Gain(at, count, tuple(losses.get(one, ()))) for one, (at, count) in earned.items()]


async def refresh(session: AsyncSession, held: Holding, *, now: datetime) -> None:
    """State it when the tier of a locked account is another one than was stated before."""
    latest = await programme.latest_or_none(session)
    ladder = Rules.of(latest).ladder if latest else None
    if ladder is None or held.user is None:
        return
    standing = await of_account(session, held.account_id, ladder, now)
    tier = ladder.tiers[standing.level].id
    stated = await session.get(MemberTier, held.account_id)
    if stated is None:
        stated = MemberTier(account_id=held.account_id, tier=ladder.tiers[0].id)
        session.add(stated)
    if stated.tier != tier:
        since, before = standing.since, stated.start_time
        changed = since if since is not None and (before is None or since > before) else now
        await state(session, held.user, tier, stated.tier, changed)
    stated.tier, stated.start_time, stated.due_time = tier, standing.since, standing.next_time
    await session.flush()


async def state(session: AsyncSession, user: UUID, tier: str, previous: str, at: datetime) -> None:
    name = f"users/{user}"
    told = TierChanged(
        user=name, member_tier=f"{name}/tier", tier=tier, previous_tier=previous, event_time=timestamp(at)
    )  # fmt: skip
    await publish(session, told)


async def judge_anew(session: AsyncSession, rules: Programme, *, now: datetime) -> None:
    """Have every standing judged once more when a version of the rules brings another ladder."""
    before = await session.get(Programme, rules.version - 1)
    ladder = Rules.of(rules).ladder
    if ladder is not None and (before is None or Rules.of(before).ladder != ladder):
        await session.execute(LOOK_AGAIN, {"tier": ladder.tiers[0].id, "now": now})


async def due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[UUID]:
    """The accounts whose standing may be another one by now."""
    query = select(MemberTier.account_id).where(MemberTier.due_time <= now).order_by(MemberTier.due_time).limit(limit)
    return (await session.scalars(query)).all()


async def book_due(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """Judge a standing that may be another one by now. One a transaction: nobody waits for two of them."""
    held = await points.lock_id(session, account_id)
    await session.execute(NOT_DUE, {"account": account_id})  # but for what is found out now
    await refresh(session, held, now=now)
