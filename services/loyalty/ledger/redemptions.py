"""Points spent, and given back."""

from chassis.outbox import uuid7
from services.loyalty.ledger import due, lots
from services.loyalty.ledger.book import Account, Book, Entry, Redemption, Slice
from services.loyalty.ledger.requests import Redeem, Refund
from services.loyalty.models import Bucket, Place
from services.loyalty.refusals import ExceedsRedeemed, MovementNotFound


def redeem(book: Book, account: Account, request: Redeem) -> Entry:
    """Spend points, in burn order."""
    lots.require(account, request.points)
    entry = Entry(
        uuid7(),
        account,
        request.kind,
        Bucket.REDEEMED,
        min(request.effective or book.now, book.now),
        book.now,
        order_number=request.order_number,
    )
    lots.take(entry, request.points, Place.SPENT)
    remember(book, entry)
    return book.write(entry)


def remember(book: Book, entry: Entry) -> None:
    """Let what was spent in this batch be given back in it."""
    taken = [Slice(lot, points) for lot, _, place, points in entry.moves if place is Place.SPENT]
    book.slices[entry.id] = taken
    total = sum(one.points for one in taken)
    book.redemptions[entry.id] = Redemption(entry.id, entry.account.id, total, 0)


def refund(book: Book, account: Account, request: Refund) -> Entry:
    """Give spent points back to the lots they came from, the last taken first."""
    spent = book.redemptions.get(request.operation)
    if spent is None or spent.account_id != account.id:
        raise MovementNotFound("This account has no such movement that spent points.")
    if request.points > (left := spent.points - spent.refunded):
        raise ExceedsRedeemed(f"There are {left} left to give back.", remaining=str(left))
    entry = Entry(
        uuid7(),
        account,
        request.kind,
        Bucket.REDEEMED,
        min(request.effective or book.now, book.now),
        book.now,
        about=request.operation,
    )
    grace = request.default_grace if request.grace is None else request.grace
    lots.give_back(book, entry, book.slices[spent.id], Place.SPENT, request.points, skip=spent.refunded, grace=grace)
    spent.refunded += request.points
    book.write(entry)
    due.expire_ended(book, account, entry)
    return entry
