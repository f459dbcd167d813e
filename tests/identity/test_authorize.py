"""The authorization endpoint: where a browser is sent, and what the person is asked before."""

from datetime import timedelta

import pytest
from rapport.identity.v1 import oauth_pb2 as pb

from tests.identity.oauth import CALLBACK, CHALLENGE, Provider
from tests.identity.people import ADA, GATEWAY
from tests.tokens import ISSUER


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


@pytest.mark.parametrize(
    "said",
    [
        {"display": "popup"},
        {"display": "hologram"},
        {"ui_locales": "de-AT de"},
        {"claims_locales": "fr"},
        {"acr_values": "best better"},
        {"registration": "{}"},
        {"extra": "yes"},
        {"scope": "openid phone unheard_of"},
    ],
)
async def test_what_we_have_no_use_for_does_no_harm(provider: Provider, said: dict[str, str]) -> None:
    assert set(await provider.told(**said)) == {"code", "state", "iss"}


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
    asked.parameters.append(pb.Parameter(name="max_age", value="0"))
    provider.identity.clock.advance(timedelta(milliseconds=100))  # as long as it takes to come back with the answer
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
