import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from grpc import StatusCode
from rapport.identity.v1 import identity_pb2 as pb
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency
from chassis.access import ANYBODY, Caller, present
from chassis.database import Sessions
from chassis.idempotency import BATCH, KEPT, Call, forget_old_requests, once
from chassis.refusal import Refusal, RequestIdReused, RequestInFlight, TryAgain
from chassis.time import system_clock

ADA, EVE = (Caller("person", f"users/{uuid4()}") for _ in range(2))


class KettleCold(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, "KETTLE_COLD"


@pytest.fixture(autouse=True)
async def kettles(sessions: Sessions) -> None:
    """A table to see effects in, and Ada to ask for them."""
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE kettle (name text PRIMARY KEY)"))
    present.set(ADA)


def request(email: str = "ada@example.org") -> pb.CreateUserRequest:
    return pb.CreateUserRequest(user=pb.User(email=email), request_id=str(uuid4()))


async def make(sessions: Sessions, asked: pb.CreateUserRequest) -> str:
    """What a servicer does: makes a kettle, or finds the one it made."""
    async with once(sessions, asked, now=system_clock()) as call:
        if not call.is_repeat:
            call.name = await insert(call.session)
    return call.name


async def insert(session: AsyncSession) -> str:
    name = f"kettles/{uuid4()}"
    await session.execute(text("INSERT INTO kettle VALUES (:name)"), {"name": name})
    return name


async def count(sessions: Sessions, table: str = "kettle") -> int:
    async with sessions() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0  # noqa: S608 - ours


async def test_a_repeat_does_nothing_and_finds_what_was_made(sessions: Sessions) -> None:
    asked = request()
    assert await make(sessions, asked) == await make(sessions, asked)
    assert await count(sessions) == 1


async def test_without_a_request_id_each_call_counts(sessions: Sessions) -> None:
    asked = pb.CreateUserRequest(user=pb.User(email="ada@example.org"))
    assert await make(sessions, asked) != await make(sessions, asked)
    assert await count(sessions, "idempotency") == 0


async def test_of_twenty_at_once_one_is_done_and_all_find_it(sessions: Sessions) -> None:
    asked = request()
    assert len(set(await asyncio.gather(*(make(sessions, asked) for _ in range(20))))) == 1
    assert await count(sessions) == 1


@asynccontextmanager
async def second_waiting(
    sessions: Sessions, second: Callable[[], Awaitable[str]], asked: pb.CreateUserRequest
) -> AsyncIterator[tuple[Call, "asyncio.Task[str]"]]:
    """The first call, not yet committed, and a second that has come to wait for it."""
    async with once(sessions, asked, now=system_clock()) as call, sessions() as watcher:
        waiting = asyncio.ensure_future(second())
        async with asyncio.timeout(20):
            while not await watcher.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")):
                assert not waiting.done()
        yield call, waiting


async def test_the_second_waits_and_then_finds_what_the_first_made(sessions: Sessions) -> None:
    asked = request()
    async with second_waiting(sessions, lambda: make(sessions, asked), asked) as (call, second):
        call.name = await insert(call.session)
    assert await second == call.name
    assert await count(sessions) == 1


async def test_the_second_does_it_when_the_first_falls(sessions: Sessions) -> None:
    asked = request()
    with pytest.raises(ZeroDivisionError):
        async with second_waiting(sessions, lambda: make(sessions, asked), asked) as (_, second):
            raise ZeroDivisionError
    assert (await second).startswith("kettles/")
    assert await count(sessions) == 1


async def test_who_waits_too_long_is_told_to_come_again(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE", "300ms")
    asked = request()
    async with second_waiting(sessions, lambda: make(sessions, asked), asked) as (call, second):
        with pytest.raises(RequestInFlight) as caught:
            await second
        call.name = await insert(call.session)
    assert caught.value.retry_after == timedelta(seconds=1)
    assert await make(sessions, asked) == call.name


async def test_the_same_id_with_another_payload_is_refused(sessions: Sessions) -> None:
    asked = request()
    await make(sessions, asked)
    asked.user.display_name = "Ada"
    with pytest.raises(RequestIdReused):
        await make(sessions, asked)
    assert await count(sessions) == 1


async def test_an_id_is_its_callers_own(sessions: Sessions) -> None:
    asked = request()
    await make(sessions, asked)
    present.set(EVE)
    await make(sessions, asked)
    present.set(ANYBODY)
    await make(sessions, asked)
    assert await count(sessions) == 3


async def test_an_id_is_its_methods_own(sessions: Sessions) -> None:
    asked = request()
    await make(sessions, asked)
    async with once(sessions, pb.BeginRegistrationRequest(request_id=asked.request_id), now=system_clock()) as call:
        assert not call.is_repeat


async def refuse(sessions: Sessions, asked: pb.CreateUserRequest, refusal: Refusal) -> None:
    async with once(sessions, asked, now=system_clock()) as call:
        await insert(call.session)
        raise refusal


async def test_a_repeat_is_refused_as_the_first_was(sessions: Sessions) -> None:
    asked = request()
    with pytest.raises(KettleCold):
        await refuse(sessions, asked, KettleCold("Boil it first.", kettle="kettles/7"))
    with pytest.raises(Refusal) as caught:
        await make(sessions, asked)
    again = caught.value
    assert (again.code, again.reason, str(again)) == (KettleCold.code, KettleCold.reason, "Boil it first.")
    assert again.status("kitchen") == KettleCold("Boil it first.", kettle="kettles/7").status("kitchen")
    assert await count(sessions) == 0


@pytest.mark.parametrize(
    "refusal",
    [TryAgain("Later."), KettleCold("Soon.", retry_after=timedelta(seconds=1)), RequestInFlight("Wait.")],
)
async def test_a_refusal_that_asks_to_come_again_is_not_kept(sessions: Sessions, refusal: Refusal) -> None:
    asked = request()
    with pytest.raises(type(refusal)):
        await refuse(sessions, asked, refusal)
    assert await make(sessions, asked)


async def test_a_repeat_that_finds_nothing_any_more_does_not_undo_the_first(sessions: Sessions) -> None:
    asked = request()
    made = await make(sessions, asked)
    with pytest.raises(KettleCold):
        async with once(sessions, asked, now=system_clock()) as call:
            raise KettleCold("It is gone.")
    assert (call.is_repeat, await make(sessions, asked)) == (True, made)


async def test_when_the_second_is_let_in_by_a_refusal_both_hear_the_same(sessions: Sessions) -> None:
    asked = request()

    async def second() -> str:
        await refuse(sessions, asked, KettleCold("The second."))
        return ""

    with pytest.raises(Refusal) as first:
        async with second_waiting(sessions, second, asked) as (_, waiting):
            raise KettleCold("The first.")
    with pytest.raises(Refusal) as other:
        await waiting
    assert {first.value.reason, other.value.reason} == {"KETTLE_COLD"}
    assert str(first.value) == str(other.value)
    assert await count(sessions, "idempotency") == 1


async def test_the_table_says_neither_key_nor_request(sessions: Sessions) -> None:
    asked = request()
    await make(sessions, asked)
    async with sessions() as session:
        [row] = (await session.execute(select(idempotency.idempotency))).all()
    assert row.caller_id == ADA.user
    assert asked.request_id not in str(row)
    assert "example.org" not in str(row)


async def test_requests_are_forgotten_after_thirty_days(sessions: Sessions) -> None:
    now, asked = system_clock(), request()
    await make(sessions, asked)
    assert await forget_old_requests.work(sessions, now + KEPT - timedelta(minutes=1)) == 0
    assert await forget_old_requests.work(sessions, now + KEPT + timedelta(minutes=1)) == 1
    assert await count(sessions, "idempotency") == 0


async def test_forgetting_goes_by_batches(sessions: Sessions) -> None:
    now = system_clock()
    many = select(
        func.sha256(func.int8send(func.generate_series(1, BATCH + 5))), func.convert_to("x", "UTF8"), text("now()")
    )
    async with sessions.begin() as session:
        await session.execute(idempotency.idempotency.insert().from_select(["id", "fingerprint", "expire_time"], many))
    later = now + 2 * KEPT
    assert [await forget_old_requests.work(sessions, later) for _ in range(3)] == [BATCH, 5, 0]
