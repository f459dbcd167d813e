"""Access tokens as identity would sign them, for services that are tested without it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.jwk import OKPKey
from rapport.identity.v1.identity_pb2 import Jwk

from chassis.client import as_person
from chassis.tokens import ALGORITHM, AUDIENCE, LIFE, TYPE

ISSUER = "https://store.example.org"
KEY = OKPKey.generate_key("Ed25519", {"kid": "tests"})


async def keys() -> Sequence[Jwk]:
    """What `Service.keys` is in such a test."""
    public = KEY.as_dict(private=False)
    return [Jwk(kty="OKP", crv="Ed25519", x=str(public["x"]), kid="tests", use="sig", alg=ALGORITHM)]


def mint(
    user: UUID,
    *roles: str,
    now: datetime,
    life: timedelta = LIFE,
    session: UUID | None = None,
    client: str = "store",
    scope: str = "",
    signed_in: datetime | None = None,
    key: OKPKey = KEY,
    **others: object,
) -> str:
    claims = {
        "sub": str(user),
        "sid": str(session or uuid4()),
        "roles": list(roles),
        "scope": scope,
        "client_id": client,
        "auth_time": int((signed_in or now).timestamp()),
        **others,
    }
    return signed(claims, now, life, key)


def signed(claims: Mapping[str, object], now: datetime, life: timedelta = LIFE, key: OKPKey = KEY) -> str:
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
        "jti": str(uuid4()),
    }
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": str(key.kid)}
    return jwt.encode(header, {**usual, **claims}, key, algorithms=[ALGORITHM])


def as_program(client: str, *, now: datetime, scope: str = "", **others: object) -> tuple[tuple[str, str], ...]:
    """The metadata of a call by a client that asked for nobody but itself."""
    claims = {"sub": f"clients/{client}", "client_id": client, "credential": str(uuid4()), "scope": scope, **others}
    return as_person(signed(claims, now))


def as_user(user: UUID, *roles: str, now: datetime, **how: object) -> tuple[tuple[str, str], ...]:
    """The metadata of a call by that user."""
    return as_person(mint(user, *roles, now=now, **how))  # type: ignore[arg-type]
