import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from rapport.holder.v1 import holder_pb2 as pb
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.personal_data import Undeclared
from chassis.personal_data.holder import Holder
from chassis.personal_data.restrict import refuse
from chassis.personal_data.retention import load
from chassis.personal_data.tombstone import Unguarded, is_erased
from chassis.refusal import PersonRestricted
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.time import moment, timestamp
from tests import engines, world
from tests.chassis import events
from tests.chassis.conftest import PLANTED, People
from tests.chassis.people import NOW, TABLES, Base, Call
from tests.chassis.test_tombstone import until_it_waits
from tests.world import Hands, as_service, refused, stated

PRIVACY = as_service("privacy")
SCHEDULE = load()


@pytest.fixture
def clock() -> Hands:
    return Hands(NOW)


@pytest.fixture
def holder(held: Sessions, clock: Hands) -> Holder:
    return Holder("support", TABLES, held, clock, SCHEDULE)


@pytest.fixture
async def stub(held: Sessions, place: str, clock: Hands, tmp_path: Path) -> AsyncIterator[HolderServiceStub]:
    """The service of tests.chassis.people as the chassis runs it: it has no code about people at all."""
    service = Service(
        name="support",
        package="rapport.support.v1",
        contracts=[],
        servicers=[],
        sessions=held,
        metadata=Base.metadata,
        clock=clock,
    )
    settings = world.settings(ServiceSettings, tmp_path, name="support", database=place)
    async with world.running(service, settings) as channel:
        yield HolderServiceStub(channel)


def order(person: UUID, *holders: str) -> ErasureOrdered:
    return ErasureOrdered(
        user=f"users/{person}",
        erasure=f"erasures/{uuid4()}",
        holders=[f"holders/{one}" for one in holders],
        event_time=timestamp(NOW),
    )


async def carry_out(holder: Holder, said: ErasureOrdered, now: datetime = NOW) -> None:
    async with holder.sessions.begin() as session:
        await holder.forget(session, said, now)


# Asked by privacy ----------------------------------------------------------------------------------------------------


async def test_a_holder_describes_what_it_holds(stub: HolderServiceStub) -> None:
    reply = await stub.DescribeHoldings(pb.DescribeHoldingsRequest(), metadata=PRIVACY)
    assert PLANTED.keys() <= {one.column for one in reply.holdings}
    assert all(one.category and one.purpose and one.retention and one.on_erasure for one in reply.holdings)


async def test_a_holder_streams_every_row_about_a_person(stub: HolderServiceStub, people: People) -> None:
    request = pb.ExportSubjectRequest(subject=f"users/{people.ada}")
    rows = [row async for row in stub.ExportSubject(request, metadata=PRIVACY)]
    said = " ".join(row.row_json for row in rows)
    assert [word for column, word in PLANTED.items() if word not in said and column != "credential.hash"] == []
    assert all(isinstance(json.loads(row.row_json), dict) and row.table for row in rows)


async def test_a_holder_scans_before_and_after(stub: HolderServiceStub, holder: Holder, people: People) -> None:
    request = pb.ScanSubjectRequest(subject=f"users/{people.ada}")
    before = await stub.ScanSubject(request, metadata=PRIVACY)
    assert (before.erased, len(before.remaining) > 10) == (False, True)
    await carry_out(holder, order(people.ada, "support"))
    after = await stub.ScanSubject(request, metadata=PRIVACY)
    assert (after.erased, list(after.remaining)) == (True, [])
    assert {one.legal_basis for one in after.retained if one.column.startswith("bill.")} == {"tax law"}


async def test_a_restriction_holds_until_it_is_lifted(
    stub: HolderServiceStub, held: Sessions, people: People, clock: Hands
) -> None:
    request = pb.RestrictSubjectRequest(subject=f"users/{people.ada}", restricted=True)
    first = await stub.RestrictSubject(request, metadata=PRIVACY)
    clock.advance(timedelta(days=1))
    again = await stub.RestrictSubject(request, metadata=PRIVACY)
    assert first == again
    assert (again.restricted, moment(again.update_time)) == (True, NOW)
    async with held() as session:
        with pytest.raises(PersonRestricted):
            await refuse(session, people.ada)
        await refuse(session, people.eve)
    request.restricted = False
    for _ in range(2):
        assert not (await stub.RestrictSubject(request, metadata=PRIVACY)).restricted
    async with held() as session:
        await refuse(session, people.ada)


async def test_the_erased_cannot_be_restricted(stub: HolderServiceStub, holder: Holder, people: People) -> None:
    await carry_out(holder, order(people.ada, "support"))
    with refused("PERSON_ERASED"):
        await stub.RestrictSubject(
            pb.RestrictSubjectRequest(subject=f"users/{people.ada}", restricted=True), metadata=PRIVACY
        )


