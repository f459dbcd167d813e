"""Authorizations: begun when a person says yes, redeemed by a code once, kept alive by refreshing, ended by the person,
by the client, with the session, by time, or when somebody shows a secret that was used before.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from rapport.identity.v1.events_pb2 import AuthorizationCreated, AuthorizationRevoked
from sqlalchemy import Uuid, bindparam, delete, exists, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Prepared, Sessions
from chassis.jobs import job
from chassis.time import timestamp
from services.identity import base64url
from services.identity.facts import state
from services.identity.models import Authorization, Client, Profile, Session, State, User
from services.identity.oauth.asks import Ask
from services.identity.oauth.claims import SCOPE_OF
from services.identity.oauth.codes import CODE, Shown
from services.identity.oauth.protocol import ProtocolError
from services.identity.refusals import AuthorizationNotFound

CODE_LIFE = timedelta(seconds=60)
LIFE = timedelta(days=30)  # however often it is refreshed
IDLE = timedelta(days=7)
LOST = timedelta(seconds=30)  # within which the same refresh token may come again: its answer did not arrive
BATCH = 1_000
LIFE_OF_TOKENS = timedelta(minutes=5)
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1
WORN = ProtocolError("invalid_grant", "That was used, has ended, or is not this client's.")
OTHER_KEY = ProtocolError(
    "invalid_grant", "That is bound to another key: sign the proof with the one it was asked for."
)
Reason = AuthorizationRevoked.Reason
HOLD = Prepared(select(Authorization).where(Authorization.id == bindparam("id")).with_for_update())
REFRESHED = ("generation", "thumbprint", "rotate_time")
KEEP = Prepared(
    update(Authorization)
    .where(Authorization.id == bindparam("authorization"))
    .values({name: bindparam(name) for name in REFRESHED})
)
HANGS_ON = bindparam("session", type_=Uuid)
STILL_ON = exists().where(Session.id == HANGS_ON, Session.revoke_time.is_(None), Session.expire_time > bindparam("now"))
ACTIVE = Prepared(
    select(User.id).where(User.id == bindparam("user"), User.state == State.ACTIVE, HANGS_ON.is_(None) | STILL_ON)
)


async def begin(session: AsyncSession, ask: Ask, by: Session, *, now: datetime) -> Authorization:
    """What the client's code will stand for."""
    begun = Authorization(
        user_id=by.user_id,
        client_id=ask.client,
        session_id=None if ask.keeps_on else by.id,
        sign_in_id=by.id,
        scopes=list(ask.scopes),
        userinfo_claims=list(ask.userinfo_claims),
        id_token_claims=list(ask.id_token_claims),
        auth_time=by.auth_time,
        acr=by.acr,
        amr=by.amr,
        redirect_uri=ask.redirect_uri,
        challenge=ask.challenge,
        nonce=ask.nonce,
        thumbprint=ask.thumbprint,
        code_expire_time=now + CODE_LIFE,
        create_time=now,
        expire_time=now + LIFE,
    )
    session.add(begun)
    await session.flush()
    fact = AuthorizationCreated(
        user=f"users/{begun.user_id}",
        authorization=begun.name,
        client=f"clients/{begun.client_id}",
        event_time=timestamp(now),
    )
    await state(session, fact)
    return begun


async def granted(session: AsyncSession, user: UUID, client: str, *, now: datetime) -> frozenset[str]:
    """What the person let this client do before, and it still may; of a claim, the scope it belongs to."""
    lists = (Authorization.scopes, Authorization.userinfo_claims, Authorization.id_token_claims)
    query = select(func.unnest(func.array_cat(func.array_cat(*lists[:2]), lists[2]))).distinct()
    still = query.where(
        Authorization.user_id == user,
        Authorization.client_id == client,
        Authorization.revoke_time.is_(None),
        Authorization.redeem_time.is_not(None),
        Authorization.expire_time > now,
    )
    words = (await session.scalars(still)).all()
    return frozenset({*words, *(SCOPE_OF[word] for word in words if word in SCOPE_OF)})


# Redeeming and refreshing ---------------------------------------------------------------------------------------------


async def redeem(
    session: AsyncSession,
    client: Client,
    shown: Shown | None,
    parameters: Mapping[str, str],
    thumbprint: str = "",
    *,
    now: datetime,
) -> Authorization | ProtocolError:
    """The authorization of a code, for the first who shows it, with the key of that thumbprint. Whoever shows it again
    ends it: then two have it."""
    if shown is None or shown.generation != CODE:
        return WORN
    found = await held(session, shown.authorization)
    if found is None or found.client_id != client.id or found.revoke_time is not None:
        return WORN
    if found.redeem_time is not None:
        await revoke(session, [found], Reason.TOKEN_REUSED, now)
        return WORN
    if found.code_expire_time <= now or not await is_active(session, found, now):
        return WORN
    if parameters.get("redirect_uri") != found.redirect_uri:
        return ProtocolError("invalid_grant", "The redirect_uri is not the one that the code was sent to.")
    if not answers(found.challenge, parameters.get("code_verifier", "")):
        return ProtocolError("invalid_grant", "The code_verifier is not the one of the code's challenge.")
    if found.thumbprint not in ("", thumbprint):
        return OTHER_KEY
    return start(found, client, thumbprint, now=now)


def start(found: Authorization, client: Client, thumbprint: str, *, now: datetime) -> Authorization:
    """From now on it is refreshed: by a public client with this key, by another, which proves itself, with none needed
    (RFC 9449, 5)."""
    found.redeem_time = found.rotate_time = now
    found.generation = 1
    found.thumbprint = thumbprint if client.profile is Profile.PUBLIC else ""
    return found


