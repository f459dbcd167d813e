"""The policy: what people are told, version by version."""

from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.privacy.models import Policy
from services.privacy.refusals import PolicyNotFound

LATEST = "latest"


async def publish(session: AsyncSession, *, body: str, now: datetime) -> Policy:
    """Put `body` in force; the text in force already stays the version it is."""
    # Two publishers at once would both take the next number.
    await session.execute(text("LOCK TABLE policy IN SHARE ROW EXCLUSIVE MODE"))
    digest = sha256(body.encode()).hexdigest()
    known = await session.scalar(select(Policy).where(Policy.digest == digest))
    if known is not None:
        return known
    newest = await session.scalar(select(func.max(Policy.version))) or 0
    policy = Policy(version=newest + 1, body=body, digest=digest, publish_time=now)
    session.add(policy)
    return policy


async def get(session: AsyncSession, version: str) -> Policy:
    """Return a version by its number, or the latest, or refuse because there is none."""
    query = select(Policy).order_by(Policy.version.desc()).limit(1)
    if version != LATEST:
        if not version.isdecimal() or len(version) > 9:
            raise PolicyNotFound("There is no such version; policies/latest is the one in force.")
        query = query.where(Policy.version == int(version))
    policy = await session.scalar(query)
    if policy is None:
        raise PolicyNotFound("There is no such version; policies/latest is the one in force.")
    return policy


async def newest(session: AsyncSession, *, before: int | None, limit: int) -> list[Policy]:
    query = select(Policy).order_by(Policy.version.desc()).limit(limit)
    if before is not None:
        query = query.where(Policy.version < before)
    return list(await session.scalars(query))
