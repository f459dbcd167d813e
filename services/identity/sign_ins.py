"""Sign-ins: a password, and where there is a second factor that too, before there is a session.

    a password ──▶ begin ──▶ a session, or a challenge ──▶ count ──▶ finish ──▶ a session
    a provider's word ──▶ by_provider ──▶ likewise
                                     renew: a session that proves again that it is its owner's

What is counted is committed before it is looked at, so that guesses at once all count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.sealing import Sealer
from services.identity import challenges, factors, guesses, known_devices, passkeys, sessions, users
from services.identity.ceremonies import Ceremonies
from services.identity.factors import Proof
from services.identity.models import Challenge, Credential, Device, Session
from services.identity.refusals import FactorNeeded


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in that waits for a second factor."""

    challenge: Challenge
    token: str
    ways: Sequence[str]


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody signs in: what it says it is, and by which secret it may be known."""

    title: str
    secret: str = ""


async def begin(
    session: AsyncSession,
    proven: Credential,
    *,
    password_hash: str,
    browser: Browser,
    ask_always: bool,
    now: datetime,
) -> tuple[Session, str] | Waiting:
    """Sign in who has proven `proven`, or tell what is missing."""
    user = proven.user_id
    await sessions.hold_proven(session, proven, password_hash=password_hash)
    ways = await factors.ways_of(session, user)
    if not ways:
        return await sessions.begin(session, user, device=browser.title, amr=sessions.PASSWORD, auth_time=now, now=now)
    device = await known_devices.find(session, user, browser.secret, now=now)
    if device is None or ask_always or not known_devices.is_trusted(device, now):
        challenge, token = await challenges.begin(session, user, amr=sessions.PASSWORD, device=browser.title, now=now)
        return Waiting(challenge, token, ways)
    known_devices.use(device, now)
    # All that is asked of them was proven when the factor was: what wants a fresh sign-in asks for that again.
    return await sessions.begin(
        session, user, device=browser.title, amr=sessions.PASSWORD, auth_time=device.proof_time, now=now
    )


async def by_provider(
    session: AsyncSession, user: UUID, *, device: str, now: datetime
) -> tuple[Session, str] | Waiting:
    """Sign in a user, who is held, by the word of a provider, or tell what is missing: its word is one factor."""
    amr = sessions.EXTERNAL
    if ways := await factors.ways_of(session, user):
        return Waiting(*await challenges.begin(session, user, amr=amr, device=device, now=now), ways)
    return await sessions.begin(session, user, device=device, amr=amr, auth_time=now, now=now)


async def count(session: AsyncSession, token: str, proof: Proof, *, device_secret: str, now: datetime) -> Challenge:
    """Take a try of a challenge and, for a code that can be guessed, a guess where it is made."""
    challenge = await challenges.count(session, token, now=now)
    if proof.kind == factors.CODE:
        device = await known_devices.find(session, challenge.user_id, device_secret, now=now)
        await guesses.count(session, challenge.user_id, place_of(device), now=now)
    return challenge


async def finish(
    session: AsyncSession,
    challenge: Challenge,
    proof: Proof,
    *,
    device_secret: str,
    trusted: bool,
    sealer: Sealer,
    public_url: str,
    now: datetime,
) -> tuple[Session, str, str]:
    """Sign in who proves the second factor. Returns the session, its secret, and the one the device is known by."""
    user = await users.hold_active(session, challenge.user_id)
    await challenges.finish(session, challenge, now=now)
    proven = await factors.prove(session, user, proof, sealer=sealer, public_url=public_url, now=now)
    device = await known_devices.find(session, user.id, device_secret, now=now)
    await guesses.forget(session, user.id, place_of(device))
    amr = [*challenge.amr, *proven]
    begun, secret = await sessions.begin(session, user.id, device=challenge.device, amr=amr, auth_time=now, now=now)
    known = await known_devices.remember(session, user.id, device, title=challenge.device, trusted=trusted, now=now)
    return begun, secret, known


async def by_passkey(
    session: AsyncSession, credential: str, *, device: str, asks: Ceremonies, public_url: str, now: datetime
) -> tuple[Session, str] | None:
    """Sign in whose passkey has signed, or refuse; None as passkeys.prove has it."""
    passkey = await passkeys.prove(session, credential, asks=asks, public_url=public_url, now=now)
    if passkey is None:
        return None
    amr = passkeys.ways_of(passkey)
    return await sessions.begin(session, passkey.user_id, device=device, amr=amr, auth_time=now, now=now)


def place_of(device: Device | None) -> UUID:
    return device.id if device else guesses.ELSEWHERE


# Again ----------------------------------------------------------------------------------------------------------------


async def ask_again(
    session: AsyncSession, secret: str, *, has_factor: bool, now: datetime
) -> tuple[Session, str | None]:
    """The session that is to be proven, by a factor or not, with its guess counted; and the hash of its owner's
    password, where they have one."""
    used = await sessions.use(session, secret, now=now)
    if not has_factor and await factors.ways_of(session, used.user_id):
        raise FactorNeeded("Prove the second factor of this account.")
    await guesses.count(session, used.user_id, used.id, now=now)
    known = await session.get(Credential, used.user_id)
    return used, known.password_hash if known else None


async def renew(
    session: AsyncSession, used: Session, secret: str, *, amr: Sequence[str], now: datetime
) -> tuple[Session, str]:
    """The session, proven again just now, under another secret."""
    await guesses.forget(session, used.user_id, used.id)
    return await sessions.renew(session, secret, amr=[*used.amr, *amr], now=now)
