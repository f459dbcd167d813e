"""Reads what a batch may need of its accounts. They are locked first, by one statement and in the order of their ids,
so that no two batches ever wait for each other in a circle. Everything else is read by later statements: one that
locks and reads at once would read lots as they were before it had to wait.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import fetch
from services.loyalty.ledger.book import NEVER, Account, Book, Entry, Hold, Lot, Redemption, Slice, Substitution
from services.loyalty.ledger.requests import Capture, Freeze, Refund, Release, Request, Reverse, Settle, Taking, Thaw
from services.loyalty.models import Hold as HoldRow
from services.loyalty.models import HoldState, Kind, LotMove, Operation, Place, Refunded
from services.loyalty.models import Substitution as SubstitutionRow

DEPTHS = (2, 64, 1_000_000)  # lots of an account: at first, and as long as they are not enough
EVERY = 1 << 62  # points: no account has as many
WRITTEN = (
    "id", "against", "effective_time", "booked_time", "scope", "key", "asked", "refusal", "about", "order_number",
    "programme_version", "available", "pending", "held", "arrears", "available_after", "pending_after", "held_after",
    "arrears_after",
)  # fmt: skip
SPENDING = (Kind.REDEEM, Kind.CAPTURE, Kind.VOUCHER)

LOCK = """
SELECT account.id, account.currency, available, pending, held, arrears, due_time, close_time, user_id,
    restricted_subject.id
FROM account LEFT JOIN member ON member.account_id = account.id
    LEFT JOIN restricted_subject ON restricted_subject.id = user_id
WHERE account.id = ANY($1::uuid[]) ORDER BY account.id FOR UPDATE OF account
"""
PEEK = LOCK.replace("FOR UPDATE OF account", "")
EARLIER = "SELECT * FROM operation WHERE scope = $1 AND key = ANY($2::text[])"
LOT_COLUMNS = (
    "id, seq, account_id, operation_id, parent_id, origin, rule, priority, available_time, expire_time, amount,"
    " pending, open, held, spent, expired, reversed, absorbed, removed, clawed, wait_time"
)
FIRST_LOTS = f"""
SELECT first.* FROM unnest($1::uuid[]) AS asked (id) CROSS JOIN LATERAL (
    SELECT {LOT_COLUMNS} FROM lot WHERE account_id = asked.id AND is_open
    ORDER BY priority, expire_time, available_time, seq LIMIT $2
) AS first
"""  # noqa: S608
WAITING_LOTS = text(f"""
SELECT {LOT_COLUMNS} FROM lot WHERE account_id = ANY(CAST(:accounts AS uuid[])) AND is_pending
    AND coalesce(wait_time, available_time) <= :by
