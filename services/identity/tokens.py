"""Access tokens: what every service takes for who somebody is, for five minutes at most; and ID tokens, which tell a
client who signed in.

RAPPORT_SIGNING_KEY_FILE holds Ed25519 keys in PEM, one after another: the first signs, all are published.
RAPPORT_ID_TOKEN_KEY_FILE holds RSA keys likewise, for the ID tokens of clients that know nothing newer, and may hold
P-256 keys, for those that want ES256: of each kind the first signs. To rotate,
append the new key; once every service has had five minutes to fetch it, put it first; once tokens of the old one have
ended, remove that.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from chassis.access import STORE
from chassis.settings import SettingsError
from chassis.tokens import ALGORITHM, AUDIENCE, LIFE, TYPE
from services.identity.models import Algorithm, Authorization, Client, Impersonation, MemberRole, Session

IMPERSONATION = "impersonation"  # the client_id of tokens by which the store's people look at accounts
LOOKED_AT = "profile orders tickets points"  # what such tokens reach, and chassis.access lets them read
# What an exchanged token says as the one before it: what it hangs on, and how its person signed in.
PASSED_ON = ("sid", "authorization", "impersonation", "auth_time", "acr", "amr")
Key = TypeVar("Key", OKPKey, RSAKey, ECKey)
BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
OTHERS_NEEDED = (
    "RAPPORT_ID_TOKEN_KEY_FILE has to hold RSA keys in PEM, and may hold P-256 keys, the first of each kind private."
)
NEEDED = "RAPPORT_SIGNING_KEY_FILE has to hold Ed25519 keys in PEM, the first of them private."


class Membership(NamedTuple):
    business: UUID
    id: UUID
    role: MemberRole


class Standing(NamedTuple):
    """What tokens say that a user is: at the store, and at businesses."""

    roles: Sequence[str]
    memberships: Sequence[Membership]


class Signer:
    """Writes tokens, and says by which keys they are checked."""

    def __init__(self, pem: str, id_token_pem: str, *, issuer: str) -> None:
        self.keys, self.issuer = read(pem), issuer
        self.rsa_keys, self.ec_keys = read_others(id_token_pem)
        self.key = self.keys[0]

    def issue(self, session: Session, standing: Standing, *, now: datetime) -> tuple[str, datetime]:
        """A token for the store's own front end, and when it ends: never after its session."""
        end = min(now + LIFE, session.expire_time)
        held = [[str(one.business), str(one.id), one.role.lower()] for one in standing.memberships]
        token = self.access_token(
            str(session.user_id), STORE, now, end,
            auth_time=int(session.auth_time.timestamp()), sid=str(session.id), roles=list(standing.roles), scope="",
            acr=session.acr, amr=session.amr, **({"memberships": held} if held else {}),
        )  # fmt: skip
        return token, datetime.fromtimestamp(int(end.timestamp()), now.tzinfo)

    def issue_to(self, client: Authorization, thumbprint: str = "", *, now: datetime) -> tuple[str, timedelta]:
        """A token for another client, and how long it lives. No role or membership of its person reaches that far."""
        token = self.access_token(
            str(client.user_id), client.client_id, now, now + LIFE,
            auth_time=int(client.auth_time.timestamp()), authorization=str(client.id), roles=[],
            scope=" ".join(client.scopes), acr=client.acr, amr=client.amr, **bound(thumbprint),
        )  # fmt: skip
        return token, LIFE

    def issue_for_itself(self, client: Client, scopes: Sequence[str], thumbprint: str = "", *, now: datetime) -> str:
        """A token for a program that asks for nobody."""
        credential, scope = str(client.credential_id), " ".join(scopes)
        return self.access_token(
            client.name, client.id, now, now + LIFE, credential=credential, scope=scope, **bound(thumbprint)
        )

    def issue_to_staff(self, one: Impersonation, *, now: datetime) -> str:
        """A token by which one of the store's people looks at a customer's account (RFC 8693, 4.1): without a role, a
        sign-in or anything that renews it, and as long as the impersonation."""
        return self.access_token(
            str(one.user_id), IMPERSONATION, now, one.expire_time,
            impersonation=str(one.id), roles=[], scope=LOOKED_AT, act={"sub": one.staff},
        )  # fmt: skip

    def issue_exchanged(
        self, client: Client, said: Mapping[str, Any], scopes: Sequence[str], thumbprint: str = "", *, now: datetime
    ) -> tuple[str, int]:
        """A token for a program that acts for a person, by one that it was shown and that says this, and when it ends:
        never after that. It hangs on the same session or authorization, and on the program's credential."""
        end = min(now + LIFE, datetime.fromtimestamp(said["exp"], now.tzinfo))
        act = {"sub": client.name} | ({"act": said["act"]} if "act" in said else {})
        token = self.access_token(
            said["sub"], client.id, now, end, roles=[], scope=" ".join(scopes),
            act=act, actor_credential=str(client.credential_id),
            **{name: said[name] for name in PASSED_ON if name in said}, **bound(thumbprint),
        )  # fmt: skip
        return token, int(end.timestamp())

    def access_token(self, sub: str, client: str, now: datetime, end: datetime, **said: Any) -> str:
        """In the profile of RFC 9068."""
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": sub,
            "client_id": client,
            "iat": int(now.timestamp()),
            "exp": int(end.timestamp()),
            "jti": str(uuid4()),
            **said,
        }
        return jwt.encode(
            {"alg": ALGORITHM, "typ": TYPE, "kid": self.key.kid}, claims, self.key, algorithms=[ALGORITHM]
        )

    def id_token(self, claims: dict[str, Any], algorithm: Algorithm, *, type: str = "JWT") -> str:
        """Signed as the client was registered to read it (OpenID Connect Core, 15.1)."""
        if algorithm is Algorithm.ED25519:
            header = {"alg": ALGORITHM, "typ": type, "kid": self.key.kid}
            return jwt.encode(header, claims, self.key, algorithms=[ALGORITHM])
        key = self.ec_keys[0] if algorithm is Algorithm.ES256 else self.rsa_keys[0]
        header = {"alg": algorithm.value, "typ": type, "kid": key.kid}
        return jwt.encode(header, claims, key, algorithms=[algorithm.value])

    def can_sign(self, algorithm: Algorithm) -> bool:
        """Whether there is a key for ID tokens of that kind."""
        return algorithm is not Algorithm.ES256 or bool(self.ec_keys)

    def claims(self, access_token: str, *, now: datetime) -> dict[str, Any] | None:
        """What an access token of ours says, as long as it lives; None for any other text."""
        found = self.ours(access_token, self.keys, ALGORITHM)
        if found is None or found.header.get("typ") != TYPE or found.claims["exp"] <= now.timestamp():
            return None
        return found.claims

    def hinted(self, id_token: str) -> dict[str, Any] | None:
        """What an ID token of ours says, however old it is; None for any other text."""
        found = self.ours(id_token, [*self.keys, *self.rsa_keys, *self.ec_keys], ALGORITHM, "RS256", "ES256")
        return found.claims if found is not None and found.header.get("typ") in (None, "JWT") else None

    def ours(self, token: str, keys: Sequence[OKPKey | RSAKey | ECKey], *algorithms: str) -> jwt.Token | None:
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
            *(public(key, ("crv", "x", "y"), "ES256") for key in self.ec_keys),
        ]


