"""The way from what is asked to what is written, in a transaction that is there already. `Writer` opens one for many
callers at once; who has one of their own (a consumer, a bonus, an erasure) posts in it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import fetch
from chassis.personal_data.tombstone import refused_person
from chassis.refusal import Refusal
from services.loyalty.ledger.book import Account, Book, Entry, TooFewLots
from services.loyalty.ledger.decide import Result, decide
from services.loyalty.ledger.defaults import with_defaults
from services.loyalty.ledger.load import load
from services.loyalty.ledger.reminders import remind
from services.loyalty.ledger.requests import Capture, Catch, Refund, Release, Request, Reverse, Transfer, Whose
from services.loyalty.ledger.save import save

# Account and mapping together, or neither where somebody was faster.
OPEN = text("""
WITH mapped AS (
    INSERT INTO member (user_id, currency, account_id) VALUES (:user, :currency, :account)
    ON CONFLICT DO NOTHING RETURNING account_id
)
INSERT INTO account (id, currency, available, pending, held, arrears, create_time)
SELECT account_id, :currency, 0, 0, 0, 0, :now FROM mapped
""")
ACCOUNTS = "SELECT user_id, account_id FROM member WHERE user_id = ANY($1::uuid[]) AND currency = $2"
GONE_ON_WITH = text("""
SELECT user_id, operation.id, account_id FROM operation JOIN member USING (account_id)
WHERE operation.id = ANY(CAST(:ids AS uuid[]))
""")


async def post(session: AsyncSession, requests: Sequence[Request], *, now: datetime) -> list[Result]:
    """Do what is asked, in its order, or refuse it; all of it is written when the transaction commits."""
    book, results = await decided(session, requests, now=now, lock=True)
    await save(session, book)
    await remind(session, book.entries, now=now)
    return results


async def rehearse(session: AsyncSession, requests: Sequence[Request], *, now: datetime) -> list[Result]:
    """What would be done, or refused; nothing is written or locked. An account that is not there yet has nothing."""
    _, results = await decided(session, requests, now=now, lock=False)
    return results


async def glance(session: AsyncSession, account: UUID, *, now: datetime) -> tuple[Account, list[Entry]]:
    """An account as it is now, and what is true of it by now and not written down yet."""
    book, _ = await decided(session, [Catch(account=account)], now=now, lock=False)
    return book.accounts[account], book.entries


async def book_one(session: AsyncSession, request: Request, *, now: datetime) -> Entry:
    """Do one thing, or raise why it is refused. Who raises it further writes no refusal down: the transaction ends."""
    [result] = await post(session, [request], now=now)
    if isinstance(result, Refusal):
        raise result
    return result


async def decided(
    session: AsyncSession, requests: Sequence[Request], *, now: datetime, lock: bool
) -> tuple[Book, list[Result]]:
    resolved = await with_defaults(session, await resolve(session, requests, now=now), now=now)
    accounts = sorted(
        {account for account, _ in resolved if account} | {to for _, one in resolved if (to := other(one))}
    )
    book = await load(session, resolved, accounts, now=now, lock=lock)
    try:
        return book, decide(book, resolved)
    except TooFewLots:  # what is open went to and fro within the batch: once more, with every lot
        book = await load(session, resolved, accounts, now=now, deep=True, lock=lock)
        return book, decide(book, resolved)


def other(request: Request) -> UUID | None:
    return request.to if isinstance(request, Transfer) and isinstance(request.to, UUID) else None


async def resolve(
    session: AsyncSession, requests: Sequence[Request], *, now: datetime
) -> list[tuple[UUID | None, Request]]:
    """The account of each request, opened where it is not there yet; None when its person is erased."""
    wanted = {one.account for one in requests if isinstance(one.account, Whose)}
    wanted |= {one.to for one in requests if isinstance(one, Transfer) and isinstance(one.to, Whose)}
    known = await accounts_of(session, wanted)
    for whose in sorted(wanted - known.keys()):  # in one order, as every batch does
        if await open_account(session, whose, now=now):
            known |= await accounts_of(session, {whose})
    goes_on = await accounts_gone_on_with(session, requests)
    found: list[tuple[UUID | None, Request]] = []
    for one in requests:
        account = known.get(one.account) if isinstance(one.account, Whose) else one.account
        if isinstance(one.account, Whose) and (target := target_of(one)) is not None:
            account = goes_on.get((one.account.user, target), account)
        found.append((account, carried(one, known) if isinstance(one, Transfer) else one))
    return found


def target_of(request: Request) -> UUID | None:
    """The hold or the operation that a request goes on with."""
    if isinstance(request, Capture | Release):
        return request.hold
    return request.operation if isinstance(request, Refund | Reverse) else None


async def accounts_gone_on_with(session: AsyncSession, requests: Sequence[Request]) -> dict[tuple[UUID, UUID], UUID]:
    """The accounts of the holds and operations that requests go on with, whichever currency they are of."""
    targets = [target for one in requests if isinstance(one.account, Whose) and (target := target_of(one)) is not None]
    if not targets:
        return {}
    return {(row.user_id, row.id): row.account_id for row in await session.execute(GONE_ON_WITH, {"ids": targets})}


def carried(request: Transfer, known: dict[Whose, UUID]) -> Transfer:
    """With the account that it goes to, where there is one."""
    if isinstance(request.to, UUID) or request.to not in known:
        return request
    return Transfer(
        account=request.account, scope=request.scope, key=request.key, effective=request.effective,
        to=known[request.to], points=request.points,
    )  # fmt: skip


async def accounts_of(session: AsyncSession, wanted: set[Whose]) -> dict[Whose, UUID]:
    found: dict[Whose, UUID] = {}
    for currency in {one.currency for one in wanted}:
        users = [one.user for one in wanted if one.currency == currency]
        for user, account in await fetch(session, ACCOUNTS, users, currency):
            found[Whose(user, currency)] = account
    return found


async def open_account(session: AsyncSession, whose: Whose, *, now: datetime) -> bool:
    """Open an account; False when its person is erased."""
    try:
        async with session.begin_nested():
            await session.execute(
                OPEN, {"user": whose.user, "currency": whose.currency, "account": uuid4(), "now": now}
            )
    except DBAPIError as error:
        if refused_person(error) is None:
            raise
        return False
    return True
