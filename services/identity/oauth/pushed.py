"""Pushed authorization requests (RFC 9126): what a client wants to ask of a browser, told to us before, by a word that
means it. The browser carries the word alone, and nobody on its way reads or changes what is asked.

Kept is the request as the word seals it, and of the word its hash: a copy of the database says nobody's address and
opens nothing.
"""

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import opaque
from services.identity.models import Client, PushedRequest
from services.identity.oauth.protocol import invalid

PREFIX = "urn:ietf:params:oauth:request_uri:"
LIFE = timedelta(seconds=60)  # until a browser shows it
OPEN = timedelta(minutes=9)  # from then on: as long as signing in may take; both together 600 s at most (FAPI 2.0)
BESIDE = frozenset({"client_id", "request_uri"})
# What proves the client, and is no part of what it asks.
PROOFS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
NONCE = bytes(12)  # each key seals once
LARGEST = 8_192  # bytes of a request: anybody may push one in the name of a public client
BATCH = 1_000
Parameters = Mapping[str, str]


async def push(session: AsyncSession, client: Client, parameters: Parameters, *, now: datetime) -> str:
    """The request_uri that stands for these parameters, for this client's requests alone."""
    secret = secrets.token_urlsafe(32)
    asked = {name: value for name, value in parameters.items() if name not in PROOFS} | {"client_id": client.id}
    said = orjson.dumps(asked)
    if len(said) > LARGEST:
        raise invalid(f"The request is longer than {LARGEST} bytes.")
    sealed = AESGCM(key_of(secret)).encrypt(NONCE, said, client.id.encode())
    digest = opaque.hash_of(secret)
    session.add(PushedRequest(digest=digest, client_id=client.id, sealed=sealed, expire_time=now + LIFE))
    return PREFIX + secret


async def unfold(session: AsyncSession, client: Client, parameters: Parameters, *, now: datetime) -> Parameters:
    """What is really asked: the parameters themselves, or those that their request_uri stands for. Until the
    transaction ends nobody else has that request."""
    uri = parameters.get("request_uri", "")
    if not uri.startswith(PREFIX):  # what is elsewhere is fetched by nobody: `asks` refuses it
        if client.pushes:
            raise invalid("This client pushes its requests (RFC 9126): send client_id and request_uri.")
        return parameters
    if set(parameters) - BESIDE:
        raise invalid("Beside a request_uri there is the client_id, and nothing else.")
    secret = uri.removeprefix(PREFIX)
    row = PushedRequest
    longer = case((row.open_time.is_(None), now + OPEN), else_=row.expire_time)
    shown = (
        update(row)
        .where(row.digest == opaque.hash_of(secret), row.client_id == client.id, row.expire_time > now)
        .values(open_time=func.coalesce(row.open_time, now), expire_time=longer)
        .returning(row.sealed)
        .execution_options(synchronize_session=False)
    )
    sealed = await session.scalar(shown)
    if sealed is None:
        raise invalid("That request_uri was used, is too old, or is not this client's: go back and start again.")
    opened = AESGCM(key_of(secret)).decrypt(NONCE, sealed, client.id.encode())
    asked: Mapping[str, str] = orjson.loads(opened)
    return asked


async def close(session: AsyncSession, uri: str) -> None:
    """The request has its answer, and gets no other."""
    if uri:
        await session.execute(
            delete(PushedRequest).where(PushedRequest.digest == opaque.hash_of(uri.removeprefix(PREFIX)))
        )


def key_of(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"pushed request", "sha256")


@job(every=timedelta(minutes=1))
async def forget_pushed_requests(sessions: Sessions, now: datetime) -> int:
    """Requests go when nobody can show them any more."""
    async with sessions.begin() as session:
        old = select(PushedRequest.digest).where(PushedRequest.expire_time <= now).limit(BATCH)
        gone = delete(PushedRequest).where(PushedRequest.digest.in_(old)).returning(PushedRequest.digest)
        return len((await session.execute(gone)).all())
