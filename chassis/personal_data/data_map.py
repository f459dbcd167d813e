"""The record of processing: what is held of people, why, for how long, and what becomes of it."""

from collections.abc import Iterable, Iterator

from rapport.holder.v1 import holder_pb2 as pb
from sqlalchemy import Table

from chassis.personal_data.holdings import holdings
from chassis.personal_data.retention import Schedule, told


def data_map(tables: Iterable[Table], schedule: Schedule) -> Iterator[pb.Holding]:
    """A line per column that holds a person."""
    for one in (one for table in tables for one in holdings(table)):
        yield pb.Holding(
            column=one.name,
            field=one.field,
            category=one.category,
            purpose=one.purpose,
            retention=told(one, schedule),
            on_erasure=one.action,
            legal_basis=one.rules.legal_basis,
            disclosed_to=one.rules.disclosed_to,
        )
