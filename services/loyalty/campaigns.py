"""Points from a campaign's budget, on request. A refusal is a result: it is written down under the request's key."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Refusal
from services.loyalty import limits, points, programme
from services.loyalty.grants import Source, row_of
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.decide import Result, closed
from services.loyalty.ledger.movements import has
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Earn
from services.loyalty.limits import Limited
from services.loyalty.models import Kind, Origin, Withheld
from services.loyalty.refusals import BudgetExhausted, CampaignClosed, CampaignNotFound, CapReached
from services.loyalty.rules import Campaign, Grant, Rate, Rule, Rules


async def named(session: AsyncSession, id: str) -> Campaign:
    """A campaign of the rules in force, or refuse because there is none."""
    found = Rules.of(await programme.latest(session)).campaigns.get(id)
    if found is None:
        raise CampaignNotFound("The programme has no such campaign.")
    return found


async def earn(
    session: AsyncSession, *, user: UUID, campaign: str, wanted: int, scope: str, key: str, now: datetime
) -> Result:
    """Give what caps and the budget leave of the points that are wanted, or say why there are none."""
    held = await points.hold(session, user, now=now)
    if held is None:
        return closed()
    given: Limited | None = None
    rules = Rules.of(await programme.latest(session))
    plan = rules.campaigns.get(campaign)
    rule = rule_of(campaign, plan)
    is_known = await has(session, scope, key)
    if not is_known and plan is not None and now in plan.window:
        [given] = await limits.limit(session, held.account_id, [Grant(rule, wanted)], rules, at=now)
    request = Earn(
        account=held.account_id, scope=scope, key=key, kind=Kind.CAMPAIGN, points=given.points if given else 0,
        desired=wanted, origin=rule.origin, rule=rule.id, term=rule.term, programme_version=rules.version,
        refusal=None if is_known else refusal(plan, given),
    )  # fmt: skip
    [result] = await post(session, [request], now=now)
    if given is None or not given.points:
        return result
    if isinstance(result, Entry) and not result.is_replay:
        session.add(row_of(Source.request(held.account_id, key, now), given, rules, result.id))
        await session.flush()
    else:  # somebody else asked under this key meanwhile: nothing was given here
        await limits.give_back(session, {campaign: given.points})
    return result


def rule_of(campaign: str, plan: Campaign | None) -> Rule:
    return Rule(campaign, Rate(), origin=Origin.PROMOTION, term=plan.term if plan else None, campaign=campaign)


def refusal(plan: Campaign | None, given: Limited | None) -> Refusal | None:
    """Why nothing is given."""
    if plan is None:
        return CampaignNotFound("The programme has no such campaign.")
    if given is None:
        return CampaignClosed("The campaign has not begun, or is over.")
    if given.points:
        return None
    if given.withheld is Withheld.BUDGET:
        return BudgetExhausted(f"There are {given.room} points left of the campaign.", remaining=str(given.room))
    return CapReached("The member was given as much as the programme allows.", cap=given.by)