""")  # noqa: S608
ENDED_LOTS = text(f"""
SELECT {LOT_COLUMNS} FROM lot WHERE account_id = ANY(CAST(:accounts AS uuid[])) AND is_open AND expire_time <= :by
""")  # noqa: S608
CHARGED = text("""
SELECT about, sum(amount)::bigint FROM operation WHERE about = ANY(CAST(:ids AS uuid[])) AND against = 'REVERSED'
GROUP BY about
""")
LOTS_BY_ID = text(f"SELECT {LOT_COLUMNS} FROM lot WHERE id = ANY(CAST(:ids AS uuid[]))")  # noqa: S608


async def load(
    session: AsyncSession, requests: Sequence[tuple[UUID | None, Request]], accounts: Sequence[UUID], *, now: datetime,
    deep: bool = False, lock: bool = True,
) -> Book:  # fmt: skip
    """The accounts, with the lots that each would spend first: as many as it may need, or all when it is to be deep."""
    book = Book(now)
    for row in await fetch(session, LOCK if lock else PEEK, accounts):
        *account, restricted = row
        book.accounts[row[0]] = Account(*account)
        book.restricted.add(restricted)
    await load_earlier(session, book, [request for _, request in requests])
    settled = {account for account, request in requests if isinstance(request, Settle) and account is not None}
    due = [one.id for one in book.accounts.values() if one.due_time is not None and one.due_time <= now]
    asked = [request for _, request in requests]
    await load_due(session, book, due, now)
    await load_holds(session, book, [one.hold for one in asked if isinstance(one, Capture | Release)], due, settled)
    await load_redemptions(session, book, [one.operation for one in asked if isinstance(one, Refund)])
    await load_reversed(session, book, [one.operation for one in asked if isinstance(one, Reverse | Freeze | Thaw)])
    await load_first(session, book, wanted_of(requests, settled & book.accounts.keys(), deep=deep))
    if settled:
        add(book, await session.execute(WAITING_LOTS, {"accounts": list(settled), "by": NEVER}))
    return book


def add(book: Book, found: Iterable[Any]) -> list[Lot]:
    """Each lot once, however often it is found."""
    return [book.lots.setdefault(row[0], Lot(*row)) for row in found]


async def load_earlier(session: AsyncSession, book: Book, requests: Sequence[Request]) -> None:
    keys: dict[str | None, list[str]] = {}
    for one in requests:
        if one.key is not None:
            keys.setdefault(one.scope, []).append(one.key)
    for scope, words in keys.items():
        for row in await fetch(session, EARLIER, scope, words):
            book.earlier[row["scope"], row["key"]] = entry_of(row, book.accounts.get(row["account_id"]))


def entry_of(row: Any, account: Account | None) -> Entry:
    """An operation as it was written. Its account may be another than those asked about, and then is not loaded."""
    nobody = Account(row["account_id"], "", 0, 0, 0, 0, None, None, None)
    said = {name: row[name] for name in WRITTEN}
    return Entry(account=account or nobody, kind=Kind(row["kind"]), is_replay=True, **said)


async def load_due(session: AsyncSession, book: Book, accounts: list[UUID], now: datetime) -> None:
    if accounts:
        add(book, await session.execute(WAITING_LOTS, {"accounts": accounts, "by": now}))
        add(book, await session.execute(ENDED_LOTS, {"accounts": accounts, "by": now}))


async def load_holds(
    session: AsyncSession, book: Book, ids: Sequence[UUID], due: Sequence[UUID], settled: Iterable[UUID]
) -> None:
    """The holds asked for, and those of accounts where time or a settlement may end them; with what they took."""
    if not ids and not due and not settled:
        return
    is_open = HoldRow.state == HoldState.OPEN
    ended = HoldRow.account_id.in_(due) & is_open & (HoldRow.expire_time <= book.now)
    query = select(HoldRow.__table__).where(HoldRow.id.in_(ids) | ended | (HoldRow.account_id.in_(settled) & is_open))
    for row in await session.execute(query):
        book.holds[row.id] = Hold(*row)
    await load_slices(session, book, list(book.holds), Place.HELD)


async def load_redemptions(session: AsyncSession, book: Book, ids: Sequence[UUID]) -> None:
    """The operations that spent what is to be given back, with what they took."""
    if not ids:
        return
    query = (
        select(Operation.id, Operation.account_id, Operation.amount, Refunded.points)
        .outerjoin(Refunded, Refunded.operation_id == Operation.id)
        .where(Operation.id.in_(ids), Operation.kind.in_(SPENDING), Operation.refusal.is_(None))
    )
    for operation, account, points, refunded in await session.execute(query):
        book.redemptions[operation] = Redemption(operation, account, points, refunded or 0)
    await load_slices(session, book, list(book.redemptions), Place.SPENT)


async def load_slices(session: AsyncSession, book: Book, operations: Sequence[UUID], place: Place) -> None:
    if not operations:
        return
    query = (
        select(LotMove.operation_id, LotMove.lot_id, LotMove.points)
        .where(LotMove.operation_id.in_(operations), LotMove.target == place)
        .order_by(LotMove.operation_id, LotMove.position)
    )
    moves = (await session.execute(query)).all()
    await load_substitutions(session, book, [lot for _, lot, _ in moves])
    for operation in operations:
        book.slices[operation] = []
    for operation, lot, points in moves:
        book.slices[operation].append(Slice(book.lots[lot], points))


async def load_reversed(session: AsyncSession, book: Book, lots: Sequence[UUID]) -> None:
    """What is to be reversed, and what earlier reversals of it took."""
    if lots:
        await load_substitutions(session, book, lots)
        book.charged.update((lot, points) for lot, points in await session.execute(CHARGED, {"ids": lots}))


async def load_substitutions(session: AsyncSession, book: Book, lots: Sequence[UUID]) -> None:
    """Lots, and those that paid in their place and may get it back, and those that paid in theirs."""
    if not lots:
        return
    add(book, await session.execute(LOTS_BY_ID, {"ids": lots}))
    query = (
        select(SubstitutionRow.__table__)
        .join(Operation, Operation.id == SubstitutionRow.operation_id)
        .where(SubstitutionRow.lot_id.in_(lots), SubstitutionRow.returned < SubstitutionRow.points)
        .order_by(Operation.seq, SubstitutionRow.position)
    )
    found = [Substitution(*row) for row in await session.execute(query)]
    known = {(one.operation_id, one.position) for many in book.substitutions.values() for one in many}
    fresh = [one for one in found if (one.operation_id, one.position) not in known]
    if fresh:
        for one in fresh:
            book.substitutions.setdefault(one.lot_id, []).append(one)
        await load_substitutions(session, book, [one.payer_id for one in fresh])


def wanted_of(requests: Sequence[tuple[UUID | None, Request]], settled: set[UUID], *, deep: bool) -> dict[UUID, int]:
    """How many points each account may have to spend; every one, where it settles or where that was not enough."""
    wanted = dict.fromkeys(settled, EVERY)
    for account, request in requests:
        if account is not None and isinstance(request, Taking):
            wanted[account] = EVERY if deep else wanted.get(account, 0) + abs(request.points)
    return wanted


async def load_first(session: AsyncSession, book: Book, wanted: Mapping[UUID, int]) -> None:
    """The lots that each account would spend first, until they hold what is wanted of it or there are no more."""
    short = list(wanted)
    for depth in DEPTHS:
        if not short:
            return
        lots: dict[UUID, list[Lot]] = {account: [] for account in short}
        for lot in add(book, await fetch(session, FIRST_LOTS, short, depth)):
            lots[lot.account_id].append(lot)
        short = [one for one, found in lots.items() if not reaches(book.accounts[one], found, wanted[one])]


def reaches(account: Account, found: list[Lot], wanted: int) -> bool:
    account.lots, held = found, sum(lot.open for lot in found)
    account.is_whole = held == account.available
    return account.is_whole or held >= wanted
