"""What a client asks to be told by name: the claims parameter (OpenID Connect Core, 5.5), and whom it speaks of."""

import json
from typing import Any

import pytest
from joserfc import jwt
from rapport.identity.v1 import oauth_pb2 as pb

from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, GATEWAY

STORE_ACR = "pwd"


def asked(**parts: Any) -> str:
    return json.dumps(parts)


def said_by(provider: Provider, token: str) -> dict[str, Any]:
    return jwt.decode(token, provider.identity.key, algorithms=["Ed25519"]).claims


@pytest.fixture
async def app(provider: Provider) -> Provider:
    """A client that reads ID tokens in Ed25519."""
    await provider.register(id_token_algorithm=pb.Client.ED25519)
    return provider


async def test_a_claim_is_told_where_it_was_asked_for(app: Provider) -> None:
    wish = asked(userinfo={"name": {"essential": True}}, id_token={"email": None, "email_verified": None})
    told = await app.tokens(scope="openid", claims=wish)
    identified = said_by(app, told["id_token"])
    _, known = await app.userinfo(told["access_token"])
    assert (identified["email"], identified["email_verified"]) == (ADA, True)
    assert "name" not in identified
    assert set(known) == {"sub", "name"}
    assert known["name"] == "Ada"
    assert told["scope"] == "openid"


async def test_what_was_asked_for_by_name_is_told_after_refreshing_too(app: Provider) -> None:
    told = await app.tokens(scope="openid", claims=asked(userinfo={"name": None}))
    _, again = await app.refresh(told["refresh_token"])
    assert (await app.userinfo(again["access_token"]))[1]["name"] == "Ada"


async def test_a_claim_that_nobody_knows_or_that_the_client_may_not_have_is_left_out(provider: Provider) -> None:
    shy = Provider(provider.identity, client="shy", session=provider.session)
    await shy.register(scopes=["openid"], id_token_algorithm=pb.Client.ED25519)
    wish = asked(userinfo={"email": {"essential": True}, "shoe_size": None, "name#de": None}, id_token={"name": None})
    told = await shy.tokens(scope="openid", claims=wish)
    assert set((await shy.userinfo(told["access_token"]))[1]) == {"sub"}
    assert "name" not in said_by(shy, told["id_token"])


async def test_no_name_of_a_claim_takes_the_place_of_what_the_token_is(app: Provider) -> None:
    names = ("iss", "aud", "sub", "exp", "acr", "auth_time", "nonce")
    plain = said_by(app, (await app.tokens(nonce="n"))["id_token"])
    told = said_by(app, (await app.tokens(nonce="n", claims=asked(id_token=dict.fromkeys(names))))["id_token"])
    assert {name: told[name] for name in names} == {name: plain[name] for name in names}


async def test_a_claim_that_is_asked_for_by_name_is_one_that_the_person_allows(provider: Provider) -> None:
    other = Provider(provider.identity, client="other", session=provider.session)
    await other.register(first_party=False)
    wish = asked(id_token={"email": None})
    consent = (await other.authorize(scope="openid", claims=wish)).consent
    assert list(consent.scopes) == ["openid", "email"]
    assert (await other.told(scope="openid", claims=wish, prompt="none"))["error"] == "consent_required"
    await other.redeem((await other.told(scope="openid", claims=wish, decision=pb.AuthorizeRequest.APPROVED))["code"])
    assert "code" in await other.told(scope="openid", claims=wish, prompt="none")
    assert (await other.authorize(scope="openid profile")).WhichOneof("outcome") == "consent"


