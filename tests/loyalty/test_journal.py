import asyncio
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.events_pb2 import PointsEarned
from sqlalchemy.exc import DBAPIError

from chassis.database import sqlstate
from services.loyalty.models import JOURNAL
from tests.loyalty.conftest import OPERATOR, World
from tests.world import refused

TABLES = [table.name for table in JOURNAL]


async def test_the_same_request_is_one_movement_for_ever(world: World) -> None:  # V19
    ada, key = world.person(), str(uuid4())
    first = await world.earn(ada, 10, key)
    world.advance(days=4_000)
    again = await world.earn(ada, 10, key)
    assert (again.name, again.replayed, first.replayed) == (first.name, True, False)
    assert await world.balance(ada) == (10, 0)


async def test_the_same_request_at_once_is_one_movement(world: World) -> None:
    ada, key = world.person(), str(uuid4())
    told = await asyncio.gather(*(world.earn(ada, 10, key) for _ in range(20)))
    assert len({one.name for one in told}) == 1
    assert await world.balance(ada) == (10, 0)
    assert len(await world.stated(PointsEarned)) == 1


@pytest.mark.parametrize("other", ["points", "person"])
async def test_another_request_under_the_same_id_is_refused(world: World, other: str) -> None:  # V20
    ada, key = world.person(), str(uuid4())
    await world.earn(ada, 10, key)
    with refused("REQUEST_ID_REUSED"):
        await world.earn(ada if other == "points" else world.person(), 11 if other == "points" else 10, key)
    assert await world.balance(ada) == (10, 0)
    assert (await world.books()).totals["issued"] == 10


async def test_many_at_once_for_one_person_leave_one_line_of_balances(world: World) -> None:
    ada = world.person()
    await world.earn(ada, 55)
    await asyncio.gather(
        *(world.earn(ada, points) for points in range(1, 31)), *(world.spend(ada, points) for points in range(1, 11))
    )
    rows = list(reversed(await world.movements(ada)))
    balance = 0
    for row in rows:
        balance += row.points
        assert row.balance_after == balance
    assert await world.balance(ada) == (465, 0)
    assert (await world.books()).balanced


async def test_the_journal_is_only_ever_added_to(world: World) -> None:
    await world.earn(world.person(), 10)
    for table in TABLES:
        column = "operation_id" if table == "lot_move" else "batch"
        for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table} WHERE false"):  # noqa: S608
            await refused_by_the_database("P0L02", world, change)
        await refused_by_the_database("P0L02", world, f"TRUNCATE {table} CASCADE")


async def refused_by_the_database(state: str, world: World, statement: str) -> None:
    with pytest.raises(DBAPIError) as error:
        await world.ask_database(statement)
    assert sqlstate(error.value) == state


async def test_legs_that_do_not_sum_to_zero_are_refused_by_the_database(world: World) -> None:
    await world.earn(world.person(), 10)
    columns = "batch, account_id, kind, asked, effective_time, booked_time, available, pending, held, arrears"
    after = "available_after, pending_after, held_after, arrears_after"
    wrong = (
        f"INSERT INTO operation (id, {columns}, against, amount, {after})"  # noqa: S608
        f" SELECT gen_random_uuid(), {columns}, against, amount - 1, {after} FROM operation"
    )
    await refused_by_the_database("23514", world, wrong)
    assert (await world.books()).balanced


async def test_a_balance_below_zero_is_refused_by_the_database(world: World) -> None:
    await world.earn(world.person(), 10)
    for wrong in ("available = -1", "arrears = -1", "arrears = 1"):
        await refused_by_the_database("23514", world, f"UPDATE account SET {wrong}")  # noqa: S608


async def test_books_that_are_right_say_so_with_their_totals(world: World) -> None:
    await world.earn(world.person(), 10)
    await world.earn(world.person(), 20)
    told = await world.books()
    assert MessageToDict(told) == {
        "balanced": True,
        "entries": "4",
        "totals": {
            "available": "30", "pending": "0", "held": "0", "arrears": "0", "issued": "30", "redeemed": "0",
            "expired": "0", "reversed": "0", "forfeited": "0", "adjusted": "0", "transferred": "0", "written_off": "0",
        },
    }  # fmt: skip


# One after the other, each with what it brings to light that was not there before.
WRONGS = {
    "UPDATE account SET available = available + 1": "The operations of an account do not add up to its balances",
    "UPDATE account SET close_time = now()": "A closed account still says whose it was",
    "UPDATE lot SET open = open - 1, held = held + 1": "A hold is not what its lots say",
    "UPDATE lot SET expire_time = now()": "What seal 1 holds was changed since",
    "ALTER TABLE operation DISABLE TRIGGER journal_is_kept": "A trigger or a constraint that guards the journal",
    # What only somebody who took the guards away could do:
    "UPDATE operation SET available_after = 7": "A balance after an operation is not the sum",
    "ALTER TABLE operation DROP CONSTRAINT operation_sums_to_zero_check": "",
    "UPDATE operation SET amount = amount + 2": "The legs of an operation do not sum to zero",
    "UPDATE operation SET available = available + 1": "All legs sum to 3, not to zero",
    "UPDATE chain SET number = number + 1": "The head of the chain is not its last seal",
}


async def test_what_was_done_to_the_books_is_found(world: World) -> None:
    await world.earn(world.person(), 10)
    before = await world.books()
    assert before.balanced
    for statement, finding in WRONGS.items():
        await world.ask_database(statement)
        told = await world.books()
        assert not told.balanced
        assert not any(finding in one for one in before.findings) or not finding
        assert any(finding in one for one in told.findings), (statement, told.findings)
        before = told


async def test_the_ledger_is_verified_without_being_asked(world: World) -> None:
    from prometheus_client import generate_latest

    from chassis.telemetry import REGISTRY

    await world.earn(world.person(), 10)
    await world.settle()
    assert b"points_ledger_findings 0.0" in generate_latest(REGISTRY)
    await world.ask_database("UPDATE account SET available = available + 1")
    world.advance(minutes=2)
    await world.settle()
    assert b"points_ledger_findings 2.0" in generate_latest(REGISTRY)


async def test_only_staff_reads_the_books(world: World) -> None:
    request = pb.VerifyLedgerRequest()
    assert (await world.stub.VerifyLedger(request, metadata=OPERATOR)).balanced
    ada = world.person()
    with refused("FORBIDDEN"):
        await world.stub.VerifyLedger(request, metadata=world.as_(ada))
