"""Factors: what people prove themselves with besides a password, and how one is proven.

Who has one is asked for it at every sign-in but on a trusted device, and whenever a fresh sign-in is wanted. No mail
and no administrator is a way around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from rapport.identity.v1 import events_pb2 as events
from rapport.identity.v1.events_pb2 import CredentialAdded, CredentialRemoved
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.sealing import Sealer
from chassis.time import timestamp
from services.identity import known_devices, mails, passkeys, recovery_codes, totp, users
from services.identity.facts import state
from services.identity.models import Passkey, Totp, User

CODE, RECOVERY_CODE = "CODE", "RECOVERY_CODE"  # as rapport.identity.v1.SecondFactor.Way
WAYS = ("otp", "mfa")  # what a session that proved one says of it (RFC 8176)


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows for a second factor."""

    kind: Literal["CODE", "RECOVERY_CODE"]
    text: str


async def ways_of(session: AsyncSession, user: UUID) -> Sequence[str]:
    """What this user can prove: nothing, where they have no factor."""
    if not await totp.is_had(session, user):
        return []
    return [CODE, RECOVERY_CODE] if await recovery_codes.left(session, user) else [CODE]


async def prove(
    session: AsyncSession, user: User, proof: Proof, *, sealer: Sealer, public_url: str, now: datetime
) -> Sequence[str]:
    """By what the user, who is held, has proven a factor now; or refuse."""
    app = await totp.of(session, user.id)
    if app is None:
        raise totp.code_wrong()
    if proof.kind == CODE:
        if not await totp.accept(session, app, proof.text, sealer=sealer, now=now):
            raise totp.code_wrong()
        return WAYS
    if not await recovery_codes.accept(session, user.id, proof.text):
        raise totp.code_wrong()
    left = await recovery_codes.left(session, user.id)
    await mails.recovery_code_used(session, to=user.email, person=user.id, left=left, public_url=public_url)
    return WAYS


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Totp | Passkey]:
    """What a user has, oldest first. There are a dozen at most."""
    app = await totp.of(session, user)
    found: list[Totp | Passkey] = [*([app] if app else []), *await passkeys.of(session, user)]
    found.sort(key=lambda one: (one.create_time, one.id))
    return [one for one in found if after is None or (one.create_time, one.id) > after][:limit]


# Adding and removing --------------------------------------------------------------------------------------------------


async def add_totp(
    session: AsyncSession, user: UUID, id: UUID, code: str, *, sealer: Sealer, public_url: str, now: datetime
) -> tuple[Totp, list[str]]:
    """The app that was begun, now that it shows this code, and the user's recovery codes."""
    added = await totp.confirm(session, user, id, code, sealer=sealer, now=now)
    owner = await users.get(session, user)
    codes = await recovery_codes.replace(session, user)
    for kind in (events.TOTP, events.RECOVERY_CODES):
        await state(session, CredentialAdded(user=owner.name, kind=kind, event_time=timestamp(now)))
    await mails.factor_added(session, to=owner.email, person=user, public_url=public_url)
    return added, codes


async def remove(session: AsyncSession, user: UUID, id: UUID, *, public_url: str, now: datetime) -> None:
    """Remove one, or refuse because this user has none of that name. With the app goes what stands in for it."""
    owner = await users.hold_active(session, user)
    app = await totp.of(session, user)
    if app is None or app.id != id:
        await passkeys.remove(session, user, id, public_url=public_url, now=now)
        return
    await session.delete(app)
    await recovery_codes.forget(session, user)
    await known_devices.forget_all(session, user)
    for kind in (events.TOTP, events.RECOVERY_CODES):
        await state(session, CredentialRemoved(user=owner.name, kind=kind, event_time=timestamp(now)))
    await mails.factor_removed(session, to=owner.email, person=user, public_url=public_url)


async def replace_codes(session: AsyncSession, user: UUID, *, public_url: str, now: datetime) -> list[str]:
    """New recovery codes, or refuse where there is nothing that they could stand in for."""
    owner = await users.hold_active(session, user)
    if await totp.of(session, user) is None:
        raise totp.not_found()
    codes = await recovery_codes.replace(session, user)
    fact = CredentialAdded(user=owner.name, kind=events.RECOVERY_CODES, event_time=timestamp(now))
    await state(session, fact)
    await mails.recovery_codes_replaced(session, to=owner.email, person=user, public_url=public_url)
    return codes
