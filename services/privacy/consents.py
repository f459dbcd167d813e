"""Consents: what a person said yes or no to, and under which text."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.events_pb2 import ConsentChanged
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.time import timestamp
from services.privacy import policies
from services.privacy.models import Consent, Use


async def decide(session: AsyncSession, *, user: UUID, use: Use, granted: bool, policy: str, now: datetime) -> Consent:
    """Record the decision, or refuse because there is no such policy to have read."""
    read = await policies.get(session, policy)
    consent = Consent(user_id=user, use=use, granted=granted, policy_version=read.version, create_time=now)
    session.add(consent)
    await session.flush()
    await publish(
        session,
        ConsentChanged(
            user=f"users/{user}",
            consent=consent.name,
            use=pb.Consent.Use.ValueType(use.value),
            granted=granted,
            event_time=timestamp(now),
        ),
    )
    return consent


async def get(session: AsyncSession, id: UUID) -> Consent:
    return await session.get_one(Consent, id)


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Consent]:
    """A person's decisions, newest first."""
    query = select(Consent).where(Consent.user_id == user).limit(limit)
    if after is not None:
        query = query.where(tuple_(Consent.create_time, Consent.id) < after)
    return (await session.scalars(query.order_by(Consent.create_time.desc(), Consent.id.desc()))).all()
