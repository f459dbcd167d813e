"""Signing in to what has no browser: a code on the device, typed on a page of ours (RFC 8628)."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from rapport.identity.v1 import device_codes_pb2, identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.device_codes_pb2_grpc import DeviceCodeServiceStub
from sqlalchemy import text

from services.identity.oauth.device_codes import GRANT, LIFE, MOST, WINDOW, forget_device_codes
from tests.identity.keys import P256, proof
from tests.identity.oauth import Provider, Said
from tests.identity.people import ADA, EVE, GATEWAY
from tests.tokens import ISSUER
from tests.world import refused

Asked = device_codes_pb2.AnswerDeviceCodeRequest
APPROVED, DENIED = Asked.APPROVED, Asked.DENIED


@pytest.fixture
async def device(provider: Provider) -> Provider:
    """The same provider, with a client that runs on what has no browser."""
    await provider.register(device_authorization=True, first_party=True)
    return provider


async def begin(device: Provider, **said: str) -> Said:
    usual = {"client_id": device.client, "scope": "openid profile"}
    status, told = await device.call(pb.CallEndpointRequest.DEVICE_AUTHORIZATION, **usual | said)
    assert status == 200, told
    return told


async def answer(
    device: Provider, code: str, decision: Any = Asked.DECISION_UNSPECIFIED, session: str | None = None
) -> device_codes_pb2.AnswerDeviceCodeResponse:
    stub = DeviceCodeServiceStub(device.identity.channel)
    secret = device.session if session is None else session
    asked = Asked(user_code=code, session_secret=secret, decision=decision)
    found: device_codes_pb2.AnswerDeviceCodeResponse = await stub.AnswerDeviceCode(asked, metadata=GATEWAY)
    return found


async def outcome(device: Provider, code: str, **how: Any) -> str:
    return str((await answer(device, code, **how)).WhichOneof("outcome"))


async def poll(device: Provider, begun: Said, *, after: int = 5, **said: str) -> tuple[int, Said]:
    """What the device hears so many seconds after it asked last."""
    device.identity.clock.advance(timedelta(seconds=after))
    return await device.token(grant_type=GRANT, device_code=begun["device_code"], **said)


async def test_a_device_is_let_in_by_who_types_its_code(device: Provider) -> None:
    begun = await begin(device)
    assert re.fullmatch("[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", begun["user_code"])
    assert (begun["verification_uri"], begun["expires_in"], begun["interval"]) == (f"{ISSUER}/oauth/device", 600, 5)
    assert begun["verification_uri_complete"] == f"{ISSUER}/oauth/device?user_code={begun['user_code']}"
    assert (await poll(device, begun))[1]["error"] == "authorization_pending"
    asked = await answer(device, begun["user_code"].replace("-", " ").lower())
    assert (asked.consent.client_title, list(asked.consent.scopes)) == ("An app", ["openid", "profile"])
    assert (asked.consent.email, asked.consent.user_code) == (ADA, begun["user_code"])
    assert (await answer(device, begun["user_code"], APPROVED)).done.approved
    status, told = await poll(device, begun)
    assert (status, told["scope"], told["token_type"]) == (200, "openid profile", "Bearer")
    assert told["id_token"]
    assert (await device.userinfo(told["access_token"]))[0] == 200
    assert (await device.refresh(told["refresh_token"]))[0] == 200


async def test_a_person_is_asked_whoever_s_program_it_is(device: Provider) -> None:
    """Whoever sends somebody a code could be anybody."""
    begun = await begin(device)
    for _ in range(2):
        assert await outcome(device, begun["user_code"]) == "consent"
    assert (await poll(device, begun))[1]["error"] == "authorization_pending"


async def test_a_device_hears_that_the_person_said_no(device: Provider) -> None:
    begun = await begin(device)
    assert not (await answer(device, begun["user_code"], DENIED)).done.approved
    assert (await poll(device, begun))[1]["error"] == "access_denied"
    assert (await poll(device, begun))[1]["error"] == "invalid_grant"


async def test_nobody_who_is_not_signed_in_learns_of_a_code(device: Provider) -> None:
    begun = await begin(device)
    for session in ("", "none of ours"):
        for code in (begun["user_code"], "BBBB-BBBB"):
            assert await outcome(device, code, session=session, decision=APPROVED) == "sign_in"
    assert (await poll(device, begun))[1]["error"] == "authorization_pending"


async def test_a_code_is_answered_once(device: Provider) -> None:
    begun = await begin(device)
    assert await outcome(device, begun["user_code"], decision=APPROVED) == "done"
    for decision in (APPROVED, DENIED, Asked.DECISION_UNSPECIFIED):
        assert await outcome(device, begun["user_code"], decision=decision) == "unknown"
    for code in ("", "BBBB-BBBB", "-", "x" * 100):
        assert await outcome(device, code, decision=APPROVED) == "unknown"


async def test_a_device_that_asks_too_often_has_to_ask_more_slowly(device: Provider) -> None:
    begun = await begin(device)
    heard = [(await poll(device, begun, after=after))[1]["error"] for after in (0, 4, 9, 15, 5)]
    pending, slow = "authorization_pending", "slow_down"
    assert heard == [pending, slow, slow, pending, slow]
    await answer(device, begun["user_code"], APPROVED)
    assert (await poll(device, begun, after=1))[1]["error"] == slow
    assert (await poll(device, begun, after=25))[0] == 200


async def test_a_code_ends_after_ten_minutes(device: Provider) -> None:
    begun = await begin(device)
    device.identity.clock.advance(LIFE)
    assert await outcome(device, begun["user_code"]) == "unknown"
    assert (await poll(device, begun))[1]["error"] == "expired_token"
    assert await forget_device_codes.work(device.identity.sessions, device.identity.clock()) == 0
    assert await forget_device_codes.work(device.identity.sessions, device.identity.clock() + LIFE) == 1


async def test_a_device_s_secret_is_its_client_s_own(device: Provider) -> None:
    begun = await begin(device)
    await answer(device, begun["user_code"], APPROVED)
    other = Provider(device.identity, client="other", session=device.session)
    await other.register(device_authorization=True)
    assert (await poll(other, begun))[1]["error"] == "invalid_grant"
    assert (await poll(device, begun | {"device_code": "x"}))[1]["error"] == "invalid_grant"
    assert (await poll(device, begun))[0] == 200


async def test_only_a_client_that_is_registered_for_it_gets_codes(device: Provider) -> None:
    endpoint = pb.CallEndpointRequest.DEVICE_AUTHORIZATION
    assert (await device.call(endpoint, client_id="app", scope="nothing"))[1]["error"] == "invalid_scope"
    assert (await device.call(endpoint, client_id="nobody", scope="openid"))[1]["error"] == "invalid_client"
    await device.register(device_authorization=False)
    assert (await device.call(endpoint, client_id="app", scope="openid"))[1]["error"] == "unauthorized_client"
    with refused("CLIENT_UNSAFE"):
        await device.register(pb.Client.SERVICE, redirect_uris=[], scopes=[], device_authorization=True)


async def test_who_signs_out_before_the_device_asks_lets_nothing_in(device: Provider) -> None:
    begun = await begin(device)
    await answer(device, begun["user_code"], APPROVED)
    mine = (await device.identity.sign_in()).session.name.rpartition("/sessions/")[0]
    listed = identity_pb2.ListSessionsRequest(parent=mine)
    for one in (await device.identity.stub.ListSessions(listed, metadata=device.identity.as_(mine))).sessions:
        ended = identity_pb2.DeleteSessionRequest(name=one.name)
        await device.identity.stub.DeleteSession(ended, metadata=device.identity.as_(mine))
    assert (await poll(device, begun))[1]["error"] == "invalid_grant"


async def test_a_device_may_bind_its_tokens_to_a_key(device: Provider) -> None:
    begun = await begin(device)
    await answer(device, begun["user_code"], APPROVED)
    now = device.identity.clock() + timedelta(seconds=5)
    status, told = await poll(device, begun, proof=proof("/oauth/token", now=now, key=P256))
    assert (status, told["token_type"]) == (200, "DPoP")
    assert (await device.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_device_that_has_to_say_a_nonce_keeps_its_code_until_it_does(device: Provider) -> None:
    await device.register(device_authorization=True, first_party=True, require_dpop_nonce=True)
    begun = await begin(device)
    assert (await answer(device, begun["user_code"], APPROVED)).done.approved

    def signed(**said: Any) -> str:
        return proof("/oauth/token", now=device.identity.clock() + timedelta(seconds=5), **said)

    assert (await poll(device, begun, proof=signed()))[1]["error"] == "use_dpop_nonce"
    status, told = await poll(device, begun, proof=signed(nonce=device.nonce))
    assert (status, told["token_type"]) == (200, "DPoP")


async def test_a_person_tries_few_codes_however_many_at_once(device: Provider) -> None:
    begun = await begin(device)
    guesses = (outcome(device, "BBBB-BBBB") for _ in range(50))
    heard = await asyncio.gather(*guesses)
    assert (heard.count("unknown"), heard.count("limited")) == (MOST, 50 - MOST)
    assert await outcome(device, begun["user_code"], decision=APPROVED) == "limited"
    await device.identity.create(EVE)
    eve = (await device.identity.sign_in(EVE)).secret
    assert await outcome(device, begun["user_code"], session=eve) == "consent"
    device.identity.clock.advance(WINDOW)
    assert await outcome(device, (await begin(device))["user_code"]) == "consent"


async def test_of_fifty_who_ask_for_one_device_at_once_one_gets_tokens(device: Provider) -> None:
    begun = await begin(device)
    await answer(device, begun["user_code"], APPROVED)
    asked = {"grant_type": GRANT, "device_code": begun["device_code"]}
    answers = await asyncio.gather(*(device.token(**asked) for _ in range(50)))
    assert sorted(status for status, _ in answers) == [200, *([400] * 49)]


async def test_no_code_of_a_device_is_in_the_database(device: Provider) -> None:
    begun = await begin(device)
    async with device.identity.sessions() as session:
        kept = str((await session.execute(text("SELECT t::text FROM device_code AS t"))).all())
    assert begun["device_code"] not in kept
    assert begun["user_code"].replace("-", "") not in kept
