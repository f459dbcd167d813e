"""The books looked after all the time: what the look at new things finds, and what it leaves to the day's check."""

import asyncio
from typing import Any

import pytest
from prometheus_client import generate_latest
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.events_pb2 import LedgerSealed
from sqlalchemy import text

from chassis.telemetry import REGISTRY
from services.loyalty.ledger import chain, seal, watch
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till


@pytest.fixture(autouse=True)
def _by_itself_nothing_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks happen when a test asks: one that came between a booking and its change would find the booking right."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("chassis.jobs.run_jobs", never)


def metric(name: str) -> float:
    [line] = [one for one in generate_latest(REGISTRY).decode().splitlines() if one.startswith(f"{name} ")]
    return float(line.split()[1])


async def look(world: World) -> float:
    """What the next look, a minute later, says in its metric."""
    world.advance(minutes=2)
    await world.settle()
    return metric("points_ledger_findings")


async def head(world: World) -> pb.LedgerHead:
    return await world.finance.GetLedgerHead(pb.GetLedgerHeadRequest(), metadata=OPERATOR)


async def unguarded(world: World, statement: str) -> None:
    """What only somebody who takes the guards away for a moment could do."""
    for table in ("operation", "lot_move", "seal"):
        await world.ask_database(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await world.ask_database(statement)
    for table in ("operation", "lot_move", "seal"):
        await world.ask_database(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def watched(world: World, monkeypatch: pytest.MonkeyPatch) -> Till:
    """Books that were checked in full once, with no account in turn: what is found then is found in what is new."""
    monkeypatch.setattr(watch, "IN_TURN", 0)
    old = Till.of(world)
    await old.earn(10)
    assert await look(world) == 0
    return Till.of(world)


# Each in a row that was written since the last look.
CHANGES = {
    "a balance": "UPDATE account SET available = available + 1 WHERE {new}",
    "a lot": "UPDATE lot SET open = open - 1, held = held + 1 WHERE {new}",
    "the end of a lot": "UPDATE lot SET expire_time = now() WHERE {new}",
    "an amount": "UPDATE operation SET available = available + 1, amount = amount - 1 WHERE {new}",
    "a key": "UPDATE operation SET key = key || 'x' WHERE {new}",
    "a time": "UPDATE operation SET effective_time = effective_time - interval '1 second' WHERE {new}",
    "what was asked": "UPDATE operation SET asked = '{{}}' WHERE {new}",
    "a move": "UPDATE lot_move SET points = points + 1",
    "a root": "UPDATE seal SET root = sha256(root) WHERE number = (SELECT max(number) FROM seal)",
    "a digest": "UPDATE seal SET digest = sha256(digest) WHERE number = (SELECT max(number) FROM seal)",
    "a count": "UPDATE seal SET operations = operations + 1 WHERE number = (SELECT max(number) FROM seal)",
    "the head": "UPDATE chain SET root = sha256(root)",
    "an operation that is gone": "DELETE FROM operation WHERE kind = 'REDEEM'",
    "a seal that is gone": "DELETE FROM seal WHERE number = (SELECT max(number) FROM seal)",
}
NEW = "account_id = (SELECT account_id FROM operation ORDER BY seq DESC LIMIT 1)"


@pytest.mark.parametrize("what", CHANGES)
async def test_what_was_changed_in_what_is_new_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    till = await watched(world, monkeypatch)
    await till.earn(10)
    await till.redeem(4)
    new = NEW.replace("account_id =", "id =", 1) if "account SET" in CHANGES[what] else NEW
    await unguarded(world, CHANGES[what].format(new=new))
    assert await look(world) > 0
    assert (await head(world)).verified_number == 1
    assert not (await world.books()).balanced


async def test_a_look_goes_on_from_the_last_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    till = await watched(world, monkeypatch)
    for points in (1, 2, 3):
        await till.earn(points)
        assert await look(world) == 0
    told = await head(world)
    assert (told.number, told.verified_number) == (4, 4)
    assert (metric("points_ledger_seals"), metric("points_ledger_checked_seals")) == (4, 4)
    [(totals,)] = await world.ask_database("SELECT totals FROM checkpoint")
    assert totals == {"available": 16, "pending": 0, "held": 0, "arrears": 0, "amount": -16}


async def test_a_look_reads_no_more_than_what_is_new(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "UNDER_WAY", 0)
    till = await watched(world, monkeypatch)
    for _ in range(5):
        await till.earn(1)
    read: list[int] = []
    line = seal.line

    def counted(row: Any, *parts: Any) -> bytes:
        read.append(row.seq)
        return line(row, *parts)

    monkeypatch.setattr("services.loyalty.ledger.chain.line", counted)
    assert await look(world) == 0
    assert len(read) == 5
    await Till.of(world).earn(1)
    assert await look(world) == 0
    assert len(read) == 6


async def test_what_changes_in_old_rows_is_found_by_the_day_s_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched(world, monkeypatch)
    await world.ask_database("UPDATE account SET available = available + 1")
    assert await look(world) == 0  # it looks at what is new, and says no more than that
    world.advance(days=1)
    assert await look(world) == 2
    world.advance(minutes=3)
    await world.settle()
    assert metric("points_ledger_findings") == 2  # and goes on saying it
    await world.ask_database("UPDATE account SET available = available - 1")
    world.advance(minutes=10)
    assert await look(world) == 0
    assert metric("points_ledger_imbalance") == 0


async def test_accounts_that_nothing_touched_have_their_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "IN_TURN", 2)
    for _ in range(5):
        await Till.of(world).earn(1)
    assert await look(world) == 0
    await world.ask_database(
        "UPDATE account SET available = available + 1 WHERE id = (SELECT id FROM account ORDER BY id DESC LIMIT 1)"
    )
    found = [await look(world) for _ in range(3)]
    assert found[-1] == 2


async def test_the_head_is_stated_once_a_day_and_only_when_it_moved(world: World) -> None:
    till = Till.of(world)
    await till.earn(10)
    await world.settle()
    told = await head(world)
    [stated] = await world.stated(LedgerSealed)
    assert (stated.seal, stated.number, stated.root) == ("ledger/seals/1", 1, told.root)
    world.advance(days=1)
    await world.settle()
    assert len(await world.stated(LedgerSealed)) == 1
    await till.earn(10)
    world.advance(days=1)
    await world.settle()
    assert [one.number for one in await world.stated(LedgerSealed)] == [1, 2]


async def test_whoever_kept_the_head_can_tell_that_history_was_written_anew(world: World) -> None:
    till = Till.of(world)
    await till.earn(10)
    kept = await head(world)
    [(root,)] = await world.ask_database("SELECT root FROM seal WHERE number = :n", n=kept.number)
    assert root.hex() == kept.root
    await till.earn(10)
    assert (await head(world)).root != kept.root


# Every column that the chain is made over, and a change of one bit or one unit in it.
SEALED = {
    "operation": (
        "id = gen_random_uuid()", "account_id = gen_random_uuid()", "kind = 'ORDER'", "scope = scope || 'x'",
        "key = key || 'x'", "about = gen_random_uuid()", "order_number = '1'",
        "effective_time = effective_time + interval '1 microsecond'",
        "booked_time = booked_time + interval '1 microsecond'", "available = available + 1, amount = amount - 1",
        "pending = pending + 1, amount = amount - 1", "held = held + 1, amount = amount - 1",
        "arrears = arrears + 1, amount = amount + 1", "against = 'EXPIRED'", "available_after = available_after + 1",
        "pending_after = pending_after + 1", "held_after = held_after + 1", "arrears_after = arrears_after + 1",
        "asked = asked || '{\"points\": 1}'", "refusal = '{\"reason\": \"X\"}'", "programme_version = 7",
        "amount = amount + 1", "batch = gen_random_uuid()",
    ),
    "lot_move": ("lot_id = gen_random_uuid()", "source = 'HELD'", "target = 'EXPIRED'", "points = points + 1"),
    "lot": (
        "amount = amount + 1, open = open + 1", "origin = 'PURCHASE'", "parent_id = gen_random_uuid()",
        "priority = priority + 1",
        "available_time = available_time + interval '1 microsecond'",
        "expire_time = expire_time + interval '1 microsecond'", "id = gen_random_uuid()",
    ),
    "seal": ("root = set_bit(root, 0, 1 - get_bit(root, 0))", "digest = set_bit(digest, 9, 1 - get_bit(digest, 9))",
             "operations = operations + 1", "number = number + 7"),
    "chain": ("root = set_bit(root, 0, 1 - get_bit(root, 0))", "number = number + 1"),
}  # fmt: skip


async def test_a_change_of_any_column_under_seal_is_found(world: World) -> None:
    till = Till.of(world)
    await till.earn(10, ends=50)
    await till.redeem(4)
    assert (await world.books()).balanced
    missed = []
    for table, changes in SEALED.items():
        for change in changes:
            found = await found_by_chain(world, f"UPDATE {table} SET {change}")  # noqa: S608
            if not found:
                missed.append(f"{table}: {change}")
    assert missed == []
    assert (await world.books()).balanced


# Without what the database would say by itself: the chain has to find it alone.
UNCHECKED = """
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint WHERE contype = 'c'
      AND conrelid IN ('operation'::regclass, 'lot'::regclass, 'lot_move'::regclass)
  LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.owner, one.conname); END LOOP;
END $$
"""


async def found_by_chain(world: World, statement: str) -> bool:
    """Whether the chain alone finds what a statement does, which is undone again."""
    async with world.sessions() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(UNCHECKED))
        await session.execute(text(statement))
        found = await chain.broken(session)
        await session.rollback()
    return found != []
