"""Takes operations in as the contract says them, hands them to the ledger, and says what came of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rapport.loyalty.v1 import ledger_pb2, loyalty_pb2
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import caller
from chassis.database import Sessions
from chassis.names import parse
from chassis.personal_data import restrict
from chassis.refusal import InvalidField, Refusal, Violation
from chassis.time import Clock, moment
from services.loyalty import programme
from services.loyalty.ledger import movements
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.requests import (
    BY_REQUEST_ID,
    PRIORITY,
    Capture,
    Earn,
    PlaceHold,
    Policy,
    Redeem,
    Refund,
    Release,
    Request,
    Reverse,
    Transfer,
    Whose,
)
from services.loyalty.ledger.writer import Writer
from services.loyalty.models import Kind, Origin
from services.loyalty.programme import MAIN
from services.loyalty.rpc.messages import entry_message, new_hold_message

SCOPE = BY_REQUEST_ID  # no caller in it: an employee's id would stay in the journal for ever
ACCOUNT = "users/{user}/pointsAccount"
HOLD = "users/{user}/pointsAccount/holds/{hold}"
MOVEMENT = "users/{user}/pointsAccount/movements/{movement}"
LASTS = timedelta(minutes=15)
LONGEST = timedelta(days=30)
DOMAIN = "loyalty.rapport.example"


class Counter:
    """Where operations are handed in, one or many."""

    def __init__(self, sessions: Sessions, clock: Clock, writer: Writer) -> None:
        self.sessions, self.clock, self.writer = sessions, clock, writer

    async def movement(self, message: Any) -> loyalty_pb2.Movement:
        """Do one operation, or raise why it is refused."""
        user, entry = await self.entry(message)
        return entry_message(user, entry)

    async def entry(self, message: Any) -> tuple[UUID, Entry]:
        user, request = await self.request(message)
        done = self.writer.rehearse if message.validate_only else self.writer.post
        return user, await done(request)

    async def many(self, postings: Sequence[ledger_pb2.Posting]) -> list[ledger_pb2.Posted]:
        """Do many, each on its own; one whose request makes no sense stops none of the others."""
        told: list[tuple[UUID, Request] | Refusal] = [await self.understood(one) for one in postings]
        done = iter(await self.writer.post_all([one[1] for one in told if not isinstance(one, Refusal)]))
        return [refused(one) if isinstance(one, Refusal) else posted(one[0], one[1], next(done)) for one in told]

    async def understood(self, posting: ledger_pb2.Posting) -> tuple[UUID, Request] | Refusal:
        which = posting.WhichOneof("operation")
        if which is None:
            return invalid("operation", "REQUIRED", "Say what to do.")
        message = getattr(posting, which)
        if message.validate_only:
            return invalid(f"{which}.validate_only", "NOT_HERE", "Only single calls answer what would be done.")
        try:
            return await self.request(message)
        except Refusal as refusal:
            return refusal

    async def request(self, message: Any) -> tuple[UUID, Request]:
        """Whose account it is, and what to do to it."""
        user, request = READ[type(message)](message)
        if isinstance(request, Earn):
            await self.in_time(request)
        asked = getattr(message, "currency", "")
        if asked not in ("", MAIN):
            async with self.sessions() as session:
                await programme.code_of(session, asked)
        return user, request

    async def in_time(self, request: Earn) -> None:
        """Refuse points that would end before they begin, but for those that were given in time and are asked again."""
        try:
            in_order(request, self.clock())
        except InvalidField:
            async with self.sessions() as session:
                if not await movements.has(session, SCOPE, request.key or ""):
                    raise


def in_order(request: Earn, now: datetime) -> None:
    """Points are earned by now, wait, can be spent, and end: in this order."""
    effective = request.effective or now
    if effective > now:
        raise invalid("effective_time", "IN_THE_FUTURE", "Points are earned by now.")
    if request.expire_time is not None and request.expire_time <= max(effective, request.available_time or effective):
        raise invalid("expire_time", "TOO_EARLY", "Points end after they are earned, and after they can be spent.")


def posted(user: UUID, request: Request, result: Result) -> ledger_pb2.Posted:
    if isinstance(result, Refusal):
        return refused(result)
    if isinstance(request, PlaceHold):
        return ledger_pb2.Posted(hold=new_hold_message(user, result))
    return ledger_pb2.Posted(movement=entry_message(user, result))


def refused(refusal: Refusal) -> ledger_pb2.Posted:
    return ledger_pb2.Posted(refused=refusal.status(DOMAIN))


async def not_restricted(session: AsyncSession, user: UUID) -> None:
    """People may always see and do what is theirs; restriction binds everybody else."""
    if caller().user != user:
        await restrict.refuse(session, user)


# What the contract says, in the words of the ledger ------------------------------------------------------------------


def heeded(user: UUID) -> UUID | None:
    """Whose restriction binds who calls: people may always do what is theirs."""
    return None if caller().user == user else user


def earn(message: loyalty_pb2.EarnPointsRequest) -> tuple[UUID, Request]:
    user: UUID = parse(ACCOUNT, message.parent)
    origin = Origin(loyalty_pb2.Origin.Name(message.origin)) if message.origin else Origin.GOODWILL
    return user, Earn(
        account=Whose(user, message.currency or MAIN),
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        kind=Kind.GOODWILL,
        points=message.points,
        origin=origin,
        priority=message.priority if message.HasField("priority") else PRIORITY,
        effective=when(message, "effective_time"),
        available_time=when(message, "available_time"),
        expire_time=when(message, "expire_time"),
        default_term=True,
    )


def redeem(message: ledger_pb2.RedeemPointsRequest) -> tuple[UUID, Request]:
    user: UUID = parse(ACCOUNT, message.parent)
    account = Whose(user, message.currency or MAIN)
    return user, Redeem(account=account, heeds=heeded(user), scope=SCOPE, key=message.request_id, points=message.points)


def place_hold(message: ledger_pb2.CreateHoldRequest) -> tuple[UUID, Request]:
    user: UUID = parse(ACCOUNT, message.parent)
    lasts = message.lasts.ToTimedelta() if message.HasField("lasts") else LASTS
    if not timedelta(seconds=1) <= lasts <= LONGEST:
        raise invalid("lasts", "OUT_OF_RANGE", "A hold lasts a second at least, and 30 days at most.")
    account = Whose(user, message.currency or MAIN)
    return user, PlaceHold(
        account=account,
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        points=message.points,
        lasts=lasts,
    )


def capture(message: ledger_pb2.CaptureHoldRequest) -> tuple[UUID, Request]:
    user, hold = parse(HOLD, message.name)
    return user, Capture(
        account=Whose(user, MAIN),
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        hold=hold,
        points=message.points,
        final=message.final,
    )


def release(message: ledger_pb2.ReleaseHoldRequest) -> tuple[UUID, Request]:
    user, hold = parse(HOLD, message.name)
    return user, Release(account=Whose(user, MAIN), heeds=heeded(user), scope=SCOPE, key=message.request_id, hold=hold)


def refund(message: ledger_pb2.RefundPointsRequest) -> tuple[UUID, Request]:
    user, operation = parse(MOVEMENT, message.name)
    return user, Refund(
        account=Whose(user, MAIN),
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        operation=operation,
        points=message.points,
        grace=timedelta(days=message.grace_days) if message.HasField("grace_days") else None,
    )


def reverse(message: ledger_pb2.ReversePointsRequest) -> tuple[UUID, Request]:
    user, operation = parse(MOVEMENT, message.name)
    return user, Reverse(
        account=Whose(user, MAIN),
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        operation=operation,
        points=message.points,
        policy=Policy(ledger_pb2.ReversePointsRequest.Policy.Name(message.policy)),
    )


def transfer(message: ledger_pb2.TransferPointsRequest) -> tuple[UUID, Request]:
    user: UUID = parse(ACCOUNT, message.parent)
    currency = message.currency or MAIN
    return user, Transfer(
        account=Whose(user, currency),
        heeds=heeded(user),
        scope=SCOPE,
        key=message.request_id,
        to=Whose(parse(ACCOUNT, message.destination), currency),
        points=message.points,
    )


READ: dict[type[Any], Any] = {
    loyalty_pb2.EarnPointsRequest: earn,
    ledger_pb2.RedeemPointsRequest: redeem,
    ledger_pb2.CreateHoldRequest: place_hold,
    ledger_pb2.CaptureHoldRequest: capture,
    ledger_pb2.ReleaseHoldRequest: release,
    ledger_pb2.RefundPointsRequest: refund,
    ledger_pb2.ReversePointsRequest: reverse,
    ledger_pb2.TransferPointsRequest: transfer,
}


def when(message: Any, field: str) -> datetime | None:
    return moment(getattr(message, field)) if message.HasField(field) else None


def invalid(field: str, reason: str, why: str) -> InvalidField:
    return InvalidField("The operation is not as it should be.", violations=[Violation(field, reason, why)])
