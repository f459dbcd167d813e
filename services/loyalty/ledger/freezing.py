"""Points that wait for somebody's word, and not for the clock."""

from chassis.outbox import uuid7
from services.loyalty.ledger import due
from services.loyalty.ledger.book import Account, Book, Entry, Lot
from services.loyalty.ledger.requests import SOMEDAY, Freeze, Thaw
from services.loyalty.models import Place
from services.loyalty.refusals import MovementNotFound


def freeze(book: Book, account: Account, request: Freeze) -> Entry:
    """Have what is open of a lot wait again, and what waits wait for a word. What is held or spent is not touched."""
    lot = lot_of(book, account, request)
    entry = begun(book, account, request)
    lot.wait_time = SOMEDAY
    book.retimed.append(lot)
    entry.move(lot, Place.OPEN, Place.PENDING, lot.open)
    return book.write(entry)


def thaw(book: Book, account: Account, request: Thaw) -> Entry:
    """Let what waits go, or wait until its time. As with what was held, what would have ended meanwhile ends now."""
    lot = lot_of(book, account, request)
    entry = begun(book, account, request)
    lot.wait_time = request.available_time
    book.retimed.append(lot)
    if request.available_time <= book.now:
        entry.settle_arrears(lot, Place.PENDING)
        entry.move(lot, Place.PENDING, Place.OPEN, lot.pending)
    book.write(entry)
    due.expire_ended(book, account, entry)
    return entry


def lot_of(book: Book, account: Account, request: Freeze | Thaw) -> Lot:
    lot = book.lots.get(request.operation)
    if lot is None or lot.account_id != account.id:
        raise MovementNotFound("This account has no such movement that earned points.")
    return lot


def begun(book: Book, account: Account, request: Freeze | Thaw) -> Entry:
    account.caught_up = True  # when the next thing is due has to be found anew
    effective = min(request.effective or book.now, book.now)
    return Entry(uuid7(), account, request.kind, None, effective, book.now, about=request.operation)
