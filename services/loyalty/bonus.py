"""The newsletter's bonus: once for each account, and once for each mailbox, which is remembered by a keyed mark alone.

A mark is HMAC-SHA256 over campaign and address. Without the key nobody can tell whose it is, or try addresses on it; it
names no account, so that it outlives an erasure and says nothing about who was erased. See docs/decisions/0132.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import addresses, points, programme
from services.loyalty.ledger.movements import has
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Earn
from services.loyalty.models import Bonus, BonusMark, Kind, Origin
from services.loyalty.rules import Rules

CAMPAIGN = "shop-eu/newsletter-500/v1"


class BonusKeysError(Exception):
    """The keys of the marks can not be used as they are."""


@dataclass(frozen=True)
class Keys:
    """Every version of the key whose marks still count; new marks are made with the highest."""

    versions: Mapping[int, bytes]

    @classmethod
    def read(cls, text: str) -> "Keys":
        """From lines of hex, a line per version. An emptied line is a key destroyed, and its marks with it."""
        try:
            keys = {number: bytes.fromhex(line) for number, line in enumerate(text.splitlines(), 1) if line.strip()}
        except ValueError:
            raise BonusKeysError("RAPPORT_BONUS_KEY_FILE holds lines of hex, a line per version.") from None
        if not keys or any(len(key) < 32 for key in keys.values()):
            raise BonusKeysError("RAPPORT_BONUS_KEY_FILE needs a key, and each of 32 bytes or more: 64 hex digits.")
        return cls(keys)


@dataclass(frozen=True)
class Outcome:
    bonus: Bonus
    points: int = 0


async def grant(
    session: AsyncSession, *, user: UUID, email: str, keys: Keys, effective: datetime, now: datetime
) -> Outcome:
    """Give the bonus to a user whose address this is, unless it was given before: to them, or to the mailbox."""
    rules = await programme.in_force(session, effective)
    if rules.newsletter_bonus == 0:
        return Outcome(Bonus.BONUS_UNSPECIFIED)
    held = await points.hold(session, user, now=now)
    if held is None:
        return Outcome(Bonus.BONUS_UNSPECIFIED)  # erased while we worked: there is nobody to give it to
    key = str(held.account_id)
    if await has(session, CAMPAIGN, key) or not await remember(session, email, keys, now=now):
        return Outcome(Bonus.ALREADY_GRANTED)
    earning = Earn(
        account=held.account_id,
        scope=CAMPAIGN,
        key=key,
        effective=effective,
        kind=Kind.NEWSLETTER_BONUS,
        points=rules.newsletter_bonus,
        origin=Origin.PROMOTION,
        term=Rules.of(rules).newsletter_term,
        programme_version=rules.version,
    )
    await post(session, [earning], now=now)
    return Outcome(Bonus.GRANTED, rules.newsletter_bonus)


async def remember(session: AsyncSession, email: str, keys: Keys, *, now: datetime) -> bool:
    """Mark an address; False when it, or another address of its mailbox, is marked already."""
    if await is_remembered(session, email, keys):
        return False
    newest, month = max(keys.versions), now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = [
        {"campaign": CAMPAIGN, "key_version": newest, "form": form, "mac": mac, "create_time": month}
        for form, mac in marks(keys.versions[newest], CAMPAIGN, email).items()
    ]
    # Two at once for one mailbox: the second waits here for the first, and finds its marks.
    marked = await session.scalars(
        insert(BonusMark).values(rows).on_conflict_do_nothing().returning(BonusMark.form)
    )  # fmt: skip
    return len(marked.all()) == len(rows)


async def is_remembered(session: AsyncSession, email: str, keys: Keys) -> bool:
    wanted = [
        (CAMPAIGN, version, form, mac)
        for version, key in keys.versions.items()
        for form, mac in marks(key, CAMPAIGN, email).items()
    ]
    place = tuple_(BonusMark.campaign, BonusMark.key_version, BonusMark.form, BonusMark.mac)
    return await session.scalar(select(BonusMark.form).where(place.in_(wanted)).limit(1)) is not None


def marks(key: bytes, campaign: str, email: str) -> dict[str, bytes]:
    """The exact form too: what is one mailbox today may be judged otherwise by a later list of providers."""
    forms = {"exact": email, "canonical": addresses.canonical(email)}
    return {form: hmac.digest(key, f"{campaign}\0{address}".encode(), "sha256") for form, address in forms.items()}
