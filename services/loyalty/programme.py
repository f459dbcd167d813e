"""The rules of the programme, in versions: what was booked by one keeps it."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.etags import check_etag, etag_of
from services.loyalty.models import Programme
from services.loyalty.refusals import CurrencyUnknown, ProgrammeNotSet

ETAG = "programme"
MAIN = "points"  # the code of the points that the programme is about; other ones are named by it


async def latest(session: AsyncSession) -> Programme:
    """The rules in force, or refuse because none were set yet."""
    return required(await latest_or_none(session))


async def latest_or_none(session: AsyncSession) -> Programme | None:
    found: Programme | None = await session.scalar(select(Programme).order_by(Programme.version.desc()).limit(1))
    return found


async def word_of(session: AsyncSession, code: str) -> str:
    """The store's word for points of a code; "" while no rules are set. Refuses with CurrencyUnknown."""
    rules = await latest_or_none(session)
    if code == MAIN:
        return rules.currency if rules else ""
    if rules is None or code not in rules.currencies:
        raise CurrencyUnknown("The programme has no points of that code.")
    return str(rules.currencies[code])


async def code_of(session: AsyncSession, asked: str) -> str:
    """The code of the points that are asked for: the programme's first, unless another one is named."""
    if asked not in ("", MAIN):
        await word_of(session, asked)
    return asked or MAIN


async def in_force(session: AsyncSession, at: datetime) -> Programme:
    """The rules that were in force at a time; before the first, the first."""
    by_then = select(Programme).where(Programme.start_time <= at).order_by(Programme.version.desc()).limit(1)
    first = select(Programme).order_by(Programme.version).limit(1)
    return required(await session.scalar(by_then) or await session.scalar(first))


async def version(session: AsyncSession, number: int) -> Programme:
    return required(await session.get(Programme, number))


async def replace(
    session: AsyncSession,
    *,
    currency: str,
    currencies: dict[str, str],
    newsletter_bonus: int,
    points_per_unit: int,
    terms: dict[str, Any],
    etag: str,
    now: datetime,
) -> Programme:
    """Put a new version in force. The rules that are in force already make none."""
    await session.execute(text("LOCK TABLE programme IN SHARE ROW EXCLUSIVE MODE"))  # a few times a year, and short
    current = await latest_or_none(session)
    check_etag(etag, current.version if current else 0, ETAG)
    rules = {
        "currency": currency,
        "currencies": currencies,
        "newsletter_bonus": newsletter_bonus,
        "points_per_unit": points_per_unit,
        "terms": terms,
    }
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
