"""Two of loyalty on one database are as one: no deadlock, one answer per key, and nothing accepted is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import grpc
import pytest
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned, PointsTransferred
from rapport.loyalty.v1.ledger_pb2_grpc import LedgerServiceStub
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from sqlalchemy import text

from chassis.database import connect
from chassis.refusal import refused as read_refusal
from chassis.settings import Secret
from services.loyalty.__main__ import service
from services.loyalty.ledger import writer
from services.loyalty.settings import Settings
from tests import world as worlds
from tests.loyalty.conftest import BONUS_KEY, World
from tests.loyalty.ledger import Till
from tests.loyalty.test_erasure import erase
from tests.world import until_waiting

LOCK_ACCOUNT = text("""
SELECT 1 FROM account JOIN member ON account_id = account.id WHERE user_id = :user FOR UPDATE OF account
""")
LOCK_CHAIN = text("SELECT 1 FROM chain FOR UPDATE")


@dataclass
class Pair:
    """The same store, at the counter of either replica."""

    one: World
    other: World

    def tills(self) -> tuple[Till, Till]:
        """One person at both."""
        first = Till.of(self.one)
        return first, Till(self.other, first.user, first.begin)

    @asynccontextmanager
    async def locked(self, statement: Any, **values: Any) -> AsyncIterator[None]:
        """While somebody else holds a row."""
        async with self.one.sessions.begin() as session:
            await session.execute(statement, values)
            yield

    async def until_waiting(self, most: int) -> None:
        """Until so many wait for a lock."""
        await until_waiting(self.one.sessions, most)


@pytest.fixture
async def pair(no_jobs: None, world: World, tmp_path: Any) -> AsyncIterator[Pair]:
    url = world.sessions.kw["bind"].url.render_as_string(hide_password=False)
    place = tmp_path / "other"
    place.mkdir()
    told = worlds.settings(
        Settings,
        place,
        name="loyalty",
        database=url,
        identity_target="127.0.0.1:9",
        public_url="https://store.example.org",
        bonus_key=Secret(BONUS_KEY),
    )
    engine, sessions = connect(url, name="tests")
    async with worlds.running(service(told, sessions, world.clock), told) as channel:
        other = replace(world, stub=LoyaltyServiceStub(channel), ledger=LedgerServiceStub(channel), channel=channel)
        yield Pair(world, other)
    await engine.dispose()


async def answers(*calls: Any) -> list[Any]:
    """What each said: the message, or the reason why not."""
    return [answer(one) for one in await asyncio.gather(*calls, return_exceptions=True)]


def answer(told: Any) -> Any:
    assert isinstance(told, pb.Movement | grpc.aio.AioRpcError), told
    return read_refusal(told).reason if isinstance(told, grpc.aio.AioRpcError) else told


async def balanced(pair: Pair) -> None:
    told = await pair.other.books()
    assert told.balanced, told.findings


async def test_transfers_there_and_back_at_once_never_deadlock(pair: Pair) -> None:
    ada, bo = pair.tills(), pair.tills()
    await ada[0].earn(1_000)
    await bo[0].earn(1_000)
    told = await answers(
        *(ada[number % 2].transfer(bo[0], 1) for number in range(60)),
        *(bo[number % 2].transfer(ada[0], 1) for number in range(60)),
    )
    assert [one for one in told if isinstance(one, str)] == []
    assert [await one.available() for one in (*ada, *bo)] == [1_000] * 4
    assert len(await pair.one.stated(PointsTransferred)) == 240
    [(deadlocks,)] = await pair.one.ask_database(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0
    await balanced(pair)


async def test_one_key_at_both_is_one_movement(pair: Pair) -> None:
    one, other = pair.tills()
    key = str(uuid4())
    told = await answers(*(till.earn(10, key=key) for till in (one, other) * 20))
    assert len({movement.name for movement in told}) == 1
    assert await one.available() == 10
    assert len(await pair.one.stated(PointsEarned)) == 1


async def test_one_key_for_two_accounts_at_both_is_one_movement(pair: Pair) -> None:
    """Neither sees the other's operation before it commits: neither can commit until both wait."""
    ada, bo = Till.of(pair.one), Till.of(pair.other)
    await ada.earn(1)
    await bo.earn(1)
    key = str(uuid4())
    async with pair.locked(LOCK_CHAIN):  # each has written its operation, or waits for who has, and cannot commit
        calls = asyncio.create_task(answers(ada.earn(10, key=key), bo.earn(10, key=key)))
        await pair.until_waiting(2)
    told = await calls
    assert [isinstance(one, pb.Movement) for one in told].count(True) == 1
    assert "REQUEST_ID_REUSED" in told
    assert sorted([await ada.available(), await bo.available()]) == [1, 11]
    await balanced(pair)


