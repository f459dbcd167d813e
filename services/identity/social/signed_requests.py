"""What Facebook tells by itself, signed with the app's secret: that a person wants what came from there deleted, or
that they took back that we may ask there ("Data Deletion Request Callback", "Deauthorize Callback").

A deletion ends the link. Where that is the only way into the account, the whole account is erased: whoever asked for it
there has no other way to ask for it here. A status is told by a code that names nobody.
"""

import hmac
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from rapport.identity.v1.events_pb2 import ExternalIdentityUnlinked
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import base64url, deletions, opaque, sessions, users, ways_in
from services.identity.models import ExternalIdentity, SocialClaim, SocialDeletion, State, User
from services.identity.oauth import authorizations
from services.identity.refusals import SignedRequestInvalid, SocialProviderUnknown
from services.identity.registrations import link_invalid
from services.identity.social import links, notices
from services.identity.social.providers import FACEBOOK, Provider

FRESH = timedelta(hours=1)  # an old one, sent again, would end a link that was made since
SKEW = timedelta(minutes=5)
TOLD = timedelta(days=90)  # for how long a status is told
BATCH = 1_000


def read(provider: Provider, text: str, *, now: datetime) -> str:
    """Whom a signed request is about, or refuse because Facebook did not sign it, or not just now."""
    if provider.kind != FACEBOOK:
        raise SocialProviderUnknown("That provider tells nothing by itself.")
    signature, _, payload = text.partition(".")
    secret = provider.client_secret.value.encode()
    if not hmac.compare_digest(decoded(signature), hmac.digest(secret, payload.encode(), "sha256")):
        raise invalid()
    said = object_of(decoded(payload))
    sub, issued = said.get("user_id"), said.get("issued_at")
    if said.get("algorithm") != "HMAC-SHA256" or not isinstance(sub, str) or not sub:
        raise invalid()
    if not isinstance(issued, int) or not -SKEW.total_seconds() <= now.timestamp() - issued <= FRESH.total_seconds():
        raise invalid()
    return sub


def decoded(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise invalid() from None


def object_of(content: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise invalid() from None
    if not isinstance(said, dict):
        raise invalid()
    return said


def invalid() -> SignedRequestInvalid:
    return SignedRequestInvalid("That is not signed as it has to be.")


async def delete_what_came(
    session: AsyncSession, provider: Provider, sub: str, *, public_url: str, now: datetime
) -> str:
    """Delete what came from there, and return the code that its status is asked by: for a stranger, too."""
    await forget_claims(session, provider, sub)
    user, found = await held(session, provider, sub)
    erasure: UUID | None = None
    if user is not None and found is not None:
        if user.state is State.DELETING or not await ways_in.has_another(session, user.id, but=found.id):
            erasure = (await deletions.request(session, user.id, etag="", now=now)).erasure_id
        else:
            await end(session, user, found, provider, public_url=public_url, now=now)
    code, code_hash = opaque.make()
    session.add(SocialDeletion(code_hash=code_hash, provider=provider.name, erasure_id=erasure, create_time=now))
    return code


async def take_back(session: AsyncSession, provider: Provider, sub: str, *, public_url: str, now: datetime) -> None:
    """End what hangs on the person's word there: the link, where there is another way in, and every session. Without
    another way the link stays, as what they can come back by."""
    await forget_claims(session, provider, sub)
    user, found = await held(session, provider, sub)
    if user is None or found is None or user.state is State.DELETING:
        return
    if await ways_in.has_another(session, user.id, but=found.id):
        await end(session, user, found, provider, public_url=public_url, now=now)
    await sessions.revoke_all(session, user.id, now=now)
    await authorizations.end_those_of_user(session, user.id, now=now)


async def end(
    session: AsyncSession, user: User, one: ExternalIdentity, provider: Provider, *, public_url: str, now: datetime
) -> None:
    await links.unlink(session, one, ExternalIdentityUnlinked.PROVIDER, now)
    await notices.unlinked(session, to=user.email, person=user.id, title=provider.title, public_url=public_url)


async def held(
    session: AsyncSession, provider: Provider, sub: str
) -> tuple[User, ExternalIdentity] | tuple[None, None]:
    """Who signs in with that account, and the link; both held."""
    mine = select(ExternalIdentity.user_id).where(
        ExternalIdentity.issuer == provider.issuer, ExternalIdentity.sub == sub
    )
    owner = await session.scalar(mine)
    if owner is None:
        return None, None
    user = await users.hold(session, owner)  # the user first, as everywhere
    found = await links.find(session, provider.issuer, sub)
    return (user, found) if found is not None and found.user_id == user.id else (None, None)


async def forget_claims(session: AsyncSession, provider: Provider, sub: str) -> None:
    mine = SocialClaim.issuer == provider.issuer, SocialClaim.sub == sub
    await session.execute(delete(SocialClaim).where(*mine))


async def status(session: AsyncSession, code: str) -> SocialDeletion:
    """What came of the deletion of that code, or refuse because there was none."""
    found = await session.get(SocialDeletion, opaque.hash_of(code))
    if found is None:
        raise link_invalid()
    return found


@job(every=timedelta(hours=6))
async def forget_social_deletions(all_sessions: Sessions, now: datetime) -> int:
    """A status is told for as long as somebody may ask."""
    async with all_sessions.begin() as session:
        over = select(SocialDeletion.code_hash).where(SocialDeletion.create_time <= now - TOLD).limit(BATCH)
        gone = delete(SocialDeletion).where(SocialDeletion.code_hash.in_(over)).returning(SocialDeletion.provider)
        return len((await session.execute(gone)).all())
