"""Mail addresses, and when two of them are the same."""

import re
from collections.abc import Iterable
from zlib import crc32

from sqlalchemy import ARRAY, Integer, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import Violation
from services.identity.refusals import EmailMalformed

# What people and providers really use of RFC 5321; whether somebody reads there is for the mail to find out.
LOCAL = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x1f\x7f]{1,64}")
DOMAIN = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
LOCKS = 4_720  # our class of advisory locks
WRONG = "This needs one @ and a domain: name@example.org."


def exact(email: str) -> str:
    """The address as it is compared: trimmed, lower case, the domain in its ASCII form; refused if it is none."""
    local, at, domain = email.strip().lower().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    if not at or not LOCAL.fullmatch(local) or not DOMAIN.fullmatch(domain):
        raise EmailMalformed("That is no mail address.", violations=[Violation("email", "EMAIL_MALFORMED", WRONG)])
    return f"{local}@{domain}"


async def take_turns(session: AsyncSession, address: str) -> None:
    """One at a time does something about an address that may have no row yet."""
    await session.execute(select(func.pg_advisory_xact_lock(LOCKS, key_of(address))))


async def take_all_turns(session: AsyncSession, several: Iterable[str]) -> None:
    """As `take_turns` for each of them: in one order, so that nobody waits in a circle."""
    keys = sorted({key_of(address) for address in several})
    each = func.unnest(literal(keys, ARRAY(Integer))).table_valued("key").render_derived()
    await session.execute(select(func.pg_advisory_xact_lock(LOCKS, each.c.key)))


def key_of(address: str) -> int:
    return crc32(address.encode()) - (1 << 31)  # of the size that PostgreSQL's integer has
