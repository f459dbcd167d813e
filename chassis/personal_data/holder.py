# ruff: noqa: ARG002, N802 - gRPC names its methods, and passes a context that not every one reads
"""What every service answers about the people it holds, and what it does when one is to be forgotten.

    Holder("loyalty", tables, sessions, clock, schedule, before=settle)

`before` runs in the transaction of the erasure, ahead of it, when nobody else writes about that person any more: there
a service does what only it understands. An order that comes again is carried out and answered again, and does no harm.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from google.protobuf.descriptor import FileDescriptor
from rapport.holder.v1 import holder_pb2 as pb
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceServicer
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, Handler, on
from chassis.database import Sessions
from chassis.jobs import Job
from chassis.names import Name, parse
from chassis.outbox import publish
from chassis.personal_data import tombstone
from chassis.personal_data.check import check
from chassis.personal_data.data_map import data_map
from chassis.personal_data.erase import Outcome, erase, scan
from chassis.personal_data.export import export
from chassis.personal_data.restrict import restrict
from chassis.personal_data.retention import Schedule, sweep
from chassis.rpc import Context
from chassis.time import Clock, timestamp

Before = Callable[[AsyncSession, UUID, datetime], Awaitable[None]]
log = structlog.get_logger()


@dataclass(frozen=True)
class Holder(HolderServiceServicer):
    """Speaks rapport.holder.v1 for one service, from what its tables declare."""

    service: str
    tables: Sequence[Table]  # all of the service's database, each after those it refers to
    sessions: Sessions
    clock: Clock
    schedule: Schedule
    before: Before | None = None

    async def verify(self, contracts: Iterable[FileDescriptor]) -> None:
        """Refuse to start with anything undeclared, or without a guard that the declarations ask for."""
        check(self.tables, contracts, self.schedule)
        async with self.sessions() as session:
            await tombstone.verify(session, self.tables)

    async def DescribeHoldings(
        self, request: pb.DescribeHoldingsRequest, context: Context
    ) -> pb.DescribeHoldingsResponse:
        return pb.DescribeHoldingsResponse(holdings=data_map(self.tables, self.schedule))

    async def ExportSubject(self, request: pb.ExportSubjectRequest, context: Context) -> AsyncIterator[pb.ExportedRow]:
        person = parse("users/{user}", request.subject)
        async with self.sessions.begin() as session:
            async for row in export(session, self.tables, person, self.schedule):
                yield pb.ExportedRow(table=row.table, row_json=row.json)

    async def ScanSubject(self, request: pb.ScanSubjectRequest, context: Context) -> pb.ScanSubjectResponse:
        person = parse("users/{user}", request.subject)
        async with self.sessions.begin() as session:
            remaining, retained = await scan(session, self.tables, person)
            erased = await tombstone.is_erased(session, person)
        return pb.ScanSubjectResponse(erased=erased, remaining=counts(remaining), retained=counts(retained))

    async def RestrictSubject(self, request: pb.RestrictSubjectRequest, context: Context) -> pb.RestrictSubjectResponse:
        person = parse("users/{user}", request.subject)
        async with self.sessions.begin() as session:
            since = await restrict(session, person, restricted=request.restricted, now=self.clock())
        return pb.RestrictSubjectResponse(restricted=request.restricted, update_time=timestamp(since))

    def handler(self) -> Handler:
        """What hears the orders to forget."""

        @on(ErasureOrdered)
        async def forget(session: AsyncSession, event: ErasureOrdered, about: Arrival) -> None:
            if f"holders/{self.service}" in event.holders:
                await self.forget(session, event, about.now)

        return forget

    def job(self) -> Job:
        """What takes the data whose period has ended."""
        return sweep(self.tables, self.schedule)

    async def forget(self, session: AsyncSession, order: ErasureOrdered, now: datetime) -> None:
        """Carry out an order, and state in the same transaction what was done."""
        person = parse("users/{user}", order.user)
        await tombstone.lock(session, person)
        if self.before is not None:
            await self.before(session, person, now)
        outcomes = await erase(session, self.tables, person, now)
        done = ErasureDone(
            user=order.user,
            erasure=order.erasure,
            holder=f"holders/{self.service}",
            outcomes=counts(outcomes),
            event_time=timestamp(now),
        )
        await publish(session, done)
        rows = sum(one.rows for one in outcomes if one.action != "RETAIN")
        log.info("person_erased", erasure=Name(order.erasure), values=rows)


def counts(outcomes: Iterable[Outcome]) -> list[pb.ColumnCount]:
    return [
        pb.ColumnCount(column=one.column, action=one.action, rows=one.rows, legal_basis=one.legal_basis)
        for one in outcomes
    ]
