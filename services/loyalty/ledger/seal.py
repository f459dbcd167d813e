"""Each commit of the ledger is a link of a hash chain: whoever changes a byte of what was booked breaks it.

    root(n) = SHA-256(root(n-1) || digest(n))        digest = SHA-256 over what the transaction wrote, in its order

The link is made by the last statement before the commit, so that others wait for its row as short as can be.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from chassis.database import told_as_ever
from chassis.outbox import uuid7
from services.loyalty.ledger.book import Entry, Lot

STAGED = "what was booked, and is not sealed"
GENESIS = bytes(32)
SEAL = """
WITH link AS (
    UPDATE chain SET number = number + 1, root = sha256(root || $1::bytea) WHERE id = 1 RETURNING number, root
)
INSERT INTO seal (number, batch, operations, digest, root) SELECT number, $2::uuid, $3::bigint, $1, root FROM link
"""


class Staged:
    """What a transaction has booked so far."""

    def __init__(self) -> None:
        self.batch, self.operations, self.hash = uuid7(), 0, hashlib.sha256()


def batch_of(session: AsyncSession) -> UUID:
    """The id of what this transaction books."""
    return staged(session).batch


def stage(session: AsyncSession, lines: Sequence[bytes]) -> None:
    """Seal these operations, as `written` says them, with the rest of the transaction, when it commits."""
    found = staged(session)
    for one in lines:
        found.hash.update(one)
    found.operations += len(lines)


def staged(session: AsyncSession) -> Staged:
    found: Staged = session.info.setdefault(STAGED, Staged())
    return found


@event.listens_for(Session, "before_commit")
def seal(session: Session) -> None:
    if STAGED not in session.info or session.in_nested_transaction():
        return
    found: Staged = session.info.pop(STAGED)
    if found.operations:
        line: Any = session.connection().connection.dbapi_connection
        with told_as_ever(SEAL):
            line.run_async(lambda it: it.fetch(SEAL, found.hash.digest(), found.batch, found.operations))


@event.listens_for(Session, "after_rollback")
def forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(STAGED, None)


def written(entry: Entry) -> bytes:
    """An operation with its moves, as bytes that mean nothing else."""
    moves = ";".join(f"{lot.id}>{source}>{target}>{points}" for lot, source, target, points in entry.moves)
    lots = ";".join(map(lot_line, entry.brought))
    return line(entry, entry.account.id, moves, lots)


def lot_line(lot: Lot) -> str:
    end = "" if lot.expire_time is None else micros(lot.expire_time)
    return f"{lot.id}={lot.amount},{lot.origin},{lot.parent_id},{lot.priority},{micros(lot.available_time)},{end}"


def said(values: dict[str, Any] | None) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode() if values else ""


def line(one: Any, account: UUID, moves: str, lots: str) -> bytes:
    """All that is said of an operation; `one` is an entry as it is written, or its row."""
    return (
        f"{one.id}|{account}|{one.kind}|{one.scope}|{one.key}|{one.about}|{one.order_number}|{one.programme_version}|"
        f"{micros(one.effective_time)}|{micros(one.booked_time)}|{one.available}|{one.pending}|{one.held}|"
        f"{one.arrears}|{one.against}|{one.amount}|{one.available_after}|{one.pending_after}|{one.held_after}|"
        f"{one.arrears_after}|{said(one.asked)}|{said(one.refusal)}|{moves}|{lots}\n"
    ).encode()


EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@lru_cache(maxsize=64)  # what a batch does, it does at one time
def micros(moment: datetime) -> int:
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
