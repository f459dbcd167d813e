import asyncio
import re

from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned, SubscriptionConfirmed, SubscriptionEnded

from tests.loyalty.conftest import World
from tests.loyalty.shopper import set_reward_rules
from tests.world import refused

S = pb.Subscription


async def test_a_confirmed_subscriber_has_the_bonus(world: World) -> None:
    ada = world.person("ada@example.org")
    told = await world.subscribe("ada@example.org", ada)
    assert (told.name, told.state, told.bonus, told.bonus_points) == (
        f"users/{ada}/subscription", S.CONFIRMED, S.GRANTED, 500,
    )  # fmt: skip
    assert await world.balance(ada) == (500, 0)
    assert await world.subscription(ada) == told
    [movement] = await world.movements(ada)
    assert (movement.kind, movement.points, movement.balance_after) == (pb.Movement.NEWSLETTER_BONUS, 500, 500)
    [event] = await world.stated(SubscriptionConfirmed)
    assert (event.user, event.subscription) == (f"users/{ada}", f"users/{ada}/subscription")
    [earned] = await world.stated(PointsEarned)
    assert (earned.points, earned.movement) == (500, movement.name)


async def test_a_request_alone_earns_nothing(world: World) -> None:  # N1
    ada = world.person("ada@example.org")
    await world.link("ada@example.org", ada)
    assert await world.balance(ada) == (0, 0)
    assert (await world.subscription(ada)).state == S.REQUESTED


async def test_a_second_click_finds_the_same_answer(world: World) -> None:  # N2
    ada = world.person("ada@example.org")
    token = await world.link("ada@example.org", ada)
    assert await world.confirm(token) == await world.confirm(token)
    assert await world.balance(ada) == (500, 0)


async def test_twenty_confirmations_at_once_give_one_bonus(world: World) -> None:  # N2
    ada = world.person("ada@example.org")
    tokens = [await world.link("ada@example.org", ada) for _ in range(4)]
    told = await asyncio.gather(*(world.confirm(token) for token in tokens * 5))
    assert {one.state for one in told} == {S.CONFIRMED}
    assert await world.balance(ada) == (500, 0)
    assert len(await world.stated(PointsEarned)) == 1


async def test_two_people_of_one_mailbox_get_one_bonus_even_at_once(world: World) -> None:
    addresses = ["jane.doe@gmail.com", "janedoe+x@googlemail.com", "j.a.n.e.doe@gmail.com"]
    people = [world.person(one) for one in addresses]
    tokens = [await world.link(email, user) for email, user in zip(addresses, people, strict=True)]
    told = await asyncio.gather(*map(world.confirm, tokens))
    assert sorted(one.bonus for one in told) == [S.GRANTED, S.ALREADY_GRANTED, S.ALREADY_GRANTED]
    assert sum([(await world.balance(one))[0] for one in people]) == 500


async def test_a_link_ends_after_48_hours(world: World) -> None:  # N3
    ada = world.person("ada@example.org")
    token = await world.link("ada@example.org", ada)
    world.advance(hours=48)
    with refused("LINK_INVALID"):
        await world.confirm(token)
    assert await world.balance(ada) == (0, 0)


async def test_a_link_that_was_never_ours_is_refused(world: World) -> None:
    with refused("LINK_INVALID"):
        await world.confirm("never-ours")


async def test_who_comes_back_is_subscribed_again_without_another_bonus(world: World) -> None:  # N4
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    await world.end(await world.end_token("ada@example.org"))
    assert (await world.subscription(ada)).state == S.ENDED
    told = await world.subscribe("ada@example.org", ada)
    assert (told.state, told.bonus, told.bonus_points) == (S.CONFIRMED, S.ALREADY_GRANTED, 0)
    assert await world.balance(ada) == (500, 0)
    assert len(await world.stated(SubscriptionConfirmed)) == 2
    assert len(await world.stated(SubscriptionEnded)) == 1


