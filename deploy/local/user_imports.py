"""./rapport import-users FILE: brings in who had an account elsewhere, over the public interface, as the operator.

Rows are known by their lines, and an import by the hash of its file: a run that was broken off is simply run again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
from rapport.identity.v1 import imports_pb2 as pb
from rapport.identity.v1.imports_pb2_grpc import ImportsServiceStub

from chassis.client import channel
from chassis.refusal import refused
from deploy.local.credentials import target
from deploy.local.plan import Plan
from deploy.local.terminal import LocalError
from deploy.local.user_files import Unreadable, digest_of, rows_of

PIECE, PIECE_BYTES = 200, 512 << 10  # of one call
PATIENCE = 120.0  # some kinds of hashes are hashed again, which takes a while
TRIES = 10
SHOWN = 20  # refused rows
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
Say = Callable[[str], None]
Far = Callable[[int, int], None]  # how many rows of how many are done


@dataclass(frozen=True)
class RefusedRow:
    """A row that was not taken, by its line, and why."""

    line: int
    reason: str
    field: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}{f' ({self.field})' if self.field else ''}"


@dataclass
class Report:
    """What became of a file."""

    name: str  # of the import
    dry_run: bool
    created: int
    without_password: int
    existing: int
    refused: list[RefusedRow] = field(default_factory=list)

    def __str__(self) -> str:
        made = "would be created" if self.dry_run else "created"
        return (
            f"{self.created} {made} ({self.without_password} of them choose a password by a mailed link), "
            f"{self.existing} there before, {len(self.refused)} refused"
        )

    def told(self) -> dict[str, Any]:
        return asdict(self)


def bring_in(plan: Plan, file: Path, *, dry: bool, say: Say, far: Far) -> Report:
    """Bring `file` into the running platform."""
    token = plan.state.secret("token-operator").read_text()

    async def go() -> Report:
        async with channel(target(plan, "identity"), service_token=token, name="operator") as identity:
            return await send(identity, file, dry=dry, say=say, far=far)

    return asyncio.run(go())


async def send(identity: grpc.aio.Channel, file: Path, *, dry: bool, say: Say, far: Far) -> Report:
    """Send the file over a channel that speaks as the operator."""
    stub, digest = ImportsServiceStub(identity), digest_of(file)
    unreadable = [one for one in rows_of(file) if isinstance(one, Unreadable)]
    count = sum(isinstance(one, pb.UserRow) for one in rows_of(file))
    try:
        run = await begun(stub, digest, dry=dry)
        if run.last_row:
            say(f"going on after line {run.last_row}")
        done = 0
        for rows in pieces(rows_of(file)):
            done += len(rows)
            if fresh := [row for row in rows if row.row_number > run.last_row]:
                await sent(stub, run.name, fresh)
            far(done, count)
        run = await stub.FinishUserImport(pb.FinishUserImportRequest(name=run.name), timeout=PATIENCE)
        refused_rows = [RefusedRow(row.row_number, row.reason, row.field) async for row in all_refused(stub, run.name)]
    except grpc.aio.AioRpcError as error:
        said = refused(error)
        what = said.message if said.reason else "identity does not answer."
        raise LocalError(f"{what} The same command goes on from there.") from None
    refused_rows += [RefusedRow(one.row_number, "UNREADABLE", one.field) for one in unreadable]
    return Report(
        run.name,
        dry,
        run.created_count,
        run.without_password_count,
        run.existing_count,
        sorted(refused_rows, key=lambda one: one.line),
    )


async def begun(stub: ImportsServiceStub, digest: str, *, dry: bool) -> pb.UserImport:
    """The import of this file that was broken off, or another one."""
    token = ""
    while True:
        page = await stub.ListUserImports(pb.ListUserImportsRequest(page_token=token), timeout=PATIENCE)
        for run in page.user_imports:
            if (run.source_digest, run.validate_only, run.state) == (digest, dry, pb.UserImport.RUNNING):
                return run
        if not (token := page.next_page_token):
            break
    asked = pb.UserImport(validate_only=dry, source_digest=digest)
    return await stub.CreateUserImport(pb.CreateUserImportRequest(user_import=asked), timeout=PATIENCE)


async def sent(stub: ImportsServiceStub, name: str, rows: list[pb.UserRow]) -> None:
    """Have rows taken, however often that has to be asked: each is taken once."""
    for left in reversed(range(TRIES)):
        try:
            await stub.ImportUsers(pb.ImportUsersRequest(name=name, rows=rows), timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            if error.code() not in AGAIN or not left:
                raise
            wait = refused(error).retry_after
            await asyncio.sleep(wait.total_seconds() if wait else 1)
        else:
            return


def pieces(rows: Iterable[pb.UserRow | Unreadable]) -> Iterator[list[pb.UserRow]]:
    piece, size = list[pb.UserRow](), 0
    for row in rows:
        if isinstance(row, Unreadable):
            continue
        if piece and (len(piece) == PIECE or size + row.ByteSize() > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += row.ByteSize()
    if piece:
        yield piece


async def all_refused(stub: ImportsServiceStub, name: str) -> AsyncIterator[pb.RefusedRow]:
    token = ""
    while True:
        asked = pb.ListRefusedRowsRequest(parent=name, page_size=200, page_token=token)
        page = await stub.ListRefusedRows(asked, timeout=PATIENCE)
        for row in page.refused_rows:
            yield row
        if not (token := page.next_page_token):
            return


class Progress:
    """How far it is: on a terminal a line that counts, elsewhere a line every few seconds."""

    EVERY = 5.0

    def __init__(self, write: Callable[[str], object], *, is_terminal: bool) -> None:
        self.write, self.is_terminal = write, is_terminal
        self.began = self.told = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        now = time.monotonic()
        if not self.is_terminal and done < count and now - self.told < self.EVERY:
            return
        self.told = now
        rate = done / max(now - self.began, 0.001)
        line = f"{done} of {count} rows, {rate:.0f} a second, {(count - done) / rate:.0f} s left"
        end = "\n" if done == count or not self.is_terminal else ""
        self.write(f"\r{line:<70}{end}" if self.is_terminal else f"{line}{end}")
