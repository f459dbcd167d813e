"""A client has a person signed out (OpenID Connect RP-Initiated Logout 1.0)."""

from datetime import timedelta

import pytest
from rapport.identity.v1 import oauth_pb2 as pb

from tests.identity.oauth import Provider
from tests.identity.people import EVE, OPERATOR, Identity
from tests.world import refused

AFTER = "https://app.example.org/signed-out"


@pytest.fixture
async def provider(identity: Identity) -> Provider:
    made = Provider(identity)
    await made.register(post_logout_redirect_uris=[AFTER, f"{AFTER}?so=1"])
    await identity.create()
    await made.sign_in()
    return made


async def id_token(provider: Provider, **said: str) -> str:
    return str((await provider.tokens(**said))["id_token"])


async def is_signed_in(provider: Provider) -> bool:
    return (await provider.authorize()).WhichOneof("outcome") == "redirect"


async def test_the_id_token_of_a_sign_in_ends_it_and_the_browser_goes_back(provider: Provider) -> None:
    hint = await id_token(provider)
    answer = await provider.end_session(id_token_hint=hint, post_logout_redirect_uri=AFTER, state="a b")
    assert answer.done.uri == f"{AFTER}?state=a+b"
    with refused("SESSION_ENDED"):
        await provider.identity.issue(provider.session)
    again = await provider.end_session(id_token_hint=hint, post_logout_redirect_uri=f"{AFTER}?so=1", state="x")
    assert again.done.uri == f"{AFTER}?so=1&state=x"  # nobody is signed in, which was the wish


async def test_an_id_token_that_is_old_still_says_of_which_sign_in_it_is(provider: Provider) -> None:
    hint = await id_token(provider)
    provider.identity.clock.advance(timedelta(days=3))
    assert (await provider.end_session(id_token_hint=hint)).WhichOneof("outcome") == "done"
    assert not await is_signed_in(provider)


async def test_what_a_client_may_do_ends_with_the_sign_in(provider: Provider) -> None:
    tokens = await provider.tokens()
    await provider.end_session(id_token_hint=tokens["id_token"])
    assert (await provider.userinfo(tokens["access_token"]))[0] == 401
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 400


async def test_who_proves_nothing_has_the_person_asked(provider: Provider) -> None:
    wishes: list[dict[str, str]] = [{}, {"client_id": "app"}, {"client_id": "app", "post_logout_redirect_uri": AFTER}]
    for said in wishes:
        answer = await provider.end_session(confirmed=False, session=None, **said)
        assert answer.confirm.email == "ada@example.org"
        assert answer.confirm.client_title == ("An app" if said else "")
        assert await is_signed_in(provider)
    done = await provider.end_session(confirmed=True, client_id="app", post_logout_redirect_uri=AFTER)
    assert done.done.uri == AFTER
    assert not await is_signed_in(provider)


async def test_the_id_token_of_another_sign_in_ends_nothing_unasked(provider: Provider) -> None:
    mine = provider.session
    await provider.identity.create(EVE)
    await provider.sign_in(EVE)
    hint = await id_token(provider)
    answer = await provider.end_session(session=mine, id_token_hint=hint)
    assert answer.confirm.email == "ada@example.org"


@pytest.mark.parametrize(
    "said",
    [
        {"post_logout_redirect_uri": AFTER},
        {"client_id": "app", "post_logout_redirect_uri": f"{AFTER}/"},
        {"client_id": "app", "post_logout_redirect_uri": "https://evil.example.org/"},
        {"client_id": "none", "post_logout_redirect_uri": AFTER},
        {"id_token_hint": "e30.e30.e30"},
        {"id_token_hint": "nonsense"},
    ],
)
async def test_a_browser_is_sent_nowhere_that_is_not_proven(provider: Provider, said: dict[str, str]) -> None:
    for confirmed in (False, True):
        answer = await provider.end_session(confirmed=confirmed, **said)
        assert answer.problem.error == "invalid_request"
    assert await is_signed_in(provider)


async def test_an_id_token_of_one_client_is_none_of_another(provider: Provider) -> None:
    hint = await id_token(provider)
    answer = await provider.end_session(id_token_hint=hint, client_id="another")
    assert "another client" in answer.problem.error_description


async def test_an_access_token_is_no_id_token(provider: Provider) -> None:
    token = (await provider.tokens())["access_token"]
    assert (await provider.end_session(id_token_hint=token)).problem.error == "invalid_request"


async def test_an_address_that_others_can_listen_at_is_not_registered(provider: Provider) -> None:
    with refused("CLIENT_UNSAFE") as said:
        await provider.register(post_logout_redirect_uris=["http://app.example.org/"])
    assert said[0].violations[0].field == "client.post_logout_redirect_uris[0]"
    client = await provider.stub.GetClient(pb.GetClientRequest(name="clients/app"), metadata=OPERATOR)
    assert client.post_logout_redirect_uris == [AFTER, f"{AFTER}?so=1"]