async def test_nobody_but_privacy_may_ask(stub: HolderServiceStub, people: People) -> None:
    subject = f"users/{people.ada}"
    with refused("FORBIDDEN"):
        await stub.ScanSubject(pb.ScanSubjectRequest(subject=subject), metadata=as_service("gateway"))
    with refused("SIGN_IN_NEEDED"):
        await stub.ScanSubject(pb.ScanSubjectRequest(subject=subject))


async def test_a_subject_is_named_as_a_user(stub: HolderServiceStub) -> None:
    with refused("MALFORMED_NAME"):
        await stub.ScanSubject(pb.ScanSubjectRequest(subject="users/ada@example.org"), metadata=PRIVACY)


# Ordered by privacy --------------------------------------------------------------------------------------------------


async def test_an_order_is_heard_carried_out_and_answered(
    holder: Holder, held: Sessions, sessions: Sessions, people: People
) -> None:
    said = order(people.ada, "loyalty", "support")
    with engines.nats() as url:
        await events.lay_out(url, holder.handler(), packages=["rapport.privacy.v1"])
        async with events.listening(url, held, holder.handler()), events.relaying(url, sessions):
            await events.say(sessions, order(people.eve, "loyalty"), said)

            async def is_done() -> bool:
                return bool(await stated(held, ErasureDone))

            await events.until(is_done)
    [done] = await stated(held, ErasureDone)
    assert (done.user, done.erasure, done.holder) == (said.user, said.erasure, "holders/support")
    counts = {one.column: (one.action, one.rows) for one in done.outcomes}
    assert (counts["user.email"], counts["message.body"]) == (("ERASE", 1), ("ERASE", 2))
    assert counts["bill.address"] == ("RETAIN", 1)
    async with held() as session:
        assert await is_erased(session, people.ada)
        assert not await is_erased(session, people.eve)  # that order was for others


async def test_an_order_that_comes_again_is_answered_again(holder: Holder, held: Sessions, people: People) -> None:
    said = order(people.ada, "support")
    for day in range(2):
        await carry_out(holder, said, NOW + timedelta(days=day))
    first, again = await stated(held, ErasureDone)
    assert sum(one.rows for one in first.outcomes if one.action != "RETAIN") > 10
    assert sum(one.rows for one in again.outcomes if one.action != "RETAIN") == 0
    assert [one for one in first.outcomes if one.action == "RETAIN"] == [
        one for one in again.outcomes if one.action == "RETAIN"
    ]


async def test_a_service_does_its_own_before_and_in_the_same_transaction(
    holder: Holder, held: Sessions, people: People
) -> None:
    async def settle(session: AsyncSession, person: UUID, now: datetime) -> None:
        assert (person, now) == (people.ada, NOW)
        await session.execute(text("UPDATE entry SET points = 0"))
        session.add(Call(customer_id=person, seconds=7))  # not refused yet, and erased with the rest

    await carry_out(replace(holder, before=settle), order(people.ada, "support"))
    async with held() as session:
        assert list(await session.scalars(text("SELECT points FROM entry"))) == [0]
    [done] = await stated(held, ErasureDone)
    assert [one.rows for one in done.outcomes if one.column == "call.customer_id"] == [2]


async def test_a_service_does_its_own_when_nobody_else_writes_about_them_any_more(
    holder: Holder, held: Sessions, people: People
) -> None:
    seen: list[int] = []

    async def look(session: AsyncSession, person: UUID, now: datetime) -> None:
        calls = text("SELECT count(*) FROM call WHERE customer_id = :ada")
        seen.append((await session.execute(calls, {"ada": person})).scalar_one())

    async with held() as writer, held() as watcher:
        writer.add(Call(customer_id=people.ada, seconds=1))
        await writer.flush()  # in, and not committed
        eraser = asyncio.create_task(carry_out(replace(holder, before=look), order(people.ada, "support")))
        await until_it_waits(watcher, eraser)
        await writer.commit()
        await eraser
    assert seen == [2]


async def test_nothing_is_done_when_a_service_fails_at_its_own(holder: Holder, held: Sessions, people: People) -> None:
    async def fail(session: AsyncSession, person: UUID, now: datetime) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await carry_out(replace(holder, before=fail), order(people.ada, "support"))
    async with held() as session:
        assert not await is_erased(session, people.ada)
    assert await stated(held, ErasureDone) == []


# Start-up ------------------------------------------------------------------------------------------------------------


async def test_a_holder_does_not_start_unguarded(holder: Holder, held: Sessions) -> None:
    await holder.verify([])
    async with held.begin() as session:
        await session.execute(text("ALTER TABLE call DISABLE TRIGGER USER"))
    with pytest.raises(Unguarded, match="call: the trigger"):
        await holder.verify([])


async def test_a_holder_does_not_start_without_a_period(holder: Holder) -> None:
    with pytest.raises(Undeclared, match="no period for the purpose ACCOUNT"):
        await replace(holder, schedule=replace(SCHEDULE, periods={})).verify([])
