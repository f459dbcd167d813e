"""Token exchange (RFC 8693): a program that was called for a person calls on for them, with a token that says both. It
reaches no further and lives no longer than the one it was got for, and hangs on the same session or authorization.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import STORE
from chassis.tokens import AUDIENCE
from services.identity.models import Client, Impersonation, Profile, Session, State, User
from services.identity.oauth import authorizations, programs, proofs
from services.identity.oauth.protocol import ProtocolError, invalid
from services.identity.tokens import Signer

Claims = Mapping[str, Any]
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name of RFC 8693
MOST = 4  # programs that pass a token on, one to the next
TOLD = (*programs.TOLD, "act")
ENDED = "The subject_token is no access token of ours that speaks of a person, or is good no more."


def asked(client: Client, parameters: Mapping[str, str]) -> str:
    """The token that the client wants another one for; or a ProtocolError."""
    if client.profile is not Profile.SERVICE or not client.exchange_scopes:
        raise ProtocolError("unauthorized_client", "This client may exchange no tokens.")
    if "actor_token" in parameters or "actor_token_type" in parameters:
        raise invalid("The client itself is who acts: leave out actor_token.")
    if "subject_token" not in parameters or parameters.get("subject_token_type") != ACCESS_TOKEN:
        raise invalid(f"Send subject_token, with subject_token_type={ACCESS_TOKEN}.")
    if parameters.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise invalid("Only access tokens are given.")
    if "resource" in parameters or parameters.get("audience", AUDIENCE) != AUDIENCE:
        raise ProtocolError("invalid_target", f"Tokens are for the audience {AUDIENCE}.")
    return parameters["subject_token"]


async def subject(session: AsyncSession, signer: Signer, token: str, *, now: datetime) -> Claims:
    """What the token says of its person, where it is good now; or a ProtocolError."""
    said = signer.claims(token, now=now)
    if said is None or programs.is_own(said) or not await is_good(session, said, now=now):
        raise invalid(ENDED)
    if len(list(actors(said))) >= MOST:
        raise invalid("That token was passed on too often.")
    return said


async def is_good(session: AsyncSession, said: Claims, *, now: datetime) -> bool:
    """Whether the person, and what their token hangs on, are still there."""
    if "authorization" in said:
        return await authorizations.live(session, UUID(said["authorization"]), now=now) is not None
    if await session.scalar(select(User.state).where(User.id == UUID(said["sub"]))) is not State.ACTIVE:
        return False
    if "impersonation" in said:
        looked = await session.get(Impersonation, UUID(said["impersonation"]))
        return looked is not None and looked.is_live(now)
    begun = await session.get(Session, UUID(said["sid"]))
    return begun is not None and begun.revoke_time is None and begun.expire_time > now


def actors(said: Claims) -> Iterator[str]:
    """Who acts for the person, the last first."""
    while "act" in said:
        said = said["act"]
        yield str(said["sub"])


def scopes(client: Client, said: Claims, parameters: Mapping[str, str]) -> Sequence[str]:
    """What the new token reaches: of what the old one does, what the client may ask for and asks for; or a
    ProtocolError. The store's own front end reaches everything."""
    everything = said["client_id"] == STORE
    may = [one for one in client.exchange_scopes if everything or one in said["scope"].split()]
    wanted = list(dict.fromkeys(parameters.get("scope", "").split())) or may
    if not wanted or not set(wanted) <= set(may):
        raise ProtocolError("invalid_scope", "The client may not ask for that, or the subject_token does not reach it.")
    return wanted


def granted(
    client: Client, said: Claims, scopes: Sequence[str], signer: Signer, thumbprint: str, *, now: datetime
) -> Mapping[str, Any]:
    """A token for the client to act for the person, and no refresh token; or a ProtocolError. One that is bound to a
    key needs that key, and so does what comes of it."""
    if proofs.thumbprint_of(said) not in ("", thumbprint):
        raise invalid("The subject_token is bound to a key: sign the proof with it.")
    token, end = signer.issue_exchanged(client, said, scopes, thumbprint, now=now)
    return {
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "DPoP" if thumbprint else "Bearer",
        "expires_in": end - int(now.timestamp()),
        "scope": " ".join(scopes),
    }


async def introspected(
    session: AsyncSession, client: Client, said: Claims, issuer: str, *, now: datetime
) -> Mapping[str, Any]:
    """What the client is told of a token that it exchanged (RFC 7662, 2.2)."""
    is_its = said["client_id"] == client.id and said.get("actor_credential") == str(client.credential_id)
    if not is_its or not await is_good(session, said, now=now):
        return {"active": False}
    shown = {name: said[name] for name in TOLD if name in said}
    return {"active": True, "token_type": "DPoP" if "cnf" in said else "Bearer", "iss": issuer, **shown}