async def test_dots_count_where_the_provider_counts_them(world: World) -> None:  # N5
    first = await world.subscribe("jane.doe@outlook.com", world.person("jane.doe@outlook.com"))
    second = await world.subscribe("janedoe@outlook.com", world.person("janedoe@outlook.com"))
    assert (first.bonus, second.bonus) == (S.GRANTED, S.GRANTED)


async def test_a_plus_is_no_alias_at_a_provider_we_do_not_know(world: World) -> None:  # N6
    first = await world.subscribe("jane@example.org", world.person("jane@example.org"))
    second = await world.subscribe("jane+a@example.org", world.person("jane+a@example.org"))
    assert (first.bonus, second.bonus) == (S.GRANTED, S.GRANTED)


async def test_a_new_address_earns_the_same_account_no_second_bonus(world: World) -> None:  # N8
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    world.identity.addresses[f"users/{ada}"] = "countess@example.org"
    told = await world.subscribe("countess@example.org", ada)
    assert (told.name, told.bonus) == (f"users/{ada}/subscription", S.ALREADY_GRANTED)
    assert await world.balance(ada) == (500, 0)


async def test_somebody_elses_address_is_a_guests_and_leaves_no_trace_unconfirmed(world: World) -> None:  # N9
    eve = world.person("eve@example.org")
    await world.link("ada@example.org", eve)
    with refused("SUBSCRIPTION_NOT_FOUND"):
        await world.subscription(eve)
    world.advance(hours=49)
    await world.settle()
    assert await world.ask_database("SELECT 1 FROM opt_in") == []
    assert await world.ask_database("SELECT 1 FROM bonus_mark") == []


async def test_a_guest_is_subscribed_and_the_bonus_waits(world: World) -> None:
    told = await world.subscribe("ada@example.org")
    assert (told.name, told.state, told.bonus) == ("", S.CONFIRMED, S.CLAIM_WAITING)
    assert await world.stated(SubscriptionConfirmed) == []
    assert (await world.books()).totals["issued"] == 0


async def test_a_guest_who_registers_in_time_gets_the_bonus(world: World) -> None:
    await world.subscribe("Ada@Example.org")
    world.advance(days=29)
    ada = await world.registers("ada@example.org")
    assert await world.balance(ada) == (500, 0)
    told = await world.subscription(ada)
    assert (told.state, told.bonus, told.bonus_points) == (S.CONFIRMED, S.GRANTED, 500)
    [event] = await world.stated(SubscriptionConfirmed)
    assert event.user == f"users/{ada}"


async def test_a_guest_who_registers_too_late_gets_the_newsletter_only(world: World) -> None:
    await world.subscribe("ada@example.org")
    world.advance(days=30)
    ada = await world.registers("ada@example.org")
    assert await world.balance(ada) == (0, 0)
    told = await world.subscription(ada)
    assert (told.state, told.bonus) == (S.CONFIRMED, S.BONUS_UNSPECIFIED)
    again = await world.subscribe(
        "ada@example.org", ada
    )  # nothing was paid yet, so asking as a member still is worth it
    assert again.bonus == S.GRANTED


async def test_how_long_a_guest_has_is_the_stores_to_say(world: World) -> None:
    await set_reward_rules(world, guest_days=3)
    await world.subscribe("ada@example.org")
    await world.subscribe("bo@example.org")
    await set_reward_rules(world, guest_days=1)  # which moves no promise that was given
    world.advance(days=2, hours=23)
    assert await world.balance(await world.registers("ada@example.org")) == (500, 0)
    world.advance(hours=1)
    assert await world.balance(await world.registers("bo@example.org")) == (0, 0)


async def test_a_guest_who_registers_before_confirming_gets_the_bonus_at_once(world: World) -> None:
    token = await world.link("ada@example.org")
    ada = await world.registers("ada@example.org")
    told = await world.confirm(token)
    assert (told.name, told.bonus) == (f"users/{ada}/subscription", S.GRANTED)


