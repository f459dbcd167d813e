"""A run that a seed decides alone: in which order requests come into batches, which batch dies before or after its
COMMIT, which answers are lost, and which facts are told again. In the end each key was done, or refused, once.

What fails is the session over a real database, as it does when its server is gone; the caller asks again, by its key.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.refusal import Refusal
from services.loyalty import orders
from services.loyalty.ledger.book import Entry
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.requests import (
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
from services.loyalty.ledger.writer import Waiting, Writer
from services.loyalty.models import Kind
from services.loyalty.orders import Fact
from services.loyalty.programme import MAIN
from tests.loyalty.conftest import World

SCOPE, FIRST, SECOND, FACTS = "simulated", 24, 16, 6
KEYS = "SELECT key, count(*) FROM operation WHERE scope = :scope AND key = ANY(:keys) GROUP BY key"
ORDERS = "SELECT key, count(*) FROM operation WHERE scope LIKE 'commerce/%' GROUP BY scope, key"


class Shaky:
    """Sessions whose server dies, as the seed has it, right before or right after a COMMIT."""

    def __init__(self, sessions: Sessions, chance: Random) -> None:
        self.sessions, self.chance = sessions, chance
        self.deaths: list[str] = []

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        fate = self.chance.choice(["lives", "lives", "dies before", "dies after"])
        self.deaths.append(fate)
        async with self.sessions() as session:
            yield session
            if fate == "dies before":
                raise gone()
            await session.commit()
        if fate == "dies after":
            raise gone()


def gone() -> DBAPIError:
    return DBAPIError("COMMIT", None, ConnectionError("the server is gone"), connection_invalidated=True)


@dataclass
class Caller:
    """Asks for one thing until the answer is heard, and perhaps once more."""

    request: Request
    answers: list[Result] = field(default_factory=list)

    @property
    def told(self) -> Any:
        """What was answered, always the same."""
        said = {(type(one).__name__, getattr(one, "id", None) or str(one)) for one in self.answers}
        assert len(said) == 1, f"one key, several answers: {said}"
        return self.answers[0]


class Run:
    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, Random(seed)
        self.sessions = Shaky(world.sessions, self.chance)
        self.writer = Writer(cast(Sessions, self.sessions), world.clock)
        self.users = [world.person() for _ in range(3)]
        self.keys: list[str] = []
        self.trace: list[Any] = []

    def named(self) -> dict[str, Any]:
        self.keys.append(str(uuid4()))
        return {"scope": SCOPE, "key": self.keys[-1]}

    def whose(self) -> Whose:
        return Whose(self.chance.choice(self.users), MAIN)

    # What is asked -----------------------------------------------------------------------------------------------

    def first(self) -> Request:
        account, points = self.whose(), self.chance.randint(1, 50)
        made = self.chance.randrange(5)
        if made == 0:
            return Redeem(account=account, points=points, **self.named())
        if made == 1:
            return PlaceHold(account=account, points=points, lasts=timedelta(days=1), **self.named())
        if made == 2:
            return Transfer(account=account, to=self.whose(), points=points, **self.named())
        return Earn(account=account, kind=Kind.GOODWILL, points=points, **self.named())

    def second(self, done: Sequence[tuple[Request, Entry]]) -> Request:
        before, entry = self.chance.choice(done)
        account, points = before.account, self.chance.randint(1, 50)
        if isinstance(before, Earn):
            policy = self.chance.choice(list(Policy))
            return Reverse(account=account, operation=entry.id, points=points, policy=policy, **self.named())
        if isinstance(before, Redeem):
            return Refund(account=account, operation=entry.id, points=points, **self.named())
        if isinstance(before, PlaceHold) and self.chance.random() < 0.5:
            return Capture(account=account, hold=entry.id, points=points, **self.named())
        if isinstance(before, PlaceHold):
            return Release(account=account, hold=entry.id, **self.named())
        return Earn(account=account, kind=Kind.GOODWILL, points=points, **self.named())

    # How it comes in ------------------------------------------------------------------------------------------------

    async def all_of(self, callers: list[Caller]) -> None:
        """Batches of whoever still asks, in any order, until everybody has heard."""
        asking = list(callers)
        while asking:
            self.chance.shuffle(asking)
            size = self.chance.randint(1, 12)
            batch, asking = asking[:size], asking[size:]
            asking += await self.batch(batch)

    async def batch(self, callers: Sequence[Caller]) -> list[Caller]:
        """Have these in one batch. Returns those who ask again."""
        waiting = [Waiting([one.request], asyncio.get_running_loop().create_future()) for one in callers]
        self.writer.queue.extend(waiting)
        self.writer.queued += len(waiting)
        await self.writer.write()
        again = []
        for caller, one in zip(callers, waiting, strict=True):
            if one.answer.exception() is not None or self.chance.random() < 0.2:  # no answer, or a lost one
                again.append(caller)
                continue
            caller.answers += one.answer.result()
            self.trace.append(outcome(caller.told))
            if self.chance.random() < 0.2:  # asked twice by mistake
                again.append(caller)
        return again

    async def facts(self) -> None:
        """Facts about orders, each told until it was acknowledged, and some once more; in any order."""
        told = [(number, kind) for number in range(FACTS // 2) for kind in ("paid", "refunded")]
        told += [self.chance.choice(told) for _ in range(3)]
        self.chance.shuffle(told)
        while told:
            number, kind = told.pop()
            try:
                async with self.sessions.begin() as session:
                    await self.hear(session, number, kind)
            except DBAPIError:
                told.insert(self.chance.randint(0, len(told)), (number, kind))

    async def hear(self, session: AsyncSession, number: int, kind: str) -> None:
        now = self.world.now()
        fact = Fact(self.users[number % 3], f"S-{number}", now, now)
        if kind == "paid":
            await orders.paid(session, fact, Decimal(30), "EUR")
        else:
            await orders.refunded(session, fact, Decimal(10), "EUR")


def outcome(result: Result) -> Any:
    if isinstance(result, Refusal):
        return result.reason
    return result.kind, result.available, result.available_after, result.held_after


async def simulate(world: World, seed: int) -> list[Any]:
    print(f"\n  seed {seed}")
    run = Run(world, seed)
    first = [Caller(run.first()) for _ in range(FIRST)]
    await run.all_of(first)
    done = [(one.request, one.told) for one in first if isinstance(one.told, Entry)]
    second = [Caller(run.second(done)) for _ in range(SECOND)] if done else []
    await run.all_of(second)
    await run.facts()
    await check(world, run, [*first, *second])
    return run.trace


async def check(world: World, run: Run, callers: Sequence[Caller]) -> None:
    """Exactly once per key, what was answered is what is there, and the books are right."""
    assert {"dies before", "dies after"} <= set(run.sessions.deaths), "nothing died"
    rows = dict(await world.ask_database(KEYS, scope=SCOPE, keys=run.keys))
    assert rows == dict.fromkeys(run.keys, 1)
    assert {count for _, count in await world.ask_database(ORDERS)} == {1}
    earned = [one.told for one in callers if isinstance(one.request, Earn)]
    points = sum(one.available - one.arrears for one in earned)
    given = sum(one.request.points for one in callers if isinstance(one.request, Earn))
    assert points == given
    account = await balances(world, run.users)
    assert account == await journal(world, run.users)


async def balances(world: World, users: Sequence[UUID]) -> list[Any]:
    query = """
    SELECT account.id, available, pending, held, arrears FROM account JOIN member ON account_id = account.id
    WHERE user_id = ANY(:users) ORDER BY account.id"""
    return [tuple(row) for row in await world.ask_database(query, users=list(users))]


async def journal(world: World, users: Sequence[UUID]) -> list[Any]:
    query = """
    SELECT account_id, sum(available)::bigint, sum(pending)::bigint, sum(held)::bigint, sum(arrears)::bigint
    FROM operation JOIN member USING (account_id) WHERE user_id = ANY(:users) GROUP BY account_id ORDER BY account_id"""
    return [tuple(row) for row in await world.ask_database(query, users=list(users))]


@pytest.mark.parametrize("seed", range(8))
async def test_each_key_is_done_once_whatever_dies(no_jobs: None, world: World, balanced: None, seed: int) -> None:
    await simulate(world, seed)


async def test_a_seed_always_ends_alike(no_jobs: None, world: World, balanced: None) -> None:
    assert await simulate(world, 8) == await simulate(world, 8)


@pytest.mark.long
async def test_each_key_is_done_once_over_200_seeds(no_jobs: None, world: World, balanced: None) -> None:
    for seed in range(100, 300):
        await simulate(world, seed)
