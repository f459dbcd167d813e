"""Ways through a provider: one browser there and back, once, within ten minutes.

What is sent along and compared afterwards, nonce and code verifier, is made of the state and of a secret that only this
browser keeps. So whoever reads the database, or sees the state go by, has neither.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import base64url, opaque
from services.identity.models import SocialFlow
from services.identity.refusals import SocialStateInvalid
from services.identity.social.providers import OIDC, Provider

LASTS = timedelta(minutes=10)
BATCH = 1_000


@dataclass(frozen=True)
class Way:
    """What a browser takes along."""

    state: str
    browser_secret: str

    @property
    def nonce(self) -> str:
        return self.made("nonce")

    @property
    def verifier(self) -> str:
        return self.made("verifier")

    def made(self, use: str) -> str:
        made = hmac.digest(self.browser_secret.encode(), f"{use}\0{self.state}".encode(), "sha256")
        return base64url.encode(made)


async def begin(session: AsyncSession, provider: Provider, *, user: UUID | None, now: datetime) -> Way:
    """Begin a way, for who links or, with no user, for who signs in or up."""
    (state, state_hash), (secret, secret_hash) = opaque.make(), opaque.make()
    flow = SocialFlow(
        state_hash=state_hash,
        browser_hash=secret_hash,
        provider=provider.name,
        user_id=user,
        expire_time=now + LASTS,
    )
    session.add(flow)
    await session.flush()
    return Way(state, secret)


async def take(session: AsyncSession, provider: Provider, way: Way, *, now: datetime) -> UUID | None:
    """End a way whose browser is back, and return who links. Of two at once, one finds it gone."""
    mine = delete(SocialFlow).where(
        SocialFlow.state_hash == opaque.hash_of(way.state),
        SocialFlow.browser_hash == opaque.hash_of(way.browser_secret),
        SocialFlow.provider == provider.name,
        SocialFlow.expire_time > now,
    )
    found = (await session.execute(mine.returning(SocialFlow.user_id))).one_or_none()
    if found is None:
        raise SocialStateInvalid("This took too long, was done already, or began in another browser. Begin again.")
    user: UUID | None = found.user_id
    return user


def address(provider: Provider, way: Way, redirect_uri: str) -> str:
    """Where the browser goes (RFC 6749, 4.1.1; RFC 7636)."""
    said = {
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": " ".join(provider.scopes),
        "state": way.state,
        "code_challenge": base64url.digest_of(way.verifier),
        "code_challenge_method": "S256",
    }
    if provider.kind == OIDC:
        said["nonce"] = way.nonce
    return f"{provider.authorization_endpoint}?{urlencode(said)}"


@job(every=timedelta(minutes=10))
async def forget_social_flows(sessions: Sessions, now: datetime) -> int:
    """Who did not come back in time has to begin again."""
    async with sessions.begin() as session:
        over = select(SocialFlow.state_hash).where(SocialFlow.expire_time <= now).limit(BATCH)
        gone = delete(SocialFlow).where(SocialFlow.state_hash.in_(over)).returning(SocialFlow.provider)
        return len((await session.execute(gone)).all())
