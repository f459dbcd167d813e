"""Who is erased is gone from loyalty, and the books stay as they were."""

import asyncio
from uuid import UUID, uuid4

import pytest
from rapport.holder.v1 import holder_pb2 as holder_pb
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned, PointsReversed
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from sqlalchemy import text

from chassis.time import timestamp
from tests.chassis.events import until
from tests.loyalty.conftest import World
from tests.loyalty.test_orders import cancelled, paid, refunded
from tests.world import as_service, refused

PRIVACY = as_service("privacy")


async def erase(world: World, user: UUID) -> None:
    order = ErasureOrdered(
        user=f"users/{user}",
        erasure=f"erasures/{uuid4()}",
        holders=["holders/loyalty"],
        event_time=timestamp(world.now()),
    )
    await world.hears(order)


async def remaining(world: World, user: UUID) -> list[str]:
    request = holder_pb.ScanSubjectRequest(subject=f"users/{user}")
    found = await HolderServiceStub(world.channel).ScanSubject(request, metadata=PRIVACY)
    assert found.erased
    return [one.column for one in found.remaining]


async def test_what_was_there_is_forfeited_and_the_totals_stay(world: World) -> None:  # V23
    ada, bo = world.person("ada@example.org"), world.person()
    await world.subscribe("ada@example.org", ada)
    await world.hears(paid(world, ada, 100), refunded(world, ada, 30))
    await world.earn(bo, 7)
    before = (await world.books()).totals
    await erase(world, ada)
    told = await world.books()
    assert told.balanced, told.findings
    assert told.totals == dict(before) | {"available": 7, "forfeited": 570}
    assert await remaining(world, ada) == []
    assert await world.balance(bo) == (7, 0)
    [done] = await world.stated(ErasureDone)
    assert done.holder == "holders/loyalty"
    assert {one.column for one in done.outcomes if one.rows} >= {"member.user_id", "subscription.email"}


async def test_what_was_owed_is_written_off(world: World) -> None:
    ada = world.person()
    await world.hears(paid(world, ada, 100))
    await world.spend(ada, 80)
    await world.hears(refunded(world, ada, 100))
    assert await world.balance(ada) == (0, 80)
    await erase(world, ada)
    told = await world.books()
    assert told.balanced, told.findings
    assert (told.totals["arrears"], told.totals["written_off"]) == (0, 80)


async def test_who_registers_again_gets_no_second_bonus(world: World) -> None:
    ada = world.person("jane.doe@gmail.com")
    await world.subscribe("jane.doe@gmail.com", ada)
    await erase(world, ada)
    again = world.person("janedoe+2@googlemail.com")
    told = await world.subscribe("janedoe+2@googlemail.com", again)
    assert (told.state, told.bonus) == (pb.Subscription.CONFIRMED, pb.Subscription.ALREADY_GRANTED)
    assert await world.balance(again) == (0, 0)
    guest = await world.subscribe("jane.doe@gmail.com")
    assert guest.bonus == pb.Subscription.ALREADY_GRANTED


