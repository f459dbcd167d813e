"""Access tokens: what every service takes for who somebody is, for five minutes at most.

RAPPORT_SIGNING_KEY_FILE holds Ed25519 keys in PEM, one after another: the first signs, all are published. To rotate,
append the new key; once every service has had five minutes to fetch it, put it first; once tokens of the old one have
ended, remove that.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chassis.access import STORE
from chassis.settings import SettingsError
from chassis.tokens import ALGORITHM, AUDIENCE, ISSUER, LIFE
from services.identity.models import Session

BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
NEEDED = "RAPPORT_SIGNING_KEY_FILE has to hold Ed25519 keys in PEM, the first of them private."


class Signer:
    """Writes access tokens, and says by which keys they are checked."""

    def __init__(self, pem: str) -> None:
        self.keys = read(pem)
        self.key = self.keys[0]

    def issue(self, session: Session, roles: Sequence[str], *, now: datetime) -> tuple[str, datetime]:
        """A token for the store's own front end, and when it ends: never after its session."""
        issued = int(now.timestamp())
        end = min(issued + int(LIFE.total_seconds()), int(session.expire_time.timestamp()))
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(session.user_id),
            "sid": str(session.id),
            "roles": list(roles),
            "scope": "",
            "client_id": STORE,
            "auth_time": int(session.auth_time.timestamp()),
            "iat": issued,
            "exp": end,
            "jti": str(uuid4()),
        }
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self.key.kid}
        token = jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])
        return token, datetime.fromtimestamp(end, now.tzinfo)

    def published(self) -> list[dict[str, str]]:
        """The public keys (RFC 7517), the one that signs first."""
        return [
            {"kty": "OKP", "crv": "Ed25519", "x": str(key.as_dict(private=False)["x"]), "kid": str(key.kid)}
            | {"use": "sig", "alg": ALGORITHM}
            for key in self.keys
        ]


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
