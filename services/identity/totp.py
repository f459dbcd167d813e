"""Apps that show codes (RFC 6238): added by a code they show, each step of time accepted once."""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

import pyotp
import structlog
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Prepared, Sessions
from chassis.jobs import job
from chassis.sealing import Sealer
from services.identity import users
from services.identity.models import Totp
from services.identity.refusals import CodeWrong, FactorExists, FactorNotFound

STEP = 30  # seconds
WINDOW = 1  # steps to either side, for clocks that are not together
BEGUN_LASTS = timedelta(hours=1)
BATCH = 1_000
HAD = Prepared(select(Totp.id).where(Totp.user_id == bindparam("user"), Totp.confirm_time.is_not(None)))
log = structlog.get_logger()


async def begin(session: AsyncSession, user: UUID, *, sealer: Sealer, now: datetime) -> tuple[Totp, str]:
    """An app to be, and its secret in base32 (160 bits)."""
    await users.hold_active(session, user)
    found = await session.scalar(select(Totp).where(Totp.user_id == user))
    if found is not None and found.confirm_time is not None:
        raise FactorExists("There is one already. Remove it first.")
    if found is not None:
        await session.delete(found)
        await session.flush()
    secret = pyotp.random_base32()
    begun = Totp(user_id=user, sealed=sealer.seal(secret.encode(), owner=user), last_step=0, create_time=now)
    session.add(begun)
    await session.flush()
    return begun, secret


async def confirm(session: AsyncSession, user: UUID, id: UUID, code: str, *, sealer: Sealer, now: datetime) -> Totp:
    """Make it one, by a code that it shows."""
    await users.hold_active(session, user)
    found = await session.scalar(select(Totp).where(Totp.user_id == user, Totp.id == id))
    if found is None or (found.confirm_time is None and found.create_time + BEGUN_LASTS <= now):
        raise not_found()
    if found.confirm_time is not None:
        raise FactorExists("It is added already.")
    if not await accept(session, found, code, sealer=sealer, now=now):
        raise code_wrong()
    found.confirm_time = now
    return found


async def of(session: AsyncSession, user: UUID) -> Totp | None:
    """The user's app, once it is one."""
    return await session.scalar(select(Totp).where(Totp.user_id == user, Totp.confirm_time.is_not(None)))


async def is_had(session: AsyncSession, user: UUID) -> bool:
    """Whether the user has an app."""
    return await HAD.row(session, user=user) is not None


async def accept(session: AsyncSession, app: Totp, code: str, *, sealer: Sealer, now: datetime) -> bool:
    """Whether the app shows this code about now, and no code of that step of time, or of one after it, was taken."""
    secret = sealer.open(app.sealed, owner=app.user_id)
    if secret is None:
        log.error("factor_key_missing", user=app.user_id)
        return False
    step = step_of(code, pyotp.TOTP(secret.decode(), interval=STEP), now)
    if step is None:
        return False
    fresh = sealer.seal(secret, owner=app.user_id) if sealer.is_old(app.sealed) else app.sealed
    taken = update(Totp).where(Totp.id == app.id, Totp.last_step < step)
    taken = taken.values(last_step=step, last_use_time=now, sealed=fresh)
    return await session.scalar(taken.returning(Totp.id)) is not None


def step_of(code: str, app: pyotp.TOTP, now: datetime) -> int | None:
    """The step of time that the code is of. All are compared, so that it takes as long for any."""
    typed, present = "".join(code.split()), int(now.timestamp()) // STEP
    found = None
    for step in range(present - WINDOW, present + WINDOW + 1):
        if hmac.compare_digest(typed.encode(), app.generate_otp(step).encode()):
            found = step
    return found


def not_found() -> FactorNotFound:
    return FactorNotFound("There is no such factor.")


def code_wrong() -> CodeWrong:
    return CodeWrong("That code is not the one, or was used already.")


@job(every=timedelta(minutes=10))
async def forget_begun_totp(sessions: Sessions, now: datetime) -> int:
    """What was begun and not confirmed in time is over."""
    async with sessions.begin() as session:
        begun = Totp.confirm_time.is_(None) & (Totp.create_time + BEGUN_LASTS <= now)
        over = select(Totp.id).where(begun).limit(BATCH)
        return len((await session.execute(delete(Totp).where(Totp.id.in_(over)).returning(Totp.id))).all())
