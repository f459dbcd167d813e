"""Access tokens: is this one ours, does it still hold, and whose is it?

Identity signs them (JWT, Ed25519) for five minutes at most. A check is remembered per token, so that it costs a
lookup; the clock and a revocation end a token all the same.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from rapport.identity.v1.identity_pb2 import GetJwksRequest, Jwk
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.access import MEMBERS, Caller, Membership
from chassis.refusal import TokenInvalid, TryAgain
from chassis.time import Clock

AUDIENCE = "rapport"
ALGORITHM = "Ed25519"  # RFC 9864's name for what was EdDSA on that curve
TYPE = "at+jwt"  # so that no other token of ours is taken for one (RFC 9068, 2.1)
LIFE = timedelta(minutes=5)  # at most
SKEW = timedelta(seconds=30)  # between the clocks of two machines
# What a person's token hangs on, by the claim that says it.
KEPT = {"sid": "sessions", "authorization": "authorizations", "impersonation": "impersonations"}
BEARER, DPOP = "Bearer ", "DPoP "  # the latter for a token that is bound to a key (RFC 9449, 7.1)

Keys = Callable[[], Awaitable[Sequence[Jwk]]]
log = structlog.get_logger()


def keys_of_identity(channel: grpc.aio.Channel) -> Keys:
    """The keys as identity publishes them."""
    stub = IdentityServiceStub(channel)

    async def fetch() -> Sequence[Jwk]:
        return (await stub.GetJwks(GetJwksRequest(), timeout=2)).keys

    return fetch


class UnknownKey(Exception):  # noqa: N818 - not a fault: keys change
    """A token signed with a key that we have not heard of."""


class Keyring:
    """The public keys at hand: asked for at the first token, at an unknown key, and every few minutes."""

    def __init__(self, fetch: Keys, *, pause: float = 2.0, age: float = 300.0) -> None:
        self.fetch, self.pause, self.age = fetch, pause, age
        self.keys: dict[str, OKPKey] = {}
        self.asked = self.got = -age
        self.asking = asyncio.Lock()

    def find(self, token: Any) -> OKPKey:
        key = self.keys.get(token.headers().get("kid", ""))
        if key is None:
            raise UnknownKey
        return key

    async def refresh(self) -> None:
        """Ask for the keys, though not more often than once in a while, however many strange tokens come in."""
        async with self.asking:
            if time.monotonic() - self.asked < (self.pause if self.keys else self.pause / 10):
                return
            self.asked = time.monotonic()
            try:
                found = await self.fetch()
            except grpc.aio.AioRpcError as error:
                log.warning("keys_not_fetched", code=error.code().name)
                return
            self.keys = {one.kid: key for one in found if (key := key_of(one)) is not None}
            self.got = self.asked

    def is_old(self) -> bool:
        return time.monotonic() - self.got > self.age


def key_of(one: Jwk) -> OKPKey | None:
    if (one.kty, one.crv) != ("OKP", "Ed25519"):
        return None
    try:
        key = OKPKey.import_key({"kty": one.kty, "crv": one.crv, "x": one.x, "kid": one.kid})
        key.public_key  # noqa: B018 - read now, so that a broken one is missed at once
    except (JoseError, ValueError):
        log.error("key_unreadable", kid=one.kid)
        return None
    return key


class Tokens:
    """Tells whose an access token is."""

    def __init__(self, keys: Keys, clock: Clock, revoked: Container[str], *, issuer: str, most: int = 10_000) -> None:
        self.keyring, self.clock, self.revoked, self.most = Keyring(keys), clock, revoked, most
        self.issuer = issuer
        self.checked: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def known(self, shown: str) -> Caller | None:
        """Whose the token is, when it was checked before; None when it has to be checked."""
        found = self.checked.get(shown)
        if found is None:
            return None
        self.checked.move_to_end(shown)
        who, end = found
        return self.still_good(who, end)

    def still_good(self, who: Caller, end: float) -> Caller:
        if end <= self.clock().timestamp():
            raise TokenInvalid("That token has ended.")
        if who.session in self.revoked or who.name in self.revoked or who.token in self.revoked:
            raise TokenInvalid("That token was revoked.")
        if any(one.name in self.revoked for one in who.memberships):
            raise TokenInvalid("That token speaks of a membership that has ended: renew it.")
        return who

    async def check(self, shown: str) -> Caller:
        """Whose the token is, from its signature and claims, or a refusal."""
        if not shown.startswith((BEARER, DPOP)):
            raise TokenInvalid("Send the token as `Bearer <token>`.")
        if self.keyring.is_old():
            await self.keyring.refresh()
        try:
            claims = self.claims(shown)
        except UnknownKey:
            await self.keyring.refresh()
            if not self.keyring.keys:
                raise TryAgain("No token can be checked just now.", retry_after=timedelta(seconds=1)) from None
            try:
                claims = self.claims(shown)
            except UnknownKey:
                raise TokenInvalid("That token is not ours.") from None
        who, end = read(claims, self.clock(), self.issuer)
        if who.is_bound != shown.startswith(DPOP):
            raise TokenInvalid("A token that is bound to a key is sent as `DPoP <token>`, and no other is.")
        self.checked[shown] = who, end
        if len(self.checked) > self.most:
            self.checked.popitem(last=False)
        return self.still_good(who, end)

    def claims(self, shown: str) -> dict[str, Any]:
        try:
            found = jwt.decode(shown.partition(" ")[2], self.keyring.find, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError):
            raise TokenInvalid("That token is not ours.") from None
        if found.header.get("typ") != TYPE:
            raise TokenInvalid("That token is for something else.")
        return found.claims


def read(claims: dict[str, Any], now: datetime, issuer: str) -> tuple[Caller, float]:
    """Who the claims speak of and until when, or a refusal when they are not what identity writes."""
    try:
        end, issued = int(claims["exp"]), int(claims["iat"])
        who = program(claims) if "credential" in claims else person(claims)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        raise TokenInvalid("That token is not ours.") from None
    if claims.get("iss") != issuer or claims.get("aud") != AUDIENCE:
        raise TokenInvalid("That token is for somebody else.")
    if issued > (now + SKEW).timestamp() or end - issued > LIFE.total_seconds():
        raise TokenInvalid("That token claims a life we do not give.")
    return who, float(end)


def person(claims: dict[str, Any]) -> Caller:
    user, acts = UUID(claims["sub"]), claims.get("actor_credential")
    actor = actor_of(claims)
    claim, kept = next(((claim, kept) for claim, kept in KEPT.items() if claim in claims), ("sid", ""))
    if claim == "impersonation" and not actor.startswith("users/"):
        raise ValueError(claim)
    return Caller(
        kind="person",
        name=f"users/{user}",
        roles=frozenset(map(str, claims["roles"])),
        session=f"users/{user}/{kept}/{UUID(claims[claim])}",
        scopes=frozenset(str(claims["scope"]).split()),
        # Who is looked at did not sign in for it: what asks for a fresh sign-in is shut.
        auth_time=None if claim == "impersonation" else datetime.fromtimestamp(claims["auth_time"], UTC),
        client=str(claims["client_id"]),
        memberships=tuple(map(membership, claims.get("memberships", ()))),
        is_bound="cnf" in claims,
        actor=actor,
        token=f"clients/{claims['client_id']}/credentials/{UUID(acts)}" if acts else "",
    )


def actor_of(claims: dict[str, Any]) -> str:
    """Who acts for the person, where it is not they (RFC 8693, 4.1): one of the store's people, at whatever remove;
    else the last program that it was passed to."""
    actors: list[str] = []
    while "act" in claims:
        claims = claims["act"]
        actors.append(str(claims["sub"]))
    return next((one for one in actors if one.startswith("users/")), actors[0] if actors else "")


def program(claims: dict[str, Any]) -> Caller:
    """A client that asked for nobody but itself. It has no role and no sign-in, whatever else the token says."""
    client = str(claims["client_id"])
    if not client or claims["sub"] != f"clients/{client}":
        raise ValueError(client)
    return Caller(
        kind="program",
        name=f"clients/{client}",
        session=f"clients/{client}/credentials/{UUID(claims['credential'])}",
        scopes=frozenset(str(claims["scope"]).split()),
        client=client,
        token=f"clients/{client}/tokens/{UUID(claims['jti'])}",
        is_bound="cnf" in claims,
    )


def membership(said: list[str]) -> Membership:
    """What a token says of one: the ids of business and membership, and the role."""
    business, one, role = said
    if role not in MEMBERS:
        raise ValueError(role)
    name = f"businesses/{UUID(business)}"
    return Membership(name, f"{name}/memberships/{UUID(one)}", role)
