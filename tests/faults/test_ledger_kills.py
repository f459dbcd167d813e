"""Loyalty and PostgreSQL are killed while many callers move points: what was acknowledged is there, once."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.ledger_pb2_grpc import LedgerServiceStub
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub

from chassis.client import channel
from deploy.local.credentials import target
from deploy.local.plan import Plan
from deploy.local.throwaway import platform
from tests.faults.test_kills import process
from tests.journeys.platform import database_of

BACK = 60.0  # seconds until a killed process serves again, on a machine that has much else to do
KILLS = 12
CALLERS = 24
ACCOUNTS = 8
BATCH = 20
SEED = 20_261_128
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
}
pytestmark = [pytest.mark.long, pytest.mark.faults]


@pytest.fixture(scope="module")
def plan() -> Iterator[Plan]:
    with platform() as (running, _):
        yield running.plan


@dataclass
class Shop:
    """Moves points, and asks again under the same key until it is answered."""

    plan: Plan
    chance: random.Random
    channel: grpc.aio.Channel
    users: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(ACCOUNTS)])
    done: dict[str, str] = field(default_factory=dict)  # the movement of each key that was acknowledged
    refused: set[str] = field(default_factory=set)
    repeated: int = 0
    ends: bool = False

    def wallet(self) -> str:
        return f"users/{self.chance.choice(self.users)}/pointsAccount"

    def earn(self) -> pb.EarnPointsRequest:
        points = self.chance.randint(1, 50)
        return pb.EarnPointsRequest(parent=self.wallet(), points=points, request_id=str(uuid4()))

    def redeem(self) -> ledger_pb.RedeemPointsRequest:
        points = self.chance.randint(1, 50)
        return ledger_pb.RedeemPointsRequest(parent=self.wallet(), points=points, request_id=str(uuid4()))

    async def trade(self) -> None:
        points, ledger = LoyaltyServiceStub(self.channel), LedgerServiceStub(self.channel)
        while not self.ends:
            kind = self.chance.randrange(3)
            if kind == 0:
                earn = self.earn()
                self.heard(earn.request_id, await self.until_told(points.EarnPoints, earn))
            elif kind == 1:
                redeem = self.redeem()
                self.heard(redeem.request_id, await self.until_told(ledger.RedeemPoints, redeem))
            else:
                await self.batch(ledger)

    async def batch(self, ledger: Any) -> None:
        postings = [
            ledger_pb.Posting(earn=self.earn()) if number % 2 else ledger_pb.Posting(redeem=self.redeem())
            for number in range(BATCH)
        ]
        told = await self.until_told(ledger.BatchPost, ledger_pb.BatchPostRequest(postings=postings))
        for posting, posted in zip(postings, told.posted, strict=True):
            key = (posting.earn if posting.HasField("earn") else posting.redeem).request_id
            self.heard(key, posted.movement if posted.HasField("movement") else None)

    def heard(self, key: str, movement: Any) -> None:
        if movement is None:
            self.refused.add(key)
        else:
            self.done[key] = movement.name.rpartition("/")[2]

    async def until_told(self, call: Any, request: Any) -> Any:
        """The answer; None where it is a refusal."""
        while True:
            try:
                return await call(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                    return None
                if error.code() not in AGAIN:
                    raise
                self.repeated += 1
                await asyncio.sleep(0.05)


def kill(plan: Plan, name: str) -> None:
    """kill -9, and wait until the supervisor has it back."""
    before = process(plan, name)["pid"]
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + BACK
    while (now := process(plan, name))["pid"] == before or now["stage"] != "ready":
        assert time.monotonic() < until, f"{name} is not back within {BACK:.0f} s"
        time.sleep(0.05)


async def rows(plan: Plan, keys: list[str]) -> list[tuple[str, str, bool]]:
    connection = await asyncpg.connect(database_of(plan, "loyalty"))  # type: ignore[no-untyped-call]
    query = "SELECT key, id, refusal IS NULL FROM operation WHERE scope = 'request' AND key = ANY($1::text[])"
    found = [(row[0], str(row[1]), row[2]) for row in await connection.fetch(query, keys)]
    await connection.close()
    return found


def test_every_acknowledged_movement_is_there_once_over_12_kills(plan: Plan) -> None:
    chance = random.Random(SEED)
    print(f"\n  seed {SEED}, {KILLS} kills, {CALLERS} callers")

    async def run() -> None:
        token = plan.state.secret("token-operator").read_text()
        async with channel(target(plan, "loyalty"), service_token=token, name="operator") as open_channel:
            shop = Shop(plan, chance, open_channel)
            callers = [asyncio.create_task(shop.trade()) for _ in range(CALLERS)]
            for number in range(KILLS):
                await asyncio.sleep(chance.uniform(0.1, 1.0))
                await asyncio.to_thread(kill, plan, ("loyalty", "postgres")[number % 2])
            shop.ends = True
            await asyncio.gather(*callers)
            await check(shop, open_channel)

    asyncio.run(run())


async def check(shop: Shop, open_channel: grpc.aio.Channel) -> None:
    print(f"  {len(shop.done)} done, {len(shop.refused)} refused, {shop.repeated} asked again")
    assert shop.repeated, "no call met a kill"
    found = await rows(shop.plan, [*shop.done, *shop.refused])
    assert len(found) == len(shop.done) + len(shop.refused), "a key is missing, or there twice"
    assert {key: made for key, made, is_done in found if is_done} == shop.done
    assert {key for key, _, is_done in found if not is_done} == shop.refused
    told = await LoyaltyServiceStub(open_channel).VerifyLedger(pb.VerifyLedgerRequest(), timeout=60)
    assert told.balanced, told.findings
