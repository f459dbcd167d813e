"""Points as a patient clerk would keep them on paper: slow, plain, and written without a look at the service.

Days are numbers, points are whole. Everything that is due by a day is done before anything else is done on it. A clerk
never looks ahead and keeps no sums: what somebody has is counted from the lots whenever it is asked.
"""

from collections import Counter
from dataclasses import dataclass, field

FOREVER = float("inf")
ONLY_PENDING, WITHIN_BALANCE, UNLIMITED = "ONLY_PENDING", "WITHIN_BALANCE", "UNLIMITED"


class Refused(Exception):  # noqa: N818 - it is an answer
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(eq=False)
class Lot:
    priority: int
    usable: float
    ends: float
    amount: int
    place: Counter[str] = field(default_factory=Counter)
    clawed: int = 0
    counted: int = 0  # of what was asked back, how much had expired anyway
    payers: list["Paid"] = field(default_factory=list)  # who paid in its place

    def move(self, source: str, target: str, points: int) -> None:
        assert 0 <= points <= self.place[source], (source, points, self)
        self.place[source] -= points
        self.place[target] += points


@dataclass(eq=False)
class Paid:
    lot: Lot
    left: int  # that was not given back yet


@dataclass(eq=False)
class Taken:
    """What was taken of lots, in the order it was taken; a hold has a deadline, a redemption has none."""

    member: "Member"
    slices: list[tuple[Lot, int]]
    deadline: float = FOREVER
    is_over: bool = False

    @property
    def left(self) -> int:
        return sum(points for _, points in self.slices)

    def first(self, points: int) -> list[tuple[Lot, int]]:
        return self.cut(points, 0)

    def last(self, points: int) -> list[tuple[Lot, int]]:
        return self.cut(points, -1)

    def cut(self, points: int, end: int) -> list[tuple[Lot, int]]:
        found = []
        while points:
            lot, there = self.slices.pop(end)
            part = min(there, points)
            if part < there:
                self.slices.insert(0 if end == 0 else len(self.slices), (lot, there - part))
            found.append((lot, part))
            points -= part
        return found


@dataclass(eq=False)
class Member:
    lots: list[Lot] = field(default_factory=list)
    holds: list[Taken] = field(default_factory=list)
    arrears: int = 0
    totals: Counter[str] = field(default_factory=Counter)  # the programme's side
    is_closed: bool = False

    def has(self, place: str) -> int:
        return sum(lot.place[place] for lot in self.lots)

    @property
    def balances(self) -> tuple[int, int, int, int]:
        return self.has("open"), self.has("pending"), self.has("held"), self.arrears

    def in_burn_order(self) -> list[Lot]:
        found = [(lot.priority, lot.ends, lot.usable, number) for number, lot in enumerate(self.lots)]
        return [self.lots[number] for *_, number in sorted(found)]

    def check(self) -> None:
        """Identities A to D of the notes."""
        totals = self.totals
        gone = totals["REDEEMED"] + totals["EXPIRED"] + totals["REVERSED"] + totals["FORFEITED"] + totals["TRANSFERRED"]
        available, pending, held, arrears = self.balances
        assert totals["ISSUED"] == available + pending + held - arrears + gone - totals["WRITTEN_OFF"]
        assert not (available and arrears)
        assert held == sum(hold.left for hold in self.holds if not hold.is_over)
        for lot in self.lots:
            assert sum(lot.place.values()) == lot.amount
            assert min(lot.place.values()) >= 0


