"""./rapport balances FILE: brings opening balances in, over the public interface, as the operator.

The file is CSV with a header: `user,points,expire_time,origin`. It is sent in pieces, each booked or told why not; what
was booked is known by the file's hash and the number of its line, so a run that was broken off is simply run again.
"""

import asyncio
import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.finance_pb2_grpc import FinanceServiceStub
from rapport.loyalty.v1.loyalty_pb2 import VerifyLedgerRequest
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub

from chassis.client import channel
from chassis.refusal import refused
from deploy.local.credentials import target
from deploy.local.plan import Plan
from deploy.local.terminal import LocalError

HEADER = ["user", "points", "expire_time", "origin"]
PIECE = 500  # lines of one call
PATIENCE = 60.0
TOTALS = ("issued", "available", "pending", "held", "arrears")
Say = Callable[[str], None]


@dataclass
class Report:
    """What became of a file."""

    before: dict[str, int]
    after: dict[str, int] = field(default_factory=dict)
    imported: int = 0
    points: int = 0
    replayed: int = 0
    problems: int = 0


def bring_in(plan: Plan, file: Path, *, dry: bool, say: Say) -> Report:
    """Bring `file` into the running platform; `say` hears of every bad line, and how far it is."""
    token = plan.state.secret("token-operator").read_text()

    async def go() -> Report:
        async with channel(target(plan, "loyalty"), service_token=token, name="operator") as loyalty:
            return await send(loyalty, file, dry=dry, say=say)

    return asyncio.run(go())


async def send(loyalty: grpc.aio.Channel, file: Path, *, dry: bool, say: Say) -> Report:
    """Send the file over a channel that speaks as the operator."""
    hashed, count = looked_through(file)
    finance, done = FinanceServiceStub(loyalty), 0
    try:
        report = Report(before=await totals(loyalty))
        say(f"before: {shown(report.before)}")
        for first, lines in pieces(file):
            asked = pb.ImportBalancesRequest(file_hash=hashed, first_line=first, lines=lines, validate_only=dry)
            told = await finance.ImportBalances(asked, timeout=PATIENCE)
            for problem in told.problems:
                say(f"line {problem.line}: {problem.description}")
            report.imported += told.imported
            report.points += told.points
            report.replayed += told.replayed
            report.problems += len(told.problems)
            done += len(lines)
            say(f"{done} of {count} lines")
        report.after = await totals(loyalty)
        say(f"after: {shown(report.after)}")
    except grpc.aio.AioRpcError as error:
        said = refused(error)
        what = said.message if said.reason else "loyalty does not answer"
        raise LocalError(f"{what}. {done} of {count} lines were sent; the same command goes on from there.") from None
    return report


def looked_through(file: Path) -> tuple[str, int]:
    """The hash of the whole file and how many lines of balances it has, or why it is none."""
    hashed, count = hashlib.sha256(), -1
    try:
        with file.open("rb") as raw:
            for line in raw:
                hashed.update(line)
                count += 1
        with file.open(encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(text), [])
            for _ in text:
                pass
    except OSError as problem:
        raise LocalError(f"{file} cannot be read ({problem.strerror}).") from None
    except UnicodeDecodeError:
        raise LocalError(f"{file} is not UTF-8.") from None
    if [cell.strip() for cell in header] != HEADER:
        raise LocalError(f"{file} does not begin with the line {','.join(HEADER)}")
    return hashed.hexdigest(), count


def pieces(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines after the header, some at a time, each piece with the number of its first."""
    with file.open(encoding="utf-8-sig") as text:
        next(text)
        number, lines = 2, list[str]()
        for line in text:
            lines.append(line.rstrip("\r\n"))
            if len(lines) == PIECE:
                yield number, lines
                number, lines = number + PIECE, []
        if lines:
            yield number, lines


async def totals(loyalty: grpc.aio.Channel) -> dict[str, int]:
    told = await LoyaltyServiceStub(loyalty).VerifyLedger(VerifyLedgerRequest(), timeout=PATIENCE)
    if not told.balanced:
        raise LocalError("the books are wrong. Type: ./rapport call GET /v1/ledger:verify --as alma")
    return {name: told.totals[name] for name in TOTALS}


def shown(totals: dict[str, int]) -> str:
    return ", ".join(f"{name} {points}" for name, points in totals.items())
