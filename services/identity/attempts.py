"""Guesses at passwords: how many there may be, over any number of processes.

A guess is counted before it is made and forgiven when it was right, so two hundred at once are no more than two hundred
one after the other. Who comes with the secret of a browser that signed in before is counted by that browser: however
much others guess at an account, its owner gets in (OWASP ASVS 6.3.1). What is counted is kept as a keyed mark, the same
for addresses that have an account and for those that have none.
"""

import hmac
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import DateTime, Interval, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Prepared, Sessions
from chassis.jobs import job
from chassis.refusal import QuotaExceeded
from services.identity import base64url
from services.identity.models import Attempts

BATCH = 1_000
NONCE, PROOF = 16, 32  # bytes
REMEMBERED = timedelta(days=30)
ENDLESS = 2**62


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, then one at a time; and so many in a row, then none until a link that was mailed is used."""

    name: str
    at_once: int
    each: timedelta
    in_a_row: int | None = None


ACCOUNT = Limit("account", 10, timedelta(minutes=1), 100)  # NIST SP 800-63B-4, 3.2.2: a hundred in a row
BROWSER = Limit("browser", 10, timedelta(minutes=1), 100)
NETWORK = Limit("network", 200, timedelta(seconds=5))


NOW, EACH = bindparam("now", type_=DateTime(timezone=True)), bindparam("each", type_=Interval)
MADE = insert(Attempts).values(
    mac=bindparam("mac"), failures=1, free_time=NOW + EACH, expire_time=bindparam("expire_time")
)
# Without waiting for the disk: a power cut takes a second of guesses at most, and all who sign in from one network wait
# for each other here.
COUNT = Prepared(
    MADE.on_conflict_do_update(
        index_elements=[Attempts.mac],
        set_={
            "failures": Attempts.failures + 1,
            "free_time": func.greatest(Attempts.free_time, NOW) + EACH,
            "expire_time": MADE.excluded.expire_time,
        },
        where=(Attempts.free_time <= bindparam("latest")) & (Attempts.failures < bindparam("most")),
    ).returning(Attempts.failures, func.set_config("synchronous_commit", "off", True))
)
FORGIVE = Prepared(delete(Attempts).where(Attempts.mac == bindparam("mac")))
TAKE_BACK = Prepared(
    update(Attempts)
    .where(Attempts.mac == bindparam("mac"))
    .values(failures=Attempts.failures - 1, free_time=Attempts.free_time - EACH)
)


@dataclass(frozen=True, slots=True)
class Counted:
    mac: bytes
    limit: Limit


class Marks:
    """Makes the marks, and the secrets of browsers, by a key that all replicas have."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def account(self, email: str) -> Counted:
        return Counted(self.mark("account", email.strip().casefold()), ACCOUNT)

    def of(self, email: str, user: UUID | None, browser_secret: str, client_address: str) -> Iterator[Counted]:
        """What a guess at an account counts for, in the order of their marks: two at once wait for no circle."""
        nonce = self.nonce_of(browser_secret, user) if user is not None else None
        if nonce is not None:
            yield Counted(self.mark("browser", nonce.hex()), BROWSER)
            return
        yield from sorted([self.account(email), *self.network(client_address)], key=lambda one: one.mac)

    def network(self, address: str) -> Iterator[Counted]:
        """By the address, or by the /64 that one household or machine has of IPv6."""
        try:
            where = ip_address(address)
        except ValueError:
            return
        if where.version == 6:
            where = ip_network((where, 64), strict=False).network_address
        yield Counted(self.mark("network", str(where)), NETWORK)

    def mark(self, what: str, value: str) -> bytes:
        return hmac.digest(self.key, f"attempts/{what}\0{value}".encode(), "sha256")

    # Browsers that signed in before

    def browser_secret(self, user: UUID) -> str:
        nonce = secrets.token_bytes(NONCE)
        return base64url.encode(nonce + self.proof(nonce, user))

    def nonce_of(self, browser_secret: str, user: UUID) -> bytes | None:
        """Which of the user's browsers it is; None where the secret is none of ours for them."""
        try:
            raw = base64url.decode(browser_secret)
        except ValueError:
            return None
        nonce, proof = raw[:NONCE], raw[NONCE:]
        return nonce if hmac.compare_digest(proof, self.proof(nonce, user)) else None

    def proof(self, nonce: bytes, user: UUID) -> bytes:
        return hmac.digest(self.key, b"browser" + nonce + user.bytes, "sha256")


async def count(session: AsyncSession, guess: Sequence[Counted], *, now: datetime) -> None:
    """Count a guess, or refuse it: then it counts for nothing."""
    for one in guess:
        if not await is_within(session, one, now):
            raise await refused(session, one, now)


async def is_within(session: AsyncSession, one: Counted, now: datetime) -> bool:
    limit = one.limit
    counted = await COUNT.row(
        session,
        mac=one.mac,
        now=now,
        each=limit.each,
        latest=now + limit.each * (limit.at_once - 1),
        most=limit.in_a_row or ENDLESS,
        expire_time=now + REMEMBERED,
    )
    return counted is not None


async def refused(session: AsyncSession, one: Counted, now: datetime) -> QuotaExceeded:
    found = await session.get_one(Attempts, one.mac)
    limit = one.limit
    if limit.in_a_row is not None and found.failures >= limit.in_a_row:
        why = "Too many wrong passwords in a row: choose another by a link that is mailed to you."
        wait = REMEMBERED
    else:
        why = "Too many wrong passwords: wait a while, or choose another by a link that is mailed to you."
        wait = max(found.free_time - limit.each * (limit.at_once - 1) - now, timedelta(seconds=1))
    return QuotaExceeded(why, retry_after=wait, quota=f"wrong passwords, by {limit.name}")


async def forgive(session: AsyncSession, guess: Sequence[Counted]) -> None:
    """It was right: what is counted in a row begins anew, and elsewhere this one did not count."""
    for one in guess:
        if one.limit.in_a_row is not None:
            await FORGIVE.rows(session, mac=one.mac)
        else:
            await TAKE_BACK.rows(session, mac=one.mac, each=one.limit.each)


@job(every=timedelta(hours=1))
async def forget_attempts(sessions: Sessions, now: datetime) -> int:
    """Those that count no more go after a day; a long row of them is known for a month after the last."""
    idle = (Attempts.free_time <= now - timedelta(days=1)) & (Attempts.failures < ACCOUNT.at_once)
    async with sessions.begin() as session:
        over = select(Attempts.mac).where(or_(Attempts.expire_time <= now, idle)).limit(BATCH)
        gone = delete(Attempts).where(Attempts.mac.in_(over)).returning(Attempts.mac)
        return len((await session.execute(gone)).all())
