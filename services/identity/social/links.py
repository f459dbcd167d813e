"""The accounts elsewhere that a user signs in with: linked with proof, ended by their owner, and never the last way in.

Whoever gets hold of a session could let themself in for good by linking an account of theirs. So linking asks for a
sign-in of the last minutes, the owner is told, and a recovery by mail leaves only what came with proof of that mailbox.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rapport.identity.v1.events_pb2 import ExternalIdentityLinked, ExternalIdentityUnlinked
from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.refusal import QuotaExceeded
from chassis.time import timestamp
from services.identity import ways_in
from services.identity.facts import state
from services.identity.models import ExternalIdentity, User
from services.identity.refusals import ExternalIdentityNotFound, ExternalIdentityTaken, LastWayIn
from services.identity.social.asking import Person

MOST = 10  # of one user
Reason = ExternalIdentityUnlinked.Reason


async def find(session: AsyncSession, issuer: str, sub: str) -> ExternalIdentity | None:
    """The link of an account elsewhere, as it is now. Who holds its user knows that it stays so."""
    mine = select(ExternalIdentity).where(ExternalIdentity.issuer == issuer, ExternalIdentity.sub == sub)
    return await session.scalar(mine.execution_options(populate_existing=True))


async def link(
    session: AsyncSession, user: User, person: Person, *, is_proven: bool, now: datetime
) -> ExternalIdentity:
    """Let a user, who is held, sign in with an account elsewhere. Refuse what is another's."""
    many = select(func.count()).where(ExternalIdentity.user_id == user.id)
    if (await session.scalar(many) or 0) >= MOST:
        raise QuotaExceeded("That many accounts cannot be linked.", quota="linked accounts")
    made = insert(ExternalIdentity).values(
        user_id=user.id,
        provider=person.provider.name,
        issuer=person.issuer,
        sub=person.sub,
        account_name=person.account_name,
        is_proven=is_proven,
        create_time=now,
        last_use_time=now,
    )
    # A conflict that raises would be written into PostgreSQL's log, with whom it is about.
    is_new = await session.scalar(made.on_conflict_do_nothing().returning(ExternalIdentity.id)) is not None
    found = await find(session, person.issuer, person.sub)
    if found is None or found.user_id != user.id:
        raise ExternalIdentityTaken("That account is linked to another one of ours.")
    if is_new:
        fact = ExternalIdentityLinked(user=user.name, external_identity=found.name, event_time=timestamp(now))
        await state(session, fact)
    return found


async def of(
    session: AsyncSession, user: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[ExternalIdentity]:
    """A user's accounts elsewhere, oldest first."""
    query = select(ExternalIdentity).where(ExternalIdentity.user_id == user).limit(limit)
    if after is not None:
        query = query.where(tuple_(ExternalIdentity.create_time, ExternalIdentity.id) > after)
    return (await session.scalars(query.order_by(ExternalIdentity.create_time, ExternalIdentity.id))).all()


async def end(session: AsyncSession, user: User, id: UUID, *, now: datetime) -> ExternalIdentity:
    """End one link of a user, who is held; refuse where they could not sign in any more."""
    mine = select(ExternalIdentity).where(ExternalIdentity.id == id, ExternalIdentity.user_id == user.id)
    found = await session.scalar(mine)
    if found is None:
        raise ExternalIdentityNotFound("There is no such linked account.")
    if not await ways_in.has_another(session, user.id, but=id):
        raise LastWayIn("This is your only way in: choose a password or link another account first.")
    await unlink(session, found, ExternalIdentityUnlinked.ASKED_FOR, now)
    return found


async def unlink(session: AsyncSession, one: ExternalIdentity, reason: "Reason.ValueType", now: datetime) -> None:
    await session.execute(delete(ExternalIdentity).where(ExternalIdentity.id == one.id))
    user, time = f"users/{one.user_id}", timestamp(now)
    fact = ExternalIdentityUnlinked(user=user, external_identity=one.name, reason=reason, event_time=time)
    await state(session, fact)


async def end_the_unproven(session: AsyncSession, user: UUID, *, now: datetime) -> None:
    """End what a recovery does not prove to be its owner's. It gives them a password, so it is no last way in."""
    unproven = select(ExternalIdentity).where(ExternalIdentity.user_id == user, ExternalIdentity.is_proven.is_(False))
    for one in (await session.scalars(unproven)).all():
        await unlink(session, one, ExternalIdentityUnlinked.RECOVERY, now)


async def doubt(session: AsyncSession, user: UUID) -> None:
    """The user has another address now: what proved the one before proves nothing of this one."""
    await session.execute(update(ExternalIdentity).where(ExternalIdentity.user_id == user).values(is_proven=False))
