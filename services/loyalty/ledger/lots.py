"""Taking points from lots, and giving them back to where they came from."""

from datetime import datetime, timedelta

from chassis.outbox import uuid7
from services.loyalty.ledger.book import Account, Book, Entry, Lot, Slice, TooFewLots
from services.loyalty.models import Bucket, Kind, Place
from services.loyalty.refusals import InsufficientPoints

UNWRITTEN = 1 << 62  # in the burn order, lots of this batch come after those that have their number


def take(entry: Entry, points: int, target: Place) -> None:
    """Take open points in burn order: by priority, then by what ends first."""
    left = points
    for lot, part in in_burn_order(entry.account, points):
        entry.move(lot, Place.OPEN, target, part)
        left -= part
    if left:
        raise AssertionError("the lots of an account are fewer than its balance")


def in_burn_order(account: Account, points: int) -> list[tuple[Lot, int]]:
    """Which lots would pay for so many points, as far as there are any."""
    found, left = [], points
    for lot in account.lots:
        if lot.open:
            part = min(lot.open, left)
            found.append((lot, part))
            left -= part
        if not left:
            return found
    if not account.is_whole:
        raise TooFewLots(account.id)
    return found


def require(account: Account, points: int) -> None:
    if account.available < points:
        raise InsufficientPoints(f"There are {account.available} to spend.", available=str(account.available))


def give_back(
    book: Book,
    entry: Entry,
    slices: list[Slice],
    source: Place,
    points: int,
    *,
    skip: int,
    grace: timedelta | None = None,
) -> list[Lot]:
    """Give back points of what was taken, the last taken first, from before the `skip` that came back already.

    What is owed is settled first; then who paid in a lot's place gets it back; the rest goes to the lot itself. Returns
    the lots that have it now, of which some may have ended meanwhile.
    """
    back: list[Lot] = []
    for one in reversed(slices):
        passed = min(one.points, skip)
        skip -= passed
        part = min(one.points - passed, points)
        if part:
            points -= part
            back += restore(book, entry, one.lot, source, part, grace)
    if points:
        raise AssertionError("less was taken than is given back")
    return back


def restore(book: Book, entry: Entry, lot: Lot, source: Place, points: int, grace: timedelta | None) -> list[Lot]:
    """Give points back to a lot, as if those that were reversed had never been earned: who paid for it comes before it,
    and who paid for them before them."""
    absorbed = min(entry.account.arrears, points)
    entry.move(lot, source, Place.ABSORBED, absorbed)
    points -= absorbed
    back: list[Lot] = []
    for one in reversed(book.substitutions.get(lot.id, [])):
        part = min(one.points - one.returned, points)
        if part:
            one.returned += part
            points -= part
            entry.move(lot, source, Place.REVERSED, part)
            back += restore(book, entry, book.lots[one.payer_id], Place.REVERSED, part, grace)
    if points:
        entry.move(lot, source, Place.OPEN, points)
        back.append(lot)
        if grace and lot.has_ended(entry.effective_time):
            prolong(book, entry, lot, points, grace)
    return back


def prolong(book: Book, entry: Entry, lot: Lot, points: int, grace: timedelta) -> None:
    """Let points of a lot that has ended live on in a new one."""
    entry.move(lot, Place.OPEN, Place.REMOVED, points)
    entry.bring(descendant(book, lot, entry.account, entry, points, entry.effective_time + grace), Place.OPEN)


def descendant(book: Book, lot: Lot, account: Account, entry: Entry, points: int, end: datetime | None) -> Lot:
    """A new lot with what another one had."""
    new = Lot(
        id=uuid7(),
        seq=UNWRITTEN + len(book.entries),
        account_id=account.id,
        operation_id=entry.id,
        parent_id=lot.id,
        origin=lot.origin,
        rule=lot.rule,
        priority=lot.priority,
        available_time=lot.available_time,
        expire_time=end,
        amount=points,
    )
    book.lots[new.id] = new
    return new


def expire(book: Book, account: Account, lots: list[Lot], effective: datetime) -> Entry | None:
    """End what is open of lots that have ended."""
    ended = [lot for lot in lots if lot.open]
    if not ended:
        return None
    entry = Entry(uuid7(), account, Kind.EXPIRE, Bucket.EXPIRED, effective, book.now)
    for lot in ended:
        entry.move(lot, Place.OPEN, Place.EXPIRED, lot.open)
    book.write(entry)
    return entry
