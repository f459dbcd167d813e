"""Speaks rapport.loyalty.v1; decides nothing."""

from uuid import UUID

from google.protobuf.empty_pb2 import Empty
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceServicer

from chassis.access import caller
from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import Clock, moment
from services.loyalty import addresses, points, programme, standings, subscriptions
from services.loyalty.keys import Keys
from services.loyalty.ledger.movements import movements
from services.loyalty.ledger.verify import verify
from services.loyalty.people import People
from services.loyalty.rpc import programme_data
from services.loyalty.rpc.counter import Counter, not_restricted
from services.loyalty.rpc.messages import (
    account_message,
    movement_message,
    programme_message,
    subscription_message,
    terms_of,
)
from services.loyalty.subscriptions import Requested


class Loyalty(LoyaltyServiceServicer):
    """Points and the newsletter."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        pages: Pages,
        people: People,
        keys: Keys,
        public_url: str,
        ledger: Counter,
    ) -> None:
        self.sessions, self.clock, self.pages, self.ledger = sessions, clock, pages, ledger
        self.people, self.keys, self.public_url = people, keys, public_url

    async def BeginSubscription(self, request: pb.BeginSubscriptionRequest, context: Context) -> Empty:
        email, user = request.email, caller().user
        if user is not None and not await self.is_own(user, email):
            user = None  # whoever reads that mailbox subscribes, and as a guest
        async with self.sessions.begin() as session:
            await subscriptions.begin(session, email=email, user=user, public_url=self.public_url, now=self.clock())
        return Empty()

    async def is_own(self, user: UUID, email: str) -> bool:
        own = await self.people.address_of(user)
        return own is not None and addresses.exact(own) == addresses.exact(email)

    async def ConfirmSubscription(self, request: pb.ConfirmSubscriptionRequest, context: Context) -> pb.Subscription:
        async with self.sessions.begin() as session:
            confirmed = await subscriptions.confirm(session, token=request.token, keys=self.keys, now=self.clock())
        return subscription_message(confirmed)

    async def EndSubscription(self, request: pb.EndSubscriptionRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await subscriptions.end(session, token=request.token, now=self.clock())
        return Empty()

    async def GetSubscription(self, request: pb.GetSubscriptionRequest, context: Context) -> pb.Subscription:
        user = parse("users/{user}/subscription", request.name)
        async with self.sessions() as session:
            found = await subscriptions.of_user(session, user, now=self.clock())
        if isinstance(found, Requested):
            return pb.Subscription(name=request.name, state=pb.Subscription.REQUESTED)
        return subscription_message(found)

    async def GetPointsAccount(self, request: pb.GetPointsAccountRequest, context: Context) -> pb.PointsAccount:
        user, now = parse("users/{user}/pointsAccount", request.name), self.clock()
        async with self.sessions() as session:
            await not_restricted(session, user)
            code = await programme.code_of(session, request.currency)
            if request.HasField("effective_time") or request.HasField("known_time"):
                balance = await points.balance_as_of(
                    session,
                    user,
                    code,
                    effective=moment(request.effective_time) if request.HasField("effective_time") else now,
                    known=moment(request.known_time) if request.HasField("known_time") else now,
                    now=now,
                )
            else:
                balance = await points.balance(session, user, code, now=now)
            word = await programme.word_of(session, code)
        return account_message(request.name, balance, word)

    async def ListMovements(self, request: pb.ListMovementsRequest, context: Context) -> pb.ListMovementsResponse:
        page, user = self.pages.of(request), parse("users/{user}/pointsAccount", request.parent)
        before = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            await not_restricted(session, user)
            account = await points.account_id(session, user, await programme.code_of(session, request.currency))
            rows = await movements(session, account, before=before, limit=page.reach) if account else []
        shown, token = page.cut(rows, lambda movement: (movement.seq,))
        told = [movement_message(user, movement) for movement in shown]
        return pb.ListMovementsResponse(movements=told, next_page_token=token)

    async def EarnPoints(self, request: pb.EarnPointsRequest, context: Context) -> pb.Movement:
        return await self.ledger.movement(request)

    async def VerifyLedger(self, request: pb.VerifyLedgerRequest, context: Context) -> pb.VerifyLedgerResponse:
        async with self.sessions() as session:
            verdict = await verify(session)
        return pb.VerifyLedgerResponse(
            balanced=not verdict.findings,
            sum_of_legs=verdict.sum_of_legs,
            entries=verdict.entries,
            findings=verdict.findings,
            totals=verdict.totals,
        )

    async def GetProgramme(self, request: pb.GetProgrammeRequest, context: Context) -> pb.Programme:
        async with self.sessions() as session:
            return programme_message(await programme.latest(session))

    async def UpdateProgramme(self, request: pb.UpdateProgrammeRequest, context: Context) -> pb.Programme:
        wanted = request.programme
        programme_data.check(wanted)
        async with self.sessions.begin() as session:
            replaced = await programme.replace(
                session,
                currency=wanted.currency,
                currencies=dict(wanted.other_currencies),
                newsletter_bonus=wanted.newsletter_bonus,
                points_per_unit=wanted.points_per_unit,
                terms=terms_of(wanted),
                etag=wanted.etag,
                now=(now := self.clock()),
            )
            await standings.judge_anew(session, replaced, now=now)
        return programme_message(replaced)
