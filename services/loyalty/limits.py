"""What caps and budgets leave of what rules would give.

Caps are counted under the lock of the member's account, so that two at once cannot both find the same room. A budget is
a row that everybody waits for: it is locked after the account and everything else, in the order of the ids, and only
the seal of the commit comes later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.models import CampaignBudget, Lot, RuleGrant, Withheld
from services.loyalty.rules import Campaign, Cap, Grant, Period, Rules
from services.loyalty.terms import DAY, day_of, start_of

SPEND = text("""
UPDATE campaign_budget SET granted = campaign_budget.granted + given.points
FROM unnest(CAST(:ids AS text[]), CAST(:points AS bigint[])) AS given (id, points) WHERE campaign = given.id
""")
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Limited:
    """A grant, and what there is of it."""

    grant: Grant
    points: int
    withheld: Withheld | None = None
    by: str = ""  # the cap
    room: int = 0  # of the budget, before


@dataclass
class Room:
    """What is left of each limit while the grants of one order take from it."""

    caps: dict[str, int]
    budgets: dict[str, int]

    def limit(self, grant: Grant, caps: Sequence[Cap], campaign: Campaign | None) -> Limited:
        mine = [cap for cap in caps if counts(cap, grant.rule.id)]
        tightest = min(mine, key=lambda cap: self.caps[cap.id], default=None)
        allowed = grant.points if tightest is None else max(0, min(grant.points, self.caps[tightest.id]))
        room = self.budgets.get(grant.rule.campaign, allowed)
        paid = min(allowed, room) if room >= allowed or (campaign is not None and campaign.partial) else 0
        for cap in mine:
            self.caps[cap.id] -= paid
        if grant.rule.campaign in self.budgets:
            self.budgets[grant.rule.campaign] -= paid
        if paid < allowed:
            return Limited(grant, paid, Withheld.BUDGET, room=room)
        if paid < grant.points and tightest is not None:
            return Limited(grant, paid, Withheld.CAP, by=tightest.id)
        return Limited(grant, paid)


async def limit(
    session: AsyncSession, account_id: UUID, grants: Sequence[Grant], rules: Rules, *, at: datetime
) -> list[Limited]:
    """What is given of each, in their order, and taken from the budgets. The account is locked by the caller."""
    caps = [cap for cap in rules.caps if any(counts(cap, one.rule.id) for one in grants)]
    rooms = {cap.id: cap.points - await used(session, account_id, cap, rules, at=at) for cap in caps}
    named = {one.rule.campaign for one in grants} & rules.campaigns.keys()
    budgets = {name: budget for name in named if (budget := rules.campaigns[name].budget) is not None}
    await open_budgets(session, sorted(budgets))
    spent = await lock(session, budgets)
    there = {name: max(0, budget - spent[name]) for name, budget in budgets.items()}
    room = Room(rooms, dict(there))
    found = [room.limit(one, caps, rules.campaigns.get(one.rule.campaign)) for one in grants]
    await spend(session, {name: there[name] - left for name, left in room.budgets.items()})
    return found


def counts(cap: Cap, rule: str) -> bool:
    return not cap.rules or rule in cap.rules


async def used(session: AsyncSession, account_id: UUID, cap: Cap, rules: Rules, *, at: datetime) -> int:
    """What was given in the cap's period, less what was taken back of it since: that is there again."""
    left = RuleGrant.granted - func.coalesce(Lot.clawed, 0)
    query = (
        select(func.coalesce(func.sum(left), 0))
        .outerjoin(Lot, Lot.id == RuleGrant.operation_id)
        .where(RuleGrant.account_id == account_id)
    )
    if cap.rules:
        query = query.where(RuleGrant.rule.in_(cap.rules))
    if (window := window_of(cap.period, rules, at)) is not None:
        query = query.where(RuleGrant.effective_time >= window[0], RuleGrant.effective_time < window[1])
    return int(await session.scalar(query) or 0)


def window_of(period: Period, rules: Rules, at: datetime) -> tuple[datetime, datetime] | None:
    """The local day or week of an instant, as instants."""
    day = day_of(at, rules.zone)
    if period is Period.LIFETIME:
        return None
    first, length = (day, DAY) if period is Period.DAY else (day - day.weekday() * DAY, WEEK)
    return start_of(first, rules.zone), start_of(first + length, rules.zone)


async def open_budgets(session: AsyncSession, campaigns: Sequence[str]) -> None:
    if campaigns:
        rows = [{"campaign": one, "granted": 0} for one in campaigns]
        await session.execute(insert(CampaignBudget).values(rows).on_conflict_do_nothing())


async def lock(session: AsyncSession, campaigns: Iterable[str]) -> Mapping[str, int]:
    """What campaigns with a budget have given; nobody else gives from them until the transaction ends."""
    if not (asked := list(campaigns)):
        return {}
    query = select(CampaignBudget.campaign, CampaignBudget.granted).where(CampaignBudget.campaign.in_(asked))
    found = await session.execute(query.order_by(CampaignBudget.campaign).with_for_update())
    return {row.campaign: row.granted for row in found}


async def spend(session: AsyncSession, points: Mapping[str, int]) -> None:
    """Count what locked campaigns gave."""
    changed = {name: count for name, count in sorted(points.items()) if count}
    if changed:
        await session.execute(SPEND, {"ids": list(changed), "points": list(changed.values())})


async def give_back(session: AsyncSession, points: Mapping[str, int]) -> None:
    """Give campaigns back what was taken back of what they gave."""
    known = await lock(session, points)
    await spend(session, {name: -min(points[name], given) for name, given in known.items()})


async def given(session: AsyncSession, campaign: Campaign) -> int:
    """What a campaign has given, less what orders gave back."""
    if campaign.budget is not None:
        row = await session.get(CampaignBudget, campaign.id)
        return row.granted if row else 0
    left = func.sum(RuleGrant.granted - RuleGrant.taken_back)
    return int(await session.scalar(select(left).where(RuleGrant.campaign == campaign.id)) or 0)
