"""A copy of some accounts, while requests are decided on it. It knows no database: what changed is written by `save`.

Only `Entry.move`, `Entry.bring` and `Entry.owe` change points. Each changes the lot, the account and the legs of the
operation alike, so that the two layers cannot come apart.
"""

from bisect import insort
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.loyalty.models import Bucket, HoldState, Kind, Origin, Place

NEVER = datetime.max.replace(tzinfo=UTC)
ON_ACCOUNT = {Place.PENDING: "pending", Place.OPEN: "available", Place.HELD: "held"}
IN_LOT = {place: place.value.lower() for place in Place}


class TooFewLots(Exception):  # noqa: N818 - what is wanted is more of them
    """An account has more lots than were loaded, and they are needed."""

    def __init__(self, account: UUID) -> None:
        super().__init__()
        self.account = account


@dataclass(slots=True, eq=False)
class Lot:
    id: UUID
    seq: int
    account_id: UUID
    operation_id: UUID
    parent_id: UUID | None
    origin: Origin
    rule: str | None
    priority: int
    available_time: datetime
    expire_time: datetime | None
    amount: int
    pending: int = 0
    open: int = 0
    held: int = 0
    spent: int = 0
    expired: int = 0
    reversed: int = 0
    absorbed: int = 0
    removed: int = 0
    clawed: int = 0
    wait_time: datetime | None = None

    @property
    def ready_time(self) -> datetime:
        """Until when what is pending waits."""
        return self.wait_time or self.available_time

    @property
    def burn(self) -> tuple[int, datetime, datetime, int]:
        """Its place in the order in which lots are spent."""
        return self.priority, self.expire_time or NEVER, self.available_time, self.seq

    def has_ended(self, at: datetime) -> bool:
        return self.expire_time is not None and self.expire_time <= at


@dataclass(slots=True, eq=False)
class Account:
    id: UUID
    currency: str
    available: int
    pending: int
    held: int
    arrears: int
    due_time: datetime | None
    close_time: datetime | None
    user: UUID | None
    lots: list[Lot] = field(default_factory=list)  # open ones, in burn order
    is_whole: bool = False  # whether `lots` are all there are
    caught_up: bool = False  # whether what is due was done, so that `due_time` has to be found anew
    is_changed: bool = False

    def offer(self, lot: Lot) -> None:
        """Put a lot that is open (again) where it belongs, unless some that were not loaded come before it."""
        if lot not in self.lots and (self.is_whole or (self.lots and lot.burn < self.lots[-1].burn)):
            insort(self.lots, lot, key=lambda one: one.burn)

    def is_due(self, at: datetime) -> None:
        self.due_time = at if self.due_time is None else min(self.due_time, at)


@dataclass(slots=True, eq=False)
class Hold:
    id: UUID
    account_id: UUID
    points: int
    captured: int
    released: int
    state: HoldState
    create_time: datetime
    expire_time: datetime

    @property
    def left(self) -> int:
        return self.points - self.captured - self.released


@dataclass(slots=True, eq=False)
class Substitution:
    operation_id: UUID
    position: int
    lot_id: UUID
    payer_id: UUID
    points: int
    returned: int = 0


@dataclass(slots=True, eq=False)
class Slice:
    """What an operation took from a lot, as it was taken."""

    lot: Lot
    points: int


@dataclass(slots=True, eq=False)
class Redemption:
    """An operation that spent points, and how much of it came back."""

    id: UUID
    account_id: UUID
    points: int
    refunded: int


