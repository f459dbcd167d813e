"""Programs that act for themselves (RFC 6749, 4.4): what they get, whether it still holds, and how it ends.

Their tokens speak of no person. Each names the client's present credential: when the secret is another, or a key or a
scope is taken away, the credential is another and all services hear of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from rapport.identity.v1.events_pb2 import ClientRevoked
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.time import timestamp
from chassis.tokens import LIFE
from services.identity import once
from services.identity.facts import state
from services.identity.models import Client, Profile
from services.identity.oauth.protocol import ProtocolError
from services.identity.tokens import Signer

Claims = Mapping[str, Any]
Reason = ClientRevoked.Reason
TOLD = ("scope", "client_id", "sub", "aud", "iat", "exp", "jti", "cnf")


def asked(client: Client, parameters: Mapping[str, str]) -> Sequence[str]:
    """The scopes that the client asks for, which it may; or a ProtocolError."""
    if client.profile is not Profile.SERVICE:
        raise ProtocolError("unauthorized_client", "Only a client of the profile SERVICE acts for itself.")
    scopes = list(dict.fromkeys(parameters.get("scope", "").split())) or client.scopes
    if not set(scopes) <= set(client.scopes) or not scopes:
        raise ProtocolError("invalid_scope", "This client may not ask for all of these scopes.")
    return scopes


def granted(
    client: Client, scopes: Sequence[str], signer: Signer, thumbprint: str, *, now: datetime
) -> Mapping[str, Any]:
    """A token for the client itself, and no refresh token: it can ask again (RFC 6749, 4.4.3)."""
    token = signer.issue_for_itself(client, scopes, thumbprint, now=now)
    return {
        "access_token": token,
        "token_type": "DPoP" if thumbprint else "Bearer",
        "expires_in": int(LIFE.total_seconds()),
        "scope": " ".join(scopes),
    }


def is_own(said: Claims | None) -> bool:
    """Whether the claims are of a token that a client got for itself."""
    return said is not None and "credential" in said


async def introspected(session: AsyncSession, client: Client, said: Claims, issuer: str) -> Mapping[str, Any]:
    """What the client is told of a token of its own (RFC 7662, 2.2)."""
    if said["client_id"] != client.id or not await is_good(session, client, said):
        return {"active": False}
    shown = {name: said[name] for name in TOLD if name in said}
    return {"active": True, "token_type": "DPoP" if "cnf" in said else "Bearer", "iss": issuer, **shown}


async def is_good(session: AsyncSession, client: Client, said: Claims) -> bool:
    current = said["credential"] == str(client.credential_id) and client.profile is Profile.SERVICE
    return current and not await once.is_spent(session, "token", str(said["jti"]))


async def give_up(session: AsyncSession, client: Client, said: Claims, *, now: datetime) -> None:
    """End one token, where it is the client's own: others that it holds stay good."""
    if said["client_id"] != client.id or not await is_good(session, client, said):
        return
    until = datetime.fromtimestamp(said["exp"], now.tzinfo)
    if await once.spend(session, "token", str(said["jti"]), until=until):
        await revoke(session, client, f"{client.name}/tokens/{said['jti']}", Reason.ASKED_FOR, now)


async def end(session: AsyncSession, client: Client, reason: "Reason.ValueType", *, now: datetime) -> None:
    """End every token that the client got for itself so far."""
    if client.profile is Profile.SERVICE:
        await revoke(session, client, client.credential, reason, now)
    client.credential_id = uuid4()


async def revoke(
    session: AsyncSession, client: Client, revoked: str, reason: "Reason.ValueType", now: datetime
) -> None:
    fact = ClientRevoked(client=client.name, revoked=revoked, reason=reason, event_time=timestamp(now))
    await state(session, fact)
