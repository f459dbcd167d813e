"""Any history ends as on paper: random operations on points, done to the service and to `tests.loyalty.paper`.

Several histories run beside each other, each with members of its own, and what they do at one time goes in as one
batch. After every step the two layers of the books are what the paper says.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import permutations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.loyalty.jobs import book_what_is_due
from tests.loyalty.conftest import World
from tests.loyalty.history import BESIDE, HISTORIES, Histories, Step
from tests.loyalty.ledger import Till
from tests.loyalty.paper import Paper, Refused
from tests.world import refused


async def run(world: World, ticks: Sequence[tuple[int, Sequence[Step]]]) -> None:
    histories = Histories(world)
    for days, steps in ticks:
        await histories.take(days, steps)
    await histories.end()


ORDINARY = settings(
    max_examples=100 // BESIDE,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a smaller example costs minutes, and each history is small
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@ORDINARY
@given(ticks=HISTORIES)
async def test_any_history_is_as_on_paper_after_every_step(
    no_jobs: None, world: World, balanced: None, ticks: list[tuple[int, list[Step]]]
) -> None:
    await run(world, ticks)


@pytest.mark.long
@settings(ORDINARY, max_examples=2_000 // BESIDE)
@given(ticks=HISTORIES)
async def test_2000_histories_are_as_on_paper_after_every_step(
    no_jobs: None, world: World, balanced: None, ticks: list[tuple[int, list[Step]]]
) -> None:
    await run(world, ticks)


# What holds of histories as wholes -----------------------------------------------------------------------------------


async def walk(till: Till, days: Sequence[tuple[int, int]], *, with_a: bool) -> None:
    """Earn and spend; with A as well, which is earned before all and reversed after all."""
    a = await till.earn(40, ends=300) if with_a else None
    for gain, loss in days:
        await till.earn(gain + loss, ends=200 + gain)
        await till.redeem(loss)
    if a is not None:
        await till.reverse(a.name, 40)


@settings(ORDINARY, max_examples=5)
@given(days=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=4))
async def test_what_is_reversed_was_never_earned(no_jobs: None, world: World, days: list[tuple[int, int]]) -> None:
    one, other = Till.of(world), Till.of(world)
    await walk(one, days, with_a=True)
    await walk(other, days, with_a=False)
    assert await one.lots() == await other.lots()
    with_a, without = await one.wallet(), await other.wallet()
    assert (with_a.available, with_a.arrears) == (without.available, without.arrears)


@settings(ORDINARY, max_examples=3)
@given(ends=st.lists(st.integers(1, 6), min_size=2, max_size=4), looks=st.sets(st.integers(1, 7)))
async def test_it_does_not_matter_when_or_how_often_what_is_due_is_booked(
    no_jobs: None, world: World, ends: list[int], looks: set[int]
) -> None:
    """What is due to one is booked on some days, to the other at the end; both then say alike what time did."""
    one, other = Till.of(world), Till.of(world)
    for till in (one, other):
        for end in ends:
            await till.earn(10 + end, ends=end, waits=end / 2)
        await till.earn(5)
        await till.hold(5, lasts=3)
    for day in sorted(looks):
        one.at(day)
        with refused("INSUFFICIENT_POINTS"):
            await one.redeem(1_000)  # books what is due
    one.at(9)
    for _ in range(2):
        await book_what_is_due.work(world.sessions, world.now())
    assert sorted(await one.history()) == sorted(await other.history())
    assert (await one.wallet()).available == (await other.wallet()).available == 5


async def test_clients_at_once_end_as_in_some_order(no_jobs: None, world: World) -> None:
    """Four who spend, set aside, carry over and earn at once: what came of it is what comes of one of their orders."""
    for points in (30, 45, 60):
        one, other = Till.of(world), Till.of(world)
        await one.earn(70, ends=10)
        calls = [one.redeem(points), one.hold(points), one.transfer(other, points), one.earn(20)]
        told = await asyncio.gather(*calls, return_exceptions=True)
        done = tuple(not isinstance(answer, BaseException) for answer in told)
        left = ((await one.wallet()).available, (await one.wallet()).held, (await other.wallet()).available)
        assert (done, left) in {in_order(points, order) for order in permutations(range(4))}


def in_order(points: int, order: Sequence[int]) -> tuple[tuple[bool, ...], tuple[int, int, int]]:
    """What comes of it on paper, and what is left, when they come one after the other."""
    book = Paper(2)
    book.earn(0, 70, ends=10)
    acts: list[Callable[[], object]] = [
        lambda: book.redeem(0, points),
        lambda: book.hold(0, points, 20),
        lambda: book.transfer(0, 1, points),
        lambda: book.earn(0, 20),
    ]
    done = [False] * 4
    for number in order:
        try:
            acts[number]()
            done[number] = True
        except Refused:
            continue
    one, other = book.members
    return tuple(done), (one.has("open"), one.has("held"), other.has("open"))
