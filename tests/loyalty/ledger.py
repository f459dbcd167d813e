"""Operations on points as the shop asks for them, on days that are counted from the beginning."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from google.protobuf.duration_pb2 import Duration
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import moment, timestamp
from tests.loyalty.conftest import OPERATOR, World

Policy = ledger_pb.ReversePointsRequest.Policy
FAR = timedelta(days=100_000)


@dataclass
class Till:
    """One person's points, at a till that speaks for the shop."""

    world: World
    user: UUID
    begin: datetime

    @classmethod
    def of(cls, world: World) -> "Till":
        return cls(world, world.person(), world.now())

    @property
    def account(self) -> str:
        return f"users/{self.user}/pointsAccount"

    def day(self, number: float) -> datetime:
        return self.begin + timedelta(days=number)

    def at(self, number: float) -> "Till":
        """Go on to that day."""
        self.world.clock.now = self.day(number)
        return self

    async def earn(
        self, points: int, *, ends: float | None = None, priority: int | None = None, waits: float | None = None,
        since: float | None = None, key: str = "", dry: bool = False,
    ) -> pb.Movement:  # fmt: skip
        request = pb.EarnPointsRequest(parent=self.account, points=points, request_id=key or str(uuid4()))
        for name, number in (("expire_time", ends), ("available_time", waits), ("effective_time", since)):
            if number is not None:
                getattr(request, name).CopyFrom(timestamp(self.day(number)))
        if priority is not None:
            request.priority = priority
        request.validate_only = dry
        return await self.world.stub.EarnPoints(request, metadata=OPERATOR)

    async def redeem(self, points: int, *, key: str = "", dry: bool = False) -> pb.Movement:
        request = ledger_pb.RedeemPointsRequest(
            parent=self.account, points=points, request_id=key or str(uuid4()), validate_only=dry
        )
        return await self.world.ledger.RedeemPoints(request, metadata=OPERATOR)

    async def hold(self, points: int, *, lasts: float = 20, key: str = "", dry: bool = False) -> ledger_pb.Hold:
        length = Duration()
        length.FromTimedelta(timedelta(days=lasts))
        request = ledger_pb.CreateHoldRequest(
            parent=self.account, points=points, lasts=length, request_id=key or str(uuid4()), validate_only=dry
        )
        return await self.world.ledger.CreateHold(request, metadata=OPERATOR)

    async def capture(self, hold: str, points: int, *, final: bool = False, key: str = "") -> pb.Movement:
        request = ledger_pb.CaptureHoldRequest(name=hold, points=points, final=final, request_id=key or str(uuid4()))
        return await self.world.ledger.CaptureHold(request, metadata=OPERATOR)

    async def release(self, hold: str, *, key: str = "") -> pb.Movement:
        request = ledger_pb.ReleaseHoldRequest(name=hold, request_id=key or str(uuid4()))
        return await self.world.ledger.ReleaseHold(request, metadata=OPERATOR)

    async def get_hold(self, hold: str) -> ledger_pb.Hold:
        return await self.world.ledger.GetHold(ledger_pb.GetHoldRequest(name=hold), metadata=OPERATOR)

    async def refund(self, movement: str, points: int, *, grace: int = 0, key: str = "") -> pb.Movement:
        request = ledger_pb.RefundPointsRequest(name=movement, points=points, request_id=key or str(uuid4()))
        if grace:
            request.grace_days = grace
        return await self.world.ledger.RefundPoints(request, metadata=OPERATOR)

    async def reverse(
        self, movement: str, points: int, policy: "Policy.ValueType" = ledger_pb.ReversePointsRequest.UNLIMITED,
        *, key: str = "",
    ) -> pb.Movement:  # fmt: skip
        request = ledger_pb.ReversePointsRequest(
            name=movement, points=points, policy=policy, request_id=key or str(uuid4())
        )
        return await self.world.ledger.ReversePoints(request, metadata=OPERATOR)

    async def transfer(self, to: "Till", points: int, *, key: str = "") -> pb.Movement:
        request = ledger_pb.TransferPointsRequest(
            parent=self.account, destination=to.account, points=points, request_id=key or str(uuid4())
        )
        return await self.world.ledger.TransferPoints(request, metadata=OPERATOR)

    # What there is ------------------------------------------------------------------------------------------------

    async def wallet(self, *, effective: float | None = None, known: float | None = None) -> pb.PointsAccount:
        request = pb.GetPointsAccountRequest(name=self.account)
        for name, number in (("effective_time", effective), ("known_time", known)):
            if number is not None:
                getattr(request, name).CopyFrom(timestamp(self.day(number)))
        return await self.world.stub.GetPointsAccount(request, metadata=self.world.as_(self.user))

    async def available(self) -> int:
        return (await self.wallet()).available

    async def lots(self) -> dict[float, int]:
        """What is open, by the day on which it ends; what never ends by -1."""
        request = ledger_pb.ListLotsRequest(parent=self.account)
        told = await self.world.ledger.ListLots(request, metadata=self.world.as_(self.user))
        found: dict[float, int] = {}
        for lot in told.lots:
            day = (moment(lot.expire_time) - self.begin) / timedelta(days=1) if lot.HasField("expire_time") else -1
            found[day] = found.get(day, 0) + lot.open
        return {day: points for day, points in found.items() if points}

    async def totals(self) -> dict[str, int]:
        """The programme's side of the books, which are right."""
        told = await self.world.books()
        assert told.balanced, told.findings
        return {name: total for name, total in told.totals.items() if total}

    async def history(self) -> list[tuple[str, float, int]]:
        """Kind, day and available points of each movement, oldest first."""
        rows = list(reversed(await self.world.movements(self.user, page_size=200)))
        day = timedelta(days=1)
        return [
            (pb.Movement.Kind.Name(row.kind), (moment(row.effective_time) - self.begin) / day, row.points)
            for row in rows
        ]
