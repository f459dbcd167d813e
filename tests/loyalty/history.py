"""Histories: steps done to the service and to `tests.loyalty.paper`, and looked at after each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from hypothesis import strategies as st
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb

from chassis.time import timestamp
from services.loyalty.jobs import book_what_is_due
from tests.loyalty import paper
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.paper import FOREVER, Lot, Paper, Refused, Taken
from tests.loyalty.test_erasure import erase

Policy = ledger_pb.ReversePointsRequest.Policy
MEMBERS = 3
BESIDE = 5  # histories at a time
POLICIES = (paper.ONLY_PENDING, paper.WITHIN_BALANCE, paper.UNLIMITED)
KINDS = (
    *["earn"] * 5, *["redeem"] * 3, *["hold"] * 2, "capture", "capture", "release", *["refund"] * 3, *["reverse"] * 3,
    "transfer", "transfer", "again", "twice", "erase", "sweep",
)  # fmt: skip

PLACES = ("pending", "open", "held", "spent", "expired", "reversed", "absorbed", "removed")
LOTS = f"""
SELECT account_id, priority, extract(epoch FROM available_time), extract(epoch FROM expire_time), amount,
    {", ".join(PLACES)}, clawed
FROM lot WHERE account_id = ANY(:accounts) ORDER BY seq
"""  # noqa: S608 - our own words
BALANCES = """
SELECT account.id, account.available, account.pending, account.held, account.arrears,
    coalesce(sum(operation.available), 0), coalesce(sum(operation.pending), 0), coalesce(sum(operation.held), 0),
    coalesce(sum(operation.arrears), 0)