class Paper:
    """The books of some members, and what day it is."""

    def __init__(self, members: int) -> None:
        self.today = 0.0
        self.members = [Member() for _ in range(members)]

    # The clock -------------------------------------------------------------------------------------------------------

    def go_to(self, day: float) -> None:
        """Do what is due until then, each at its own instant."""
        for member in self.members:
            while (instant := next_instant(member)) <= day:
                self.do_due(member, instant)
        self.today = day

    def do_due(self, member: Member, instant: float) -> None:
        for lot in member.lots:
            if lot.place["pending"] and lot.usable <= instant:
                settle(member, lot, "pending")
                lot.move("pending", "open", lot.place["pending"])
        for hold in member.holds:
            if not hold.is_over and hold.deadline <= instant:
                self.let_go(hold, instant)
        expire(member, instant)

    def let_go(self, hold: Taken, instant: float) -> None:
        hold.is_over = True
        for lot, points in hold.last(hold.left):
            restore(hold.member, lot, "held", points)
        expire(hold.member, instant)

    # What can be asked ----------------------------------------------------------------------------------------------

    def earn(
        self, who: int, points: int, *, priority: int = 100, since: float | None = None, usable: float | None = None,
        ends: float = FOREVER,
    ) -> Lot:  # fmt: skip
        member, since = self.open_member(who), self.today if since is None else since
        lot = Lot(priority, since if usable is None else usable, ends, points)
        waits = lot.usable > self.today
        lot.place["pending" if waits else "open"] = points
        member.lots.append(lot)
        member.totals["ISSUED"] += points
        if not waits:
            settle(member, lot, "open")
        expire(member, self.today)  # it may have been told too late to be of use
        return lot

    def redeem(self, who: int, points: int) -> Taken:
        member = self.open_member(who)
        taken = Taken(member, take(member, points, "spent"))
        member.totals["REDEEMED"] += points
        return taken

    def hold(self, who: int, points: int, lasts: float) -> Taken:
        member = self.open_member(who)
        hold = Taken(member, take(member, points, "held"), self.today + lasts)
        member.holds.append(hold)
        return hold

    def capture(self, hold: Taken, points: int, *, final: bool) -> Taken:
        member = self.still_open(hold)
        if points > hold.left:
            raise Refused("EXCEEDS_HOLD")
        slices = hold.first(points)
        for lot, part in slices:
            lot.move("held", "spent", part)
        member.totals["REDEEMED"] += points
        if final:
            self.let_go(hold, self.today)
        hold.is_over = hold.left == 0
        return Taken(member, slices)

    def release(self, hold: Taken) -> None:
        self.still_open(hold)
        self.let_go(hold, self.today)

    def refund(self, spent: Taken, points: int, *, grace: float = 0) -> None:
        member = self.not_closed(spent.member)
        if points > spent.left:
            raise Refused("EXCEEDS_REDEEMED")
        member.totals["REDEEMED"] -= points
        for lot, part in spent.last(points):
            for back, restored in restore(member, lot, "spent", part):
                if grace and back.ends <= self.today:
                    back.move("open", "removed", restored)
                    longer = Lot(back.priority, back.usable, self.today + grace, restored)
                    longer.place["open"] = restored
                    member.lots.append(longer)
        expire(member, self.today)

    def reverse(self, who: int, lot: Lot, points: int, policy: str) -> None:
        member = self.open_member(who)
        if points > lot.amount - lot.clawed:
            raise Refused("EXCEEDS_EARNED")
        wanted = points
        for place in ("pending",) if policy == ONLY_PENDING else ("pending", "open"):
            part = min(lot.place[place], wanted)
            lot.move(place, "reversed", part)
            member.totals["REVERSED"] += part
            wanted -= part
        if policy != ONLY_PENDING:
            anyway = min(wanted, lot.place["expired"] - lot.counted)
            lot.counted += anyway
            wanted -= anyway
            for payer in member.in_burn_order():
                part = min(payer.place["open"], wanted)
                if part:
                    payer.move("open", "reversed", part)
                    lot.payers.append(Paid(payer, part))
                    member.totals["REVERSED"] += part
                    wanted -= part
        if policy == UNLIMITED:
            member.arrears += wanted
            member.totals["REVERSED"] += wanted
            wanted = 0
        lot.clawed += points - wanted

    def transfer(self, who: int, to: int, points: int) -> None:
        member, other = self.open_member(who), self.open_member(to)
        if member is other:
            raise Refused("SAME_ACCOUNT")
        for lot, part in take(member, points, "removed"):
            moved = Lot(lot.priority, lot.usable, lot.ends, part)
            moved.place["open"] = part
            other.lots.append(moved)
            settle(other, moved, "open")
        member.totals["TRANSFERRED"] += points
        other.totals["TRANSFERRED"] -= points

    def erase(self, who: int) -> None:
        member = self.members[who]
        for hold in member.holds:
            if not hold.is_over:
                self.let_go(hold, self.today)
        member.totals["WRITTEN_OFF"] += member.arrears
        member.arrears = 0
        for lot in member.lots:
            for place in ("pending", "open"):
                member.totals["FORFEITED"] += lot.place[place]
                lot.move(place, "removed", lot.place[place])
        member.is_closed = True

    # What is asked of all of them -------------------------------------------------------------------------------------

    def open_member(self, who: int) -> Member:
        return self.not_closed(self.members[who])

    @staticmethod
    def not_closed(member: Member) -> Member:
        if member.is_closed:
            raise Refused("ACCOUNT_CLOSED")
        return member

    def still_open(self, hold: Taken) -> Member:
        member = self.not_closed(hold.member)
        if hold.is_over:
            raise Refused("HOLD_ENDED")
        return member


def next_instant(member: Member) -> float:
    """When the next thing is due."""
    times = [hold.deadline for hold in member.holds if not hold.is_over]
    times += [lot.usable for lot in member.lots if lot.place["pending"]]
    times += [lot.ends for lot in member.lots if lot.place["open"]]
    return min([one for one in times if one < FOREVER], default=FOREVER)


def expire(member: Member, instant: float) -> None:
    for lot in member.lots:
        if lot.ends <= instant and lot.place["open"]:
            member.totals["EXPIRED"] += lot.place["open"]
            lot.move("open", "expired", lot.place["open"])


def settle(member: Member, lot: Lot, place: str) -> None:
    """What is owed comes first."""
    part = min(member.arrears, lot.place[place])
    lot.move(place, "absorbed", part)
    member.arrears -= part


def take(member: Member, points: int, target: str) -> list[tuple[Lot, int]]:
    if points > member.has("open"):
        raise Refused("INSUFFICIENT_POINTS")
    slices = []
    for lot in member.in_burn_order():
        part = min(lot.place["open"], points)
        if part:
            lot.move("open", target, part)
            slices.append((lot, part))
            points -= part
    return slices


def restore(member: Member, lot: Lot, source: str, points: int) -> list[tuple[Lot, int]]:
    """Arrears, then who paid in its place (and who paid in theirs), the last first, then the lot itself."""
    part = min(member.arrears, points)
    lot.move(source, "absorbed", part)
    member.arrears -= part
    points -= part
    back: list[tuple[Lot, int]] = []
    for paid in reversed(lot.payers):
        part = min(paid.left, points)
        if part:
            paid.left -= part
            points -= part
            lot.move(source, "reversed", part)
            back += restore(member, paid.lot, "reversed", part)
    if points:
        lot.move(source, "open", points)
        back.append((lot, points))
    return back
