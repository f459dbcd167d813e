"""What becomes of requests, one after the other, on the copy that was loaded. No database, no clock: the same copy and
the same requests come to the same end, so it may be done again on more lots, or only to see what would happen.

A refusal is a result: it is written down under the request's key, and the same request is refused alike for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from chassis.outbox import uuid7
from chassis.personal_data import restrict
from chassis.refusal import Refusal, RequestIdReused, Violation
from services.loyalty.ledger import due, earnings, freezing, holds, redemptions, transfers
from services.loyalty.ledger.book import Account, Book, Entry
from services.loyalty.ledger.requests import (
    Adjust,
    Capture,
    Catch,
    Earn,
    Freeze,
    PlaceHold,
    Redeem,
    Refund,
    Release,
    Request,
    Reverse,
    Settle,
    Thaw,
    Transfer,
    Whose,
)
from services.loyalty.refusals import AccountClosed, refused_again

Decision = Callable[[Book, Account, Any], Entry]
DECISIONS: dict[type[Request], Decision] = {
    Earn: earnings.earn,
    Reverse: earnings.reverse,
    Redeem: redemptions.redeem,
    Refund: redemptions.refund,
    PlaceHold: holds.place,
    Capture: holds.capture,
    Release: holds.release,
    Adjust: transfers.adjust,
    Transfer: transfers.transfer,
    Freeze: freezing.freeze,
    Thaw: freezing.thaw,
    Settle: transfers.settle,
    Catch: due.catch,
}
STAYS = (
    Earn,
    Reverse,
    Settle,
    Catch,
)  # what may still be done to a closed account, by who knows that it is: facts told late
Result = Entry | Refusal


def decide(book: Book, requests: Sequence[tuple[UUID | None, Request]]) -> list[Result]:
    """The result of each request, whose account is named beside it (None: the person is erased)."""
    return [decide_one(book, account, request) for account, request in requests]


def decide_one(book: Book, account_id: UUID | None, request: Request) -> Result:
    if request.heeds is not None and request.heeds in book.restricted:
        return restrict.refusal_of(request.heeds)
    if account_id is None:
        return closed()
    account = book.accounts[account_id]
    due.catch_up(book, account)
    keyed = request.scope is not None and request.key is not None
    asked = request.asked() if keyed else {}
    if keyed and (earlier := book.earlier.get((request.scope, request.key))) is not None:  # type: ignore[arg-type]
        return again(earlier, account, request, asked)
    if account.close_time is not None and (isinstance(request.account, Whose) or not isinstance(request, STAYS)):
        return closed()
    try:
        entry = DECISIONS[type(request)](book, account, request)
    except Refusal as refusal:
        entry = refused(book, account, request, refusal)
        remember(book, entry, request, asked)
        return refusal
    remember(book, entry, request, asked)
    due.catch_up(book, account)  # what was told late may be due already
    return entry


def again(earlier: Entry, account: Account, request: Request, asked: dict[str, Any]) -> Result:
    """The answer that was given before, or a refusal that says in which fields this request is another one."""
    before = {"account": str(earlier.account.id), "kind": earlier.kind, **earlier.asked}
    wanted = {"account": str(account.id), "kind": request.kind, **asked}
    if "destination" not in wanted:
        before.pop("destination", None)  # whoever that was is erased, and nothing says any more whether it was them
    fields = sorted(name for name in before.keys() | wanted.keys() if before.get(name) != wanted.get(name))
    if fields:
        told = [Violation(name, "REQUEST_ID_REUSED", "As it was under this request_id before.") for name in fields]
        return RequestIdReused("This request_id stands for another request; use a new one.", violations=told)
    if earlier.refusal is not None:
        return refused_again(earlier.refusal)
    return earlier if earlier.is_replay else replace(earlier, is_replay=True)


def refused(book: Book, account: Account, request: Request, refusal: Refusal) -> Entry:
    entry = Entry(uuid7(), account, request.kind, None, request.effective or book.now, book.now)
    entry.refusal = {"reason": refusal.reason, "message": refusal.message, **refusal.metadata}
    return book.write(entry) if request.key is not None else entry


def remember(book: Book, entry: Entry, request: Request, asked: dict[str, Any]) -> None:
    entry.scope, entry.key, entry.asked = request.scope, request.key, asked
    if entry.scope is not None and entry.key is not None:
        book.earlier[entry.scope, entry.key] = entry


def closed() -> AccountClosed:
    return AccountClosed("The person of this account was erased: it takes no more points.")
