"""Access tokens: what every service takes for who somebody is, for five minutes at most; and ID tokens, which tell a
client who signed in.

RAPPORT_SIGNING_KEY_FILE holds Ed25519 keys in PEM, one after another: the first signs, all are published.
RAPPORT_ID_TOKEN_KEY_FILE holds RSA keys likewise, for the ID tokens of clients that know nothing newer. To rotate,
append the new key; once every service has had five minutes to fetch it, put it first; once tokens of the old one have
ended, remove that.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey, RSAKey

from chassis.access import STORE
from chassis.settings import SettingsError
from chassis.tokens import ALGORITHM, AUDIENCE, LIFE
from services.identity.models import Algorithm, Authorization, BusinessMember, Session

BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
TYPE = "at+jwt"  # so that no other token of ours is taken for one (RFC 9068, 2.1)
RSA_NEEDED = "RAPPORT_ID_TOKEN_KEY_FILE has to hold RSA keys in PEM, the first of them private."
NEEDED = "RAPPORT_SIGNING_KEY_FILE has to hold Ed25519 keys in PEM, the first of them private."


class Signer:
    """Writes tokens, and says by which keys they are checked."""

    def __init__(self, pem: str, id_token_pem: str, *, issuer: str) -> None:
        self.keys, self.rsa_keys, self.issuer = read(pem), read_rsa(id_token_pem), issuer
        self.key = self.keys[0]

    def issue(
        self, session: Session, roles: Sequence[str], memberships: Sequence[BusinessMember] = (), *, now: datetime
    ) -> tuple[str, datetime]:
        """A token for the store's own front end, and when it ends: never after its session."""
        end = min(now + LIFE, session.expire_time)
        held = [[str(one.business_id), str(one.membership_id), one.role.lower()] for one in memberships]
        token = self.access_token(
            session.user_id, STORE, session.auth_time, now, end,
            sid=str(session.id), roles=list(roles), scope="", **({"memberships": held} if held else {}),
        )  # fmt: skip
        return token, datetime.fromtimestamp(int(end.timestamp()), now.tzinfo)

    def issue_to(self, client: Authorization, *, now: datetime) -> tuple[str, timedelta]:
        """A token for another client, and how long it lives. No role or membership of its person reaches that far."""
        token = self.access_token(
            client.user_id, client.client_id, client.auth_time, now, now + LIFE,
            authorization=str(client.id), roles=[], scope=" ".join(client.scopes),
        )  # fmt: skip
        return token, LIFE

    def access_token(
        self, user: UUID, client: str, auth_time: datetime, now: datetime, end: datetime, **said: Any
    ) -> str:
        """In the profile of RFC 9068."""
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": str(user),
            "client_id": client,
            "auth_time": int(auth_time.timestamp()),
            "iat": int(now.timestamp()),
            "exp": int(end.timestamp()),
            "jti": str(uuid4()),
            **said,
        }
        return jwt.encode(
            {"alg": ALGORITHM, "typ": TYPE, "kid": self.key.kid}, claims, self.key, algorithms=[ALGORITHM]
        )

    def id_token(self, claims: dict[str, Any], algorithm: Algorithm) -> str:
        """Signed as the client was registered to read it (OpenID Connect Core, 15.1)."""
        if algorithm is Algorithm.ED25519:
            return jwt.encode({"alg": ALGORITHM, "kid": self.key.kid}, claims, self.key, algorithms=[ALGORITHM])
        key = self.rsa_keys[0]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])

    def claims(self, access_token: str, *, now: datetime) -> dict[str, Any] | None:
        """What an access token of ours says, as long as it lives; None for any other text."""
        found = self.ours(access_token, self.keys, ALGORITHM)
        if found is None or found.header.get("typ") != TYPE or found.claims["exp"] <= now.timestamp():
            return None
        return found.claims

    def hinted(self, id_token: str) -> dict[str, Any] | None:
        """What an ID token of ours says, however old it is; None for any other text."""
        found = self.ours(id_token, [*self.keys, *self.rsa_keys], ALGORITHM, "RS256")
        return found.claims if found is not None and found.header.get("typ") != TYPE else None

    def ours(self, token: str, keys: Sequence[OKPKey | RSAKey], *algorithms: str) -> jwt.Token | None:
        """The token, where one of these keys signed it and we are its issuer."""
        known = {key.kid: key for key in keys}
        try:
            found = jwt.decode(token, lambda one: known[one.headers()["kid"]], algorithms=list(algorithms))
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        return found if found.claims.get("iss") == self.issuer else None

    def published(self) -> list[dict[str, str]]:
        """The public keys (RFC 7517): those of access tokens first, and of each kind the one that signs."""
        return [
            *(public(key, ("crv", "x"), ALGORITHM) for key in self.keys),
            *(public(key, ("n", "e"), "RS256") for key in self.rsa_keys),
        ]


def public(key: OKPKey | RSAKey, parts: tuple[str, str], algorithm: str) -> dict[str, str]:
    said = key.as_dict(private=False)
    wanted = ("kty", *parts, "kid")
    return {name: str(said[name]) for name in wanted} | {"use": "sig", "alg": algorithm}


def read(pem: str) -> list[OKPKey]:
    """The keys in a file, each named by its own thumbprint (RFC 7638)."""
    try:
        keys = [named(block[0]) for block in BLOCK.finditer(pem)]
    except (JoseError, ValueError, TypeError):
        raise SettingsError(NEEDED) from None
    if not keys or not keys[0].is_private or any(key.curve_name != "Ed25519" for key in keys):
        raise SettingsError(NEEDED)
    return keys


def named(pem: str) -> OKPKey:
    return OKPKey.import_key(pem, {"kid": OKPKey.import_key(pem).thumbprint()})


def read_rsa(pem: str) -> list[RSAKey]:
    """The RSA keys in a file, each named by its own thumbprint (RFC 7638)."""
    try:
        keys = [
            RSAKey.import_key(block[0], {"kid": RSAKey.import_key(block[0]).thumbprint()})
            for block in BLOCK.finditer(pem)
        ]
    except (JoseError, ValueError, TypeError):
        raise SettingsError(RSA_NEEDED) from None
    if not keys or not keys[0].is_private:
        raise SettingsError(RSA_NEEDED)
    return keys