async def test_no_address_and_no_user_is_left_in_any_table(world: World) -> None:
    canary = "canary-4711@example.org"
    ada = world.person(canary)
    await world.subscribe(canary)  # as a guest, before they have an account here
    await world.link(canary, ada)
    await world.earn(ada, 10)
    await erase(world, ada)
    tables = await world.ask_database("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200")
    for (table,) in tables:
        rows = await world.ask_database(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608
        assert not [row for (row,) in rows if "canary-4711" in row], table
        # Ids stay where facts about the erasure itself are kept.
        if table not in ("outbox", "outbox_key", "erased_subject"):
            assert not [row for (row,) in rows if str(ada) in row], table


@pytest.mark.parametrize("known", [True, False])
async def test_a_late_order_of_the_erased_is_booked_to_nobody(world: World, known: bool) -> None:
    ada = world.person()
    if known:
        await world.hears(paid(world, ada, 10))
    await erase(world, ada)
    events = len(await world.stated(PointsEarned))
    late = [paid(world, ada, 40, number="1002"), refunded(world, ada, 15, number="1002"), refunded(world, ada, 10)]
    await world.hears(*late, *late)
    told = await world.books()
    assert told.balanced, told.findings
    first = 10 if known else 0
    assert {name: total for name, total in told.totals.items() if total} == {
        "issued": 40 + first, "reversed": 15 + first, "forfeited": 40 + first, "written_off": 15 + first
    }  # fmt: skip
    assert await world.ask_database("SELECT 1 FROM member") == []
    assert len(await world.stated(PointsEarned)) == events
    assert await world.stated(PointsReversed) == []
    assert await remaining(world, ada) == []


async def test_the_late_facts_of_an_erased_persons_order_meet_on_one_account(world: World) -> None:
    ada = world.person()
    await erase(world, ada)
    facts = refunded(world, ada, 40), cancelled(world, ada), paid(world, ada, 40)
    async with world.sessions.begin() as session:
        # Whoever looks for the account of order 1001 waits here, so that all three look at once.
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('1001', 0))"))
        heard = asyncio.gather(*map(world.hears, facts))

        async def all_wait() -> bool:
            return await world.ask_database(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND NOT granted"
            ) == [(1,)] * len(facts)

        await until(all_wait)
    await heard
    told = await world.books()
    assert told.balanced, told.findings
    assert (told.totals["issued"], told.totals["reversed"]) == (40, 40)
    assert len(await world.ask_database("SELECT 1 FROM account")) == 1


async def test_an_erased_person_takes_no_points_by_hand(world: World) -> None:
    ada = world.person()
    await erase(world, ada)
    with refused("ACCOUNT_CLOSED"):
        await world.earn(ada, 10)
    assert await world.balance(ada) == (0, 0)


async def test_points_given_while_their_person_is_erased_are_forfeited_or_refused(world: World) -> None:
    ada = world.person()
    await world.earn(ada, 1)

    async def give() -> bool:
        try:
            await world.earn(ada, 10)
        except Exception:
            return False
        return True

    given, _ = await asyncio.gather(asyncio.gather(*(give() for _ in range(10))), erase(world, ada))
    told = await world.books()
    assert told.balanced, told.findings
    assert told.totals["forfeited"] == 1 + 10 * sum(given)


async def test_an_unsubscription_by_an_old_mail_of_the_erased_is_answered_as_ever(world: World) -> None:
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org", ada)
    token = await world.end_token("ada@example.org")
    await erase(world, ada)
    await world.end(token)


async def test_the_erasure_waits_while_identity_is_away(world: World) -> None:
    ada = world.person("ada@example.org")
    await world.subscribe("ada@example.org")
    world.identity.is_away = True
    erasing = asyncio.create_task(erase(world, ada))
    await world.failed("loyalty-forget")
    assert await world.ask_database("SELECT 1 FROM subscription") != []
    world.identity.is_away = False
    await erasing
    assert await world.ask_database("SELECT 1 FROM subscription") == []


async def test_a_copy_of_what_is_held_has_every_movement(world: World) -> None:
    ada, eve = world.person("ada@example.org"), world.person("eve@example.org")
    await world.subscribe("ada@example.org", ada)
    await world.hears(paid(world, ada, 100), paid(world, eve, 33))
    await world.earn(eve, 44)
    rows = [
        row
        async for row in HolderServiceStub(world.channel).ExportSubject(
            holder_pb.ExportSubjectRequest(subject=f"users/{ada}"), metadata=PRIVACY
        )
    ]
    counts = {table: sum(row.table == table for row in rows) for table in {row.table for row in rows}}
    assert counts["operation"] == 2
    assert counts["lot"] == 2
    assert counts["account"] == counts["member"] == counts["purchase"] == counts["subscription"] == 1
    told = "".join(row.row_json for row in rows)
    assert "ada@example.org" in told
    assert "eve@example.org" not in told
    assert str(eve) not in told
    assert "end_token" not in told or "***" in told or "[" in told  # a secret is not handed out
