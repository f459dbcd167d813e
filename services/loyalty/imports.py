"""Opening balances from a file: `user,points,expire_time,origin`, a line each.

A line is known by the hash of its file and its number, for ever: the same file may be sent again, in whole or from
where it stopped, and books nothing twice.
"""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.refusal import Refusal
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.requests import Earn, Request, Whose
from services.loyalty.models import Kind, Origin
from services.loyalty.programme import MAIN

SCOPE = "import"
MOST_POINTS = 1_000_000_000
AT_ONCE = 16  # questions to identity
HEADER = "user,points,expire_time,origin"
Known = Callable[[UUID], Awaitable[bool]]
Post = Callable[[Sequence[Request]], Awaitable[list[Result]]]


class BadLine(Exception):  # noqa: N818 - the file's fault
    """A line that cannot be booked. Its text says why, and nothing of what stands there."""


@dataclass
class Outcome:
    imported: int = 0
    points: int = 0
    replayed: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)


async def bring_in(
    file_hash: str, first: int, lines: Sequence[str], *, known: Known, post: Post, now: datetime
) -> Outcome:
    """Book lines of a file, those that can be; `post` may only tell what it would do."""
    outcome, earnings = Outcome(), dict[int, Earn]()
    for number, line in enumerate(lines, first):
        try:
            earnings[number] = earning(file_hash, number, line, now=now)
        except BadLine as problem:
            outcome.problems.append((number, str(problem)))
    strangers = await unknown({owner(one) for one in earnings.values()}, known)
    for number in [number for number, one in earnings.items() if owner(one) in strangers]:
        outcome.problems.append((number, "There is no such user."))
        del earnings[number]
    results = await post(list(earnings.values())) if earnings else []
    for (number, one), result in zip(earnings.items(), results, strict=True):
        if isinstance(result, Refusal):
            outcome.problems.append((number, result.message))
        elif result.is_replay:
            outcome.replayed += 1
        else:
            outcome.imported += 1
            outcome.points += one.points
    outcome.problems.sort()
    return outcome


def earning(file_hash: str, number: int, line: str, *, now: datetime) -> Earn:
    """What a line asks for, or why it cannot be."""
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error:
        raise BadLine("This is no line of CSV.") from None
    if not 2 <= len(cells) <= 4:
        raise BadLine(f"A line has two to four cells: {HEADER}.")
    user, points, expire, origin = [*cells, "", ""][:4]
    whose = user_of(user)
    return Earn(
        account=Whose(whose, MAIN),
        heeds=whose,
        scope=SCOPE,
        key=f"{file_hash}:{number}",
        kind=Kind.IMPORT,
        points=points_of(points),
        origin=origin_of(origin),
        expire_time=end_of(expire, now),
    )


def user_of(cell: str) -> UUID:
    try:
        return UUID(cell.removeprefix("users/"))
    except ValueError:
        raise BadLine("The first cell is the id of a user.") from None


def points_of(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 10 and 1 <= int(cell) <= MOST_POINTS):
        raise BadLine(f"The second cell is a whole number of points, from 1 to {MOST_POINTS}.")
    return int(cell)


def end_of(cell: str, now: datetime) -> datetime | None:
    if not cell:
        return None
    try:
        end = datetime.fromisoformat(cell)
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        raise BadLine("The third cell is empty, or a time with its zone: 2027-01-01T00:00:00Z.")
    if end <= now:
        raise BadLine("These points have ended already.")
    return end


def origin_of(cell: str) -> Origin:
    if not cell:
        return Origin.IMPORTED
    try:
        return Origin(cell)
    except ValueError:
        raise BadLine(f"The fourth cell is empty, or one of {', '.join(Origin)}.") from None


def owner(one: Earn) -> UUID:
    assert isinstance(one.account, Whose)  # noqa: S101 - it was made above
    return one.account.user


async def unknown(users: set[UUID], known: Known) -> set[UUID]:
    """Those whom identity does not know."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(user: UUID) -> bool:
        async with turns:
            return await known(user)

    wanted = list(users)
    answers = await asyncio.gather(*(ask(user) for user in wanted))
    return {user for user, is_known in zip(wanted, answers, strict=True) if not is_known}