@pytest.mark.parametrize(
    "claims",
    [
        "nonsense",
        "[]",
        '"userinfo"',
        '{"userinfo": []}',
        '{"id_token": "email"}',
        '{"id_token": {"email": "yes"}}',
        '{"id_token": {"sub": {"value": 7}}}',
        '{"id_token": {"sub": {"value": "a"}}, "userinfo": {"sub": {"value": "b"}}}',
        '{"id_token": {"acr": {"essential": true, "values": "pwd"}}}',
        '{"id_token": {"acr": {"essential": true, "values": [1]}}}',
        '{"id_token": {"acr": {"essential": true, "value": {}}}}',
        "[" * 4_000,
        '{"id_token":' * 600,
        json.dumps({"userinfo": dict.fromkeys(map(str, range(101)))}),
        '{"id_token": {"sub": {"value": ["a"]}}}',
        '{"id_token": {"email": {"value": NaN}}}',
    ],
)
async def test_a_claims_parameter_that_makes_no_sense_is_refused(provider: Provider, claims: str) -> None:
    assert (await provider.told(claims=claims))["error"] == "invalid_request"


async def test_who_is_meant_by_name_is_the_only_one_told_of(app: Provider) -> None:
    ada = said_by(app, (await app.tokens())["id_token"])["sub"]
    await app.identity.create(EVE)
    eve = await app.sign_in(EVE)
    for part in ("id_token", "userinfo"):
        wish = asked(**{part: {"sub": {"value": ada}}})
        assert (await app.told(claims=wish, prompt="none"))["error"] == "login_required"
        assert (await app.authorize(claims=wish)).WhichOneof("outcome") == "sign_in"
        assert app.session == eve
    await app.sign_in(ADA)
    assert "code" in await app.told(claims=asked(id_token={"sub": {"value": ada}}), prompt="none")


async def test_a_way_of_signing_in_that_has_to_be_is_met_or_refused(app: Provider) -> None:
    met = asked(id_token={"acr": {"essential": True, "values": ["better", STORE_ACR]}})
    assert said_by(app, (await app.tokens(claims=met))["id_token"])["acr"] == STORE_ACR
    others: list[dict[str, Any]] = [{"values": ["better"]}, {"value": "better"}, {"values": []}]
    for values in others:
        wish = asked(id_token={"acr": {"essential": True, **values}})
        assert (await app.told(claims=wish))["error"] == "unmet_authentication_requirements"
    assert "code" in await app.told(claims=asked(id_token={"acr": {"values": ["better"]}}))
    assert "code" in await app.told(acr_values="better best")


# Whom a client speaks of ----------------------------------------------------------------------------------------------


async def test_an_id_token_as_a_hint_is_of_who_is_signed_in_or_nobody_is(app: Provider) -> None:
    hint = (await app.tokens())["id_token"]
    assert "code" in await app.told(id_token_hint=hint, prompt="none")
    await app.identity.create(EVE)
    await app.sign_in(EVE)
    assert (await app.told(id_token_hint=hint, prompt="none"))["error"] == "login_required"
    assert (await app.told(id_token_hint=hint, prompt="none", session=""))["error"] == "login_required"
    assert (await app.authorize(id_token_hint=hint)).WhichOneof("outcome") == "sign_in"


async def test_who_signs_in_as_somebody_else_than_was_meant_is_not_told_of(app: Provider) -> None:
    hint = (await app.tokens())["id_token"]
    await app.identity.create(EVE)
    await app.sign_in(EVE)
    request = pb.AuthorizeRequest(session_secret=app.session)
    usual = {"client_id": "app", "redirect_uri": "https://app.example.org/callback", "response_type": "code"}
    more = {"scope": "openid", "code_challenge": "a" * 43, "code_challenge_method": "S256", "id_token_hint": hint}
    request.parameters.extend(pb.Parameter(name=name, value=value) for name, value in (usual | more).items())
    request.ask_time.FromDatetime(app.identity.clock())
    answer = await app.stub.Authorize(request, metadata=GATEWAY)
    assert "error=login_required" in answer.redirect.uri


async def test_a_hint_that_is_no_id_token_of_this_client_is_refused(app: Provider) -> None:
    other = Provider(app.identity, client="other", session=app.session)
    await other.register()
    foreign = (await other.tokens())["id_token"]
    access = (await app.tokens())["access_token"]
    for hint in (foreign, access, "nonsense", "e30.e30.", f"{foreign[:-4]}AAAA"):
        assert (await app.told(id_token_hint=hint))["error"] == "invalid_request"
