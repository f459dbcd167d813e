"""A request that arrives twice is done once.

    async def CreateTicket(self, request: pb.CreateTicketRequest, context: Context) -> pb.Ticket:
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                ticket = await tickets.get(call.session, call.name)
            else:
                ticket = await tickets.submit(call.session, ...)
                call.name = ticket.name  # what a repeat will find; leave it out where nothing is made
        return ticket_message(ticket)

`once` opens the call's one transaction, and keeps beside its effects who asked what and what came of it: the name of a
resource, or the refusal, never a reply (it holds people; a repeat reads again). Of two at once the second waits for the
first. A repeat is refused as the first was, unless that refusal asked to come again. The same request_id with anything
else in the request is refused with REQUEST_ID_REUSED. Without a request_id it is a transaction and no more.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from google.rpc.status_pb2 import Status
from grpc import StatusCode
from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import DateTime, LargeBinary, Table, Text, Uuid, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import mapped_column

from chassis.access import caller
from chassis.database import Sessions, chassis_metadata, sqlstate
from chassis.jobs import job
from chassis.personal_data import impersonal, subject
from chassis.refusal import Refusal, RequestIdReused, RequestInFlight, repeated

KEPT = timedelta(days=30)
PATIENCE = "3s"  # less than a caller waits
BATCH = 1_000
LOCK_NOT_AVAILABLE = "55P03"
# An answer for good. The others ask to come again, or say that nothing was tried.
FINAL = frozenset(
    {
        StatusCode.ALREADY_EXISTS,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.OUT_OF_RANGE,
        StatusCode.PERMISSION_DENIED,
    }
)

idempotency = Table(
    "idempotency",
    chassis_metadata,
    # The request_id itself is not kept: who holds the table cannot guess his way back from the digests.
    impersonal("a digest of caller, method and request_id", "id", LargeBinary, primary_key=True).column,
    impersonal("a digest of the request, keyed with its request_id", "fingerprint", LargeBinary, nullable=False).column,
    subject(
        Personal(category=Category.USER_UNIQUE_ID, purpose=Purpose.ACCOUNT), "caller_id", Uuid, nullable=True
    ).column,
    impersonal("the name of what was made: ids", "name", Text, nullable=False, server_default="").column,
    impersonal("a refusal, which says nothing of people", "refusal", LargeBinary, nullable=True).column,
    mapped_column("expire_time", DateTime(timezone=True), nullable=False, index=True).column,
)


@dataclass
class Call:
    """One request under way: its transaction, and what became of it."""

    session: AsyncSession
    is_repeat: bool
    name: str  # of the resource it made


@dataclass(frozen=True)
class Mark:
    """What a request is known again by."""

    id: bytes
    fingerprint: bytes
    caller_id: UUID | None


@asynccontextmanager
async def once(sessions: Sessions, request: Any, *, now: datetime) -> AsyncIterator[Call]:
    """The transaction of a call with a request_id, done once; see above."""
    if not request.request_id:
        async with sessions.begin() as session:
            yield Call(session, is_repeat=False, name="")
        return
    mark, call = mark_of(request), None
    try:
        async with sessions.begin() as session:
            earlier = await claim(session, mark, now)
            call = Call(session, is_repeat=earlier is not None, name=earlier or "")
            yield call
            if call.name and not call.is_repeat:
                named = update(idempotency).where(idempotency.c.id == mark.id).values(name=call.name)
                await session.execute(named)
    except Refusal as refusal:
        if call and not call.is_repeat and refusal.code in FINAL and refusal.retry_after is None:
            await keep_refusal(sessions, mark, refusal, now)
        raise


async def claim(session: AsyncSession, mark: Mark, now: datetime, refusal: bytes | None = None) -> str | None:
    """Be the first with this request; else give the name of what the first one made, or refuse as it was refused."""
    columns = {
        "id": mark.id,
        "fingerprint": mark.fingerprint,
        "caller_id": mark.caller_id,
        "refusal": refusal,
        "expire_time": now + KEPT,
    }
    values = [literal(value, idempotency.c[name].type).label(name) for name, value in columns.items()]
    # The insert waits for a transaction that has made the same row; from here on the call waits for no lock for long.
    patient = func.set_config("lock_timeout", PATIENCE, True).is_not(None)
    made = insert(idempotency).from_select(list(columns), select(*values).where(patient))
    try:
        if await session.scalar(made.on_conflict_do_nothing().returning(idempotency.c.id)) is not None:
            return None
    except DBAPIError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise in_flight() from error
        raise
    row = (await session.execute(select(idempotency).where(idempotency.c.id == mark.id))).one()
    if not hmac.compare_digest(row.fingerprint, mark.fingerprint):
        raise RequestIdReused("That request_id was used for another request.")
    if row.refusal is not None:
        raise repeated(Status.FromString(row.refusal))
    return str(row.name)


async def keep_refusal(sessions: Sessions, mark: Mark, refusal: Refusal, now: datetime) -> None:
    """Remember a refusal, after the transaction that met it is undone."""
    async with sessions.begin() as session:
        earlier = await claim(session, mark, now, refusal.status("").SerializeToString())
    if earlier is not None:  # the same request came in between, and was not refused
        raise in_flight()


def in_flight() -> RequestInFlight:
    return RequestInFlight("The same request is under way.", retry_after=timedelta(seconds=1))


def mark_of(request: Any) -> Mark:
    who, key = caller(), request.request_id
    method = request.DESCRIPTOR.full_name  # each has a request message of its own
    return Mark(
        id=hashlib.sha256(f"{who.name}\n{method}\n{key}".encode()).digest(),
        fingerprint=hmac.digest(key.encode(), request.SerializeToString(deterministic=True), "sha256"),
        caller_id=who.user,
    )


@job(every=timedelta(hours=1))
async def forget_old_requests(sessions: Sessions, now: datetime) -> int:
    """Requests are known again for 30 days."""
    async with sessions.begin() as session:
        old = select(idempotency.c.id).where(idempotency.c.expire_time < now).limit(BATCH)
        gone = await session.execute(delete(idempotency).where(idempotency.c.id.in_(old)).returning(idempotency.c.id))
        return len(gone.all())
