"""Restriction (GDPR art. 18): what is held of a person stays, and nobody works with it until it is lifted.

await restrict.refuse(session, user)  # first, in whatever works with the person's data
"""

from datetime import datetime
from uuid import UUID

from rapport.annotations.v1.personal_data_pb2 import Category, Personal, Purpose
from sqlalchemy import Column, DateTime, Table, Uuid, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import chassis_metadata
from chassis.personal_data.declare import subject
from chassis.refusal import PersonRestricted

restricted_subject = Table(
    "restricted_subject",
    chassis_metadata,
    subject(
        Personal(category=Category.USER_PRIVACY_PREFERENCES, purpose=Purpose.COMPLIANCE), "id", Uuid, primary_key=True
    ).column,
    Column("restrict_time", DateTime(timezone=True), nullable=False),
)


async def restrict(session: AsyncSession, person: UUID, *, restricted: bool, now: datetime) -> datetime:
    """Restrict the processing of `person`, or lift that, and return since when it is so."""
    if not restricted:
        await session.execute(delete(restricted_subject).where(restricted_subject.c.id == person))
        return now
    made = insert(restricted_subject).values(id=person, restrict_time=now)
    # An update that changes nothing, so that the row of an earlier restriction is returned.
    kept = made.on_conflict_do_update(index_elements=["id"], set_={"id": restricted_subject.c.id})
    since: datetime = (await session.execute(kept.returning(restricted_subject.c.restrict_time))).scalar_one()
    return since


async def is_restricted(session: AsyncSession, person: UUID) -> bool:
    """Whether the processing of `person` is restricted."""
    return await session.scalar(select(restricted_subject.c.id).where(restricted_subject.c.id == person)) is not None


async def refuse(session: AsyncSession, person: UUID) -> None:
    """Refuse to work with the data of `person` while its processing is restricted."""
    if await is_restricted(session, person):
        raise refusal_of(person)


def refusal_of(person: UUID) -> PersonRestricted:
    return PersonRestricted("The processing of this person's data is restricted.", user=f"users/{person}")
