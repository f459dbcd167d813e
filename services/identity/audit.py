"""The audit log: every fact that identity states about an account, and by whom it came about.

An entry is written in the transaction that makes the fact true. Within a second or two it gets its place in the chain:
a number and a hash over itself and the hash before, so that nobody changes, takes or slips in one unseen. The newest
hash is also logged: who keeps logs elsewhere sees a chain whose end was cut off. Whom an entry is about stands in a
table of its own, which erasure empties; the chain stays whole and speaks of nobody.
"""

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import BindParameter, Uuid, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chassis.access import STORE, present
from chassis.database import Prepared, Sessions
from chassis.jobs import job
from chassis.outbox import uuid7
from chassis.subjects import grammar
from chassis.time import moment
from services.identity.models import Actor, AuditAccount, AuditEntry

BATCH = 1_000
KEPT = timedelta(days=365)  # as the schedule of retention has it for what is kept for security
BEGINNING = bytes(32)
WRITTEN = ("id", "account_id", "fact", "details", "actor", "staff_id", "program", "create_time")
STAFF = aliased(AuditAccount)


def given(name: str) -> BindParameter[Any]:
    return bindparam(name, type_=AuditEntry.__table__.c[name].type)


# Where the owner, and the one of the store's people if it was one, have their numbers; otherwise none is written.
ADD = Prepared(
    insert(AuditEntry)
    .from_select(
        WRITTEN,
        select(
            given("id"), AuditAccount.id, given("fact"), given("details"), given("actor"), STAFF.id, given("program"),
            given("create_time"),
        )
        .outerjoin(STAFF, STAFF.user_id == bindparam("staff", type_=Uuid))
        .where(AuditAccount.user_id == bindparam("owner", type_=Uuid))
        .where(or_(bindparam("staff", type_=Uuid).is_(None), STAFF.id.is_not(None))),
        include_defaults=False,
    )
    .returning(AuditEntry.id)
)  # fmt: skip
log = structlog.get_logger()


# Writing --------------------------------------------------------------------------------------------------------------


async def note_all(session: AsyncSession, facts: Sequence[Message]) -> None:
    """Write down facts about accounts, in the transaction that makes them true."""
    entries = [entry_of(fact) for fact in facts]
    for entry in entries:
        if not await ADD.rows(session, **entry):
            await make_accounts(session, {one[who] for one in entries for who in ("owner", "staff") if one[who]})
            await ADD.rows(session, **entry)


def entry_of(fact: Message) -> dict[str, Any]:
    """What ADD takes."""
    owner = getattr(fact, grammar(fact.DESCRIPTOR).owner)
    actor, staff, program = by_whom(owner)
    return {
        "id": uuid7(),
        "owner": user_of(owner),
        "fact": fact.DESCRIPTOR.name,
        "details": orjson.dumps(details_of(fact, owner), option=orjson.OPT_SORT_KEYS).decode(),
        "actor": actor,
        "staff": user_of(staff) if staff else None,
        "program": program,
        "create_time": moment(getattr(fact, "event_time")),  # noqa: B009 - of an unknown type
    }


def user_of(name: str) -> UUID:
    return UUID(name.removeprefix("users/"))


async def make_accounts(session: AsyncSession, people: Collection[UUID]) -> None:
    """Give each who has none their number, in one order: two at once wait for no circle."""
    new = insert(AuditAccount).values([{"user_id": user} for user in sorted(people)])
    await session.execute(new.on_conflict_do_nothing())


def by_whom(owner: str) -> tuple[Actor, str, str]:
    """Who makes the call at hand, who that is of the store's people, and which program it is."""
    who = present.get(None)
    if who is None:
        return Actor.CLOCK, "", ""
    if who.is_impersonating:
        return Actor.STAFF, who.actor, ""
    if who.kind == "person" and who.client not in ("", STORE):
        return Actor.PROGRAM, "", f"clients/{who.client}"
    if who.kind == "person" and who.name != owner:
        return Actor.STAFF, who.name, ""
    if who.kind == "program":
        return Actor.PROGRAM, "", who.name
    if who.kind == "service" and who.name != "services/gateway":  # that one asks for whoever is signing in
        return Actor.PROGRAM, "", who.name
    return Actor.OWNER, "", ""