async def test_of_two_who_waited_for_one_account_one_spends_its_points(pair: Pair) -> None:
    one, other = pair.tills()
    await one.earn(100)
    async with pair.locked(LOCK_ACCOUNT, user=one.user):
        calls = asyncio.create_task(answers(one.redeem(80), other.redeem(80)))
        await pair.until_waiting(2)
    told = await calls
    assert [isinstance(one, pb.Movement) for one in told].count(True) == 1
    assert "INSUFFICIENT_POINTS" in told
    assert await other.available() == 20
    await balanced(pair)


async def test_a_refund_and_a_reversal_that_waited_for_each_other_end_as_in_either_order(pair: Pair) -> None:
    one, other = pair.tills()
    earned = await one.earn(100)
    spent = await one.redeem(80)
    async with pair.locked(LOCK_ACCOUNT, user=one.user):
        calls = asyncio.create_task(answers(one.refund(spent.name, 80), other.reverse(earned.name, 100)))
        await pair.until_waiting(2)
    assert all(isinstance(one, pb.Movement) for one in await calls)
    wallet = await other.wallet()
    assert (wallet.available, wallet.arrears) == (0, 0)
    await balanced(pair)


async def test_more_is_never_given_back_than_was_spent_though_both_waited(pair: Pair) -> None:
    one, other = pair.tills()
    await one.earn(100)
    spent = await one.redeem(80)
    async with pair.locked(LOCK_ACCOUNT, user=one.user):
        calls = asyncio.create_task(answers(one.refund(spent.name, 50), other.refund(spent.name, 50)))
        await pair.until_waiting(2)
    assert "EXCEEDS_REDEEMED" in await calls
    assert await other.available() == 70


async def test_points_that_waited_for_an_erasure_are_forfeited_or_refused(pair: Pair) -> None:
    one, other = pair.tills()
    await one.earn(5)
    async with pair.locked(LOCK_ACCOUNT, user=one.user):
        erasing = asyncio.create_task(erase(pair.one, one.user))
        await pair.until_waiting(1)
        calls = asyncio.create_task(answers(other.earn(10), one.earn(10)))
        await pair.until_waiting(3)
    told = await calls
    await erasing
    given = sum(isinstance(one, pb.Movement) for one in told)
    assert {one for one in told if isinstance(one, str)} <= {"ACCOUNT_CLOSED"}
    totals = (await pair.one.books()).totals
    assert (totals["forfeited"], totals["available"]) == (5 + 10 * given, 0)
    await balanced(pair)


async def test_who_waits_for_the_chain_comes_in_after_who_has_it(pair: Pair) -> None:
    ada, bo = Till.of(pair.one), Till.of(pair.other)
    async with pair.locked(LOCK_CHAIN):
        calls = asyncio.gather(ada.earn(1), bo.earn(2))
        await pair.until_waiting(2)
    assert [one.points for one in await calls] == [1, 2]
    numbers = await pair.one.ask_database("SELECT number FROM seal ORDER BY number")
    assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))
    await balanced(pair)


async def test_no_accepted_operation_is_lost_when_both_are_full(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair.tills()
    monkeypatch.setattr(writer, "QUEUED", 5)
    told = await answers(*((one, other)[number % 2].earn(1) for number in range(200)))
    done = {movement.name for movement in told if isinstance(movement, pb.Movement)}
    assert {reason for reason in told if isinstance(reason, str)} == {"LEDGER_BUSY"}
    assert done
    assert await one.available() == len(done) == len(told) - told.count("LEDGER_BUSY")
    await balanced(pair)
