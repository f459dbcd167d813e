from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.events_pb2 import ErasureCompleted, ErasureOrdered
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub
from sqlalchemy import select

from chassis.database import Sessions
from services.privacy.models import Erasure
from tests.privacy.conftest import ADA, EVE, PIA, As, Erasures
from tests.privacy.test_consents import deciding
from tests.world import Hands, refused, stated

OTHERS = ("loyalty", "privacy", "support")


async def receipt(privacy: PrivacyServiceStub, erasure: str) -> pb.Erasure:
    return await privacy.GetErasure(pb.GetErasureRequest(name=erasure))


async def test_every_holder_is_ordered_and_identity_last(
    privacy: PrivacyServiceStub, erasures: Erasures, sessions: Sessions
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.answer(ADA, erasure, *OTHERS[:2])
    [first] = await stated(sessions, ErasureOrdered)
    assert list(first.holders) == [f"holders/{name}" for name in OTHERS]

    await erasures.answer(ADA, erasure, OTHERS[2])
    [_, last] = await stated(sessions, ErasureOrdered)
    assert list(last.holders) == ["holders/identity"]
    assert (await receipt(privacy, erasure)).state == pb.Erasure.ORDERED


async def test_silence_is_never_complete_and_becomes_overdue(
    privacy: PrivacyServiceStub, erasures: Erasures, clock: Hands
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.answer(ADA, erasure, *OTHERS)
    clock.advance(timedelta(days=1))
    await erasures.settle()

    told = await receipt(privacy, erasure)
    assert told.state == pb.Erasure.OVERDUE
    assert [one.holder for one in told.answers if not one.HasField("done_time")] == ["holders/identity"]


async def test_an_answer_that_no_scan_proves_does_not_complete(
    privacy: PrivacyServiceStub, erasures: Erasures, policy: pb.Policy, as_: As
) -> None:
    """Every holder says that it is done, and a row of hers is still there."""
    await privacy.CreateConsent(deciding(policy, granted=True), metadata=as_(ADA))
    erasure = await erasures.request(ADA)
    await erasures.answer(ADA, erasure, *OTHERS, "identity")
    await erasures.settle()

    told = await receipt(privacy, erasure)
    assert told.state == pb.Erasure.VERIFYING
    assert {count.column for one in told.answers for count in one.remaining} == {"consent.user_id"}


async def test_a_proven_erasure_is_complete_and_forgets_whom_it_was_about(
    privacy: PrivacyServiceStub, erasures: Erasures, sessions: Sessions
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.forget(ADA)
    await erasures.answer(ADA, erasure, *OTHERS, "identity")
    await erasures.settle()

    told = await receipt(privacy, erasure)
    assert told.state == pb.Erasure.COMPLETED
    assert all(one.HasField("verify_time") for one in told.answers)
    assert [count.rows for one in told.answers for count in one.outcomes] == [2, 2, 2, 2]
    assert [event.erasure for event in await stated(sessions, ErasureCompleted)] == [erasure]
    async with sessions() as session:
        assert (await session.scalars(select(Erasure.user_id))).all() == [None]


async def test_the_missing_answer_mends_an_overdue_erasure(
    privacy: PrivacyServiceStub, erasures: Erasures, clock: Hands
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.forget(ADA)
    await erasures.answer(ADA, erasure, *OTHERS)
    clock.advance(timedelta(days=2))
    await erasures.settle()
    await erasures.answer(ADA, erasure, "identity")
    await erasures.settle()
    assert (await receipt(privacy, erasure)).state == pb.Erasure.COMPLETED


async def test_hearing_everything_twice_changes_nothing(
    privacy: PrivacyServiceStub, erasures: Erasures, sessions: Sessions
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.forget(ADA)
    for name in (*OTHERS, *OTHERS, "identity", "identity"):
        await erasures.answer(ADA, erasure, name)
    await erasures.settle()
    await erasures.answer(ADA, erasure, "support")
    assert len(await stated(sessions, ErasureOrdered)) == 2
    assert len(await stated(sessions, ErasureCompleted)) == 1


@pytest.mark.parametrize("away", ["support"])
async def test_a_holder_that_does_not_answer_the_scan_leaves_it_unproven(
    privacy: PrivacyServiceStub, erasures: Erasures
) -> None:
    erasure = await erasures.request(ADA)
    await erasures.forget(ADA)
    await erasures.answer(ADA, erasure, *OTHERS, "identity")
    await erasures.settle()

    told = await receipt(privacy, erasure)
    assert told.state == pb.Erasure.VERIFYING
    assert [one.holder for one in told.answers if not one.HasField("verify_time")] == ["holders/support"]


async def test_a_receipt_is_read_by_whoever_has_its_name_and_listed_by_officers_only(
    privacy: PrivacyServiceStub, erasures: Erasures, as_: As
) -> None:
    erasure = await erasures.request(ADA)
    assert (await receipt(privacy, erasure)).name == erasure
    with refused("ERASURE_NOT_FOUND"):
        await receipt(privacy, f"erasures/{uuid4()}")
    with refused("FORBIDDEN"):
        await privacy.ListErasures(pb.ListErasuresRequest(), metadata=as_(EVE))
    told = await privacy.ListErasures(pb.ListErasuresRequest(), metadata=as_(PIA, "privacy_officer"))
    assert [one.name for one in told.erasures] == [erasure]


async def test_processing_is_restricted_at_every_holder_and_freed_again(privacy: PrivacyServiceStub, as_: As) -> None:
    for restricted in (True, False):
        request = pb.SetRestrictionRequest(name=f"users/{ADA}/restriction", restricted=restricted)
        told = await privacy.SetRestriction(request, metadata=as_(PIA, "privacy_officer"))
        assert told.restricted is restricted
    with refused("FORBIDDEN"):
        await privacy.SetRestriction(request, metadata=as_(ADA))


async def test_the_data_map_says_for_every_column_why_and_for_how_long(privacy: PrivacyServiceStub) -> None:
    told = await privacy.GetDataMap(pb.GetDataMapRequest())
    assert [one.holder for one in told.holders] == [f"holders/{name}" for name in sorted((*OTHERS, "identity"))]
    rows = {one.column: one for one in told.holders[0].holdings}
    assert rows["consent.user_id"].category == "user.privacy_preferences"
    assert all(one.purpose and one.retention for one in rows.values())
    assert str(UUID(int=0)) not in str(told)
