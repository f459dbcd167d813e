"""ID tokens of other providers: what one says counts when the provider signed it, for us, for this sign-in, just now.

OpenID Connect Core, 3.1.3.7. A provider's keys are kept for an hour; a key that is not among them is asked for at once,
but no more often than once a minute.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from services.identity.refusals import SocialAnswerInvalid
from services.identity.social.providers import Provider
from services.identity.social.wire import Wire, failed

ALGORITHMS = ["RS256", "ES256"]
KEPT, AGAIN = timedelta(hours=1), timedelta(minutes=1)
SKEW = 60  # seconds that clocks differ by
LONGEST = 16 << 10
MOST_KEYS = 20
LONGEST_SUB = 255
Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """A provider's keys, as they were at a time."""

    keys: Mapping[str, RSAKey | ECKey]
    since: datetime


class IdTokens:
    """Reads them."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.known: dict[str, Known] = {}  # by provider, of which there are few

    async def claims(self, provider: Provider, token: str, *, nonce: str, now: datetime) -> Claims:
        """What the token says, or refuse because it proves nothing."""
        key = await self.key(provider, token, now)
        try:
            said = jwt.decode(token, key, algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError, KeyError):
            raise unproven() from None
        if "crit" in said.header or not is_for_us(provider, said.claims, nonce, now):
            raise unproven()
        return said.claims

    async def key(self, provider: Provider, token: str, now: datetime) -> RSAKey | ECKey:
        """The key that the token says it is signed by. Only its name is taken from the token."""
        name = key_named(token)
        known = self.known.get(provider.name)
        if known is None or now - known.since >= KEPT or (name not in known.keys and now - known.since >= AGAIN):
            known = self.known[provider.name] = Known(await self.fetched(provider), now)
        if name not in known.keys:
            raise unproven()
        return known.keys[name]

    async def fetched(self, provider: Provider) -> Mapping[str, RSAKey | ECKey]:
        status, said = await self.wire.json("GET", provider.jwks_uri)
        listed = said.get("keys")
        if status != 200 or not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise failed()
        fit = [one for one in listed if isinstance(one, dict) and one.get("kty") in ("RSA", "EC") and "d" not in one]
        try:
            keys = KeySet.import_key_set({"keys": fit}).keys
        except (JoseError, ValueError, TypeError, KeyError):
            raise failed() from None
        return {str(one.kid): one for one in keys if isinstance(one, RSAKey | ECKey)}


def key_named(token: str) -> str:
    if len(token) > LONGEST:
        raise unproven()
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError):
        raise unproven() from None
    return str(header.get("kid", ""))


def is_for_us(provider: Provider, said: Claims, nonce: str, now: datetime) -> bool:
    audience, party, at = said.get("aud"), said.get("azp"), now.timestamp()
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or provider.client_id not in audiences:
        return False
    if party != provider.client_id and (party is not None or len(audiences) > 1):
        return False
    sub, end, begun = said.get("sub"), said.get("exp"), said.get("iat")
    return (
        said.get("iss") == provider.issuer
        and isinstance(said.get("nonce"), str)
        and hmac.compare_digest(said["nonce"].encode(), nonce.encode())
        and isinstance(sub, str)
        and 0 < len(sub) <= LONGEST_SUB
        and is_number(end)
        and end > at - SKEW
        and is_number(begun)
        and begun < at + SKEW
    )


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def unproven() -> SocialAnswerInvalid:
    return SocialAnswerInvalid("What the provider said does not prove who this is. Begin again.")
