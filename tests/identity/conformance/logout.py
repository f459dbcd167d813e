"""What the logout plans ask of a provider, in our own words: every wish ends in one of three ways."""

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.identity.conformance.party import AFTER, Party, party, unsigned
from tests.identity.conformance.plans import BACK_CHANNEL, RP_LOGOUT, module
from tests.identity.listener import listening

EVENT = "http://schemas.openid.net/event/backchannel-logout"


async def signed_out(rp: Party, hint: str, **said: str) -> None:
    """The person is signed out, and the browser goes to the registered address."""
    answer = await rp.end_session(id_token_hint=hint, post_logout_redirect_uri=AFTER, **said)
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target._replace(query="").geturl() == AFTER
    assert parse_qs(target.query) == {name: [value] for name, value in said.items()}
    assert await rp.refused(prompt="none") == "login_required"


async def nowhere(rp: Party, answer: httpx.Response) -> None:
    """The browser stays on a page of ours: one that says what is wrong, or one that asks."""
    assert answer.headers.get("location") is None
    assert answer.status_code in (200, 400)
    assert ("That did not work" in answer.text) == (answer.status_code == 400)
    if answer.status_code == 200:
        assert 'id="sign-out"' in answer.text
    assert "code" in rp.told(await rp.ask(prompt="none"))  # the person is still signed in


async def asked_and_signed_out(rp: Party, answer: httpx.Response) -> None:
    """The person is asked on a page of ours, says yes, and is told that it is done."""
    await nowhere(rp, answer)
    done = await rp.browser.submit(answer, "/oauth/sign-out", decision="sign-out")
    assert (done.status_code, done.headers.get("location")) == (200, None)
    assert "You are signed out" in done.text
    assert await rp.refused(prompt="none") == "login_required"


@module("oidcc-rp-initiated-logout", RP_LOGOUT)
async def a_client_has_the_person_signed_out(rp: Party) -> None:
    await signed_out(rp, (await rp.tokens())["id_token"], state="a state")


@module("oidcc-rp-initiated-logout-no-state", RP_LOGOUT)
async def a_client_need_send_no_state(rp: Party) -> None:
    await signed_out(rp, (await rp.tokens())["id_token"])


@module("oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", RP_LOGOUT)
async def an_address_that_is_not_registered_is_not_gone_to(rp: Party) -> None:
    hint = (await rp.tokens())["id_token"]
    await nowhere(rp, await rp.end_session(id_token_hint=hint, post_logout_redirect_uri=f"{AFTER}/other"))


@module("oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", RP_LOGOUT)
async def an_address_with_something_added_is_another(rp: Party) -> None:
    hint = (await rp.tokens())["id_token"]
    await nowhere(rp, await rp.end_session(id_token_hint=hint, post_logout_redirect_uri=f"{AFTER}?foo=bar"))


@module("oidcc-rp-initiated-logout-modified-id-token-hint", RP_LOGOUT)
async def an_id_token_that_is_not_signed_any_more_proves_nothing(rp: Party) -> None:
    claims = await rp.identified(await rp.tokens())
    said = {"id_token_hint": unsigned(claims), "post_logout_redirect_uri": AFTER, "state": "s"}
    await nowhere(rp, await rp.end_session(**said))


@module("oidcc-rp-initiated-logout-bad-id-token-hint", RP_LOGOUT)
async def an_id_token_that_somebody_else_signed_proves_nothing(rp: Party) -> None:
    claims = await rp.identified(await rp.tokens())
    kid = (await rp.http.get("/oauth/jwks")).json()["keys"][-1]["kid"]
    key = RSAKey.import_key(rsa.generate_private_key(65537, 2048))
    forged = jwt.encode({"alg": "RS256", "kid": kid}, claims, key)
    await nowhere(rp, await rp.end_session(id_token_hint=forged, post_logout_redirect_uri=AFTER))


@module("oidcc-rp-initiated-logout-no-id-token-hint", RP_LOGOUT)
async def an_address_alone_is_not_gone_to(rp: Party) -> None:
    await rp.tokens()
    await nowhere(rp, await rp.end_session(post_logout_redirect_uri=AFTER, state="s"))


@module("oidcc-rp-initiated-logout-no-params", RP_LOGOUT)
async def a_wish_that_says_nothing_has_the_person_asked(rp: Party) -> None:
    await rp.tokens()
    await asked_and_signed_out(rp, await rp.end_session())


@module("oidcc-rp-initiated-logout-only-state", RP_LOGOUT)
async def a_wish_that_says_a_state_alone_has_the_person_asked(rp: Party) -> None:
    await rp.tokens()
    await asked_and_signed_out(rp, await rp.end_session(state=str(uuid4())))


@module("oidcc-rp-initiated-logout-no-post-logout-redirect-uri", RP_LOGOUT)
async def a_client_that_names_no_address_leaves_the_person_with_us(rp: Party) -> None:
    hint = (await rp.tokens())["id_token"]
    answer = await rp.end_session(id_token_hint=hint)
    assert (answer.status_code, answer.headers.get("location")) == (200, None)
    assert "You are signed out" in answer.text
    assert await rp.refused(prompt="none") == "login_required"


@module("oidcc-backchannel-rp-initiated-logout", BACK_CHANNEL)
async def a_client_is_told_of_the_sign_out_on_its_own_line(rp: Party) -> None:
    async with listening() as listener:
        async with party(
            rp.store, rp.person, backchannelLogoutUri=listener.uri, backchannelLogoutSessionRequired=True
        ) as told:
            tokens = await told.tokens()
            identified = await told.identified(tokens)
            await signed_out(told, tokens["id_token"], state="s")
            keys = KeySet.import_key_set((await told.http.get("/oauth/jwks")).json())
            token = jwt.decode(await listener.token(), keys, algorithms=["RS256"])
        claims = token.claims
        assert token.header["typ"] == "logout+jwt"
        assert (claims["iss"], claims["aud"]) == (rp.store.plan.urls["store"], told.client)
        assert (claims["sub"], claims["sid"]) == (identified["sub"], identified["sid"])
        assert claims["events"] == {EVENT: {}}
        assert claims["jti"]
        assert "nonce" not in claims
        assert claims["iat"] < claims["exp"] <= claims["iat"] + 120
