"""Bringing a friend: both earn with the first order, and neither where it comes back or they are one."""

import asyncio
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from rapport.loyalty.v1 import loyalty_pb2
from rapport.loyalty.v1 import rewards_pb2 as pb

from tests.loyalty.conftest import World
from tests.loyalty.shopper import Shopper, set_reward_rules
from tests.loyalty.test_erasure import erase
from tests.loyalty.test_orders import cancelled, paid, refunded
from tests.world import refused

R = pb.Referral


@pytest.fixture
async def rules(world: World) -> None:
    await world.set_rules(per_unit=0)  # orders earn nothing by themselves here
    await set_reward_rules(world, referrer_points=500, referred_points=250, claim_days=14, return_days=30)


async def brought(world: World) -> tuple[Shopper, Shopper]:
    """Somebody, and who they brought."""
    ada, bo = Shopper.of(world), Shopper.of(world)
    assert (await bo.claim(await ada.code())).state == R.CLAIMED
    return ada, bo


async def test_a_code_is_made_once_and_stays(world: World) -> None:
    ada = Shopper.of(world)
    told = await asyncio.gather(*(ada.code() for _ in range(4)))
    assert (len(set(told)), len(told[0])) == (1, 8)
    assert await Shopper.of(world).code() != told[0]


async def test_both_earn_with_the_first_order_and_spend_it_when_it_can_not_come_back(world: World, rules: None) -> None:
    ada, bo = await brought(world)
    assert (await ada.wallet(), await bo.wallet()) == ((0, 0, 0), (0, 0, 0))
    await world.hears(paid(world, bo.user, 20))
    assert (await ada.wallet(), await bo.wallet()) == ((0, 500, 0), (0, 250, 0))
    world.advance(days=29)
    assert await ada.wallet() == (0, 500, 0)
    world.advance(days=1)
    assert (await ada.wallet(), await bo.wallet()) == ((500, 0, 0), (250, 0, 0))
    await world.settle()
    kinds = [one.kind for one in await world.movements(ada.user)]
    assert kinds == [loyalty_pb2.Movement.ACTIVATE, loyalty_pb2.Movement.REFERRAL]
    assert await world.ask_database("SELECT DISTINCT origin FROM lot") == [("PROMOTION",)]
    await world.hears(paid(world, bo.user, 20, number="1002"))  # only the first order counts
    assert await ada.wallet() == (500, 0, 0)
    assert (await world.books()).balanced


async def test_an_order_that_comes_back_takes_both_back_as_if_never_earned(world: World, rules: None) -> None:
    ada, bo = await brought(world)
    await world.hears(paid(world, bo.user, 20), refunded(world, bo.user, 5))
    assert (await ada.wallet(), await bo.wallet()) == ((0, 500, 0), (0, 250, 0))  # the rest of it stays an order
    world.advance(days=31)
    await world.redeem(ada.user, 400)
    await world.hears(refunded(world, bo.user, 20))
    assert (await ada.wallet(), await bo.wallet()) == ((0, 0, 400), (0, 0, 0))
    await world.hears(refunded(world, bo.user, 20), cancelled(world, bo.user))
    assert await ada.wallet() == (0, 0, 400)
    books = await world.books()
    assert (books.balanced, books.totals["reversed"]) == (True, 750)


async def test_the_facts_of_the_first_order_in_any_order_leave_nothing(world: World, rules: None) -> None:
    for order in permutations(range(3)):
        ada, bo = await brought(world)
        facts = [paid(world, bo.user, 20), refunded(world, bo.user, 10), cancelled(world, bo.user)]
        await world.hears(*(facts[place] for place in order))
        await world.hears(*facts, paid(world, bo.user, 20, number="1002"))
        assert (await ada.wallet(), await bo.wallet()) == ((0, 0, 0), (0, 0, 0)), order
    assert (await world.books()).balanced