@dataclass(slots=True, eq=False)
class Entry:
    """An operation as it is written: what it did to the balances of its account, against which of the programme's."""

    id: UUID
    account: Account
    kind: Kind
    against: Bucket | None
    effective_time: datetime
    booked_time: datetime
    scope: str | None = None
    key: str | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    refusal: dict[str, Any] | None = None
    about: UUID | None = None
    order_number: str | None = None
    programme_version: int | None = None
    available: int = 0
    pending: int = 0
    held: int = 0
    arrears: int = 0
    available_after: int = 0
    pending_after: int = 0
    held_after: int = 0
    arrears_after: int = 0
    moves: list[tuple[Lot, Place, Place, int]] = field(default_factory=list)
    brought: list[Lot] = field(default_factory=list)
    is_replay: bool = False

    @property
    def amount(self) -> int:
        """The programme's leg: what makes all of them zero."""
        return self.arrears - self.available - self.pending - self.held

    def change(self, place: Place, points: int) -> None:
        name = ON_ACCOUNT.get(place)
        if name is not None:
            setattr(self, name, getattr(self, name) + points)
            setattr(self.account, name, getattr(self.account, name) + points)
        elif place is Place.ABSORBED:
            self.owe(-points)

    def owe(self, points: int) -> None:
        """Owe more, or less: what is absorbed settles as much."""
        self.arrears += points
        self.account.arrears += points

    def move(self, lot: Lot, source: Place, target: Place, points: int) -> None:
        """Bring points of a lot from one place to another, on the lot, on the account and in the legs."""
        if points <= 0:
            return
        setattr(lot, IN_LOT[source], getattr(lot, IN_LOT[source]) - points)
        setattr(lot, IN_LOT[target], getattr(lot, IN_LOT[target]) + points)
        self.moves.append((lot, source, target, points))
        self.change(source, -points)
        self.change(target, points)
        if target is Place.OPEN:
            self.account.offer(lot)
            if lot.expire_time is not None:
                self.account.is_due(lot.expire_time)

    def bring(self, lot: Lot, place: Place) -> None:
        """Bring a new lot into a place, all of it."""
        setattr(lot, IN_LOT[place], lot.amount)
        self.brought.append(lot)
        self.change(place, lot.amount)
        if place is Place.PENDING:
            self.account.is_due(lot.available_time)
        else:
            self.account.offer(lot)
        if lot.expire_time is not None:
            self.account.is_due(lot.expire_time)

    def settle_arrears(self, lot: Lot, place: Place) -> None:
        """What is owed comes first: as much of the lot as there is of it."""
        self.move(lot, place, Place.ABSORBED, min(self.account.arrears, getattr(lot, IN_LOT[place])))


@dataclass(slots=True)
class Book:
    """What a batch reads and writes."""

    now: datetime
    accounts: dict[UUID, Account] = field(default_factory=dict)
    lots: dict[UUID, Lot] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    redemptions: dict[UUID, Redemption] = field(default_factory=dict)
    slices: dict[UUID, list[Slice]] = field(default_factory=dict)  # of holds and redemptions, as they were taken
    substitutions: dict[UUID, list[Substitution]] = field(default_factory=dict)  # by the lot that was paid for
    charged: dict[UUID, int] = field(default_factory=dict)  # what reversals took for a lot so far, from whomever
    earlier: dict[tuple[str, str], Entry] = field(default_factory=dict)
    restricted: set[UUID | None] = field(default_factory=set)  # people with whose data nobody works now
    entries: list[Entry] = field(default_factory=list)
    new_holds: list[Hold] = field(default_factory=list)
    new_substitutions: list[Substitution] = field(default_factory=list)
    retimed: list[Lot] = field(default_factory=list)

    def write(self, entry: Entry) -> Entry:
        """Take an operation into the journal, once all its moves are made."""
        account = entry.account
        account.is_changed = True
        entry.available_after, entry.pending_after = account.available, account.pending
        entry.held_after, entry.arrears_after = account.held, account.arrears
        if entry.amount == 0:
            entry.against = None
        self.entries.append(entry)
        return entry

    def holds_of(self, account: Account) -> list[Hold]:
        return [one for one in self.holds.values() if one.account_id == account.id and one.state is HoldState.OPEN]

    def lots_of(self, account: Account) -> list[Lot]:
        return [one for one in self.lots.values() if one.account_id == account.id]
