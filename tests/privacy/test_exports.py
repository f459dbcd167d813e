import json
from datetime import timedelta
from uuid import uuid4

import pytest
from google.api.httpbody_pb2 import HttpBody
from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub

from tests import tokens
from tests.privacy.conftest import ADA, EVE, As
from tests.privacy.test_consents import deciding
from tests.world import Hands, refused


def asking(request_id: str = "") -> pb.CreateExportRequest:
    return pb.CreateExportRequest(parent=f"users/{ADA}", request_id=request_id)


async def test_a_copy_has_every_row_of_every_holder_and_says_that_it_is_whole(
    privacy: PrivacyServiceStub, policy: pb.Policy, as_: As
) -> None:
    consent = await privacy.CreateConsent(deciding(policy, granted=True), metadata=as_(ADA))
    export = await privacy.CreateExport(asking(), metadata=as_(ADA))
    pieces: list[HttpBody] = [
        one async for one in privacy.DownloadExport(pb.DownloadExportRequest(name=export.name), metadata=as_(ADA))
    ]
    copy = json.loads(b"".join(one.data for one in pieces))

    assert {one.content_type for one in pieces} == {"application/json"}
    assert copy["complete"] is True
    assert set(copy["holders"]) == {"identity", "loyalty", "privacy", "support"}
    [row] = copy["holders"]["privacy"]["consent"]
    assert row["id"]["value"] == consent.name.rpartition("/")[2]


async def test_a_copy_can_be_had_for_a_week(privacy: PrivacyServiceStub, as_: As, clock: Hands) -> None:
    export = await privacy.CreateExport(asking(), metadata=as_(ADA))
    request = pb.DownloadExportRequest(name=export.name)

    clock.advance(timedelta(days=7) - timedelta(seconds=1))
    assert [one async for one in privacy.DownloadExport(request, metadata=as_(ADA))]
    clock.advance(timedelta(seconds=1))
    with refused("EXPORT_ENDED"):
        [_ async for _ in privacy.DownloadExport(request, metadata=as_(ADA))]


async def test_asking_twice_with_one_request_id_is_asking_once(privacy: PrivacyServiceStub, as_: As) -> None:
    key = str(uuid4())
    first, second = [await privacy.CreateExport(asking(key), metadata=as_(ADA)) for _ in "ab"]
    assert first == second
    told = await privacy.ListExports(pb.ListExportsRequest(parent=f"users/{ADA}"), metadata=as_(ADA))
    assert [one.name for one in told.exports] == [first.name]


async def test_an_export_that_was_never_asked_for_is_not_found(privacy: PrivacyServiceStub, as_: As) -> None:
    request = pb.DownloadExportRequest(name=f"users/{ADA}/exports/{uuid4()}")
    with refused("EXPORT_NOT_FOUND"):
        [_ async for _ in privacy.DownloadExport(request, metadata=as_(ADA))]


async def test_a_copy_needs_a_recent_sign_in(privacy: PrivacyServiceStub, clock: Hands) -> None:
    long_ago = tokens.as_user(ADA, now=clock(), signed_in=clock() - timedelta(minutes=6))
    with refused("SIGN_IN_TOO_OLD"):
        await privacy.CreateExport(asking(), metadata=long_ago)


async def test_a_copy_is_for_oneself_alone(privacy: PrivacyServiceStub, as_: As) -> None:
    for who in (as_(EVE), as_(EVE, "privacy_officer"), as_(EVE, "admin")):
        with refused("FORBIDDEN"):
            await privacy.CreateExport(asking(), metadata=who)


@pytest.mark.parametrize("away", ["loyalty"])
async def test_without_every_holder_there_is_no_copy(privacy: PrivacyServiceStub, as_: As) -> None:
    """A copy that lacks a holder would look like all there is."""
    export = await privacy.CreateExport(asking(), metadata=as_(ADA))
    with refused("HOLDER_UNAVAILABLE") as said:
        [_ async for _ in privacy.DownloadExport(pb.DownloadExportRequest(name=export.name), metadata=as_(ADA))]
    assert said[0].metadata == {"holder": "loyalty"}
