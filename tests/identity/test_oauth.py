"""The provider over its contract: what RFC 9700 and OpenID Connect ask of it, a test a sentence."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey, RSAKey
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import AuthorizationCreated, AuthorizationRevoked
from sqlalchemy import text

from chassis.access import STORE
from chassis.database import Sessions
from chassis.settings import Secret
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.oauth import CALLBACK, CHALLENGE, VERIFIER, Provider
from tests.identity.people import ADA, EVE, GATEWAY, OPERATOR, Identity
from tests.tokens import ISSUER
from tests.world import Hands, refused


@pytest.fixture
async def provider(identity: Identity) -> Provider:
    """A provider with a public client, and Ada signed in in a browser."""
    await identity.create(ADA, display_name="Ada")
    made = Provider(identity)
    await made.register()
    await made.sign_in()
    return made


async def as_web(provider: Provider) -> Provider:
    """The same with a client that keeps a secret."""
    web = Provider(provider.identity, client="site", session=provider.session)
    await web.register(pb.Client.WEB)
    return web


async def reasons(identity: Identity) -> list[str]:
    return [AuthorizationRevoked.Reason.Name(one.reason) for one in await identity.stated(AuthorizationRevoked)]


# The authorization endpoint ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "",
        f"{CALLBACK}/",
        f"{CALLBACK}?next=1",
        f"{CALLBACK}#",
        CALLBACK.upper(),
        CALLBACK.replace("https", "http"),
        "https://app.example.org@evil.example/callback",
        "https://evil.example/callback",
        "javascript:alert(1)",
    ],
)
async def test_an_address_that_is_not_the_registered_one_is_never_gone_to(provider: Provider, uri: str) -> None:
    answer = await provider.authorize(redirect_uri=uri)
    assert answer.problem.error == "invalid_request"


async def test_a_client_nobody_knows_sends_nobody_anywhere(provider: Provider) -> None:
    assert (await provider.authorize(client_id="stranger")).problem.error == "invalid_request"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "gently"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example.org/request"}, "request_uri_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_to_its_client(
    provider: Provider, said: dict[str, str], error: str
) -> None:
    told = await provider.told(**said)
    assert (told["error"], told["state"], told["iss"]) == (error, "xyz", ISSUER)
    assert set(told) == {"error", "error_description", "state", "iss"}
    assert not set(told["error_description"]) & set('"\\\r\n\t')


async def test_a_parameter_that_was_sent_twice_is_refused(provider: Provider) -> None:
    twice = [pb.Parameter(name="client_id", value="app")] * 2
    answer = await provider.stub.Authorize(pb.AuthorizeRequest(parameters=twice), metadata=GATEWAY)
    assert answer.problem.error == "invalid_request"


async def test_who_is_not_signed_in_is_asked_to(provider: Provider) -> None:
    answer = await provider.authorize(session="", login_hint=ADA)
    assert (answer.sign_in.client_title, answer.sign_in.login_hint) == ("An app", ADA)
    assert (await provider.told(session="", prompt="none"))["error"] == "login_required"


async def test_who_signed_in_too_long_ago_is_asked_again(provider: Provider) -> None:
    provider.identity.clock.advance(timedelta(seconds=61))
    assert (await provider.authorize(max_age="60")).WhichOneof("outcome") == "sign_in"
    assert "code" in await provider.told(max_age="10000")
    assert (await provider.authorize(prompt="login")).WhichOneof("outcome") == "sign_in"


async def test_a_sign_in_since_the_question_is_the_answer_to_it(provider: Provider) -> None:
    asked = pb.AuthorizeRequest(session_secret=provider.session)
    usual = {
        "client_id": "app",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "prompt": "login",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    asked.parameters.extend(pb.Parameter(name=name, value=value) for name, value in usual.items())
    asked.ask_time.FromDatetime(provider.identity.clock())
    assert (await provider.stub.Authorize(asked, metadata=GATEWAY)).WhichOneof("outcome") == "redirect"
    asked.ask_time.FromDatetime(provider.identity.clock() + timedelta(seconds=1))
    assert (await provider.stub.Authorize(asked, metadata=GATEWAY)).WhichOneof("outcome") == "sign_in"


async def test_the_answer_goes_where_the_client_asked_and_says_who_gives_it(provider: Provider) -> None:
    told = await provider.told()
    assert set(told) == {"code", "state", "iss"}
    assert told["iss"] == ISSUER
    posted = await provider.authorize(response_mode="form_post")
    assert posted.redirect.uri == CALLBACK
    assert {one.name for one in posted.redirect.form} == {"code", "state", "iss"}


@pytest.mark.parametrize("port", ["", ":1", ":50123"])
async def test_a_native_client_listens_at_any_port_of_its_own_machine(provider: Provider, port: str) -> None:
    native = Provider(provider.identity, client="native", session=provider.session)
    await native.register(redirect_uris=["http://127.0.0.1/callback"])
    assert "code" in await native.told(redirect_uri=f"http://127.0.0.1{port}/callback")
    for other in (
        "http://127.0.0.1:1/other",
        "http://evil@127.0.0.1:1/callback",
        "http://127.0.0.1.evil.example/callback",
    ):
        assert (await native.authorize(redirect_uri=other)).WhichOneof("outcome") == "problem"


async def test_another_s_client_asks_the_person_once(provider: Provider) -> None:
    other = Provider(provider.identity, client="other", session=provider.session)
    await other.register(first_party=False)
    asked = await other.authorize()
    assert (asked.consent.client_title, list(asked.consent.scopes)) == ("An app", ["openid", "profile"])
    assert asked.consent.email == ADA
    assert (await other.told(prompt="none"))["error"] == "consent_required"
    assert (await other.told(decision=pb.AuthorizeRequest.DENIED))["error"] == "access_denied"
    await other.redeem((await other.told(decision=pb.AuthorizeRequest.APPROVED))["code"])
    assert "code" in await other.told(prompt="none")
    assert (await other.authorize(scope="openid email")).WhichOneof("outcome") == "consent"
    assert (await other.authorize(prompt="consent")).WhichOneof("outcome") == "consent"


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


@pytest.mark.parametrize("grant_type", ["password", "implicit", "client_credentials", ""])
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


# Clients -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.org/callback",
        "https://app.example.org/#callback",
        "https://*.example.org/callback",
        "https://me@app.example.org/callback",
        "app:/callback",
        "/callback",
        "",
        "https://[",
    ],
)
async def test_a_client_whose_address_could_be_listened_at_is_not_made(provider: Provider, uri: str) -> None:
    with refused("CLIENT_UNSAFE") as said:
        await provider.register(redirect_uris=[CALLBACK, uri])
    assert said[0].violations[0].field == "client.redirect_uris[1]"
    with refused("CLIENT_UNSAFE"):
        await provider.register(redirect_uris=[])


async def test_a_client_is_made_changed_listed_and_ended(provider: Provider) -> None:
    web, told = await as_web(provider), await provider.tokens()
    listed = await provider.stub.ListClients(pb.ListClientsRequest(), metadata=OPERATOR)
    assert [(one.name, one.has_secret) for one in listed.clients] == [("clients/app", False), ("clients/site", True)]
    changed = await web.register(pb.Client.WEB, title="The site")
    found = await provider.stub.GetClient(pb.GetClientRequest(name="clients/site"), metadata=OPERATOR)
    assert (found.title, changed.title) == ("The site", "The site")
    with refused("ETAG_MISMATCH"):
        await web.register(pb.Client.WEB, etag=changed.etag)
    await provider.stub.DeleteClient(pb.DeleteClientRequest(name="clients/app"), metadata=OPERATOR)
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_client"
    assert await reasons(provider.identity) == ["CLIENT_DELETED"]
    for call in (
        provider.stub.GetClient(pb.GetClientRequest(name="clients/app"), metadata=OPERATOR),
        provider.stub.DeleteClient(pb.DeleteClientRequest(name="clients/app"), metadata=OPERATOR),
        provider.stub.ResetClientSecret(pb.ResetClientSecretRequest(name="clients/app"), metadata=OPERATOR),
    ):
        with refused("CLIENT_NOT_FOUND"):
            await call


async def test_two_who_make_one_client_at_once_both_succeed(provider: Provider) -> None:
    new = Provider(provider.identity, client="new")
    made = await asyncio.gather(*(new.register(title=f"Title {number}") for number in range(8)))
    assert {one.name for one in made} == {"clients/new"}


async def test_a_new_secret_ends_the_one_before(provider: Provider) -> None:
    web = await as_web(provider)
    old, told = web.secret, await web.tokens()
    asked = pb.ResetClientSecretRequest(name="clients/site")
    web.secret = (await provider.stub.ResetClientSecret(asked, metadata=OPERATOR)).client_secret
    assert (await web.refresh(told["refresh_token"]))[0] == 200
    assert (await web.refresh(told["refresh_token"], client_secret=old))[0] == 401
    with refused("CLIENT_UNSAFE"):
        await provider.stub.ResetClientSecret(pb.ResetClientSecretRequest(name="clients/app"), metadata=OPERATOR)


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
