"""What a version of the programme says, and what an order earns by it.

`evaluate` is pure: the same order, the same member and the same rules give the same grants, wherever and whenever it
runs. What was granted is kept with the version and a hash of what went in, and is never evaluated again.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from services.loyalty.ledger.requests import PRIORITY, Policy
from services.loyalty.models import Origin, Programme
from services.loyalty.terms import Rounding, Term
from services.loyalty.tiers import Downgrade, Ladder, Refold, Tier

PLAIN = "order"  # the rule that there is where the programme names none


class Stacking(StrEnum):
    SUM = "SUM"
    BEST = "BEST"


class Release(StrEnum):
    """What has to happen to an order before its points can be spent."""

    PAID = "PAID"
    SHIPPED = "SHIPPED"


class Period(StrEnum):
    DAY = "DAY"
    WEEK = "WEEK"
    LIFETIME = "LIFETIME"


@dataclass(frozen=True)
class Order:
    """All that rules may ask of an order."""

    amount: Decimal
    currency: str
    paid_time: datetime


@dataclass(frozen=True)
class Member:
    """All that rules may ask of a member."""

    tier: str = ""


@dataclass(frozen=True)
class Window:
    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


@dataclass(frozen=True)
class Rate:
    """How many points an amount gives."""

    percent: int = 0  # of a point, for each whole unit
    fixed: int = 0

    def points(self, amount: Decimal) -> int:
        """Rounded down once, over the order as a whole: line by line would lose some. No money left earns nothing."""
        return int(amount) * self.percent // 100 + (self.fixed if amount > 0 else 0)


@dataclass(frozen=True)
class Rule:
    id: str
    rate: Rate
    window: Window = Window()
    tiers: frozenset[str] = frozenset()
    minimum: int = 0
    group: str = ""
    origin: Origin = Origin.PURCHASE
    priority: int = PRIORITY
    pending_days: int = 0
    term: Term | None = None
    qualifying: bool = False
    campaign: str = ""


@dataclass(frozen=True)
class Cap:
    id: str
    period: Period
    points: int
    rules: frozenset[str] = frozenset()  # none: all


@dataclass(frozen=True)
class Campaign:
    id: str
    window: Window = Window()
    budget: int | None = None
    partial: bool = False
    term: Term | None = None


@dataclass(frozen=True)
class Grant:
    """A lot that a rule would have the order earn."""

    rule: Rule
    points: int


@dataclass(frozen=True)
class Rules:
    """A version of the programme, as code reads it."""

    version: int
    zone: ZoneInfo
    newsletter_bonus: int
    newsletter_term: Term | None
    term: Term | None
    earn: Sequence[Rule]
    stacking: Stacking
    release: Release
    caps: Sequence[Cap]
    campaigns: Mapping[str, Campaign]
    ladder: Ladder | None
    grace_days: int
    claw_back: Policy
    said: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def of(cls, row: Programme) -> "Rules":
        """Read a version as it is kept: `terms` are the fields of the contract, by their names there."""
        said = row.terms
        zone = ZoneInfo(said.get("time_zone") or "UTC")
        term = read_term(said.get("default_term"), zone)
        plain = Rule(id=PLAIN, rate=Rate(percent=100 * row.points_per_unit), term=term, qualifying=True)
        rules = [read_rule(one, row.points_per_unit, term, zone) for one in said.get("earn_rules", [])]
        campaigns = [read_campaign(one, term, zone) for one in said.get("campaigns", [])]
        ladder = said.get("tier_ladder")
        return cls(
            version=row.version,
            zone=zone,
            newsletter_bonus=row.newsletter_bonus,
            newsletter_term=read_term(said["newsletter_term"], zone) if "newsletter_term" in said else term,
            term=term,
            earn=rules or [plain],
            stacking=Stacking.BEST if said.get("stacking") == "BEST" else Stacking.SUM,
            release=Release.SHIPPED if said.get("release") == "SHIPPED" else Release.PAID,
            caps=[read_cap(one) for one in said.get("caps", [])],
            campaigns={one.id: one for one in campaigns},
            ladder=read_ladder(ladder, zone) if ladder and ladder.get("tiers") else None,
            grace_days=said.get("refund_grace_days", 0),
            claw_back=Policy(said.get("order_claw_back", Policy.UNLIMITED)),
            said={"points_per_unit": row.points_per_unit, **said},
        )


def evaluate(order: Order, member: Member, rules: Rules) -> list[Grant]:
    """The lots to earn for an order, in the order of the rules."""
    found = [
        Grant(rule, points)
        for rule in rules.earn
        if applies(rule, order, member, rules) and (points := rule.rate.points(order.amount))
    ]
    if rules.stacking is Stacking.BEST:
        return best(found)
    winners = {group: best(one for one in found if one.rule.group == group) for group in groups(found)}
    return [one for one in found if not one.rule.group or one in winners[one.rule.group]]


def applies(rule: Rule, order: Order, member: Member, rules: Rules) -> bool:
    campaign = rules.campaigns.get(rule.campaign)
    return (
        order.paid_time in rule.window
        and (campaign is None or order.paid_time in campaign.window)
        and (not rule.tiers or member.tier in rule.tiers)
        and order.amount >= rule.minimum
    )


def best(grants: Iterable[Grant]) -> list[Grant]:
    """The one that gives most; of those that give as much, the last."""
    found = list(grants)
    return [max(reversed(found), key=lambda one: one.points)] if found else []


def groups(grants: Iterable[Grant]) -> set[str]:
    return {one.rule.group for one in grants if one.rule.group}


def hash_of(order: Order, member: Member, rules: Rules) -> bytes:
    """A hash of all that an evaluation went by."""
    told = {"order": {**asdict(order), "amount": str(order.amount.normalize())}, "member": asdict(member)}
    return hashlib.sha256(orjson.dumps({**told, "rules": rules.said}, option=orjson.OPT_SORT_KEYS)).digest()


# How it is kept ------------------------------------------------------------------------------------------------------


def read_term(said: Mapping[str, Any] | None, zone: ZoneInfo) -> Term | None:
    if said is None:
        return None
    return Term(said.get("months", 0), zone, Rounding(said.get("round_up_to", Rounding.ROUNDING_UNSPECIFIED)))


def read_rule(said: Mapping[str, Any], per_unit: int, term: Term | None, zone: ZoneInfo) -> Rule:
    percent = 100 * int(said.get("points_per_unit", 0)) + said.get("percent", 0) * per_unit
    return Rule(
        id=said["id"],
        rate=Rate(percent=percent, fixed=int(said.get("points_per_order", 0))),
        window=read_window(said),
        tiers=frozenset(said.get("tiers", [])),
        minimum=int(said.get("minimum_units", 0)),
        group=said.get("exclusive_group", ""),
        origin=Origin.PROMOTION if said.get("promotion") else Origin.PURCHASE,
        priority=said.get("priority", PRIORITY),
        pending_days=said.get("pending_days", 0),
        term=read_term(said["term"], zone) if "term" in said else term,
        qualifying=said.get("qualifying", False),
        campaign=said.get("campaign", ""),
    )


def read_window(said: Mapping[str, Any]) -> Window:
    start, end = (datetime.fromisoformat(said[name]) if name in said else None for name in ("start_time", "end_time"))
    return Window(start, end)


def read_cap(said: Mapping[str, Any]) -> Cap:
    return Cap(said["id"], Period(said["period"]), int(said.get("points", 0)), frozenset(said.get("rules", [])))


def read_campaign(said: Mapping[str, Any], term: Term | None, zone: ZoneInfo) -> Campaign:
    return Campaign(
        id=said["id"],
        window=read_window(said),
        budget=int(said["budget"]) if "budget" in said else None,
        partial=said.get("when_short") == "PARTIAL",
        term=read_term(said["term"], zone) if "term" in said else term,
    )


def read_ladder(said: Mapping[str, Any], zone: ZoneInfo) -> Ladder:
    return Ladder(
        tiers=tuple(
            Tier(one["id"], one.get("title", ""), int(one.get("qualifying_points", 0))) for one in said["tiers"]
        ),
        zone=zone,
        period_months=said.get("period_months") or 12,
        grace_days=said.get("grace_days", 0),
        downgrade=Downgrade.ONE_DOWN if said.get("downgrade") == "ONE_DOWN" else Downgrade.BALANCE_BASED,
        refold=Refold.AT_PERIOD_END if said.get("claw_back") == "AT_PERIOD_END" else Refold.IMMEDIATE,
    )