def bound(thumbprint: str) -> dict[str, Any]:
    """The claim that ties a token to a key of its holder's (RFC 9449, 6.1)."""
    return {"cnf": {"jkt": thumbprint}} if thumbprint else {}


def public(key: OKPKey | RSAKey | ECKey, parts: tuple[str, ...], algorithm: str) -> dict[str, str]:
    said = key.as_dict(private=False)
    wanted = ("kty", *parts, "kid")
    return {name: str(said[name]) for name in wanted} | {"use": "sig", "alg": algorithm}


def read(pem: str) -> list[OKPKey]:
    """The keys in a file, each named by its own thumbprint (RFC 7638)."""
    try:
        keys = [named(OKPKey.import_key(block[0])) for block in BLOCK.finditer(pem)]
    except (JoseError, ValueError, TypeError):
        raise SettingsError(NEEDED) from None
    if not keys or not keys[0].is_private or any(key.curve_name != "Ed25519" for key in keys):
        raise SettingsError(NEEDED)
    return keys


def named(key: Key) -> Key:
    """The key, by its own thumbprint (RFC 7638)."""
    key.ensure_kid()
    return key


def read_others(pem: str) -> tuple[list[RSAKey], list[ECKey]]:
    """The RSA keys in a file, and its P-256 keys, each named by its own thumbprint (RFC 7638)."""
    rsa: list[RSAKey] = []
    ec: list[ECKey] = []
    try:
        for block in BLOCK.finditer(pem):
            try:
                rsa.append(named(RSAKey.import_key(block[0])))
            except InvalidKeyTypeError:
                ec.append(named(ECKey.import_key(block[0])))
    except (JoseError, ValueError, TypeError):
        raise SettingsError(OTHERS_NEEDED) from None
    if not rsa or not all(keys[0].is_private for keys in (rsa, ec) if keys):
        raise SettingsError(OTHERS_NEEDED)
    if any(key.curve_name != "P-256" for key in ec):
        raise SettingsError(OTHERS_NEEDED)
    return rsa, ec
