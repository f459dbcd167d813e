"""What comes too often is flagged, held until somebody decides, or denied: before it is posted, and with its why."""

import asyncio
from typing import Any
from uuid import uuid4

from rapport.loyalty.v1 import loyalty_pb2
from rapport.loyalty.v1 import rewards_pb2 as pb

from services.loyalty import velocity
from services.loyalty.keys import Keys
from services.loyalty.models import Action, Verdict
from tests.chassis.events import until
from tests.loyalty.conftest import BONUS_KEY, World
from tests.loyalty.shopper import Shopper, approve, limit, refuse, reviews, set_reward_rules
from tests.loyalty.test_erasure import erase
from tests.loyalty.test_orders import cancelled, paid
from tests.world import refused

S = loyalty_pb2.Subscription
W = pb.Review
DOMAIN, MAILBOX, MEMBER = pb.MAIL_DOMAIN, pb.MAILBOX, pb.MEMBER


async def subscribe(world: World, email: str) -> tuple[Shopper, loyalty_pb2.Subscription]:
    one = Shopper.of(world, email)
    return one, await world.subscribe(email, one.user)


async def test_another_address_of_what_may_be_one_mailbox_is_paid_and_flagged(world: World) -> None:  # N6
    await set_reward_rules(world, limit(pb.BONUS, MAILBOX, 1, pb.FLAG, hours=8760))
    _, first = await subscribe(world, "jane@example.org")
    other, second = await subscribe(world, "jane+a@example.org")
    assert (first.bonus, second.bonus) == (S.GRANTED, S.GRANTED)
    assert await other.wallet() == (500, 0, 0)
    [review] = await reviews(world)
    assert (review.action, review.verdict, review.state, review.dimension) == (pb.BONUS, pb.FLAG, W.NOTED, MAILBOX)
    assert (review.counted, review.most, review.window_hours, review.user) == (2, 1, 8760, other.name)


async def test_a_domain_of_its_own_is_held_then_denied_and_everybodys_is_not_counted(world: World) -> None:
    held, denied = limit(pb.BONUS, DOMAIN, 1, pb.HOLD), limit(pb.BONUS, DOMAIN, 2, pb.DENY)
    await set_reward_rules(world, held, denied)
    told = [(await subscribe(world, f"{name}@farm.example"))[1] for name in ("a", "b", "c", "d")]
    assert [one.bonus for one in told] == [S.GRANTED, S.IN_REVIEW, S.DENIED, S.DENIED]
    assert [one.verdict for one in await reviews(world)] == [pb.DENY, pb.DENY, pb.HOLD]
    told = [(await subscribe(world, f"{name}@gmail.com"))[1] for name in ("aa", "bb", "cc")]
    assert {one.bonus for one in told} == {S.GRANTED}


async def test_held_points_wait_for_a_word_and_not_for_the_clock(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 1, pb.HOLD))
    await subscribe(world, "a@farm.example")
    bo, told = await subscribe(world, "b@farm.example")
    assert (told.bonus, told.bonus_points, await bo.wallet()) == (S.IN_REVIEW, 0, (0, 500, 0))
    world.advance(days=365)
    await world.settle()
    assert await bo.wallet() == (0, 500, 0)
    [review], key = await reviews(world, state=W.WAITING), str(uuid4())
    decided = await approve(world, review.name, key)
    assert (decided.state, await bo.wallet()) == (W.APPROVED, (500, 0, 0))
    assert await approve(world, review.name, key) == decided
    with refused("REVIEW_NOT_OPEN"):
        await refuse(world, review.name)
    told = await world.subscription(bo.user)
    assert (told.bonus, told.bonus_points) == (S.GRANTED, 500)
    await world.redeem(bo.user, 500)
    assert (await world.books()).balanced


async def test_what_is_refused_in_review_is_taken_back_for_good(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 1, pb.HOLD))
    await subscribe(world, "a@farm.example")
    bo, _ = await subscribe(world, "b@farm.example")
    [review] = await reviews(world, state=W.WAITING)
    assert (await refuse(world, review.name)).state == W.REFUSED
    assert (await bo.wallet(), (await world.subscription(bo.user)).bonus) == ((0, 0, 0), S.DENIED)
    again = await world.subscribe("b@farm.example", bo.user)
    assert (again.bonus_points, await bo.wallet()) == (0, (0, 0, 0))
    with refused("REVIEW_NOT_OPEN"):
        await approve(world, f"reviews/{uuid4()}")
    books = await world.books()
    assert (books.balanced, books.totals["reversed"]) == (True, 500)


