"""Telling clients that somebody was signed out (OpenID Connect Back-Channel Logout 1.0).

What is to be told is written in the transaction that ends the session, and told after it: at most a few times, within
the hour. A client that does not listen is told of in the log, and holds nobody else up.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpcore
import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import Job
from chassis.names import Name
from services.identity import outside
from services.identity.models import Authorization, Client, SignOutNotice
from services.identity.tokens import Signer

NAME = "tell_of_sign_outs"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFE_OF_TOKEN = timedelta(minutes=2)  # no longer, says the protocol (2.4)
RETRIES = [timedelta(seconds=s) for s in (5, 30, 120, 600)]  # after the first attempt, the second ...
DEADLINE = timedelta(hours=1)
MOST = 10_000  # that wait for one client: who does not listen is not waited for
AT_ONCE = 20
PASSES = (408, 425, 429)  # refusals that say: later

log = structlog.get_logger()


class Outcome(Enum):
    TOLD = auto()
    LATER = auto()
    GIVEN_UP = auto()


class Due(NamedTuple):
    """Something to tell now."""

    id: UUID
    user: UUID
    session: UUID
    client: Client
    attempts: int


async def note(session: AsyncSession, ended: Iterable[UUID], now: datetime) -> None:
    """Have every client told that signed somebody in by one of these sessions, and wants to hear of its end."""
    query = (
        select(Authorization.user_id, Authorization.client_id, Authorization.sign_in_id)
        .join(Client)
        .where(
            Authorization.sign_in_id.in_(list(ended)),
            Authorization.redeem_time.is_not(None),
            Client.backchannel_logout_uri != "",
        )
        .distinct()
    )
    for user, client, ended_session in await session.execute(query):
        if await waiting(session, client) < MOST:
            made = insert(SignOutNotice).values(
                id=uuid4(),
                user_id=user,
                client_id=client,
                session_id=ended_session,
                attempts=0,
                next_time=now,
                expire_time=now + DEADLINE,
            )
            await session.execute(made.on_conflict_do_nothing())
        else:
            log.warning("sign_out_not_noted", client=named(client))


async def waiting(session: AsyncSession, client: str) -> int:
    some = select(SignOutNotice.id).where(SignOutNotice.client_id == client).limit(MOST).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


def telling(signer: Signer) -> Job:
    """The job that tells what is due."""
    return Job(NAME, timedelta(seconds=1), partial(tell, signer))


async def tell(signer: Signer, sessions: Sessions, now: datetime) -> int:
    """Tell a batch of what is due. No transaction is open while a client is called."""
    async with sessions.begin() as session:
        dropped = await drop(session, now)
        taken = await take(session, now)
    told = await asyncio.gather(*(tell_one(signer, one, now) for one in taken))
    over = [one.id for one, outcome in zip(taken, told, strict=True) if outcome is not Outcome.LATER]
    silent = {one.client.id for one, outcome in zip(taken, told, strict=True) if outcome is Outcome.LATER}
    async with sessions.begin() as session:
        await session.execute(delete(SignOutNotice).where(SignOutNotice.id.in_(over)))
        # Who does not answer once is not asked again at once for each of the others.
        theirs = SignOutNotice.client_id.in_(silent) & (SignOutNotice.next_time <= now)
        await session.execute(update(SignOutNotice).where(theirs).values(next_time=now + RETRIES[0]))
    return len(taken) + dropped


async def drop(session: AsyncSession, now: datetime) -> int:
    """What comes too late, and what is for nobody any more."""
    heard = select(Client.id).where(Client.backchannel_logout_uri != "")
    vain = (SignOutNotice.expire_time <= now) | SignOutNotice.client_id.not_in(heard)
    old = select(SignOutNotice.id).where(vain).limit(MOST)
    gone = delete(SignOutNotice).where(SignOutNotice.id.in_(old)).returning(SignOutNotice.client_id)
    clients = (await session.scalars(gone)).all()
    for client in sorted(set(clients)):
        log.warning("sign_outs_not_told", client=named(client), count=clients.count(client))
    return len(clients)


async def take(session: AsyncSession, now: datetime) -> list[Due]:
    """What is due, put off beforehand until it may be tried again: whoever ends in the midst of it has tried."""
    # A client's first before any client's second, so that one for whom much waits does not hold up the others.
    place = func.row_number().over(partition_by=SignOutNotice.client_id, order_by=SignOutNotice.next_time)
    due = select(SignOutNotice.id, place.label("place")).where(SignOutNotice.next_time <= now).subquery()
    first = select(due.c.id).order_by(due.c.place).limit(AT_ONCE)
    query = select(SignOutNotice, Client).join(Client, Client.id == SignOutNotice.client_id)
    rows = await session.execute(query.where(SignOutNotice.id.in_(first)).with_for_update(of=SignOutNotice))
    taken = []
    for notice, client in rows.all():
        later = now + RETRIES[notice.attempts] if notice.attempts < len(RETRIES) else notice.expire_time
        attempts = notice.attempts + 1
        put_off = update(SignOutNotice).where(SignOutNotice.id == notice.id)
        await session.execute(put_off.values(attempts=attempts, next_time=later))
        taken.append(Due(notice.id, notice.user_id, notice.session_id, client, attempts))
    return taken


async def tell_one(signer: Signer, due: Due, now: datetime) -> Outcome:
    """Tell it; what came of it."""
    token = logout_token(signer, due, now)
    form = urlencode({"logout_token": token}).encode()
    try:
        status = await outside.post(due.client.backchannel_logout_uri, form, headers={"cache-control": "no-store"})
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
        # Its type only: its text may quote the address.
        log.warning("sign_out_not_told", client=named(due.client.id), attempts=due.attempts, error=type(error).__name__)
        is_final = isinstance(error, outside.NotOutside)
    else:
        if 200 <= status < 300:
            return Outcome.TOLD
        log.warning("sign_out_not_told", client=named(due.client.id), attempts=due.attempts, code=status)
        # What it says of itself it will say again; where it leads on to, nobody asked us to go.
        is_final = status < 500 and status not in PASSES
    return Outcome.GIVEN_UP if is_final or due.attempts > len(RETRIES) else Outcome.LATER


def named(client: str) -> Name:
    return Name(f"clients/{client}")


def logout_token(signer: Signer, due: Due, now: datetime) -> str:
    """As the client's ID tokens are signed, and never to be taken for one: its type is its own, and it has no nonce."""
    claims = {
        "iss": signer.issuer,
        "sub": str(due.user),
        "aud": due.client.id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE_OF_TOKEN).timestamp()),
        "jti": str(uuid4()),
        "sid": str(due.session),
        "events": {EVENT: {}},
    }
    return signer.id_token(claims, due.client.id_token_algorithm, type="logout+jwt")
