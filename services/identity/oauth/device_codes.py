"""The device authorization grant (RFC 8628): a device shows a short code, a person types it on a page of ours, and the
device, which asks every few seconds, gets its tokens.

Anybody can send somebody such a code. So a client has to be registered for it, the person is always asked, and the page
says what the code should be compared with.
"""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import once, opaque
from services.identity.models import Authorization, Client, DeviceCode, Session
from services.identity.oauth import authorizations
from services.identity.oauth.asks import Ask
from services.identity.oauth.protocol import ProtocolError

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LIFE = timedelta(minutes=10)
INTERVAL = 5  # seconds, and as many more whenever the device does not keep to it
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; nothing that looks like something else (RFC 8628, 6.1)
LENGTH = 8
MOST, WINDOW = 20, timedelta(minutes=10)  # times that one person may answer; there are 20^8 codes
BATCH = 1_000


async def ask(
    session: AsyncSession, client: Client, parameters: Mapping[str, str], *, issuer: str, now: datetime
) -> Mapping[str, Any]:
    """What the device is told, and shows (RFC 8628, 3.2); or a ProtocolError."""
    if not client.types:
        raise ProtocolError("unauthorized_client", "This client is not registered for devices without a browser.")
    asked = dict.fromkeys(parameters.get("scope", "").split())
    scopes = [one for one in asked if one in client.scopes]
    if not scopes:
        raise ProtocolError("invalid_scope", "This client may ask for none of these scopes.")
    secret, digest = opaque.make()
    typed = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    session.add(
        DeviceCode(
            digest=digest,
            typed_digest=opaque.hash_of(typed),
            client_id=client.id,
            scopes=scopes,
            interval=INTERVAL,
            expire_time=now + LIFE,
        )
    )
    page, shown = f"{issuer}/oauth/device", shown_as(typed)
    return {
        "device_code": secret,
        "user_code": shown,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={shown}",
        "expires_in": int(LIFE.total_seconds()),
        "interval": INTERVAL,
    }


def shown_as(typed: str) -> str:
    return f"{typed[:4]}-{typed[4:]}"


def read(typed: str) -> str:
    """What was meant, whatever stands between the letters."""
    return re.sub("[^A-Z]", "", typed.upper())


# The person ----------------------------------------------------------------------------------------------------------


async def may_try(session: AsyncSession, by: Session, *, now: datetime) -> bool:
    """Whether the person may try one more code; it is counted, however many try at once."""
    window = int(now.timestamp() // WINDOW.total_seconds())
    for number in range(MOST):
        if await once.spend(session, "typed", str(by.user_id), f"{window} {number}", until=now + WINDOW):
            return True
    return False


async def typed(session: AsyncSession, code: str, *, now: datetime) -> DeviceCode | None:
    """What waits for this code, which nobody else answers until this transaction ends."""
    digest = opaque.hash_of(read(code))
    waiting = DeviceCode.authorization_id.is_(None) & DeviceCode.denied.is_(False)
    query = select(DeviceCode).where(DeviceCode.typed_digest == digest, DeviceCode.expire_time > now, waiting)
    return await session.scalar(query.with_for_update())


async def approve(session: AsyncSession, found: DeviceCode, by: Session, *, now: datetime) -> None:
    """The person lets the device in: it hears of it when it asks next."""
    begun = await authorizations.begin(
        session, Ask(client=found.client_id, redirect_uri="", scopes=list(found.scopes)), by, now=now
    )
    begun.code_expire_time = found.expire_time
    found.authorization_id = begun.id


# The device ----------------------------------------------------------------------------------------------------------


async def poll(session: AsyncSession, client: Client, secret: str, *, now: datetime) -> Authorization | ProtocolError:
    """The authorization that the device waited for, once; or why it has to wait, or need not (RFC 8628, 3.5)."""
    query = select(DeviceCode).where(DeviceCode.digest == opaque.hash_of(secret), DeviceCode.client_id == client.id)
    found = await session.scalar(query.with_for_update())
    if found is None:
        return authorizations.WORN
    if found.expire_time <= now:
        return ProtocolError("expired_token", "The code was not typed in time: ask for another one.")
    if (early := is_early(found, now)) or (found.authorization_id is None and not found.denied):
        found.ask_time = now
        found.interval += INTERVAL if early else 0
        if early:
            return ProtocolError("slow_down", f"Leave {found.interval} seconds between two questions.")
        return ProtocolError("authorization_pending", "The code was not typed yet.")
    await session.delete(found)
    if found.authorization_id is None:
        return ProtocolError("access_denied", "The person said no.")
    granted = await authorizations.held(session, found.authorization_id)
    if granted is None or granted.revoke_time or not await authorizations.is_active(session, granted, now):
        return authorizations.WORN
    return granted


def is_early(found: DeviceCode, now: datetime) -> bool:
    return found.ask_time is not None and now - found.ask_time < timedelta(seconds=found.interval)


@job(every=timedelta(minutes=5))
async def forget_device_codes(sessions: Sessions, now: datetime) -> int:
    """Codes go a while after they ended, so that a device that is slow is told so."""
    async with sessions.begin() as session:
        old = select(DeviceCode.digest).where(DeviceCode.expire_time <= now - LIFE).limit(BATCH)
        gone = delete(DeviceCode).where(DeviceCode.digest.in_(old)).returning(DeviceCode.digest)
        return len((await session.execute(gone)).all())
