"""Writes all that a batch changed: a statement a table, whatever the number of its requests."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from services.loyalty.ledger import rows, seal
from services.loyalty.ledger.book import IN_LOT, Book, Entry
from services.loyalty.ledger.facts import fact_of
from services.loyalty.models import Account, Hold, Lot, LotMove, Operation, Place, Substitution

FEW = 16  # entries that are sealed at a stretch: a fraction of a millisecond
OPERATION = (
    "id", "batch", "account_id", "kind", "scope", "key", "asked", "refusal", "about", "order_number",
    "programme_version", "effective_time", "booked_time", "available", "pending", "held", "arrears", "against",
    "amount", "available_after", "pending_after", "held_after", "arrears_after",
)  # fmt: skip
BALANCES = ("available", "pending", "held", "arrears")
PLACES = (*IN_LOT.values(), "clawed")
LOT = (
    "id", "account_id", "operation_id", "parent_id", "origin", "rule", "priority", "available_time", "expire_time",
    "amount", *PLACES,
)  # fmt: skip
HOLD = ("id", "account_id", "points", "captured", "released", "state", "create_time", "expire_time")
MOVE = ("operation_id", "position", "lot_id", "source", "target", "points")
SUBSTITUTION = ("operation_id", "position", "lot_id", "payer_id", "points", "returned")
REFUNDED = text("""
INSERT INTO refunded (operation_id, points)
SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:points AS bigint[])) AS given (id, points)
ON CONFLICT (operation_id) DO UPDATE SET points = excluded.points
""")
# After what was due is done, the next thing that is has to be looked for: it may be one that was not loaded.
DUE_TIME = text("""
UPDATE account SET due_time = (
    SELECT min(at) FROM (
        SELECT min(coalesce(wait_time, available_time)) FROM lot WHERE account_id = account.id AND is_pending
        UNION ALL SELECT min(expire_time) FROM lot WHERE account_id = account.id AND is_open
        UNION ALL SELECT min(expire_time) FROM hold WHERE account_id = account.id AND state = 'OPEN'
    ) AS next (at)
) WHERE id = ANY(CAST(:ids AS uuid[]))
""")


async def save(session: AsyncSession, book: Book) -> None:
    """Write it all; what comes last, facts and seal, is made while the database writes the rest."""
    batch = seal.batch_of(session)
    _, (lines, facts) = await asyncio.gather(write(session, book, batch), prepared(book.entries))
    seal.stage(session, lines)  # only now: what could not be written is not sealed, whoever goes on after it
    await outbox.send(session, facts)


async def prepared(entries: Sequence[Entry]) -> tuple[list[bytes], list[outbox.Row]]:
    """What to seal and what to state of the entries: a few at a time, so that nobody waits for it."""
    lines, facts = list[bytes](), list[outbox.Row]()
    for start in range(0, len(entries), FEW):
        few = entries[start : start + FEW]
        lines += map(seal.written, few)
        facts += [outbox.row_of(fact) for one in few if (fact := fact_of(one)) is not None]
        await asyncio.sleep(0)
    return lines, facts


async def write(session: AsyncSession, book: Book, batch: UUID) -> None:
    changed = [one for one in book.accounts.values() if one.is_changed]
    new = {lot.id for entry in book.entries for lot in entry.brought}
    moved = {lot.id: lot for entry in book.entries for lot, *_ in entry.moves if lot.id not in new}
    await rows.insert(session, Operation, OPERATION, [operation(one, batch) for one in book.entries])
    balances = ("id", *balances_of(book.entries), "due_time")
    await rows.update(session, Account, balances, [fields(one, balances) for one in changed])
    await rows.insert(session, Lot, LOT, [fields(lot, LOT) for one in book.entries for lot in one.brought])
    touched = moved | {lot.id: lot for lot in book.lots.values() if lot.clawed and lot.id not in new}
    places = ("id", *places_of(book.entries))
    await rows.update(session, Lot, places, [fields(one, places) for one in touched.values()])
    await rows.update(session, Lot, ("id", "wait_time"), [(one.id, one.wait_time) for one in book.retimed])
    await rows.insert(session, LotMove, MOVE, [row for one in book.entries for row in moves(one)])
    await save_holds(session, book)
    await save_returns(session, book)
    if caught := [one.id for one in changed if one.caught_up]:
        await session.execute(DUE_TIME, {"ids": caught})


def operation(entry: Entry, batch: Any) -> tuple[Any, ...]:
    return (
        entry.id, batch, entry.account.id, entry.kind, entry.scope, entry.key, orjson.dumps(entry.asked).decode(),
        None if entry.refusal is None else orjson.dumps(entry.refusal).decode(), entry.about, entry.order_number,
        entry.programme_version, entry.effective_time, entry.booked_time, entry.available, entry.pending, entry.held,
        entry.arrears, entry.against, entry.amount, entry.available_after, entry.pending_after, entry.held_after,
        entry.arrears_after,
    )  # fmt: skip


def balances_of(entries: Sequence[Entry]) -> list[str]:
    """The balances that entries changed: each array costs, and most batches know one or two of the four."""
    return [name for name in BALANCES if any(getattr(entry, name) for entry in entries)]


def places_of(entries: Sequence[Entry]) -> list[str]:
    """The columns of lots that entries changed: most batches know two or three of the nine."""
    known = {place for entry in entries for _, *both, _ in entry.moves for place in both}
    return ["clawed", *(IN_LOT[place] for place in Place if place in known)]


def fields(row: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple([getattr(row, name) for name in names])


def moves(entry: Entry) -> list[tuple[Any, ...]]:
    return [
        (entry.id, position, lot.id, source, target, points)
        for position, (lot, source, target, points) in enumerate(entry.moves)
    ]


async def save_holds(session: AsyncSession, book: Book) -> None:
    new = {one.id for one in book.new_holds}
    await rows.insert(session, Hold, HOLD, [fields(one, HOLD) for one in book.new_holds])
    changed = ("id", "captured", "released", "state")
    old = [fields(one, changed) for one in book.holds.values() if one.id not in new]
    await rows.update(session, Hold, changed, old)


async def save_returns(session: AsyncSession, book: Book) -> None:
    """How much of what was spent came back, and who paid in another's place."""
    if back := [one for one in book.redemptions.values() if one.refunded]:
        await session.execute(REFUNDED, {"ids": [one.id for one in back], "points": [one.refunded for one in back]})
    fresh = {id(one) for one in book.new_substitutions}
    old = [one for many in book.substitutions.values() for one in many if id(one) not in fresh]
    await rows.insert(
        session, Substitution, SUBSTITUTION, [fields(one, SUBSTITUTION) for one in book.new_substitutions]
    )
    changed = ("operation_id", "position", "returned")
    await rows.update(session, Substitution, changed, [fields(one, changed) for one in old])
