"""Tokens that are bound to a key of their holder's, and the proofs that go with each request (DPoP, RFC 9449)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from rapport.identity.v1 import identity_pb2, proofs_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceStub

from services.identity.once import forget_spent
from tests.identity.keys import ED25519, OTHER_P256, P256, RSA, Key, proof, public
from tests.identity.oauth import Provider, Said, as_web, reasons
from tests.identity.people import GATEWAY, SUPPORT
from tests.tokens import ISSUER
from tests.world import refused

TOKEN = "/oauth/token"


async def bound(provider: Provider, key: Key = P256, **said: Any) -> Said:
    """The tokens of a sign-in, bound to that key."""
    code = await provider.code(**said)
    status, told = await provider.redeem(code, proof=proof(TOKEN, now=provider.identity.clock(), key=key))
    assert status == 200, told
    return told


def claims(provider: Provider, token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, provider.identity.key, algorithms=["Ed25519"]).claims)


async def introspected(client: Provider, token: str) -> Said:
    said = {"client_id": client.client, "client_secret": client.secret, "token": token}
    return (await client.call(pb.CallEndpointRequest.INTROSPECTION, **said))[1]


# Getting them --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [P256, ED25519, RSA], ids=["ES256", "Ed25519", "PS256"])
async def test_a_token_is_bound_to_the_key_that_signed_for_it(provider: Provider, key: Key) -> None:
    web = await as_web(provider)
    for client in (provider, web):
        told = await bound(client, key)
        assert told["token_type"] == "DPoP"
        assert claims(client, told["access_token"])["cnf"] == {"jkt": key.thumbprint()}
    said = await introspected(web, told["access_token"])
    assert (said["token_type"], said["cnf"]) == ("DPoP", {"jkt": key.thumbprint()})


async def test_without_a_proof_a_token_is_bound_to_nothing(provider: Provider) -> None:
    told = await provider.tokens()
    assert told["token_type"] == "Bearer"
    assert "cnf" not in claims(provider, told["access_token"])


@pytest.mark.parametrize(
    "said",
    [
        {"htm": "GET"},
        {"htm": "post"},
        {"htm": None},
        {"htu": f"{ISSUER}/oauth/par"},
        {"htu": f"{ISSUER}:8443/oauth/token"},
        {"htu": "https://elsewhere.example/oauth/token"},
        {"htu": "/oauth/token"},
        {"htu": "https://["},
        {"htu": None},
        {"htu": [ISSUER]},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 257},
        {"jti": ["x"]},
        {"iat": None},
        {"iat": "now"},
        {"iat": float("1e12")},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": public(OTHER_P256)}},
        {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}},
        {"header": {"jwk": {"kty": "oct", "k": "AA"}}},
        {"header": {"crit": ["typ"]}},
        {"key": RSA, "header": {"alg": "RS256"}},
        {"key": ECKey.generate_key("P-256"), "header": {"jwk": {"kty": ["EC"]}}},
    ],
)
async def test_what_is_no_proof_of_this_request_gets_nothing(provider: Provider, said: dict[str, Any]) -> None:
    code, now = await provider.code(), provider.identity.clock()
    status, told = await provider.redeem(code, proof=proof(TOKEN, now=now, **said))
    assert (status, told["error"]) == (400, "invalid_dpop_proof")
    assert (await provider.redeem(code, proof=proof(TOKEN, now=now)))[0] == 200


async def test_a_key_that_is_told_whole_proves_nothing(provider: Provider) -> None:
    private = {name: value for name, value in P256.as_dict(private=True).items() if name != "kid"}
    symmetric = OctKey.generate_key(256)
    for shown in (
        proof(TOKEN, now=provider.identity.clock(), header={"jwk": private}),
        proof(TOKEN, now=provider.identity.clock(), key=symmetric, header={"alg": "HS256"}),  # type: ignore[arg-type]
        "x",
        "x.y.z",
        "e30.e30.",
    ):
        assert (await provider.redeem(await provider.code(), proof=shown))[1]["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (-59, 200), (-60, 400), (-300, 400), (10, 200), (11, 400)])
async def test_a_proof_is_of_about_now(provider: Provider, seconds: int, status: int) -> None:
    signed = provider.identity.clock() + timedelta(seconds=seconds)
    assert (await provider.redeem(await provider.code(), proof=proof(TOKEN, now=signed)))[0] == status


async def test_an_address_is_the_same_in_each_of_its_spellings(provider: Provider) -> None:
    for url in (
        f"{ISSUER.upper().replace('HTTPS', 'https')}/oauth/token",
        f"{ISSUER}:443/oauth/token",
        f"{ISSUER}/oauth/token?a=b#c",
    ):
        shown = proof(TOKEN, now=provider.identity.clock(), htu=url)
        assert (await provider.redeem(await provider.code(), proof=shown))[0] == 200, url


async def test_a_proof_is_good_once(provider: Provider) -> None:
    shown = proof(TOKEN, now=provider.identity.clock())
    assert (await provider.redeem(await provider.code(), proof=shown))[0] == 200
    assert (await provider.redeem(await provider.code(), proof=shown))[1]["error"] == "invalid_dpop_proof"


async def test_that_it_was_shown_is_known_as_long_as_it_would_be_taken(provider: Provider) -> None:
    now = provider.identity.clock()
    await bound(provider)
    assert await forget_spent.work(provider.identity.sessions, now + timedelta(seconds=69)) == 0
    assert await forget_spent.work(provider.identity.sessions, now + timedelta(seconds=70)) == 1


async def test_of_fifty_who_show_one_proof_at_once_one_wins(provider: Provider) -> None:
    codes = [await provider.code() for _ in range(50)]
    shown = proof(TOKEN, now=provider.identity.clock())
    answers = await asyncio.gather(*(provider.redeem(code, proof=shown) for code in codes))
    assert sorted(status for status, _ in answers) == [200, *([400] * 49)]


async def test_a_client_whose_tokens_have_to_be_bound_gets_no_other(provider: Provider) -> None:
    await provider.register(dpop_bound_access_tokens=True)
    code = await provider.code()
    assert (await provider.redeem(code))[1]["error"] == "invalid_dpop_proof"
    assert (await provider.redeem(code, proof=proof(TOKEN, now=provider.identity.clock())))[0] == 200


async def test_a_program_that_acts_for_itself_may_bind_its_tokens(provider: Provider) -> None:
    robot = Provider(provider.identity, client="robot")
    await robot.register(pb.Client.SERVICE, redirect_uris=[], scopes=["stock.read"], dpop_bound_access_tokens=True)
    assert (await robot.token(grant_type="client_credentials"))[1]["error"] == "invalid_dpop_proof"
    shown = proof(TOKEN, now=provider.identity.clock())
    status, told = await robot.token(grant_type="client_credentials", proof=shown)
    assert (status, told["token_type"]) == (200, "DPoP")
    assert (await introspected(robot, told["access_token"]))["cnf"] == {"jkt": P256.thumbprint()}


# Codes and refresh tokens --------------------------------------------------------------------------------------------


async def test_a_code_that_was_asked_for_with_a_key_needs_that_key(provider: Provider) -> None:
    for client in (provider, await as_web(provider)):
        code, now = await client.code(dpop_jkt=P256.thumbprint()), client.identity.clock()
        assert (await client.redeem(code))[1]["error"] == "invalid_grant"
        other = proof(TOKEN, now=now, key=OTHER_P256)
        assert (await client.redeem(code, proof=other))[1]["error"] == "invalid_grant"
        assert (await client.redeem(code, proof=proof(TOKEN, now=now)))[0] == 200


async def test_what_is_no_thumbprint_is_refused_to_the_client(provider: Provider) -> None:
    assert (await provider.told(dpop_jkt="x"))["error"] == "invalid_request"


async def test_a_public_client_refreshes_with_the_key_alone(provider: Provider) -> None:
    told, now = await bound(provider, scope="openid offline_access"), provider.identity.clock()
    token = told["refresh_token"]
    assert (await provider.refresh(token))[1]["error"] == "invalid_grant"
    assert (await provider.refresh(token, proof=proof(TOKEN, now=now, key=RSA)))[1]["error"] == "invalid_grant"
    status, again = await provider.refresh(token, proof=proof(TOKEN, now=now))
    assert (status, again["token_type"]) == (200, "DPoP")
    assert claims(provider, again["access_token"])["cnf"] == {"jkt": P256.thumbprint()}
    # Who has an old token and not the key ends nothing.
    provider.identity.clock.advance(timedelta(minutes=2))
    assert (await provider.refresh(token))[1]["error"] == "invalid_grant"
    assert await reasons(provider.identity) == []
    now = provider.identity.clock()
    assert (await provider.refresh(again["refresh_token"], proof=proof(TOKEN, now=now)))[0] == 200
    assert (await provider.refresh(token, proof=proof(TOKEN, now=now)))[1]["error"] == "invalid_grant"
    assert await reasons(provider.identity) == ["TOKEN_REUSED"]


async def test_a_public_client_may_bind_itself_later(provider: Provider) -> None:
    token = (await provider.tokens(scope="openid offline_access"))["refresh_token"]
    told = (await provider.refresh(token, proof=proof(TOKEN, now=provider.identity.clock())))[1]
    assert told["token_type"] == "DPoP"
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_client_that_proves_itself_may_change_its_key(provider: Provider) -> None:
    web = await as_web(provider)
    told, now = await bound(web), web.identity.clock()
    for key in (OTHER_P256, RSA):
        status, again = await web.refresh(told["refresh_token"], proof=proof(TOKEN, now=now, key=key))
        assert (status, claims(web, again["access_token"])["cnf"]) == (200, {"jkt": key.thumbprint()})


# Showing them --------------------------------------------------------------------------------------------------------


async def userinfo(provider: Provider, authorization: str, shown: str = "", **said: str) -> tuple[int, Said]:
    return await provider.call(pb.CallEndpointRequest.USERINFO, authorization, proof=shown, **said)


async def test_userinfo_takes_a_bound_token_with_its_proof_alone(provider: Provider) -> None:
    token, now = (await bound(provider))["access_token"], provider.identity.clock()
    path = "/oauth/userinfo"
    assert (await userinfo(provider, f"DPoP {token}", proof(path, now=now, token=token)))[0] == 200
    for authorization, shown in (
        (f"Bearer {token}", ""),
        (f"Bearer {token}", proof(path, now=now, token=token)),
        (f"DPoP {token}", ""),
        (f"DPoP {token}", proof(path, now=now)),
        (f"DPoP {token}", proof(path, now=now, token=f"{token}x")),
        (f"DPoP {token}", proof(path, now=now, token=token, method="GET")),
        (f"DPoP {token}", proof(TOKEN, now=now, token=token)),
        (f"DPoP {token}", proof(path, now=now, token=token, key=OTHER_P256)),
        ("DPoP x", proof(path, now=now, token="x")),
    ):
        assert (await userinfo(provider, authorization, shown))[0] == 401
    assert (await userinfo(provider, "", access_token=token))[0] == 401
    plain = (await provider.tokens())["access_token"]
    assert (await userinfo(provider, f"DPoP {plain}", proof(path, now=now, token=plain)))[0] == 401


async def check(provider: Provider, token: str, shown: str, **said: str) -> None:
    usual = {"proof": shown, "method": "GET", "path": "/v1/users/x", "access_token": token}
    stub = ProofServiceStub(provider.identity.channel)
    await stub.CheckProof(proofs_pb2.CheckProofRequest(**usual | said), metadata=GATEWAY)


async def test_the_gateway_is_told_whether_a_request_was_signed(provider: Provider) -> None:
    token, now = (await bound(provider))["access_token"], provider.identity.clock()

    def signed(**said: Any) -> str:
        return proof("/v1/users/x", now=now, method="GET", token=said.pop("token", token), **said)

    await check(provider, token, signed())
    plain = (await provider.tokens())["access_token"]
    for shown, said in (
        (signed(), {"method": "POST"}),
        (signed(), {"path": "/v1/users/y"}),
        (signed(key=RSA), {}),
        (signed(token="x"), {}),
        (signed(token=plain), {"access_token": plain}),
        ("x", {}),
    ):
        with refused("PROOF_INVALID"):
            await check(provider, token, shown, **said)
    once = signed()
    await check(provider, token, once)
    with refused("PROOF_INVALID"):
        await check(provider, token, once)


async def test_a_service_takes_a_bound_token_from_the_gateway_alone(provider: Provider) -> None:
    token = (await bound(provider, scope="openid sessions"))["access_token"]
    asked = identity_pb2.ListSessionsRequest(parent=f"users/{claims(provider, token)['sub']}")
    as_bound, as_bearer = (("authorization", f"DPoP {token}"),), (("authorization", f"Bearer {token}"),)
    await provider.identity.stub.ListSessions(asked, metadata=(*GATEWAY, *as_bound))
    for metadata in ((*GATEWAY, *as_bearer), as_bearer, as_bound, (*SUPPORT, *as_bound)):
        with refused("TOKEN_INVALID"):
            await provider.identity.stub.ListSessions(asked, metadata=metadata)
    plain = (await provider.tokens(scope="openid sessions"))["access_token"]
    with refused("TOKEN_INVALID"):
        await provider.identity.stub.ListSessions(asked, metadata=(*GATEWAY, ("authorization", f"DPoP {plain}")))
