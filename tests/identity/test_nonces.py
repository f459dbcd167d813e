"""Nonces of ours that proofs of possession say back (DPoP, RFC 9449, 8)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1 import proofs_pb2
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceStub

from chassis.database import Sessions
from chassis.settings import Secret
from services.identity.oauth.nonces import EVERY, KEPT
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.keys import proof
from tests.identity.oauth import Provider, Said
from tests.identity.people import ADA, GATEWAY
from tests.world import Hands, refused

TOKEN, USERINFO, API = "/oauth/token", "/oauth/userinfo", "/v1/users/x"
MINUTE = timedelta(seconds=EVERY)


async def redeemed(provider: Provider, **said: Any) -> tuple[int, Said]:
    """What a code gets with a proof that says this beside the usual."""
    shown = proof(TOKEN, now=provider.identity.clock(), **said)
    return await provider.redeem(await provider.code(), proof=shown)


async def nonce_of(provider: Provider) -> str:
    """One that was handed out just now."""
    assert (await redeemed(provider))[0] in (200, 400)
    return provider.nonce


async def test_whoever_shows_a_proof_gets_a_nonce_for_the_next(provider: Provider) -> None:
    assert (await redeemed(provider))[0] == 200
    nonce = provider.nonce
    assert nonce
    assert (await redeemed(provider, nonce=nonce))[0] == 200
    provider.identity.clock.advance(MINUTE)
    for shown in ("x", proof(TOKEN, now=provider.identity.clock(), htm="GET")):
        assert (await provider.redeem(await provider.code(), proof=shown))[1]["error"] == "invalid_dpop_proof"
        assert provider.nonce not in ("", nonce)  # it is a fresh one
    await provider.redeem(await provider.code())
    assert provider.nonce == ""  # who shows no proof needs none


async def test_a_client_that_has_to_say_a_nonce_is_told_which(provider: Provider) -> None:
    made = await provider.register(require_dpop_nonce=True)
    assert made.require_dpop_nonce
    code = await provider.code()
    status, told = await provider.redeem(code, proof=proof(TOKEN, now=provider.identity.clock()))
    assert (status, told["error"]) == (400, "use_dpop_nonce")
    again = proof(TOKEN, now=provider.identity.clock(), nonce=provider.nonce)
    assert (await provider.redeem(code, proof=again))[0] == 200  # nothing was spent by then


@pytest.mark.parametrize("nonce", ["x", "n" * 64, "n" * 1_000, "é", ["x"], 7, {"x": "y"}])
@pytest.mark.parametrize("requires", [False, True])
async def test_a_nonce_that_somebody_made_up_is_refused_required_or_not(
    provider: Provider, nonce: Any, requires: bool
) -> None:
    await provider.register(require_dpop_nonce=requires)
    status, told = await redeemed(provider, nonce=nonce)
    assert (status, told["error"]) == (400, "use_dpop_nonce")
    assert (await redeemed(provider, nonce=provider.nonce))[0] == 200


@pytest.mark.parametrize(("minutes", "status"), [(0, 200), (KEPT - 1, 200), (KEPT, 400), (60, 400)])
async def test_a_nonce_ends(provider: Provider, minutes: int, status: int) -> None:
    nonce = await nonce_of(provider)
    provider.identity.clock.advance(MINUTE * minutes)
    await provider.sign_in()
    assert (await redeemed(provider, nonce=nonce))[0] == status


async def test_a_nonce_of_a_replica_whose_clock_is_a_little_ahead_is_good(provider: Provider) -> None:
    clock = provider.identity.clock
    clock.advance(MINUTE)
    ahead = await nonce_of(provider)
    clock.advance(-MINUTE)
    assert (await redeemed(provider, nonce=ahead))[0] == 200
    clock.advance(-MINUTE)
    assert (await redeemed(provider, nonce=ahead))[1]["error"] == "use_dpop_nonce"


async def test_every_replica_knows_a_nonce_and_the_key_changes_without_a_word(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    old, new = "11" * 32, "22" * 32
    nonces: dict[str, str] = {}
    async with served(settings, sessions, clock) as identity:
        await identity.create(ADA)
    for keys, known, unknown in (
        (old, (), ()),
        (f"{old}\n{new}", (old,), ()),
        (f"{new}\n{old}", (old, f"{old}\n{new}"), ()),
        (new, (f"{new}\n{old}",), (old,)),
    ):
        async with served(replace(settings, oauth_key=Secret(keys)), sessions, clock) as identity:
            provider = Provider(identity)
            await provider.register()
            await provider.sign_in()
            nonces[keys] = await nonce_of(provider)
            for made_by in known:
                assert (await redeemed(provider, nonce=nonces[made_by]))[0] == 200
            for made_by in unknown:
                assert (await redeemed(provider, nonce=nonces[made_by]))[1]["error"] == "use_dpop_nonce"


# At resources --------------------------------------------------------------------------------------------------------


async def bound(provider: Provider) -> str:
    """A token of a client that has to say a nonce."""
    await provider.register(require_dpop_nonce=True)
    return str((await redeemed(provider, nonce=await nonce_of(provider)))[1]["access_token"])


async def test_userinfo_asks_for_a_nonce_of_whoever_has_to_say_one(provider: Provider) -> None:
    token = await bound(provider)

    async def asked(**said: Any) -> tuple[int, str]:
        shown = proof(USERINFO, now=provider.identity.clock(), token=token, **said)
        asked = pb.CallEndpointRequest(
            endpoint=pb.CallEndpointRequest.USERINFO, authorization=f"DPoP {token}", proof=shown
        )
        answer = await provider.stub.CallEndpoint(asked, metadata=GATEWAY)
        provider.nonce = answer.dpop_nonce
        return answer.status, answer.www_authenticate

    for said in ({}, {"nonce": "x"}):
        status, challenge = await asked(**said)
        assert status == 401
        assert challenge.startswith('DPoP error="use_dpop_nonce"')
        assert (await asked(nonce=provider.nonce))[0] == 200


async def test_the_gateway_is_told_which_nonce_to_hand_out(provider: Provider) -> None:
    token, stub = await bound(provider), ProofServiceStub(provider.identity.channel)

    async def checked(**said: Any) -> str:
        shown = proof(API, now=provider.identity.clock(), method="GET", token=token, **said)
        asked = proofs_pb2.CheckProofRequest(proof=shown, method="GET", path=API, access_token=token)
        return (await stub.CheckProof(asked, metadata=GATEWAY)).nonce

    for said in ({}, {"nonce": "x"}):
        with refused("PROOF_NONCE_NEEDED") as needed:
            await checked(**said)
        assert await checked(nonce=needed[0].metadata["nonce"])
    with refused("PROOF_INVALID") as invalid:
        await checked(htm="POST")
    assert await checked(nonce=invalid[0].metadata["nonce"])
