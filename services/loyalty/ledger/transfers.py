"""Points carried over, corrected by hand, and the end of an account."""

from uuid import UUID

from chassis.outbox import uuid7
from services.loyalty.ledger import due, earnings, holds, lots
from services.loyalty.ledger.book import Account, Book, Entry
from services.loyalty.ledger.requests import Adjust, Earn, Settle, Transfer
from services.loyalty.models import Bucket, HoldState, Kind, Origin, Place
from services.loyalty.refusals import AccountClosed, SameAccount


def transfer(book: Book, account: Account, request: Transfer) -> Entry:
    """Carry points over to another account, each with the end it has."""
    other = book.accounts.get(request.to) if isinstance(request.to, UUID) else None
    if other is None or other.close_time is not None:
        raise AccountClosed("The person of the other account was erased: it takes no more points.")
    if other is account:
        raise SameAccount("Points are carried over to another account.")
    lots.require(account, request.points)
    entry = Entry(uuid7(), account, Kind.TRANSFER_OUT, Bucket.TRANSFERRED, book.now, book.now)
    lots.take(entry, request.points, Place.REMOVED)
    book.write(entry)
    due.catch_up(book, other)
    arrival = Entry(uuid7(), other, Kind.TRANSFER_IN, Bucket.TRANSFERRED, book.now, book.now, about=entry.id)
    for lot, _, _, points in entry.moves:
        moved = lots.descendant(book, lot, other, arrival, points, lot.expire_time)
        arrival.bring(moved, Place.OPEN)
        arrival.settle_arrears(moved, Place.OPEN)
    book.write(arrival)
    return entry


def adjust(book: Book, account: Account, request: Adjust) -> Entry:
    """Correct by hand what is there; never below nothing."""
    if request.points >= 0:
        gift = Earn(account=account.id, kind=request.kind, points=request.points, origin=Origin.GOODWILL)
        return earnings.earn(book, account, gift)
    lots.require(account, -request.points)
    entry = Entry(uuid7(), account, request.kind, Bucket.ADJUSTED, book.now, book.now)
    lots.take(entry, -request.points, Place.REMOVED)
    return book.write(entry)


def settle(book: Book, account: Account, request: Settle) -> Entry:
    """Let go of what is held, forfeit what is there and what waits, write off what is owed."""
    for hold in book.holds_of(account):
        holds.let_go(book, account, hold, HoldState.RELEASED)
    if account.arrears:
        paid = Entry(uuid7(), account, Kind.WRITE_OFF, Bucket.WRITTEN_OFF, book.now, book.now)
        paid.owe(-account.arrears)
        book.write(paid)
    entry = Entry(uuid7(), account, request.kind, Bucket.FORFEITED, book.now, book.now)
    for lot in book.lots_of(account):
        entry.move(lot, Place.PENDING, Place.REMOVED, lot.pending)
        entry.move(lot, Place.OPEN, Place.REMOVED, lot.open)
    account.caught_up = True
    return book.write(entry) if entry.moves else entry
