"""Requests that clients push before they send a browser (RFC 9126)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from rapport.identity.v1 import oauth_pb2 as pb
from sqlalchemy import text

from services.identity.oauth.pushed import LIFE, OPEN, PREFIX, forget_pushed_requests
from tests.identity.keys import P256, asserted, assertion, proof, registered
from tests.identity.oauth import CALLBACK, CHALLENGE, VERIFIER, Provider, Said, as_web
from tests.identity.people import ADA, OPERATOR

ASKED = {
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid profile",
    "state": "xyz",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


async def push(client: Provider, **said: str) -> tuple[int, Said]:
    """What the endpoint answers; a parameter that is "" is left out."""
    proven = {"client_id": client.client, "client_secret": client.secret}
    return await client.call(pb.CallEndpointRequest.PUSHED_AUTHORIZATION, **ASKED | proven | said)


async def pushed(client: Provider, **said: str) -> str:
    status, told = await push(client, **said)
    assert status == 201, told
    return str(told["request_uri"])


async def go(client: Provider, uri: str, **said: Any) -> pb.AuthorizeResponse:
    """A browser that comes with that word and no parameter beside it."""
    return await client.authorize(**dict.fromkeys(ASKED, "") | {"request_uri": uri} | said)


def code(answer: pb.AuthorizeResponse) -> str:
    return answer.redirect.uri.partition("code=")[2].partition("&")[0]


async def test_a_pushed_request_is_what_the_browser_s_word_means(provider: Provider) -> None:
    for client in (provider, await as_web(provider)):
        status, told = await push(client)
        assert (status, told["expires_in"]) == (201, 60)
        assert told["request_uri"].startswith(PREFIX)
        answer = await go(client, told["request_uri"])
        assert "state=xyz" in answer.redirect.uri
        assert (await client.redeem(code(answer)))[0] == 200


async def test_a_client_that_has_keys_pushes_with_an_assertion(provider: Provider) -> None:
    site = Provider(provider.identity, client="site", session=provider.session)
    wanted = {"title": "A", "profile": pb.Client.WEB, "redirect_uris": [CALLBACK], "scopes": ["openid", "profile"]}
    put = pb.Client(name="clients/site", first_party=True, keys=[registered(P256)], **wanted)  # type: ignore[arg-type]
    await site.stub.UpdateClient(pb.UpdateClientRequest(client=put), metadata=OPERATOR)
    now = site.identity.clock()
    answer = await go(site, await pushed(site, **asserted(assertion("site", now=now))))
    status, _ = await site.redeem(code(answer), **asserted(assertion("site", now=now)))
    assert status == 200


async def test_who_does_not_prove_itself_pushes_nothing(provider: Provider) -> None:
    web = await as_web(provider)
    for said in ({"client_secret": "x"}, {"client_secret": ""}, {"client_id": "nobody"}, {"client_id": ""}):
        status, told = await push(web, **said)
        assert (status, told["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "nothing.we.know"}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"request_uri": f"{PREFIX}x"}, "invalid_request"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"more": "x" * 8_000, "than": "x" * 500}, "invalid_request"),
    ],
)
async def test_what_is_wrong_is_told_when_it_is_pushed(provider: Provider, said: Any, error: str) -> None:
    status, told = await push(provider, **said)
    assert (status, told["error"]) == (400, error)


async def test_nothing_is_smuggled_in_beside_a_pushed_request(provider: Provider) -> None:
    uri = await pushed(provider)
    for said in ({"scope": "openid email"}, {"redirect_uri": CALLBACK}, {"response_type": "code"}, {"prompt": "none"}):
        assert (await go(provider, uri, **said)).problem.error == "invalid_request"
    assert code(await go(provider, uri))


async def test_a_word_is_its_client_s_own_and_none_of_ours_means_nothing(provider: Provider) -> None:
    uri, web = await pushed(provider), await as_web(provider)
    assert (await go(web, uri)).problem.error == "invalid_request"
    secret = uri.removeprefix(PREFIX)
    for strange in (secret, f"{PREFIX}{secret}x", PREFIX, "https://evil.example/request", f"urn:x:{secret}"):
        assert (await go(provider, strange)).problem.error == "invalid_request", strange
    assert code(await go(provider, uri))


async def test_a_client_that_has_to_push_sends_no_plain_request(provider: Provider) -> None:
    await provider.register(require_pushed_authorization_requests=True)
    assert (await provider.authorize()).problem.error == "invalid_request"
    assert code(await go(provider, await pushed(provider)))


async def test_a_pushed_request_is_shown_within_a_minute(provider: Provider) -> None:
    uri = await pushed(provider)
    provider.identity.clock.advance(LIFE)
    assert (await go(provider, uri)).problem.error == "invalid_request"


async def test_who_has_to_sign_in_first_has_nine_minutes_for_it(provider: Provider) -> None:
    uri = await pushed(provider)
    provider.identity.clock.advance(LIFE - timedelta(seconds=1))
    for _ in range(2):
        asked = await go(provider, uri, session="")
        assert (asked.WhichOneof("outcome"), asked.redirect_uri) == ("sign_in", CALLBACK)
    provider.identity.clock.advance(OPEN - timedelta(seconds=1))
    await provider.sign_in()
    assert code(await go(provider, uri))
    assert timedelta(seconds=600) >= LIFE + OPEN


async def test_reloading_a_page_gives_no_more_time(provider: Provider) -> None:
    uri = await pushed(provider)
    for _ in range(9):
        assert (await go(provider, uri, session="")).WhichOneof("outcome") == "sign_in"
        provider.identity.clock.advance(OPEN / 9)
    assert (await go(provider, uri, session="")).problem.error == "invalid_request"


@pytest.mark.parametrize("said", [{}, {"prompt": "none"}], ids=["with a code", "with an error"])
async def test_a_pushed_request_is_answered_once(provider: Provider, said: dict[str, str]) -> None:
    uri = await pushed(provider, **said)
    session = "" if said else provider.session
    assert (await go(provider, uri, session=session)).WhichOneof("outcome") == "redirect"
    for _ in range(2):
        assert (await go(provider, uri)).problem.error == "invalid_request"


async def test_of_fifty_browsers_that_show_one_word_at_once_one_gets_a_code(provider: Provider) -> None:
    uri = await pushed(provider)
    answers = await asyncio.gather(*(go(provider, uri) for _ in range(50)))
    outcomes = [one.WhichOneof("outcome") for one in answers]
    assert (outcomes.count("redirect"), outcomes.count("problem")) == (1, 49)


async def test_a_proof_that_comes_with_a_pushed_request_binds_its_code(provider: Provider) -> None:
    now = provider.identity.clock()
    thumbprint = P256.thumbprint()
    for said in ({"dpop_jkt": ""}, {"dpop_jkt": thumbprint}):
        answer = await go(provider, await pushed(provider, proof=proof("/oauth/par", now=now), **said))
        assert (await provider.redeem(code(answer)))[1]["error"] == "invalid_grant"
        status, told = await provider.redeem(code(answer), proof=proof("/oauth/token", now=now))
        assert (status, told["token_type"]) == (200, "DPoP")
    other = proof("/oauth/par", now=now)
    assert (await push(provider, proof=other, dpop_jkt="A" * 43))[1]["error"] == "invalid_dpop_proof"
    wrong = proof("/oauth/token", now=now)
    assert (await push(provider, proof=wrong))[1]["error"] == "invalid_dpop_proof"


async def test_what_is_kept_of_a_pushed_request_says_nothing(provider: Provider) -> None:
    uri = await pushed(provider, login_hint=ADA, client_secret="")
    async with provider.identity.sessions() as session:
        kept = str((await session.execute(text("SELECT t::text, sealed FROM pushed_request AS t"))).all())
    for secret in (ADA, VERIFIER, CHALLENGE, uri.removeprefix(PREFIX), ADA.encode().hex()):
        assert secret not in kept
    assert (await go(provider, uri, session="")).sign_in.login_hint == ADA


async def test_pushed_requests_go_when_nobody_can_show_them(provider: Provider) -> None:
    await pushed(provider)
    now = provider.identity.clock()
    assert await forget_pushed_requests.work(provider.identity.sessions, now + LIFE - timedelta(seconds=1)) == 0
    assert await forget_pushed_requests.work(provider.identity.sessions, now + LIFE) == 1
