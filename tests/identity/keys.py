"""What programs sign with in tests: keys, client assertions, proofs of possession."""

import hashlib
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from rapport.identity.v1.identity_pb2 import Jwk

from services.identity.oauth.assertions import TYPE
from services.identity.oauth.keys import Reader
from tests.tokens import ISSUER

Key = ECKey | RSAKey | OKPKey
P256, OTHER_P256 = (ECKey.generate_key("P-256", {"kid": name}) for name in ("p256", "p256-2"))
ED25519 = OKPKey.generate_key("Ed25519", {"kid": "ed25519"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ALGORITHM = {"EC": "ES256", "RSA": "PS256", "OKP": "Ed25519", "oct": "HS256"}


def public(key: Key, **said: Any) -> dict[str, str]:
    """Its JWK."""
    return {**{name: str(value) for name, value in key.as_dict(private=False).items()}, **said}


def registered(key: Key, **said: str) -> Jwk:
    """As it stands in a client."""
    known = {field.name for field in Jwk.DESCRIPTOR.fields}
    return Jwk(**{name: value for name, value in public(key, **said).items() if name in known})


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """A JWT of whatever this is: what is left out is None."""
    said, told = ({name: one for name, one in part.items() if one is not None} for part in (header, claims))
    return jwt.encode(said, told, key, registry=Reader([said["alg"], "Ed25519"]))


def assertion(
    client: str, *, now: datetime, key: Key = P256, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """A client's proof of itself, good for a minute."""
    usual = {"iss": client, "sub": client, "aud": ISSUER, "jti": str(uuid4()), "exp": int(now.timestamp()) + 60}
    kid = {"alg": ALGORITHM[key.key_type], "kid": key.kid}
    return signed({**kid, **(header or {})}, {**usual, **claims}, key)


def asserted(shown: str) -> dict[str, str]:
    """The parameters that carry it."""
    return {"client_assertion_type": TYPE, "client_assertion": shown}


def proof(
    path: str,
    *,
    now: datetime,
    key: Key = P256,
    method: str = "POST",
    token: str = "",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A proof of possession for one request."""
    usual = {"htm": method, "htu": f"{ISSUER}{path}", "jti": str(uuid4()), "iat": int(now.timestamp())}
    if token:
        usual["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
    jwk = {name: value for name, value in public(key).items() if name != "kid"}
    head = {"typ": "dpop+jwt", "alg": ALGORITHM[key.key_type], "jwk": jwk}
    return signed({**head, **(header or {})}, {**usual, **claims}, key)