async def test_a_window_slides_and_what_was_denied_may_come_again(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 1, pb.DENY))
    await subscribe(world, "a@farm.example")
    world.advance(hours=23)
    bo, told = await subscribe(world, "b@farm.example")
    assert (told.bonus, await world.ask_database("SELECT count(*) FROM bonus_mark")) == (S.DENIED, [(2,)])
    world.advance(hours=1)
    again = await world.subscribe("b@farm.example", bo.user)
    assert (again.bonus, await bo.wallet()) == (S.GRANTED, (500, 0, 0))


async def test_nothing_is_counted_in_plain_and_nothing_for_longer_than_its_window(world: World) -> None:
    await set_reward_rules(world, *(limit(pb.BONUS, one, 9, pb.HOLD) for one in (DOMAIN, MAILBOX, MEMBER)))
    ada, _ = await subscribe(world, "ada@canary.example")
    rows = await world.ask_database("SELECT attempt::text FROM attempt")
    assert len(rows) == 3
    assert not [row for (row,) in rows if "canary" in row or str(ada.user) in row]
    world.advance(hours=24)
    await world.settle()
    assert await world.ask_database("SELECT 1 FROM attempt") == []


async def test_a_limit_holds_for_twelve_at_once(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 3, pb.DENY))
    emails = [f"p{number}@farm.example" for number in range(12)]
    people = [Shopper.of(world, email) for email in emails]
    links = [await world.link(email, one.user) for email, one in zip(emails, people, strict=True)]
    told = await asyncio.gather(*map(world.confirm, links))
    assert sorted(one.bonus for one in told) == [S.GRANTED] * 3 + [S.DENIED] * 9
    assert (await world.books()).totals["issued"] == 1500


async def test_the_second_of_two_replicas_waits_for_the_first_and_counts_it(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 1, pb.DENY))
    keys, one = Keys.read(BONUS_KEY), uuid4()
    await world.earn(one, 1)
    [(account,)] = await world.ask_database("SELECT account_id FROM member")
    about = [velocity.Subject(Action.BONUS, account, one, f"{name}@farm.example") for name in "ab"]
    async with world.sessions.begin() as first, world.sessions.begin() as second:
        assert await velocity.judge(first, about[0], keys, now=world.now()) is None
        other = asyncio.create_task(velocity.judge(second, about[1], keys, now=world.now()))

        async def waits() -> bool:
            return await world.ask_database("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != []

        await until(waits)
        await first.commit()
        assert await other is Verdict.DENY


async def test_who_brings_too_many_is_held_and_a_word_lets_both_go(world: World) -> None:
    rules: dict[str, Any] = {"referrer_points": 500, "referred_points": 250, "claim_days": 14, "return_days": 30}
    await world.set_rules(per_unit=0)
    await set_reward_rules(
        world, limit(pb.CLAIM, MEMBER, 1, pb.HOLD), limit(pb.CLAIM, MEMBER, 3, pb.DENY), **rules
    )  # fmt: skip
    ada, friends = Shopper.of(world), [Shopper.of(world) for _ in range(3)]
    for friend in friends:
        await friend.claim(await ada.code())
    late, key = Shopper.of(world), str(uuid4())
    for _ in range(2):
        with refused("LIMIT_REACHED"):
            await late.claim(await ada.code(), key)
    await world.hears(*(paid(world, friend.user, 20) for friend in friends))
    world.advance(days=30)
    assert await ada.wallet() == (500, 1000, 0)
    third, second = await reviews(world, state=W.WAITING)
    assert {second.user, third.user} == {friends[1].name, friends[2].name}
    await approve(world, second.name)
    await refuse(world, third.name)
    assert await ada.wallet() == (1000, 0, 0)
    assert sorted([await one.wallet() for one in friends]) == [(0, 0, 0), (250, 0, 0), (250, 0, 0)]
    await world.hears(*(cancelled(world, friend.user) for friend in friends))
    assert {await one.wallet() for one in (ada, *friends)} == {(0, 0, 0)}
    assert (await world.books()).balanced


async def test_a_review_of_who_is_erased_is_closed(world: World) -> None:
    await set_reward_rules(world, limit(pb.BONUS, DOMAIN, 0, pb.HOLD))
    ada, _ = await subscribe(world, "a@farm.example")
    await erase(world, ada.user)
    [review] = await reviews(world)
    assert (review.state, review.user) == (W.REFUSED, "")
    with refused("REVIEW_NOT_OPEN"):
        await approve(world, review.name)
    assert (await world.books()).balanced
