"""The movements of points."""

from collections.abc import AsyncIterator

from rapport.loyalty.v1 import ledger_pb2 as pb
from rapport.loyalty.v1.ledger_pb2_grpc import LedgerServiceServicer
from rapport.loyalty.v1.loyalty_pb2 import Movement

from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from services.loyalty import points, programme
from services.loyalty.ledger.movements import hold_of, lots
from services.loyalty.rpc.counter import ACCOUNT, HOLD, Counter, not_restricted
from services.loyalty.rpc.messages import hold_message, lot_message, new_hold_message


class Ledger(LedgerServiceServicer):
    """Operations go over the counter; what is asked to be shown is read here."""

    def __init__(self, counter: Counter, pages: Pages) -> None:
        self.counter, self.pages = counter, pages
        self.sessions, self.clock = counter.sessions, counter.clock

    async def RedeemPoints(self, request: pb.RedeemPointsRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def CreateHold(self, request: pb.CreateHoldRequest, context: Context) -> pb.Hold:
        user, entry = await self.counter.entry(request)
        return new_hold_message(user, entry)

    async def GetHold(self, request: pb.GetHoldRequest, context: Context) -> pb.Hold:
        user, hold = parse(HOLD, request.name)
        async with self.sessions() as session:
            await not_restricted(session, user)
            found = await hold_of(session, user, hold)
        return hold_message(user, found, now=self.clock())

    async def CaptureHold(self, request: pb.CaptureHoldRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def ReleaseHold(self, request: pb.ReleaseHoldRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def RefundPoints(self, request: pb.RefundPointsRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def ReversePoints(self, request: pb.ReversePointsRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def TransferPoints(self, request: pb.TransferPointsRequest, context: Context) -> Movement:
        return await self.counter.movement(request)

    async def ListLots(self, request: pb.ListLotsRequest, context: Context) -> pb.ListLotsResponse:
        page, user = self.pages.of(request), parse(ACCOUNT, request.parent)
        after = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            await not_restricted(session, user)
            account = await points.account_id(session, user, await programme.code_of(session, request.currency))
            rows = await lots(session, account, now=self.clock(), after=after, limit=page.reach) if account else []
        shown, token = page.cut(rows, lambda lot: (lot.seq,))
        return pb.ListLotsResponse(lots=[lot_message(user, lot) for lot in shown], next_page_token=token)

    async def BatchPost(self, request: pb.BatchPostRequest, context: Context) -> pb.BatchPostResponse:
        return pb.BatchPostResponse(posted=await self.counter.many(request.postings))

    async def StreamPost(
        self, request_iterator: AsyncIterator[pb.StreamPostRequest], context: Context
    ) -> AsyncIterator[pb.StreamPostResponse]:
        async for request in request_iterator:
            [posted] = await self.counter.many([request.posting])
            yield pb.StreamPostResponse(posted=posted)
