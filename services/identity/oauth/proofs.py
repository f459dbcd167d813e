"""Proofs of possession (DPoP, RFC 9449): a program signs each of its requests, so that a token bound to its key is of
no use to who only has the token.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from services.identity import base64url, once
from services.identity.models import Client
from services.identity.oauth import keys
from services.identity.oauth.assertions import LONGEST_JTI, Unproven, moment_of
from services.identity.oauth.nonces import Nonces

TYPE = "dpop+jwt"
OLD, AHEAD = timedelta(seconds=60), timedelta(seconds=10)  # between signing and arriving, with clocks that differ
PORTS = {"https": 443, "http": 80}


class NonceNeeded(Unproven):
    """The proof is good, but for a nonce of ours of these minutes."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A request that was signed."""

    thumbprint: str  # of the key (RFC 7638)
    jti: str
    nonce: str = ""


def read(proof: str, *, method: str, url: str, now: datetime, access_token: str = "") -> Proof:
    """The proof, where it is one of this very request, and with a token of this very token (RFC 9449, 4.3). That it was
    not shown before is for `take` to see."""
    try:
        header, _ = keys.unproven(proof)
        said = header.get("jwk")
        if header.get("typ") != TYPE or not isinstance(said, dict) or "crit" in header:
            raise Unproven(f"A proof is a JWT of the typ {TYPE}, with the public key as jwk in its header.")
        key, claims = keys.read(said), keys.signed(proof, said)
    except keys.Unfit as unfit:
        raise Unproven(f"The proof is none: {unfit}") from None
    check(claims, method, url, now)
    said_hash, hashed = str(claims.get("ath", "")), base64url.digest_of(access_token)
    if access_token and not hmac.compare_digest(said_hash.encode(), hashed.encode()):
        raise Unproven("The ath of the proof is not the hash of the access token.")
    return Proof(key.thumbprint(), claims["jti"], str(claims.get("nonce", "")))


def check(claims: Mapping[str, Any], method: str, url: str, now: datetime) -> None:
    jti, signed = claims.get("jti"), moment_of(claims, "iat")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise Unproven(f"A proof has a jti of at most {LONGEST_JTI} characters.")
    if claims.get("htm") != method:
        raise Unproven("The htm of the proof is not the request's method.")
    there = claims.get("htu")
    if not isinstance(there, str) or bare(there) is None or bare(there) != bare(url):
        raise Unproven("The htu of the proof is not the request's address, as the store is reached from outside.")
    if signed is None or not (now - OLD).timestamp() < signed <= (now + AHEAD).timestamp():
        raise Unproven("The iat of the proof is too old, or yet to come.")


def bare(url: str) -> tuple[str, str, int | None, str] | None:
    """An address without query and fragment, in the one spelling that it has (RFC 9449, 4.3; RFC 3986, 6.2)."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme), parts.path or "/"
    except ValueError:
        return None


def check_nonce(proof: Proof, client: Client | None, nonces: Nonces, *, now: datetime) -> None:
    """Return where the nonce is one of ours, of these minutes; or where there is none, and the client need not say it
    (RFC 9449, 8)."""
    if proof.nonce and not nonces.is_good(proof.nonce, now=now):
        raise NonceNeeded("The nonce of the proof is not one of ours, or has ended.")
    if not proof.nonce and client is not None and client.echoes:
        raise NonceNeeded("The proofs of this client say the nonce of the header DPoP-Nonce.")


async def take(session: AsyncSession, proof: Proof, *, now: datetime) -> str:
    """The thumbprint of the key, for the first who shows the proof."""
    if not await once.spend(session, "proof", proof.thumbprint, proof.jti, until=now + OLD + AHEAD):
        raise Unproven("That proof was used before.")
    return proof.thumbprint


async def prove(
    session: AsyncSession,
    proof: str,
    said: Mapping[str, Any] | None,
    token: str,
    *,
    method: str,
    url: str,
    nonces: Nonces,
    now: datetime,
) -> None:
    """Return where who shows the token, which says this, holds the key that it is bound to."""
    bound = thumbprint_of(said)
    if said is None or not bound:
        raise Unproven("That token is none that is bound to a key: send it as Bearer.")
    found = read(proof, method=method, url=url, now=now, access_token=token)
    if not hmac.compare_digest(found.thumbprint, bound):
        raise Unproven("The proof is of another key than the token.")
    check_nonce(found, await session.get(Client, said["client_id"]), nonces, now=now)
    await take(session, found, now=now)


def thumbprint_of(said: Mapping[str, Any] | None) -> str:
    """Of the key that a token of ours is bound to; "" where it is bound to none."""
    return str(said["cnf"]["jkt"]) if said is not None and "cnf" in said else ""