async def test_one_is_brought_once_and_the_same_request_is_the_same_claim(world: World, rules: None) -> None:
    ada, cy, bo, key = Shopper.of(world), Shopper.of(world), Shopper.of(world), str(uuid4())
    code = await ada.code()
    assert await bo.claim(code, key) == await bo.claim(code, key)
    with refused("REFERRAL_CLAIMED"):
        await bo.claim(await cy.code())
    assert await world.ask_database("SELECT count(*) FROM referral") == [(1,)]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("jane.doe@gmail.com", "JaneDoe+friend@googlemail.com"), ("jane@outlook.com", "jane+2@outlook.com")],
)
async def test_nobody_brings_themself(world: World, rules: None, mine: str, theirs: str) -> None:
    ada, again = Shopper.of(world, mine), Shopper.of(world, theirs)
    for one in (ada, again):
        with refused("REFERRAL_OF_SELF"):
            await one.claim(await ada.code())
    assert await world.ask_database("SELECT 1 FROM referral UNION ALL SELECT 1 FROM bonus_mark") == []


async def test_a_mailbox_is_brought_once_also_after_its_person_was_erased(world: World, rules: None) -> None:
    ada = Shopper.of(world)
    bo = Shopper.of(world, "jane.doe@gmail.com")
    await bo.claim(await ada.code())
    await erase(world, bo.user)
    with refused("REFERRAL_CLAIMED"):
        await Shopper.of(world, "janedoe+2@gmail.com").claim(await ada.code())


async def test_only_who_is_new_says_who_brought_them(world: World, rules: None) -> None:
    ada, late, buyer = Shopper.of(world), Shopper.of(world), Shopper.of(world)
    code = await ada.code()
    await world.hears(paid(world, buyer.user, 20))
    with refused("REFERRAL_CLOSED"):
        await buyer.claim(code)
    world.advance(days=14)
    with refused("REFERRAL_CLOSED"):
        await late.claim(code)
    with refused("REFERRAL_CODE_UNKNOWN"):
        await Shopper.of(world).claim("22222222")
    assert (await Shopper.of(world).claim(code)).state == R.CLAIMED


async def test_nobody_is_brought_while_nothing_is_given_for_it(world: World) -> None:
    with refused("REFERRAL_CLOSED"):
        await Shopper.of(world).claim(await Shopper.of(world).code())


async def test_what_was_claimed_by_earlier_rules_keeps_them(world: World, rules: None) -> None:
    ada, bo = await brought(world)
    await set_reward_rules(world, referrer_points=1, referred_points=1, claim_days=14, return_days=1)
    await world.hears(paid(world, bo.user, 20))
    world.advance(days=2)
    assert await ada.wallet() == (0, 500, 0)


async def test_who_was_erased_earns_nothing_and_the_other_still_does(world: World, rules: None) -> None:
    ada, bo = await brought(world)
    await erase(world, ada.user)
    await world.hears(paid(world, bo.user, 20))
    assert await bo.wallet() == (0, 250, 0)
    books = await world.books()
    assert (books.balanced, books.totals["issued"]) == (True, 250)


async def test_the_order_of_an_erased_friend_still_takes_back_what_it_brought(world: World, rules: None) -> None:
    ada, bo = await brought(world)
    await world.hears(paid(world, bo.user, 20))
    await erase(world, bo.user)
    await world.hears(cancelled(world, bo.user))
    assert await ada.wallet() == (0, 0, 0)
    books = await world.books()
    assert books.balanced, books.findings
    assert await row_of(world, bo.user) == []


async def test_two_who_brought_each_other_order_at_once_and_nobody_waits_in_a_circle(world: World, rules: None) -> None:
    pairs = [(Shopper.of(world), Shopper.of(world)) for _ in range(4)]
    for one, other in pairs:
        await one.claim(await other.code())
        await other.claim(await one.code())
    await asyncio.gather(*(world.hears(paid(world, one.user, 20)) for pair in pairs for one in pair))
    assert {await one.wallet() for pair in pairs for one in pair} == {(0, 750, 0)}
    assert await world.ask_database("SELECT 1 FROM setback") == []
    assert (await world.books()).balanced


async def row_of(world: World, user: UUID) -> list[Any]:
    return await world.ask_database(
        "SELECT 1 FROM referral JOIN member USING (account_id) WHERE user_id = :user", user=user
    )
