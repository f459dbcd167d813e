"""The rules of the programme, in versions: what was booked by one keeps it."""

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag, etag_of
from services.loyalty.models import Programme
from services.loyalty.refusals import ProgrammeNotSet

ETAG = "programme"


async def latest(session: AsyncSession) -> Programme:
    """The rules in force, or refuse because none were set yet."""
    return required(await session.scalar(select(Programme).order_by(Programme.version.desc()).limit(1)))


async def currency(session: AsyncSession) -> str:
    """The store's word for its points; "" while no rules are set."""
    return await session.scalar(select(Programme.currency).order_by(Programme.version.desc()).limit(1)) or ""


async def in_force(session: AsyncSession, at: datetime) -> Programme:
    """The rules that were in force at a time; before the first, the first."""
    by_then = select(Programme).where(Programme.start_time <= at).order_by(Programme.version.desc()).limit(1)
    first = select(Programme).order_by(Programme.version).limit(1)
    return required(await session.scalar(by_then) or await session.scalar(first))


async def version(session: AsyncSession, number: int) -> Programme:
    return required(await session.get(Programme, number))


async def replace(
    session: AsyncSession, *, currency: str, newsletter_bonus: int, points_per_unit: int, etag: str, now: datetime
) -> Programme:
    """Put a new version in force. The rules that are in force already make none."""
    await session.execute(text("LOCK TABLE programme IN SHARE ROW EXCLUSIVE MODE"))  # a few times a year, and short
    current = await session.scalar(select(Programme).order_by(Programme.version.desc()).limit(1))
    check_etag(etag, current.version if current else 0, ETAG)
    rules = {"currency": currency, "newsletter_bonus": newsletter_bonus, "points_per_unit": points_per_unit}
    if current is not None and all(getattr(current, name) == value for name, value in rules.items()):
        return current
    replaced = Programme(version=current.version + 1 if current else 1, start_time=now, **rules)
    session.add(replaced)
    await session.flush()
    return replaced


def etag(programme: Programme) -> str:
    return etag_of(programme.version, ETAG)


def required(programme: Programme | None) -> Programme:
    if programme is None:
        raise ProgrammeNotSet("No rules are set yet: apply the store's data.")
    return programme
