"""Points earned, and taken back as if they had never been."""

from chassis.outbox import uuid7
from services.loyalty.ledger import lots
from services.loyalty.ledger.book import Account, Book, Entry, Lot, Substitution
from services.loyalty.ledger.requests import Earn, Policy, Reverse
from services.loyalty.models import Bucket, Kind, Place
from services.loyalty.refusals import ExceedsEarned, MovementNotFound

AGAINST = {Kind.ADJUST: Bucket.ADJUSTED}


def earn(book: Book, account: Account, request: Earn) -> Entry:
    """Give points, in a lot of their own. What is owed is settled first, unless they wait."""
    if request.refusal is not None:
        raise request.refusal
    entry = Entry(
        uuid7(),
        account,
        request.kind,
        AGAINST.get(request.kind, Bucket.ISSUED),
        effective := min(request.effective or book.now, book.now),
        book.now,
        order_number=request.order_number,
        programme_version=request.programme_version,
    )
    lot = Lot(
        id=entry.id,
        seq=lots.UNWRITTEN + len(book.entries),
        account_id=account.id,
        operation_id=entry.id,
        parent_id=None,
        origin=request.origin,
        rule=request.rule,
        priority=request.priority,
        available_time=request.available_time or effective,
        expire_time=request.expire_time or (request.term.end(effective) if request.term else None),
        amount=request.points,
    )
    book.lots[lot.id] = lot
    waits = lot.available_time > book.now
    entry.bring(lot, Place.PENDING if waits else Place.OPEN)
    if not waits and account.arrears:
        entry.settle_arrears(lot, Place.OPEN)
    return book.write(entry)


def reverse(book: Book, account: Account, request: Reverse) -> Entry:
    """Take back points of one earning: those that wait, those still open, then what the policy allows.

    Had they never been earned, whoever spent them would have spent others: so others pay in their place (and are
    given back first when that spending is undone), and what nobody can pay is owed. What has expired has been taken
    already, and what is held is not broken.
    """
    lot = book.lots.get(request.operation)
    if lot is None or lot.account_id != account.id:
        raise MovementNotFound("This account has no such movement that earned points.")
    if request.points > (left := lot.amount - lot.clawed):
        raise ExceedsEarned(f"There are {left} left to take back.", remaining=str(left))
    entry = Entry(
        uuid7(),
        account,
        request.kind,
        Bucket.REVERSED,
        min(request.effective or book.now, book.now),
        book.now,
        about=request.operation,
        order_number=request.order_number,
        programme_version=request.programme_version,
    )
    wanted = request.points
    for place, points in ((Place.PENDING, lot.pending), (Place.OPEN, lot.open)):
        if request.policy is Policy.ONLY_PENDING and place is Place.OPEN:
            break
        part = min(points, wanted)
        entry.move(lot, place, Place.REVERSED, part)
        wanted -= part
    if request.policy is not Policy.ONLY_PENDING:
        wanted = charge_others(book, entry, lot, wanted - taken_already(book, lot, wanted), request.policy)
    lot.clawed += request.points - wanted
    book.charged[lot.id] = book.charged.get(lot.id, 0) + entry.amount
    return book.write(entry)


def taken_already(book: Book, lot: Lot, wanted: int) -> int:
    """What has expired was taken already, and is not taken twice: as far as no earlier reversal counted on it."""
    counted = lot.clawed - book.charged.get(lot.id, 0)
    return min(wanted, lot.expired - counted)


def charge_others(book: Book, entry: Entry, lot: Lot, wanted: int, policy: Policy) -> int:
    """Have other lots pay, and owe what they cannot. Returns what was neither."""
    account = entry.account
    if wanted:
        for position, (payer, part) in enumerate(lots.in_burn_order(account, min(wanted, account.available))):
            entry.move(payer, Place.OPEN, Place.REVERSED, part)
            paid = Substitution(entry.id, position, lot.id, payer.id, part)
            book.substitutions.setdefault(lot.id, []).append(paid)
            book.new_substitutions.append(paid)
            wanted -= part
    if wanted and policy is Policy.UNLIMITED:
        entry.owe(wanted)
        wanted = 0
    return wanted