def answers(challenge: str, verifier: str) -> bool:
    """Whether the verifier is the challenge's (RFC 7636, 4.6); with the one goes the other (RFC 9700, 4.8)."""
    if not challenge or not verifier:
        return challenge == verifier
    is_one = VERIFIER.fullmatch(verifier) is not None
    return is_one and hmac.compare_digest(base64url.digest_of(verifier), challenge)


async def refresh(
    session: AsyncSession, client: Client, shown: Shown | None, thumbprint: str = "", *, now: datetime
) -> Authorization | ProtocolError:
    """The authorization of a refresh token. A public client's needs the key that it is bound to, and is used once; the
    one after it is given again as long as that was not used either and the answer may have been lost; whoever shows an
    older one ends it all."""
    if shown is None or shown.generation == CODE:
        return WORN
    found = await HOLD.find(session, Authorization, id=shown.authorization)
    if found is None or found.client_id != client.id or found.revoke_time is not None or found.rotate_time is None:
        return WORN
    if found.expire_time <= now or found.rotate_time + IDLE <= now or not await is_active(session, found, now):
        return WORN
    if client.profile is not Profile.PUBLIC:  # it proved itself: nobody else can use this (FAPI 2)
        found.rotate_time = now
        return await kept(session, found)
    if found.thumbprint not in ("", thumbprint):
        return OTHER_KEY
    found.thumbprint = thumbprint
    if shown.generation == found.generation:
        found.generation, found.rotate_time = found.generation + 1, now
        return await kept(session, found)
    if shown.generation == found.generation - 1 and now - found.rotate_time <= LOST:
        return await kept(session, found)
    await revoke(session, [await session.get_one(Authorization, found.id)], Reason.TOKEN_REUSED, now)
    return WORN


async def kept(session: AsyncSession, found: Authorization) -> Authorization:
    """The authorization, with what a refresh changed of it written down."""
    await KEEP.rows(session, authorization=found.id, **{name: getattr(found, name) for name in REFRESHED})
    return found


async def held(session: AsyncSession, id: UUID) -> Authorization | None:
    """The authorization, which nobody else changes until this transaction ends."""
    return await session.get(Authorization, id, with_for_update=True, populate_existing=True)


async def is_active(session: AsyncSession, found: Authorization, now: datetime) -> bool:
    """Whether its person and its session are still there."""
    return await ACTIVE.row(session, user=found.user_id, session=found.session_id, now=now) is not None


async def live(session: AsyncSession, id: UUID, *, now: datetime) -> Authorization | None:
    """The authorization, where its tokens are still good."""
    found = await session.get(Authorization, id)
    if found is None or found.revoke_time is not None or found.expire_time <= now:
        return None
    return found if await is_active(session, found, now) else None


# Looking and ending ---------------------------------------------------------------------------------------------------


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int, now: datetime
) -> Sequence[tuple[Authorization, str]]:
    """A person's live authorizations with the titles of their clients, newest first."""
    query = (
        select(Authorization, Client.title)
        .join(Client)
        .where(
            Authorization.user_id == user,
            Authorization.revoke_time.is_(None),
            Authorization.redeem_time.is_not(None),
            Authorization.expire_time > now,
        )
        .order_by(Authorization.create_time.desc(), Authorization.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(Authorization.create_time, Authorization.id) < after)
    return [(row[0], row[1]) for row in await session.execute(query)]


async def end(session: AsyncSession, user: UUID, id: UUID, *, now: datetime) -> None:
    """End one, or refuse because this user has none of that name. One that has ended stays as it is."""
    found = await held(session, id)
    if found is None or found.user_id != user:
        raise AuthorizationNotFound("There is no such authorization.")
    await revoke(session, [found], Reason.ASKED_FOR, now)


async def end_with_sessions(session: AsyncSession, ids: Iterable[UUID], now: datetime) -> None:
    """End those that hang on these sessions."""
    query = select(Authorization).where(Authorization.session_id.in_(list(ids))).order_by(Authorization.id)
    await revoke(session, await session.scalars(query.with_for_update()), Reason.SESSION_ENDED, now)


async def end_those_of_user(session: AsyncSession, user: UUID, *, now: datetime) -> None:
    query = select(Authorization).where(Authorization.user_id == user).order_by(Authorization.id)
    await revoke(session, await session.scalars(query.with_for_update()), Reason.ASKED_FOR, now)


async def end_those_of_client(session: AsyncSession, client: Client, *, now: datetime) -> None:
    query = select(Authorization).where(Authorization.client_id == client.id).order_by(Authorization.id)
    await revoke(session, await session.scalars(query.with_for_update()), Reason.CLIENT_DELETED, now)


async def revoke(
    session: AsyncSession, ending: Iterable[Authorization], reason: "Reason.ValueType", now: datetime
) -> None:
    for one in ending:
        if one.revoke_time is None and one.expire_time > now:
            one.revoke_time = now
            fact = AuthorizationRevoked(
                user=f"users/{one.user_id}",
                authorization=one.name,
                client=f"clients/{one.client_id}",
                reason=reason,
                event_time=timestamp(now),
            )
            await state(session, fact)


@job(every=timedelta(hours=1))
async def forget_authorizations(sessions: Sessions, now: datetime) -> int:
    """They go when their time is over, or when their code was never redeemed."""
    never = Authorization.redeem_time.is_(None) & (Authorization.code_expire_time <= now - LIFE_OF_TOKENS)
    async with sessions.begin() as session:
        over = select(Authorization.id).where((Authorization.expire_time <= now) | never).limit(BATCH)
        gone = delete(Authorization).where(Authorization.id.in_(over)).returning(Authorization.id)
        return len((await session.execute(gone)).all())
