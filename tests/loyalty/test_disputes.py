"""A disputed order: what it earned waits, and goes or comes back with the decision."""

from itertools import permutations
from uuid import UUID

import pytest
from google.protobuf.message import Message
from rapport.commerce.v1.events_pb2 import OrderDisputed, OrderDisputeResolved

from tests.loyalty.conftest import World
from tests.loyalty.ledger import Till
from tests.loyalty.shopper import Shopper
from tests.loyalty.test_erasure import erase
from tests.loyalty.test_orders import M, about, paid, refunded


def disputed(world: World, user: UUID, number: str = "1001") -> Message:
    return OrderDisputed(**about(world, user, number))


def resolved(world: World, user: UUID, outcome: "OrderDisputeResolved.Outcome.ValueType") -> Message:
    return OrderDisputeResolved(**about(world, user, "1001"), outcome=outcome)


def won(world: World, user: UUID) -> Message:
    return resolved(world, user, OrderDisputeResolved.WON)


def lost(world: World, user: UUID) -> Message:
    return resolved(world, user, OrderDisputeResolved.LOST)


async def test_what_a_disputed_order_earned_waits_and_the_rest_does_not(world: World) -> None:
    ada = Shopper.of(world)
    await world.earn(ada.user, 7)
    await world.hears(paid(world, ada.user, 100), paid(world, ada.user, 5, number="1002"))
    await world.hears(disputed(world, ada.user), disputed(world, ada.user))
    assert await ada.wallet() == (12, 100, 0)
    world.advance(days=4000)
    await world.settle()
    assert await ada.wallet() == (12, 100, 0)
    kinds = [(one.kind, one.points, one.pending) for one in await world.movements(ada.user)]
    assert kinds[0] == (M.DISPUTE, -100, 100)
    assert (await world.books()).balanced


async def test_a_dispute_that_is_won_leaves_everything_as_before(world: World) -> None:
    till = Till.of(world)
    ada = Shopper(world, till.user)
    await world.hears(paid(world, ada.user, 100))
    await till.redeem(30)
    await world.hears(disputed(world, ada.user))
    assert await ada.wallet() == (0, 70, 0)
    await world.hears(won(world, ada.user), won(world, ada.user), lost(world, ada.user))  # the first decision counts
    assert await ada.wallet() == (70, 0, 0)
    await till.redeem(70)
    await world.hears(disputed(world, ada.user))
    assert await ada.wallet() == (0, 0, 0)
    books = await world.books()
    assert (books.balanced, books.totals["reversed"]) == (True, 0)


async def test_a_dispute_that_is_lost_takes_back_all_that_the_order_earned(world: World) -> None:
    ada = Shopper.of(world)
    await world.hears(paid(world, ada.user, 100))
    await world.redeem(ada.user, 30)
    await world.hears(disputed(world, ada.user), lost(world, ada.user), lost(world, ada.user))
    assert await ada.wallet() == (0, 0, 30)
    books = await world.books()
    assert (books.balanced, books.totals["reversed"]) == (True, 100)


@pytest.mark.parametrize(("decision", "left"), [(won, 70), (lost, 0)])
async def test_the_facts_of_a_disputed_order_in_any_order_end_alike(world: World, decision: object, left: int) -> None:
    for order in permutations(range(4)):
        ada = Shopper.of(world)
        facts = [
            paid(world, ada.user, 100),
            refunded(world, ada.user, 30),
            disputed(world, ada.user),
            decision(world, ada.user),  # type: ignore[operator]
        ]
        await world.hears(*(facts[place] for place in order))
        assert await ada.wallet() == (left, 0, 0), order
    assert (await world.books()).balanced


async def test_a_refund_while_it_is_disputed_takes_what_waits(world: World) -> None:
    ada = Shopper.of(world)
    await world.hears(paid(world, ada.user, 100), disputed(world, ada.user), refunded(world, ada.user, 40))
    assert await ada.wallet() == (0, 60, 0)
    await world.hears(won(world, ada.user))
    assert await ada.wallet() == (60, 0, 0)


async def test_who_is_erased_meanwhile_is_owed_nothing_by_the_end_of_a_dispute(world: World) -> None:
    ada, bo = Shopper.of(world), Shopper.of(world)
    for one, decision in ((ada, won), (bo, lost)):
        await world.hears(paid(world, one.user, 100), disputed(world, one.user))
        await erase(world, one.user)
        await world.hears(decision(world, one.user))
    books = await world.books()
    assert books.balanced, books.findings
    assert (books.totals["pending"], books.totals["available"], books.totals["arrears"]) == (0, 0, 0)