async def test_a_claim_waits_for_identity_to_be_back(world: World) -> None:
    await world.subscribe("ada@example.org")
    world.identity.is_away = True
    registering = asyncio.create_task(world.registers("ada@example.org"))
    await world.failed("loyalty-claim_for_guest")
    world.identity.is_away = False
    assert await world.balance(await registering) == (500, 0)


async def test_a_member_who_asks_while_identity_is_away_is_asked_to_try_again(world: World) -> None:
    ada = world.person("ada@example.org")
    world.identity.is_away = True
    with refused("TRY_AGAIN"):
        await world.link("ada@example.org", ada)


async def test_asking_again_changes_nothing_for_who_is_subscribed(world: World) -> None:
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    await world.link("ada@example.org")  # anybody can
    assert (await world.subscription(ada)).state == S.CONFIRMED


async def test_one_mailbox_gets_five_mails_a_day_and_everyone_the_same_answer(world: World) -> None:
    request = pb.BeginSubscriptionRequest(email="ada@example.org")
    await asyncio.gather(*(world.stub.BeginSubscription(request) for _ in range(12)))
    assert len(await world.mails("ada@example.org")) == 5
    world.advance(days=1, seconds=1)
    await world.link("ada@example.org")


async def test_the_mail_can_end_the_subscription_in_one_click(world: World) -> None:
    await world.link("ada@example.org")
    [sent] = await world.mails("ada@example.org")
    assert sent.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<https://store\.example\.org/unsubscribe/[\w-]{32}>", sent.headers["List-Unsubscribe"])
    assert re.search(r"https://store\.example\.org/confirm#token=[\w-]{32}\s", sent.text)


async def test_whichever_mail_is_at_hand_ends_the_subscription(world: World) -> None:
    ada = world.person("ada@example.org")
    first, second = [await world.link("ada@example.org", ada) for _ in range(2)]
    await world.confirm(first)
    await world.confirm(second)
    tokens = {one.headers["List-Unsubscribe"] for one in await world.mails("ada@example.org")}
    assert len(tokens) == 1
    await world.end(await world.end_token("ada@example.org"))
    await world.end(await world.end_token("ada@example.org"))
    assert (await world.subscription(ada)).state == S.ENDED
    assert len(await world.stated(SubscriptionEnded)) == 1


async def test_an_old_link_does_not_undo_an_unsubscription(world: World) -> None:
    ada = world.person("ada@example.org")
    token = await world.link("ada@example.org", ada)
    await world.confirm(token)
    await world.end(await world.end_token("ada@example.org"))
    with refused("LINK_INVALID"):
        await world.confirm(token)


async def test_a_guest_who_unsubscribes_leaves_nothing(world: World) -> None:
    await world.subscribe("ada@example.org")
    await world.end(await world.end_token("ada@example.org"))
    assert await world.ask_database("SELECT 1 FROM subscription UNION SELECT 1 FROM opt_in") == []
    ada = await world.registers("ada@example.org")
    assert await world.balance(ada) == (0, 0)


async def test_an_unknown_token_ends_nothing_and_is_answered_the_same(world: World) -> None:
    await world.end("unknown")


async def test_what_is_no_address_is_refused_and_not_repeated(world: World) -> None:
    for email in ("ada", "ada@", "@example.org", "ada@example", "a da@example.org", "ada@exa_mple.org"):
        with refused("EMAIL_MALFORMED") as said:
            await world.stub.BeginSubscription(pb.BeginSubscriptionRequest(email=email))
        assert said[0].violations[0].field == "email"
        assert email not in said[0].message


async def test_a_bonus_of_nothing_is_none(world: World) -> None:
    await world.set_rules(bonus=0)
    told = await world.subscribe("ada@example.org", world.person("ada@example.org"))
    assert (told.state, told.bonus) == (S.CONFIRMED, S.BONUS_UNSPECIFIED)
