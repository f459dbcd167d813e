"""Imports: users who had an account elsewhere, some hundred rows at a time, each taken once.

    begin ──▶ take, take ... ──▶ finish

A batch is one transaction, in which the import is held: whoever died sends the batch again, and each of its rows is
answered as the first time. A dry run does the same and makes nobody; of the addresses it has seen it keeps keyed marks,
so that it tells of the second row with one as the import will.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import delete, exists, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from services.identity import addresses, users
from services.identity.attempts import Marks
from services.identity.models import Outcome, User, UserImport, UserImportAddress, UserImportRow
from services.identity.refusals import UserImportFinished, UserImportNotFound
from services.identity.users import Newcomer

KEPT = timedelta(days=30)  # after the last that happened to it
BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a row is not taken."""

    reason: str
    field: str


Judged: TypeAlias = Newcomer | Refused


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of rows, by their numbers, and who has the addresses of all that were sent."""

    rows: Mapping[int, UserImportRow]
    owners: Mapping[str, UUID]


async def begin(session: AsyncSession, *, validate_only: bool, source_digest: str, now: datetime) -> UserImport:
    begun = UserImport(
        validate_only=validate_only, source_digest=source_digest, create_time=now, update_time=now, finish_time=None
    )
    session.add(begun)
    await session.flush()
    return begun


async def get(session: AsyncSession, id: UUID) -> UserImport:
    """Return the import, or refuse because there is none."""
    return there_is(await session.get(UserImport, id))


async def hold(session: AsyncSession, id: UUID) -> UserImport:
    """Return the import, which nobody else changes until this transaction ends, or refuse because there is none."""
    return there_is(await session.scalar(select(UserImport).where(UserImport.id == id).with_for_update()))


def there_is(found: UserImport | None) -> UserImport:
    if found is None:
        raise UserImportNotFound("There is no such import.")
    return found


async def newest(session: AsyncSession, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[UserImport]:
    query = select(UserImport).limit(limit)
    if after is not None:
        query = query.where(tuple_(UserImport.create_time, UserImport.id) < after)
    return (await session.scalars(query.order_by(UserImport.create_time.desc(), UserImport.id.desc()))).all()


async def refused_rows(session: AsyncSession, id: UUID, *, after: int, limit: int) -> Sequence[UserImportRow]:
    """The rows that were refused, in the order of their numbers; or refuse because there is no such import."""
    await get(session, id)
    query = select(UserImportRow).where(UserImportRow.import_id == id, UserImportRow.outcome == Outcome.REFUSED)
    query = query.where(UserImportRow.number > after).order_by(UserImportRow.number).limit(limit)
    return (await session.scalars(query)).all()


async def untaken(session: AsyncSession, id: UUID, numbers: Collection[int]) -> tuple[UserImport, set[int]]:
    """An import that is running, and which of these rows it has not taken yet; or refuse."""
    run = await get(session, id)
    if run.finish_time is not None:
        raise UserImportFinished("This import is finished.")
    return run, set(numbers) - (await rows_of(session, id, numbers)).keys()


async def rows_of(session: AsyncSession, id: UUID, numbers: Collection[int]) -> dict[int, UserImportRow]:
    query = select(UserImportRow).where(UserImportRow.import_id == id, UserImportRow.number.in_(numbers))
    return {row.number: row for row in await session.scalars(query)}


async def take(
    session: AsyncSession,
    id: UUID,
    numbers: Collection[int],
    judged: Mapping[int, Judged],
    *,
    emails: Collection[str],
    marks: Marks,
    now: datetime,
) -> Taken:
    """Take rows that were judged, of which some may have been taken since by whoever sent them, too. `numbers` and
    `emails` are those of all rows that were sent."""
    run = await hold(session, id)
    if run.finish_time is not None:
        raise UserImportFinished("This import is finished.")
    before = await rows_of(session, id, numbers)
    fresh = {number: one for number, one in judged.items() if number not in before}
    made = {number: one for number, one in fresh.items() if isinstance(one, Newcomer)}
    if not run.validate_only:
        await addresses.take_all_turns(session, [one.email for one in made.values()])
    first = await strangers(session, run, made, marks=marks, now=now)
    rows = [row_of(id, number, one, is_first=number in first) for number, one in fresh.items()]
    newcomers = [made[number] for number in sorted(first)]
    if not run.validate_only:
        await users.create_all(session, newcomers, now=now)
    session.add_all(rows)
    note(run, rows, without_password=sum(one.password_hash is None for one in newcomers), now=now)
    await session.flush()
    return Taken(before | {row.number: row for row in rows}, await owners(session, emails))


async def strangers(
    session: AsyncSession, run: UserImport, made: Mapping[int, Newcomer], *, marks: Marks, now: datetime
) -> set[int]:
    """The rows whose addresses belong to nobody yet: of several with one address, the first."""
    known: set[str] = set(await owners(session, [one.email for one in made.values()]))
    found = dict[str, int]()
    for number in sorted(made):
        if made[number].email not in known:
            found.setdefault(made[number].email, number)
    if run.validate_only and found:
        macs = {marks.mark(f"import/{run.id}", email): number for email, number in found.items()}
        seen = insert(UserImportAddress).values(
            [{"import_id": run.id, "mac": mac, "expire_time": now + KEPT} for mac in macs]
        )
        new = await session.scalars(seen.on_conflict_do_nothing().returning(UserImportAddress.mac))
        return {macs[mac] for mac in new}
    return set(found.values())


async def owners(session: AsyncSession, emails: Collection[str]) -> dict[str, UUID]:
    query = select(User.email, User.id).where(User.email.in_(emails))
    return dict((await session.execute(query)).all())


def row_of(id: UUID, number: int, judged: Judged, *, is_first: bool) -> UserImportRow:
    if isinstance(judged, Refused):
        return UserImportRow(
            import_id=id, number=number, outcome=Outcome.REFUSED, reason=judged.reason, field=judged.field
        )
    return UserImportRow(import_id=id, number=number, outcome=Outcome.CREATED if is_first else Outcome.EXISTS)


def note(run: UserImport, rows: Iterable[UserImportRow], *, without_password: int, now: datetime) -> None:
    outcomes = [row.outcome for row in rows]
    run.created += outcomes.count(Outcome.CREATED)
    run.existing += outcomes.count(Outcome.EXISTS)
    run.refused += outcomes.count(Outcome.REFUSED)
    run.without_password += without_password
    run.last_row = max([run.last_row, *(row.number for row in rows)])
    run.update_time = now


async def finish(session: AsyncSession, id: UUID, *, now: datetime) -> UserImport:
    """Take no more rows. Asked again, nothing happens."""
    run = await hold(session, id)
    if run.finish_time is None:
        run.finish_time = run.update_time = now
        await session.execute(delete(UserImportAddress).where(UserImportAddress.import_id == id))
    return run


@job(every=timedelta(hours=1))
async def forget_user_imports(sessions: Sessions, now: datetime) -> int:
    """Imports go with their rows when nothing has happened to them for 30 days, finished or not."""
    old = select(UserImport.id).where(UserImport.update_time <= now - KEPT)
    async with sessions.begin() as session:
        gone = 0
        for table, key in ((UserImportRow, UserImportRow.number), (UserImportAddress, UserImportAddress.mac)):
            over = select(table.import_id, key).where(table.import_id.in_(old)).limit(BATCH)
            forgotten = delete(table).where(tuple_(table.import_id, key).in_(over)).returning(table.import_id)
            gone += len((await session.execute(forgotten)).all())
        has_rows = exists().where(UserImportRow.import_id == UserImport.id)
        has_addresses = exists().where(UserImportAddress.import_id == UserImport.id)
        empty = delete(UserImport).where(UserImport.id.in_(old), ~has_rows, ~has_addresses).returning(UserImport.id)
        return gone + len((await session.execute(empty)).all())