FROM account LEFT JOIN operation ON account_id = account.id WHERE account.id = ANY(:accounts) GROUP BY account.id
"""
TOTALS = """
SELECT account_id, against, sum(amount) FROM operation
WHERE account_id = ANY(:accounts) AND against IS NOT NULL GROUP BY account_id, against
"""


@dataclass(frozen=True)
class Step:
    kind: str
    who: int
    points: int
    which: int  # of what was done before
    how: int  # whatever else can be chosen


STEPS = st.builds(
    Step, st.sampled_from(KINDS), st.integers(0, MEMBERS - 1), st.integers(1, 60), st.integers(0, 7), st.integers(0, 11)
)
HISTORIES = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 2, 6]), st.lists(STEPS, min_size=BESIDE, max_size=BESIDE)), max_size=16
)


@dataclass
class Done:
    """What was asked for, and what came of it."""

    posting: ledger_pb.Posting
    name: str = ""
    refusal: str = ""


@dataclass
class History:
    """The members of one history, as the service knows them and on paper."""

    world: World
    begin: datetime
    users: list[UUID]
    paper: Paper = field(default_factory=lambda: Paper(MEMBERS))
    accounts: dict[int, UUID] = field(default_factory=dict)
    earned: list[tuple[int, str, Lot]] = field(default_factory=list)
    spent: list[tuple[str, Taken]] = field(default_factory=list)
    holds: list[tuple[str, Taken]] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)

    def wallet(self, who: int) -> str:
        return f"users/{self.users[who]}/pointsAccount"

    def at(self, day: float) -> Timestamp:
        return timestamp(self.begin + timedelta(days=day))

    # What a step asks for -------------------------------------------------------------------------------------------

    def asked(self, step: Step) -> list[ledger_pb.Posting]:
        """What this step posts: nothing where there is nothing to go on with."""
        make = getattr(self, f"post_{step.kind}", None)
        return [] if make is None else [one for one in make(step) if one is not None]

    def post_earn(self, step: Step) -> Iterator[ledger_pb.Posting]:
        since, usable, ends = term(step, self.paper.today)
        asked = pb.EarnPointsRequest(parent=self.wallet(step.who), points=step.points, request_id=str(uuid4()))
        for name, day in (("effective_time", since), ("available_time", usable), ("expire_time", ends)):
            if day is not None:
                getattr(asked, name).CopyFrom(self.at(day))
        if step.how % 4 == 1:
            asked.priority = step.how
        yield ledger_pb.Posting(earn=asked)

    def post_redeem(self, step: Step) -> Iterator[ledger_pb.Posting]:
        asked = ledger_pb.RedeemPointsRequest(parent=self.wallet(step.who), points=step.points, request_id=str(uuid4()))
        yield ledger_pb.Posting(redeem=asked)

    def post_hold(self, step: Step) -> Iterator[ledger_pb.Posting]:
        lasts = Duration()
        lasts.FromTimedelta(timedelta(days=1 + step.how))
        yield ledger_pb.Posting(
            hold=ledger_pb.CreateHoldRequest(
                parent=self.wallet(step.who), points=step.points, lasts=lasts, request_id=str(uuid4())
            )
        )

    def post_capture(self, step: Step) -> Iterator[ledger_pb.Posting]:
        if self.holds:
            name, _ = pick(self.holds, step)
            asked = ledger_pb.CaptureHoldRequest(
                name=name, points=step.points, final=step.how % 3 == 0, request_id=str(uuid4())
            )
            yield ledger_pb.Posting(capture=asked)

    def post_release(self, step: Step) -> Iterator[ledger_pb.Posting]:
        if self.holds:
            name, _ = pick(self.holds, step)
            yield ledger_pb.Posting(release=ledger_pb.ReleaseHoldRequest(name=name, request_id=str(uuid4())))

    def post_refund(self, step: Step) -> Iterator[ledger_pb.Posting]:
        if self.spent:
            name, _ = pick(self.spent, step)
            asked = ledger_pb.RefundPointsRequest(name=name, points=step.points, request_id=str(uuid4()))
            if step.how % 2:
                asked.grace_days = step.how
            yield ledger_pb.Posting(refund=asked)

    def post_reverse(self, step: Step) -> Iterator[ledger_pb.Posting]:
        if self.earned:
            _, name, _ = pick(self.earned, step)
            yield ledger_pb.Posting(
                reverse=ledger_pb.ReversePointsRequest(
                    name=name, points=step.points, policy=Policy.Value(POLICIES[step.how % 3]), request_id=str(uuid4())
                )
            )

    def post_transfer(self, step: Step) -> Iterator[ledger_pb.Posting]:
        yield ledger_pb.Posting(
            transfer=ledger_pb.TransferPointsRequest(
                parent=self.wallet(step.who),
                destination=self.wallet(step.how % MEMBERS),
                points=step.points,
                request_id=str(uuid4()),
            )
        )

    def post_again(self, step: Step) -> Iterator[ledger_pb.Posting]:
        if self.done:
            yield pick(self.done, step).posting

    def post_twice(self, step: Step) -> Iterator[ledger_pb.Posting]:
        """The same request twice in one batch."""
        for one in self.post_redeem(step):
            yield from (one, one)

    # What came of it, and what should have ------------------------------------------------------------------------

    def heard(self, step: Step, posted: Sequence[tuple[ledger_pb.Posting, ledger_pb.Posted]]) -> None:
        """Do the same on paper, and compare what was answered."""
        for posting, told in posted:
            key = getattr(posting, posting.WhichOneof("operation") or "").request_id
            before = next((one for one in self.done if request_id(one.posting) == key), None)
            answer = Done(posting, name_of(told), reason_of(told))
            if before is None:
                assert answer.refusal == self.on_paper(step, posting, answer.name), (step, told)
                assert not is_replay(told)
                self.done.append(answer)
            elif not self.is_of_closed(posting):
                assert (answer.name, answer.refusal) == (before.name, before.refusal)
                assert is_replay(told) or answer.refusal
            else:
                assert answer.refusal == "ACCOUNT_CLOSED"
            self.touch(posting)

    def on_paper(self, step: Step, posting: ledger_pb.Posting, name: str) -> str:
        """The refusal, or that there is none."""
        try:
            getattr(self, f"do_{posting.WhichOneof('operation')}")(step, name)
        except Refused as refused:
            return refused.reason
        return ""

    def do_earn(self, step: Step, name: str) -> None:
        since, usable, ends = term(step, self.paper.today)
        priority = step.how if step.how % 4 == 1 else 100
        ends = FOREVER if ends is None else ends
        lot = self.paper.earn(step.who, step.points, priority=priority, since=since, usable=usable, ends=ends)
        self.earned.append((step.who, name, lot))

    def do_redeem(self, step: Step, name: str) -> None:
        self.spent.append((name, self.paper.redeem(step.who, step.points)))

    def do_hold(self, step: Step, name: str) -> None:
        self.holds.append((name, self.paper.hold(step.who, step.points, 1 + step.how)))

    def do_capture(self, step: Step, name: str) -> None:
        _, hold = pick(self.holds, step)
        self.spent.append((name, self.paper.capture(hold, step.points, final=step.how % 3 == 0)))

    def do_release(self, step: Step, name: str) -> None:  # noqa: ARG002 - as every deed is called
        self.paper.release(pick(self.holds, step)[1])

    def do_refund(self, step: Step, name: str) -> None:  # noqa: ARG002 - as every deed is called
        self.paper.refund(pick(self.spent, step)[1], step.points, grace=step.how if step.how % 2 else 0)

    def do_reverse(self, step: Step, name: str) -> None:  # noqa: ARG002 - as every deed is called
        who, _, lot = pick(self.earned, step)
        self.paper.reverse(who, lot, step.points, POLICIES[step.how % 3])

    def do_transfer(self, step: Step, name: str) -> None:  # noqa: ARG002 - as every deed is called
        self.paper.transfer(step.who, step.how % MEMBERS, step.points)

    # Whether both agree -----------------------------------------------------------------------------------------------

    def touch(self, posting: ledger_pb.Posting) -> None:
        asked = getattr(posting, posting.WhichOneof("operation") or "")
        named = getattr(asked, "parent", "") or asked.name
        self.touched |= {who for who in range(MEMBERS) if named.startswith(f"users/{self.users[who]}")}
        if posting.HasField("transfer") and self.done and not self.done[-1].refusal:
            self.touched |= {who for who in range(MEMBERS) if asked.destination == self.wallet(who)}

    def is_of_closed(self, posting: ledger_pb.Posting) -> bool:
        asked = getattr(posting, posting.WhichOneof("operation") or "")
        named = getattr(asked, "parent", "") or asked.name
        closed = [user for user, member in zip(self.users, self.paper.members, strict=True) if member.is_closed]
        return any(named.startswith(f"users/{user}/") for user in closed)

    def check(self, rows: "Rows") -> None:
        for who in self.touched:
            member, account = self.paper.members[who], self.accounts.get(who)
            member.check()
            if account is None:
                assert not member.lots
                continue
            assert rows.balances[account] == (*member.balances, *member.balances)
            assert rows.lots[account] == [self.row(lot) for lot in member.lots]
            assert rows.totals[account] == {name: total for name, total in member.totals.items() if total}
        self.touched.clear()

    def row(self, lot: Lot) -> tuple[Any, ...]:
        ends = None if lot.ends == FOREVER else self.at(lot.ends).ToDatetime().timestamp()
        usable = self.at(lot.usable).ToDatetime().timestamp()
        return lot.priority, usable, ends, lot.amount, *(lot.place[place] for place in PLACES), lot.clawed

    async def look(self, who: int) -> None:
        """What anybody is told is what is on paper, whether it is booked already or not."""
        name = self.wallet(who)
        asked = pb.GetPointsAccountRequest(name=name)
        told = await self.world.stub.GetPointsAccount(asked, metadata=self.world.as_(self.users[who]))
        balances = (0, 0, 0, 0) if self.paper.members[who].is_closed else self.paper.members[who].balances
        assert (told.available, told.pending, told.held, told.arrears) == balances


class Rows:
    """The rows of some accounts, as they are."""

    def __init__(self, lots: Sequence[Any], balances: Sequence[Any], totals: Sequence[Any]) -> None:
        self.lots: dict[UUID, list[tuple[Any, ...]]] = {account: [] for account, *_ in balances}
        for account, priority, usable, ends, *rest in lots:
            self.lots[account].append((priority, float(usable), None if ends is None else float(ends), *rest))
        self.balances = {account: tuple(int(one) for one in rest) for account, *rest in balances}
        self.totals: dict[UUID, Counter[str]] = {account: Counter() for account, *_ in balances}
        for account, against, total in totals:
            points = -int(total) if against in ("ISSUED", "WRITTEN_OFF") else int(total)
            if points:
                self.totals[account][against] = points


class Histories:
    """Some histories beside each other, at one time."""

    def __init__(self, world: World) -> None:
        self.world, self.begin, self.day = world, world.now(), 0.0
        self.all = [History(world, self.begin, [world.person() for _ in range(MEMBERS)]) for _ in range(BESIDE)]

    async def take(self, days: int, steps: Sequence[Step]) -> None:
        self.day += days
        self.world.clock.now = self.begin + timedelta(days=self.day)
        for history in self.all:
            history.paper.go_to(self.day)
        await self.post(steps)
        for history, step in zip(self.all, steps, strict=True):
            if step.kind == "erase" and step.how == 0:
                history.paper.erase(step.who) if not history.paper.members[step.who].is_closed else None
                await erase(self.world, history.users[step.who])
                history.touched.add(step.who)
        if any(step.kind == "sweep" for step in steps):
            await self.sweep()
        await self.check(steps[0].which % MEMBERS)

    async def post(self, steps: Sequence[Step]) -> None:
        asked = [history.asked(step) for history, step in zip(self.all, steps, strict=True)]
        request = ledger_pb.BatchPostRequest(postings=[one for postings in asked for one in postings])
        if not request.postings:
            return
        posted = iter((await self.world.ledger.BatchPost(request, metadata=OPERATOR)).posted)
        for history, step, postings in zip(self.all, steps, asked, strict=True):
            history.heard(step, [(one, next(posted)) for one in postings])

    async def sweep(self) -> None:
        await book_what_is_due.work(self.world.sessions, self.world.now())
        for history in self.all:
            history.touched |= set(range(MEMBERS))

    async def check(self, who: int) -> None:
        users = {user: (history, number) for history in self.all for number, user in enumerate(history.users)}
        members = await self.world.ask_database(
            "SELECT user_id, account_id FROM member WHERE user_id = ANY(:users)", users=list(users)
        )
        for user, account in members:
            history, number = users[user]
            history.accounts[number] = account
        accounts = [one.accounts[who] for one in self.all for who in one.touched if who in one.accounts]
        rows = Rows(*[await self.world.ask_database(query, accounts=accounts) for query in (LOTS, BALANCES, TOTALS)])
        for history in self.all:
            history.check(rows)
            await history.look(who)

    async def end(self) -> None:
        """Once more, when all is booked."""
        await self.sweep()
        await self.check(0)


def pick(of: Sequence[Any], step: Step) -> Any:
    return of[step.which % len(of)]


def term(step: Step, today: float) -> tuple[float | None, float | None, float | None]:
    """Since when, usable from when, and until when points are earned: now or late, at once or later, with an end."""
    since = max(today - step.which, 0) if step.how in (2, 5) else None
    usable = today + 1 + step.which if step.how in (3, 4, 5) else None
    first = max(today if since is None else since, usable or 0)
    return since, usable, None if step.how in (0, 4) else first + 1 + step.which


def request_id(posting: ledger_pb.Posting) -> str:
    return str(getattr(posting, posting.WhichOneof("operation") or "").request_id)


def name_of(told: ledger_pb.Posted) -> str:
    return told.movement.name or told.hold.name


def is_replay(told: ledger_pb.Posted) -> bool:
    return told.movement.replayed or told.hold.replayed


def reason_of(told: ledger_pb.Posted) -> str:
    if not told.HasField("refused"):
        return ""
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in told.refused.details)
    return info.reason
