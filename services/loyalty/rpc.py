"""Speaks rapport.loyalty.v1; decides nothing."""

from uuid import UUID

from google.protobuf.empty_pb2 import Empty
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceServicer
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import caller
from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.personal_data import restrict
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.loyalty import addresses, journal, ledger, points, programme, subscriptions
from services.loyalty.bonus import Keys
from services.loyalty.journal import Movement
from services.loyalty.models import Programme, State, Subscription
from services.loyalty.people import People
from services.loyalty.subscriptions import Requested


class Loyalty(LoyaltyServiceServicer):
    """Points and the newsletter."""

    def __init__(
        self, sessions: Sessions, clock: Clock, pages: Pages, people: People, keys: Keys, public_url: str
    ) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages
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
        user = parse("users/{user}/pointsAccount", request.name)
        async with self.sessions() as session:
            await not_restricted(session, user)
            balance = await points.balance(session, user)
            word = await programme.currency(session)
        return pb.PointsAccount(name=request.name, available=balance.available, arrears=balance.arrears, currency=word)

    async def ListMovements(self, request: pb.ListMovementsRequest, context: Context) -> pb.ListMovementsResponse:
        page, user = self.pages.of(request), parse("users/{user}/pointsAccount", request.parent)
        before = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            await not_restricted(session, user)
            account = await points.account_id(session, user)
            rows = await journal.movements(session, account, before=before, limit=page.reach) if account else []
        shown, token = page.cut(rows, lambda movement: (movement.seq,))
        told = [movement_message(user, movement) for movement in shown]
        return pb.ListMovementsResponse(movements=told, next_page_token=token)

    async def EarnPoints(self, request: pb.EarnPointsRequest, context: Context) -> pb.Movement:
        user = parse("users/{user}/pointsAccount", request.parent)
        async with self.sessions.begin() as session:
            await not_restricted(session, user)
            movement = await points.give(session, user, request.points, key=request.request_id, now=self.clock())
        return movement_message(user, movement)

    async def VerifyLedger(self, request: pb.VerifyLedgerRequest, context: Context) -> pb.VerifyLedgerResponse:
        async with self.sessions() as session:
            verdict = await ledger.verify(session)
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
        async with self.sessions.begin() as session:
            replaced = await programme.replace(
                session,
                currency=wanted.currency,
                newsletter_bonus=wanted.newsletter_bonus,
                points_per_unit=wanted.points_per_unit,
                etag=wanted.etag,
                now=self.clock(),
            )
        return programme_message(replaced)


async def not_restricted(session: AsyncSession, user: UUID) -> None:
    """People may always see and do what is theirs; restriction binds everybody else."""
    if caller().user != user:
        await restrict.refuse(session, user)


def subscription_message(subscription: Subscription) -> pb.Subscription:
    owner = subscription.user_id
    return pb.Subscription(
        name=f"users/{owner}/subscription" if owner else "",
        state=pb.Subscription.CONFIRMED if subscription.state is State.CONFIRMED else pb.Subscription.ENDED,
        bonus=pb.Subscription.Bonus.Value(subscription.bonus.name),
        bonus_points=subscription.bonus_points,
        confirm_time=timestamp(subscription.confirm_time),
    )


def movement_message(user: UUID, movement: Movement) -> pb.Movement:
    order = movement.order_number
    return pb.Movement(
        name=f"users/{user}/pointsAccount/movements/{movement.id}",
        kind=pb.Movement.Kind.Value(movement.kind.name),
        points=movement.points,
        balance_after=movement.balance_after,
        order=f"users/{user}/orders/{order}" if order else "",
        effective_time=timestamp(movement.effective_time),
    )


def programme_message(rules: Programme) -> pb.Programme:
    return pb.Programme(
        currency=rules.currency,
        newsletter_bonus=rules.newsletter_bonus,
        points_per_unit=rules.points_per_unit,
        version=rules.version,
        etag=programme.etag(rules),
    )
