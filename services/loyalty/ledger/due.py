"""What the clock does to an account. At one instant: points that waited can be spent, then holds end, then lots end.

A lot can be spent from `available_time` on and before `expire_time`: that is a property of the lot, whoever looks and
whenever this runs. What is booked here is what is true already, with the time at which it became so.
"""

from datetime import datetime

from chassis.outbox import uuid7
from services.loyalty.ledger import lots
from services.loyalty.ledger.book import Account, Book, Entry, Hold, Lot
from services.loyalty.ledger.requests import Catch
from services.loyalty.models import HoldState, Kind, Place


def catch(book: Book, account: Account, request: Catch) -> Entry:
    """Nothing beside what is done before every request: an entry that nobody writes."""
    account.caught_up = account.is_changed = True
    return Entry(uuid7(), account, request.kind, None, book.now, book.now)


def catch_up(book: Book, account: Account) -> None:
    """Do what is due by now, in the order of its time."""
    if account.due_time is None or account.due_time > book.now:
        return
    account.caught_up = account.is_changed = True
    while (instant := earliest(book, account)) is not None and instant <= book.now:
        activate(book, account, instant)
        for hold in book.holds_of(account):
            if hold.expire_time <= instant:
                end_hold(book, account, hold)
        lots.expire(book, account, [lot for lot in book.lots_of(account) if lot.has_ended(instant)], instant)
    account.due_time = instant


def earliest(book: Book, account: Account) -> datetime | None:
    """When the next thing of the account is due, of what was loaded."""
    times = [hold.expire_time for hold in book.holds_of(account)]
    for lot in book.lots_of(account):
        if lot.pending:
            times.append(lot.ready_time)
        if lot.open and lot.expire_time is not None:
            times.append(lot.expire_time)
    return min(times, default=None)


def activate(book: Book, account: Account, instant: datetime) -> None:
    ready = [lot for lot in book.lots_of(account) if lot.pending and lot.ready_time <= instant]
    if not ready:
        return
    entry = Entry(uuid7(), account, Kind.ACTIVATE, None, instant, book.now)
    for lot in ready:
        entry.settle_arrears(lot, Place.PENDING)
        entry.move(lot, Place.PENDING, Place.OPEN, lot.pending)
    book.write(entry)


def end_hold(book: Book, account: Account, hold: Hold) -> None:
    entry = let_go(book, account, hold, hold.expire_time, HoldState.EXPIRED)
    book.write(entry)
    expire_ended(book, account, entry)


def let_go(book: Book, account: Account, hold: Hold, at: datetime, state: HoldState) -> Entry:
    """Give back what is still held, the last taken first."""
    entry = Entry(uuid7(), account, Kind.RELEASE, None, at, book.now, about=hold.id)
    lots.give_back(book, entry, book.slices[hold.id], Place.HELD, hold.left, skip=hold.released)
    hold.released, hold.state = hold.released + hold.left, state
    return entry


def expire_ended(book: Book, account: Account, entry: Entry) -> None:
    """What came back to lots that ended meanwhile ends now."""
    ended: list[Lot] = [
        lot for lot, _, place, _ in entry.moves if place is Place.OPEN and lot.has_ended(entry.effective_time)
    ]
    lots.expire(book, account, list(dict.fromkeys(ended)), entry.effective_time)