def details_of(fact: Message, owner: str) -> dict[str, str]:
    """What an event says beside whom it is about and when."""
    said = {}
    for field, value in fact.ListFields():
        if field.enum_type is not None:
            said[field.name] = field.enum_type.values_by_number[value].name
        elif field.name != "event_time" and isinstance(value, Timestamp):
            said[field.name] = moment(value).isoformat()
        elif field.name != "event_time" and value != owner:
            values = [value] if isinstance(value, str) else value
            said[field.name] = ", ".join(one.removeprefix(f"{owner}/") for one in values)
    return said


# The chain ------------------------------------------------------------------------------------------------------------


@job(every=timedelta(seconds=1))
async def chain_audit_entries(sessions: Sessions, _: datetime) -> int:
    """Give those that wait their places, in the order of their ids. One replica at a time runs a job."""
    async with sessions.begin() as session:
        waiting = select(AuditEntry).where(AuditEntry.number.is_(None)).order_by(AuditEntry.id).limit(BATCH)
        entries = (await session.scalars(waiting.with_for_update())).all()
        if not entries:
            return 0
        number, root = await newest(session)
        for entry in entries:
            number += 1
            entry.number, entry.before = number, root
            entry.root = root = root_of(entry)
    log.info("audit_log_chained", number=number, root=root.hex())
    return len(entries)


async def newest(session: AsyncSession) -> tuple[int, bytes]:
    query = select(AuditEntry.number, AuditEntry.root).where(AuditEntry.number.is_not(None))
    found = (await session.execute(query.order_by(AuditEntry.number.desc()).limit(1))).one_or_none()
    return (found[0] or 0, found[1] or BEGINNING) if found else (0, BEGINNING)


def root_of(entry: AuditEntry) -> bytes:
    said = [
        entry.number,
        str(entry.id),
        str(entry.account_id),
        entry.fact,
        entry.details,
        entry.actor,
        str(entry.staff_id or ""),
        entry.program,
        int(entry.create_time.timestamp() * 1_000_000),
    ]
    return hashlib.sha256((entry.before or BEGINNING) + orjson.dumps(said)).digest()


@dataclass
class Verdict:
    """What became of the chain."""

    entries: int = 0
    waiting: int = 0
    first_broken: int = 0
    last: int = 0
    root: bytes = BEGINNING


async def verify(session: AsyncSession) -> Verdict:
    """Recompute the chain. What was forgotten for its age is missing at its beginning, and nowhere else."""
    verdict = Verdict()
    async for entry in chained(session):
        follows = verdict.entries == 0 or (entry.number, entry.before) == (verdict.last + 1, verdict.root)
        if not verdict.first_broken and (not follows or entry.root != root_of(entry)):
            verdict.first_broken = entry.number or 0
        verdict.entries += 1
        verdict.last, verdict.root = entry.number or 0, entry.root or BEGINNING
    waiting = select(func.count()).select_from(AuditEntry).where(AuditEntry.number.is_(None))
    verdict.waiting = await session.scalar(waiting) or 0
    return verdict


async def chained(session: AsyncSession) -> AsyncIterator[AuditEntry]:
    last = 0
    while True:
        page = select(AuditEntry).where(AuditEntry.number > last).order_by(AuditEntry.number).limit(BATCH)
        found = (await session.scalars(page)).all()
        for entry in found:
            yield entry
        if not found:
            return
        last = found[-1].number or 0
        session.expunge_all()


# Reading and forgetting -----------------------------------------------------------------------------------------------


async def of(session: AsyncSession, user: UUID, *, after: UUID | None, limit: int) -> Sequence[AuditEntry]:
    """What happened to an account, newest first."""
    query = select(AuditEntry).join(AuditAccount, AuditAccount.id == AuditEntry.account_id)
    query = query.where(AuditAccount.user_id == user).order_by(AuditEntry.id.desc()).limit(limit)
    if after is not None:
        query = query.where(AuditEntry.id < after)
    return (await session.scalars(query)).all()


@job(every=timedelta(hours=1))
async def forget_audit_entries(sessions: Sessions, now: datetime) -> int:
    """The oldest go, from the beginning of the chain on."""
    async with sessions.begin() as session:
        newest_one = select(func.max(AuditEntry.number)).scalar_subquery()  # stays: what comes next follows from it
        old = select(AuditEntry.number).where(AuditEntry.number < newest_one, AuditEntry.create_time <= now - KEPT)
        gone = delete(AuditEntry).where(AuditEntry.number.in_(old.order_by(AuditEntry.number).limit(BATCH)))
        return len((await session.execute(gone.returning(AuditEntry.id))).all())
