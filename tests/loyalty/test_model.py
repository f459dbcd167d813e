"""Random histories, against a model that knows nothing of how it is done."""

import asyncio
from collections import defaultdict
from random import Random

from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.loyalty.conftest import World
from tests.loyalty.test_orders import cancelled, paid, refunded


class Naive:
    """One person's points, as a shopkeeper would reckon them on paper after every fact."""

    def __init__(self) -> None:
        self.gifts = self.spent = 0
        self.paid: dict[str, int] = {}
        self.refunded: dict[str, int] = defaultdict(int)
        self.cancelled: set[str] = set()

    # The first statement that an order is paid counts, and of refunds the greatest.
    def told(self, kind: str, order: str, units: int) -> None:
        if kind == "gift":
            self.gifts += units
        elif kind == "spent":
            self.spent += units
        elif kind == "paid":
            self.paid.setdefault(order, units)
        elif kind == "refunded":
            self.refunded[order] = max(self.refunded[order], units)
        else:
            self.cancelled.add(order)

    @property
    def points(self) -> int:
        orders = [
            0 if order in self.cancelled else max(units - self.refunded[order], 0) for order, units in self.paid.items()
        ]
        return self.gifts - self.spent + sum(orders)


Step = tuple[int, str, str, int]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose
        st.sampled_from(["gift", "spent", "paid", "paid", "refunded", "refunded", "cancelled"]),
        st.sampled_from(["1001", "1002"]),
        st.integers(1, 60),
    ),
    max_size=10,
)


class History:
    """The same steps, done to the service and told to the model."""

    def __init__(self, world: World) -> None:
        self.world, self.people, self.naive = world, [world.person(), world.person()], [Naive(), Naive()]
        self.facts: list[Message] = []

    async def take(self, step: Step) -> None:
        who, kind, order, units = step
        user, naive = self.people[who], self.naive[who]
        if kind == "gift":
            await self.world.earn(user, units)
        elif kind == "spent":
            units = min(units, max(naive.points, 0))
            if units:
                await self.world.spend(user, units)
        else:
            make = {"paid": paid, "refunded": refunded}.get(kind)
            fact = make(self.world, user, units, number=order) if make else cancelled(self.world, user, order)
            self.facts.append(fact)
            await self.world.hears(fact)
        naive.told(kind, order, units)

    async def check(self) -> None:
        for user, naive in zip(self.people, self.naive, strict=True):
            assert await self.world.balance(user) == (max(naive.points, 0), max(-naive.points, 0))
            rows = await self.world.movements(user)
            assert (rows[0].balance_after if rows else 0) == max(naive.points, 0)
            assert sum(one.points for one in rows) == max(naive.points, 0)
        told = await self.world.books()
        assert told.balanced, told.findings


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, again=st.randoms(use_true_random=False))
async def test_any_history_ends_as_on_paper(world: World, steps: list[Step], again: Random) -> None:
    history = History(world)
    for step in steps:
        await history.take(step)
        await history.check()
    # Every fact once more, under new ids, in another order, side by side.
    again.shuffle(history.facts)
    await asyncio.gather(*(world.hears(fact) for fact in history.facts))
    await history.check()
