"""The provider over its contract: what RFC 9700 and OpenID Connect ask of it, a test a sentence."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import AuthorizationCreated
from sqlalchemy import text

from chassis.access import STORE
from chassis.database import Sessions
from chassis.settings import Secret
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.oauth import CALLBACK, VERIFIER, Provider, as_web, reasons
from tests.identity.people import ADA, EVE
from tests.tokens import ISSUER
from tests.world import Hands, refused

# Codes ---------------------------------------------------------------------------------------------------------------


async def test_a_code_becomes_tokens_that_say_who_signed_in(provider: Provider) -> None:
    told = await provider.tokens(nonce="n-1", scope="openid profile points")
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 300, "openid profile points")
    keys = (await provider.identity.stub.GetJwks(identity_pb2.GetJwksRequest())).keys
    [rsa] = [one for one in keys if one.kty == "RSA"]
    said = jwt.decode(told["id_token"], RSAKey.import_key({"kty": "RSA", "n": rsa.n, "e": rsa.e}), algorithms=["RS256"])
    assert said.header["kid"] == rsa.kid
    assert (said.claims["iss"], said.claims["aud"], said.claims["nonce"]) == (ISSUER, "app", "n-1")
    assert said.claims["auth_time"] <= said.claims["iat"] < said.claims["exp"]
    access = jwt.decode(told["access_token"], provider.identity.key, algorithms=["Ed25519"])
    assert (access.header["typ"], access.claims["client_id"], access.claims["roles"]) == ("at+jwt", "app", [])
    assert access.claims["client_id"] != STORE
    assert access.claims["sub"] == said.claims["sub"]


async def test_a_client_reads_id_tokens_in_the_algorithm_it_chose(provider: Provider) -> None:
    await provider.register(id_token_algorithm=pb.Client.ED25519)
    told = await provider.tokens()
    public = OKPKey.import_key(provider.identity.key.as_dict(private=False))
    assert jwt.decode(told["id_token"], public, algorithms=["Ed25519"]).claims["aud"] == "app"


async def test_a_client_may_choose_p256(provider: Provider) -> None:
    await provider.register(id_token_algorithm=pb.Client.ES256)
    told = await provider.tokens()
    keys = (await provider.identity.stub.GetJwks(identity_pb2.GetJwksRequest())).keys
    [ec] = [one for one in keys if one.kty == "EC"]
    key = ECKey.import_key({"kty": "EC", "crv": ec.crv, "x": ec.x, "y": ec.y})
    said = jwt.decode(told["id_token"], key, algorithms=["ES256"])
    assert (said.header["kid"], ec.alg, said.claims["aud"]) == (ec.kid, "ES256", "app")
    after = await provider.end_session(id_token_hint=told["id_token"])
    assert after.WhichOneof("outcome") in ("done", "confirm")


async def test_nobody_chooses_what_the_operator_has_no_key_for(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    end = "-----END PRIVATE KEY-----"
    only_rsa = Secret(settings.id_token_key.value.partition(end)[0] + end)
    async with served(replace(settings, id_token_key=only_rsa), sessions, clock) as identity:
        with refused("INVALID_FIELD") as said:
            await Provider(identity).register(id_token_algorithm=pb.Client.ES256)
        assert [one.field for one in said[0].violations] == ["client.id_token_algorithm"]
        await Provider(identity).register(id_token_algorithm=pb.Client.RS256)


async def test_a_token_reaches_as_far_as_its_scopes(provider: Provider) -> None:
    told = await provider.tokens(scope="openid sessions")
    me = jwt.decode(told["access_token"], provider.identity.key, algorithms=["Ed25519"]).claims["sub"]
    bearer = (("authorization", f"Bearer {told['access_token']}"),)
    asked = identity_pb2.ListSessionsRequest(parent=f"users/{me}")
    assert len((await provider.identity.stub.ListSessions(asked, metadata=bearer)).sessions) == 1
    with refused("SCOPE_MISSING"):
        await provider.identity.stub.GetUser(identity_pb2.GetUserRequest(name=f"users/{me}"), metadata=bearer)


@pytest.mark.parametrize(
    "said",
    [
        {"code_verifier": ""},
        {"code_verifier": VERIFIER + "x"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": ""},
        {"code": "nonsense"},
        {"code": "AAAA" * 20},
    ],
)
async def test_a_code_is_bound_to_what_was_asked_with_it(provider: Provider, said: dict[str, str]) -> None:
    status, told = await provider.redeem(await provider.code(), **said)
    assert (status, told["error"]) == (400, "invalid_grant")


async def test_a_code_lives_for_a_minute(provider: Provider) -> None:
    code = await provider.code()
    provider.identity.clock.advance(timedelta(seconds=60))
    assert (await provider.redeem(code))[1]["error"] == "invalid_grant"


async def test_a_code_of_another_client_is_worth_nothing(provider: Provider) -> None:
    web = await as_web(provider)
    assert (await web.redeem(await provider.code()))[1]["error"] == "invalid_grant"


async def test_a_code_that_comes_again_ends_what_it_became(provider: Provider) -> None:
    code = await provider.code()
    _, told = await provider.redeem(code)
    assert (await provider.userinfo(told["access_token"]))[0] == 200
    assert (await provider.redeem(code))[1]["error"] == "invalid_grant"
    assert (await provider.userinfo(told["access_token"]))[0] == 401
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await reasons(provider.identity) == ["TOKEN_REUSED"]


async def test_of_fifty_who_redeem_one_code_at_once_one_wins(provider: Provider) -> None:
    code = await provider.code()
    answers = await asyncio.gather(*(provider.redeem(code) for _ in range(50)))
    assert [status for status, _ in answers].count(200) == 1
    assert await reasons(provider.identity) == ["TOKEN_REUSED"]


async def test_a_verifier_for_a_code_without_a_challenge_is_refused_and_the_reverse(provider: Provider) -> None:
    plain = Provider(provider.identity, client="certified", session=provider.session)
    await plain.register(pb.Client.CONFORMANCE)
    code = await plain.code(code_challenge="", code_challenge_method="")
    assert (await plain.redeem(code))[1]["error"] == "invalid_grant"
    code = await plain.code(code_challenge="", code_challenge_method="")
    assert (await plain.redeem(code, code_verifier=""))[0] == 200
    assert (await plain.redeem(await plain.code(), code_verifier=""))[1]["error"] == "invalid_grant"


# Refreshing ----------------------------------------------------------------------------------------------------------


async def test_a_public_client_s_refresh_token_is_used_once(provider: Provider) -> None:
    first = await provider.tokens()
    status, second = await provider.refresh(first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    _, third = await provider.refresh(second["refresh_token"])
    assert (await provider.refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await provider.refresh(third["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await reasons(provider.identity) == ["TOKEN_REUSED"]


async def test_a_client_that_lost_the_answer_gets_the_same_one_again(provider: Provider) -> None:
    first = await provider.tokens()
    answers = await asyncio.gather(*(provider.refresh(first["refresh_token"]) for _ in range(20)))
    assert {told["refresh_token"] for _, told in answers} == {answers[0][1]["refresh_token"]}
    assert (await provider.refresh(answers[0][1]["refresh_token"]))[0] == 200


async def test_of_a_hundred_refreshes_at_once_one_branch_is_left(provider: Provider) -> None:
    first = await provider.tokens()
    answers = await asyncio.gather(*(provider.refresh(first["refresh_token"]) for _ in range(100)))
    assert {status for status, _ in answers} == {200}
    [next_one] = {told["refresh_token"] for _, told in answers}
    families = {
        jwt.decode(told["access_token"], provider.identity.key, algorithms=["Ed25519"]).claims["authorization"]
        for _, told in answers
    }
    assert len(families) == 1
    assert (await provider.refresh(next_one))[0] == 200
    # Whoever still holds the first has one that was used, and so was the one after it: two have them.
    assert (await provider.refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await provider.refresh(next_one))[1]["error"] == "invalid_grant"


async def test_a_token_that_comes_again_much_later_was_not_lost_but_stolen(provider: Provider) -> None:
    first = await provider.tokens()
    _, second = await provider.refresh(first["refresh_token"])
    provider.identity.clock.advance(timedelta(seconds=31))
    assert (await provider.refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await provider.refresh(second["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_however_often_it_is_refreshed_it_ends(provider: Provider) -> None:
    token = (await provider.tokens(scope="openid offline_access"))["refresh_token"]
    for _ in range(5):
        provider.identity.clock.advance(timedelta(days=5))
        status, told = await provider.refresh(token)
        assert status == 200
        token = told["refresh_token"]
    provider.identity.clock.advance(timedelta(days=5))
    assert (await provider.refresh(token))[1]["error"] == "invalid_grant"


async def test_what_nobody_refreshes_for_a_week_ends(provider: Provider) -> None:
    told = await provider.tokens(scope="openid offline_access")
    provider.identity.clock.advance(timedelta(days=7))
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_client_with_a_secret_keeps_its_refresh_token_and_needs_the_secret(provider: Provider) -> None:
    web = await as_web(provider)
    told = await web.tokens()
    for _ in range(3):
        status, again = await web.refresh(told["refresh_token"])
        assert (status, again["refresh_token"]) == (200, told["refresh_token"])
    status, refused_ = await web.refresh(told["refresh_token"], client_secret="wrong")
    assert (status, refused_["error"]) == (401, "invalid_client")
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("grant_type", ["password", "implicit", ""])
async def test_other_grants_are_not_given(provider: Provider, grant_type: str) -> None:
    status, told = await provider.token(grant_type=grant_type)
    assert (status, told["error"]) == (400, "unsupported_grant_type" if grant_type else "invalid_request")


@pytest.mark.parametrize("authorization", ["Basic", "Basic !", "Basic YXBw", "Bearer x", "Basic c2l0ZTp3cm9uZw=="])
async def test_a_client_that_does_not_prove_itself_is_told_so_in_one_way(
    provider: Provider, authorization: str
) -> None:
    await as_web(provider)
    asked = {"grant_type": "refresh_token", "refresh_token": "x"}
    status, told = await provider.call(pb.CallEndpointRequest.TOKEN, authorization, **asked)
    assert (status, told["error"]) == (401, "invalid_client")


# Ending --------------------------------------------------------------------------------------------------------------


async def test_signing_out_ends_what_clients_may_do_unless_it_was_to_live_on(provider: Provider) -> None:
    bound = await provider.tokens()
    lasting = await provider.tokens(scope="openid offline_access")
    sessions = await provider.identity.issue(provider.session)
    asked = identity_pb2.DeleteSessionRequest(name=sessions.session)
    await provider.identity.stub.DeleteSession(
        asked, metadata=provider.identity.as_(sessions.session.rsplit("/", 2)[0])
    )
    assert (await provider.refresh(bound["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await provider.userinfo(bound["access_token"]))[0] == 401
    assert (await provider.refresh(lasting["refresh_token"]))[0] == 200
    assert await reasons(provider.identity) == ["SESSION_ENDED"]


async def test_a_client_can_end_its_own_authorization_and_nobody_else_s(provider: Provider) -> None:
    web, told = await as_web(provider), await provider.tokens()
    for token in ("refresh_token", "access_token"):
        said = {"client_id": web.client, "client_secret": web.secret, "token": told[token]}
        assert (await web.call(pb.CallEndpointRequest.REVOCATION, **said))[0] == 200
    assert (await provider.userinfo(told["access_token"]))[0] == 200
    said = {"client_id": "app", "token": told["access_token"]}
    assert (await provider.call(pb.CallEndpointRequest.REVOCATION, **said)) == (200, {})
    assert (await provider.call(pb.CallEndpointRequest.REVOCATION, client_id="app", token="x")) == (200, {})
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_client_is_told_whether_its_own_token_is_good(provider: Provider) -> None:
    web = await as_web(provider)
    told, other = await web.tokens(), await provider.tokens()
    proof = {"client_id": web.client, "client_secret": web.secret}
    status, said = await web.call(pb.CallEndpointRequest.INTROSPECTION, **proof, token=told["access_token"])
    assert (status, said["active"], said["client_id"]) == (200, True, "site")
    now = provider.identity.clock().timestamp()
    assert said["exp"] == now + 300  # the token's end, not that of what it is of
    _, lasting = await web.call(pb.CallEndpointRequest.INTROSPECTION, **proof, token=told["refresh_token"])
    assert lasting["exp"] == now + 30 * 86_400
    for token in (other["access_token"], "nonsense", told["id_token"]):
        assert await web.call(pb.CallEndpointRequest.INTROSPECTION, **proof, token=token) == (200, {"active": False})
    assert (await provider.call(pb.CallEndpointRequest.INTROSPECTION, client_id="app", token="x"))[0] == 401


async def test_people_see_what_they_let_clients_do_and_end_it(provider: Provider) -> None:
    told = await provider.tokens()
    me = f"users/{jwt.decode(told['access_token'], provider.identity.key, algorithms=['Ed25519']).claims['sub']}"
    mine = provider.identity.as_(me)
    [one] = (
        await provider.stub.ListAuthorizations(pb.ListAuthorizationsRequest(parent=me), metadata=mine)
    ).authorizations
    assert (one.client, one.client_title, list(one.scopes)) == ("clients/app", "An app", ["openid", "profile"])
    await provider.stub.DeleteAuthorization(pb.DeleteAuthorizationRequest(name=one.name), metadata=mine)
    assert not (
        await provider.stub.ListAuthorizations(pb.ListAuthorizationsRequest(parent=me), metadata=mine)
    ).authorizations
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"
    eve = await provider.identity.create(EVE)
    other = f"{eve.name}/{one.name.partition('/')[2].partition('/')[2]}"
    with refused("AUTHORIZATION_NOT_FOUND"):
        ask = pb.DeleteAuthorizationRequest(name=other)
        await provider.stub.DeleteAuthorization(ask, metadata=provider.identity.as_(eve))


async def test_who_is_deleted_is_deleted_for_every_client(provider: Provider) -> None:
    told = await provider.tokens(scope="openid offline_access")
    me = f"users/{jwt.decode(told['access_token'], provider.identity.key, algorithms=['Ed25519']).claims['sub']}"
    await provider.identity.delete(await provider.identity.get(me))
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_grant"
    assert len(await provider.identity.stated(AuthorizationCreated)) == 1
    assert await reasons(provider.identity) == ["ASKED_FOR"]


# Userinfo ------------------------------------------------------------------------------------------------------------


async def test_userinfo_tells_what_the_scopes_let_a_client_know(provider: Provider) -> None:
    told = await provider.tokens(scope="openid")
    status, said = await provider.userinfo(told["access_token"])
    assert (status, set(said)) == (200, {"sub"})
    told = await provider.tokens(scope="openid profile email")
    _, said = await provider.userinfo(told["access_token"])
    assert (said["name"], said["email"], said["email_verified"]) == ("Ada", ADA, True)


async def test_no_other_token_is_an_access_token(provider: Provider) -> None:
    told = await provider.tokens()
    store = (await provider.identity.issue(provider.session)).access_token
    for token in (told["id_token"], told["refresh_token"], store, "x.y.z", ""):
        assert (await provider.userinfo(token))[0] == 401
    assert (await provider.userinfo((await provider.tokens(scope="points"))["access_token"]))[0] == 403


# What is kept --------------------------------------------------------------------------------------------------------


async def test_nothing_that_works_is_in_the_database(provider: Provider) -> None:
    web = await as_web(provider)
    code, told = await web.code(), await web.tokens()
    tables = ("client", '"authorization"', "outbox")
    async with provider.identity.sessions() as session:
        rows = [(await session.execute(text(f"SELECT t::text FROM {one} AS t"))).all() for one in tables]  # noqa: S608
    kept = str(rows)
    for secret in (code, web.secret, told["refresh_token"], told["access_token"], told["id_token"], ADA):
        assert secret not in kept


async def test_a_refresh_token_outlives_the_rotation_of_its_key(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    async with served(settings, sessions, clock) as identity:
        provider = Provider(identity)
        await provider.register()
        await identity.create()
        await provider.sign_in()
        token = (await provider.tokens(scope="openid offline_access"))["refresh_token"]
    rotated = replace(settings, oauth_key=Secret(f"{'ab' * 32}\n{settings.oauth_key.value}"))
    async with served(rotated, sessions, clock) as identity:
        status, told = await Provider(identity).refresh(token)
    assert status == 200
    removed = replace(settings, oauth_key=Secret("ab" * 32))
    async with served(removed, sessions, clock) as identity:
        assert (await Provider(identity).refresh(token))[0] == 400
        assert (await Provider(identity).refresh(told["refresh_token"]))[0] == 200
