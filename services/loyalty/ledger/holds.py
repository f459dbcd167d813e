"""Points set aside for a purchase under way: spent in parts, given back, or let go when the time is over."""

from uuid import UUID

from chassis.outbox import uuid7
from services.loyalty.ledger import due, lots, redemptions
from services.loyalty.ledger.book import Account, Book, Entry, Hold, Slice
from services.loyalty.ledger.requests import Capture, PlaceHold, Release
from services.loyalty.models import Bucket, HoldState, Place
from services.loyalty.refusals import ExceedsHold, HoldEnded, HoldNotFound


def place(book: Book, account: Account, request: PlaceHold) -> Entry:
    """Set points aside, in burn order. A lot does not end while it is held."""
    lots.require(account, request.points)
    entry = Entry(uuid7(), account, request.kind, None, book.now, book.now)
    lots.take(entry, request.points, Place.HELD)
    hold = Hold(entry.id, account.id, request.points, 0, 0, HoldState.OPEN, book.now, book.now + request.lasts)
    entry.about = hold.id
    book.holds[hold.id] = hold
    book.new_holds.append(hold)
    book.slices[hold.id] = [Slice(lot, points) for lot, _, _, points in entry.moves]
    account.is_due(hold.expire_time)
    return book.write(entry)


def capture(book: Book, account: Account, request: Capture) -> Entry:
    """Spend held points, in the order they were taken; a final capture lets go of the rest."""
    hold = still_open(book, account, request.hold)
    if request.points > hold.left:
        raise ExceedsHold(f"There are {hold.left} left of this hold.", remaining=str(hold.left))
    entry = Entry(uuid7(), account, request.kind, Bucket.REDEEMED, book.now, book.now, about=hold.id)
    skip, left = hold.captured, request.points
    for one in book.slices[hold.id]:
        passed = min(one.points, skip)
        skip -= passed
        part = min(one.points - passed, left)
        entry.move(one.lot, Place.HELD, Place.SPENT, part)
        left -= part
    hold.captured += request.points
    if hold.left == 0:
        hold.state = HoldState.CAPTURED
    redemptions.remember(book, entry)
    book.write(entry)
    if request.final and hold.left:
        let_go(book, account, hold, HoldState.CAPTURED)
    return entry


def release(book: Book, account: Account, request: Release) -> Entry:
    """Let go of what is still held."""
    hold = still_open(book, account, request.hold)
    return let_go(book, account, hold, HoldState.RELEASED)


def let_go(book: Book, account: Account, hold: Hold, state: HoldState) -> Entry:
    entry = book.write(due.let_go(book, account, hold, book.now, state))
    due.expire_ended(book, account, entry)
    return entry


def still_open(book: Book, account: Account, id: UUID) -> Hold:
    hold = book.holds.get(id)
    if hold is None or hold.account_id != account.id:
        raise HoldNotFound("This account has no such hold.")
    if hold.state is not HoldState.OPEN:
        raise HoldEnded("This hold is over.", state=hold.state.value)
    return hold
