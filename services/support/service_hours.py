"""The store's service hours, version by version."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag
from services.support.hours import Unworkable, read
from services.support.models import ServiceHoursVersion
from services.support.refusals import ServiceHoursInvalid, ServiceHoursNotSet

NAME = "serviceHours"


async def latest(session: AsyncSession) -> ServiceHoursVersion:
    """The version in force, or refuse because none is."""
    found = await newest(session)
    if found is None:
        raise ServiceHoursNotSet("No service times are set: put in the store's data with ./rapport apply.")
    return found


async def replace(session: AsyncSession, *, said: Mapping[str, Any], etag: str, now: datetime) -> ServiceHoursVersion:
    """Put new service times in force. What is in force already stays the version it is."""
    try:
        read(said)
    except Unworkable as problem:
        raise ServiceHoursInvalid(f"Mend this: {problem}.", problem=str(problem)) from problem
    # Two who replace them at once would both take the next number.
    await session.execute(text("LOCK TABLE service_hours IN SHARE ROW EXCLUSIVE MODE"))
    present = await newest(session)
    check_etag(etag, present.version if present else 0, NAME)
    if present is not None and present.said == said:
        return present
    version = ServiceHoursVersion(version=present.version + 1 if present else 1, said=dict(said), create_time=now)
    session.add(version)
    return version


async def newest(session: AsyncSession) -> ServiceHoursVersion | None:
    return await session.scalar(select(ServiceHoursVersion).order_by(ServiceHoursVersion.version.desc()).limit(1))
