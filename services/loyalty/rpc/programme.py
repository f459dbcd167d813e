"""Tiers, what rules gave, and points from campaigns."""

from uuid import UUID

from rapport.loyalty.v1 import programme_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2 import Movement
from rapport.loyalty.v1.programme_pb2_grpc import ProgrammeServiceServicer
from sqlalchemy.exc import IntegrityError

from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import Refusal
from chassis.rpc import Context
from chassis.time import Clock
from services.loyalty import campaigns, grants, limits, points, standings
from services.loyalty.ledger.decide import Result
from services.loyalty.rpc.counter import ACCOUNT, SCOPE, invalid, not_restricted, when
from services.loyalty.rpc.messages import entry_message, grant_message, tier_message


class Programmes(ProgrammeServiceServicer):
    """What the rules make of a member."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages

    async def GetTier(self, request: pb.GetTierRequest, context: Context) -> pb.MemberTier:
        user, now = parse("users/{user}/tier", request.name), self.clock()
        at = when(request, "effective_time") or now
        if at > now:
            raise invalid("effective_time", "IN_THE_FUTURE", "Nobody knows yet.")
        async with self.sessions() as session:
            await not_restricted(session, user)
            ladder = await standings.ladder_of(session)
            account = await points.account_id(session, user)
            standing = await standings.of_account(session, account, ladder, at)
        return tier_message(request.name, standing, ladder)

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Context) -> pb.ListGrantsResponse:
        page, user = self.pages.of(request), parse(ACCOUNT, request.parent)
        before = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            await not_restricted(session, user)
            account = await points.account_id(session, user)
            rows = await grants.page(session, account, before=before, limit=page.reach) if account else []
        shown, token = page.cut(rows, lambda row: (row.seq,))
        return pb.ListGrantsResponse(grants=[grant_message(user, row) for row in shown], next_page_token=token)

    async def EarnFromCampaign(self, request: pb.EarnFromCampaignRequest, context: Context) -> Movement:
        user = parse(ACCOUNT, request.parent)
        try:
            result = await self.earn(user, request)
        except IntegrityError:  # another process booked the same request for another account: now it is there
            result = await self.earn(user, request)
        if isinstance(result, Refusal):
            raise result
        return entry_message(user, result)

    async def earn(self, user: UUID, request: pb.EarnFromCampaignRequest) -> Result:
        async with self.sessions() as session:
            await not_restricted(session, user)
            result = await campaigns.earn(
                session,
                user=user,
                campaign=request.campaign,
                wanted=request.points,
                scope=SCOPE,
                key=request.request_id,
                now=self.clock(),
            )
            await (session.rollback() if request.validate_only else session.commit())
        return result

    async def GetCampaignUse(self, request: pb.GetCampaignUseRequest, context: Context) -> pb.CampaignUse:
        campaign = parse("campaigns/{campaign:id}/use", request.name)
        async with self.sessions() as session:
            plan = await campaigns.named(session, campaign)
            granted = await limits.given(session, plan)
        remaining = None if plan.budget is None else max(0, plan.budget - granted)
        return pb.CampaignUse(name=request.name, granted=granted, remaining=remaining)
