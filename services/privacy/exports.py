"""Exports: that somebody asked for a copy, and until when it can be read."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from rapport.privacy.v1.events_pb2 import ExportCreated
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.time import timestamp
from services.privacy.models import Export
from services.privacy.refusals import ExportEnded, ExportNotFound

LIFE = timedelta(days=7)


async def create(session: AsyncSession, *, user: UUID, now: datetime) -> Export:
    """Open an export of everything held on `user`."""
    export = Export(user_id=user, create_time=now, expire_time=now + LIFE)
    session.add(export)
    await session.flush()
    await publish(session, ExportCreated(user=f"users/{user}", export=export.name, event_time=timestamp(now)))
    return export


async def get(session: AsyncSession, user: UUID, id: UUID) -> Export:
    """Return the export, or refuse because this person has none of that name."""
    export = await session.scalar(select(Export).where(Export.id == id, Export.user_id == user))
    if export is None:
        raise ExportNotFound("There is no such export.")
    return export


async def readable(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> Export:
    """Return the export while it can be downloaded, or refuse."""
    export = await get(session, user, id)
    if export.expire_time <= now:
        raise ExportEnded("This export has ended. Ask for a new one.")
    return export


async def of(session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Export]:
    """A person's exports, newest first."""
    query = select(Export).where(Export.user_id == user).limit(limit)
    if after is not None:
        query = query.where(tuple_(Export.create_time, Export.id) < after)
    return (await session.scalars(query.order_by(Export.create_time.desc(), Export.id.desc()))).all()
