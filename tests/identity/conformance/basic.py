"""What the modules of the Basic and the Form Post plan ask of a provider, in our own words."""

import hashlib
from base64 import urlsafe_b64encode
from datetime import timedelta

from tests.identity.conformance.party import (
    ALLOWED_IN_TOKENS,
    CALLBACK,
    SUITE,
    Party,
    Said,
    party,
    unsigned,
)
from tests.identity.conformance.plans import module

# The way through -----------------------------------------------------------------------------------------------------


@module("oidcc-server")
async def a_person_signs_in_and_the_client_learns_who_they_are(rp: Party) -> None:
    tokens = await rp.tokens()
    claims = await rp.identified(tokens)
    assert (await rp.known(tokens["access_token"]))["sub"] == claims["sub"]


@module("oidcc-server-client-secret-post")
async def the_secret_may_stand_in_the_body(rp: Party) -> None:
    await rp.identified(await rp.redeem(await rp.code(), post=True))


@module("oidcc-alternate-happy-flow")
async def no_order_of_scopes_or_parameters_matters(rp: Party) -> None:
    asked = rp.request(scope="email profile openid")
    turned = dict(reversed(asked.items()))
    page = await rp.browser.go("GET", "/oauth/authorize", "cross-site", params=turned)
    tokens = await rp.redeem((await rp.go_through(page))["code"])
    await rp.identified(tokens)
    assert {"sub", "name", "email"} <= set(await rp.known(tokens["access_token"]))


@module("oidcc-ensure-post-request-succeeds")
async def what_is_asked_may_be_posted(rp: Party) -> None:
    page = await rp.browser.go("POST", "/oauth/authorize", "cross-site", data=rp.request())
    await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))


@module("oidcc-ensure-request-without-nonce-succeeds-for-code-flow")
async def a_nonce_is_left_to_the_client(rp: Party) -> None:
    claims = await rp.identified(await rp.tokens(nonce=""), nonce="")
    assert "nonce" not in claims


@module("oidcc-ensure-request-with-valid-pkce-succeeds")
async def a_client_that_uses_pkce_is_held_to_it(rp: Party) -> None:
    verifier = "a-verifier-that-is-as-long-as-it-has-to-be-0123456789"
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {"code_challenge": challenge, "code_challenge_method": "S256"}
    await rp.identified(await rp.redeem(await rp.code(**asked), code_verifier=verifier))
    without = {"grant_type": "authorization_code", "code": await rp.code(**asked), "redirect_uri": CALLBACK}
    assert (await rp.call_token(**without)).json()["error"] == "invalid_grant"


# ID tokens and userinfo ----------------------------------------------------------------------------------------------


@module("oidcc-idtoken-signature")
async def an_id_token_is_signed_by_a_published_key_that_it_names(rp: Party) -> None:
    await rp.identified(await rp.tokens())  # RS256, kid, and one key of that name


@module("oidcc-idtoken-unsigned")
async def no_id_token_is_unsigned(rp: Party) -> None:
    """The suite skips it where discovery does not offer `none`, as is right."""
    assert "none" not in (await rp.discovered())["id_token_signing_alg_values_supported"]
    await rp.identified(await rp.tokens(id_token_signed_response_alg="none"))


@module("oidcc-userinfo-get")
async def userinfo_takes_the_token_in_a_header(rp: Party) -> None:
    tokens = await rp.tokens()
    assert (await rp.known(tokens["access_token"]))["sub"] == (await rp.identified(tokens))["sub"]


@module("oidcc-userinfo-post-header")
async def userinfo_may_be_posted_to(rp: Party) -> None:
    tokens = await rp.tokens()
    answer = await rp.http.post("/oauth/userinfo", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert (answer.status_code, answer.json()["sub"]) == (200, (await rp.identified(tokens))["sub"])


@module("oidcc-userinfo-post-body")
async def userinfo_takes_the_token_in_a_body(rp: Party) -> None:
    tokens = await rp.tokens()
    answer = await rp.http.post("/oauth/userinfo", data={"access_token": tokens["access_token"]})
    assert (answer.status_code, answer.json()["sub"]) == (200, (await rp.identified(tokens))["sub"])


# Scopes and claims ---------------------------------------------------------------------------------------------------


async def told_by(rp: Party, scope: str) -> Said:
    assert set(scope.split()) <= set((await rp.discovered())["scopes_supported"])
    tokens = await rp.tokens(scope=scope)
    assert set(await rp.identified(tokens)) & {"name", "email", "address"} == set()  # userinfo is where they are
    return await rp.known(tokens["access_token"])


@module("oidcc-scope-profile")
async def profile_tells_the_name(rp: Party) -> None:
    said = await told_by(rp, "openid profile")
    assert set(said) == {"sub", "name", "updated_at"}
    assert isinstance(said["updated_at"], int)


@module("oidcc-scope-email")
async def email_tells_the_address_of_mail(rp: Party) -> None:
    said = await told_by(rp, "openid email")
    assert (said["email"], said["email_verified"]) == (rp.person.email, True)


@module("oidcc-scope-address")
async def address_tells_where_somebody_lives(rp: Party) -> None:
    await live(rp)
    assert (await told_by(rp, "openid address"))["address"]["locality"] == "Berlin"


@module("oidcc-scope-phone")
async def no_phone_is_known_and_none_is_promised(rp: Party) -> None:
    """The suite skips it where discovery does not offer the scope. Asked for all the same, it does no harm."""
    assert "phone" not in (await rp.discovered())["scopes_supported"]
    tokens = await rp.tokens(scope="openid phone")
    assert set(await rp.known(tokens["access_token"])) == {"sub"}


@module("oidcc-scope-all")
async def all_scopes_together_tell_what_each_tells(rp: Party) -> None:
    """The suite skips it with the scope phone, as above: so here the others."""
    await live(rp)
    said = await told_by(rp, "openid address profile email")
    assert {"sub", "name", "updated_at", "email", "email_verified", "address"} == set(said)


@module("oidcc-claims-essential")
async def a_claim_may_be_asked_for_by_name(rp: Party) -> None:
    assert (await rp.discovered())["claims_parameter_supported"] is True
    tokens = await rp.tokens(claims='{"userinfo": {"name": {"essential": true}}}')
    assert "name" not in await rp.identified(tokens)
    assert (await rp.known(tokens["access_token"]))["name"]


async def live(rp: Party) -> None:
    """Give the person an address."""
    home = {"recipient": "Ada", "lines": ["Lamp Street 7"], "postalCode": "10115", "city": "Berlin", "regionCode": "DE"}
    async with rp.store.http(**rp.store.bearer(rp.person.user)) as http:
        done = await http.patch(f"/v1/{rp.person.user}", json={"shippingAddress": home})
        assert done.status_code == 200, done.text


# What a request may say ----------------------------------------------------------------------------------------------


@module("oidcc-display-page")
async def display_page_does_no_harm(rp: Party) -> None:
    page = await rp.ask(display="page")
    assert 'id="sign-in"' in page.text
    await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))


@module("oidcc-display-popup")
async def display_popup_does_no_harm(rp: Party) -> None:
    page = await rp.ask(display="popup")
    assert 'id="sign-in"' in page.text
    await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))


@module("oidcc-login-hint")
async def a_login_hint_is_filled_in(rp: Party) -> None:
    page = await rp.ask(login_hint=rp.person.email)
    assert f'value="{rp.person.email}"' in page.text
    await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))


@module("oidcc-ui-locales")
async def locales_of_pages_do_no_harm(rp: Party) -> None:
    await rp.identified(await rp.tokens(ui_locales="se"))


@module("oidcc-claims-locales")
async def locales_of_claims_do_no_harm(rp: Party) -> None:
    await rp.identified(await rp.tokens(claims_locales="se"))


@module("oidcc-ensure-request-with-acr-values-succeeds")
async def wished_for_ways_of_signing_in_do_no_harm(rp: Party) -> None:
    claims = await rp.identified(await rp.tokens(acr_values="1 2"))
    assert isinstance(claims["acr"], str)


@module("oidcc-ensure-request-with-unknown-parameter-succeeds")
async def a_parameter_that_nobody_knows_does_no_harm(rp: Party) -> None:
    await rp.identified(await rp.tokens(extra="foobar"))


# Who is signed in ----------------------------------------------------------------------------------------------------


@module("oidcc-prompt-login")
async def prompt_login_has_the_person_sign_in_again(rp: Party) -> None:
    first = await rp.identified(await rp.tokens())
    await rp.passes(timedelta(seconds=1))
    page = await rp.ask(prompt="login")
    assert 'id="sign-in"' in page.text
    second = await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))
    assert second["sub"] == first["sub"]
    assert second["auth_time"] > first["auth_time"]


@module("oidcc-prompt-none-not-logged-in")
async def prompt_none_shows_no_page_to_who_is_not_signed_in(rp: Party) -> None:
    assert await rp.refused(prompt="none") == "login_required"


@module("oidcc-prompt-none-logged-in")
async def prompt_none_asks_nothing_of_who_is_signed_in(rp: Party) -> None:
    first = await rp.identified(await rp.tokens())
    second = await rp.identified(await rp.redeem(rp.told(await rp.ask(prompt="none"))["code"]))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


@module("oidcc-id-token-hint")
async def prompt_none_with_an_id_token_of_the_person_asks_nothing(rp: Party) -> None:
    tokens = await rp.tokens()
    first, asked = await rp.identified(tokens), {"prompt": "none", "id_token_hint": tokens["id_token"]}
    second = await rp.identified(await rp.redeem(rp.told(await rp.ask(**asked))["code"]))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


@module("oidcc-max-age-1")
async def who_signed_in_longer_ago_than_the_client_bears_signs_in_again(rp: Party) -> None:
    first = await rp.identified(await rp.tokens())
    await rp.passes(timedelta(seconds=2))
    page = await rp.ask(max_age="1")
    assert 'id="sign-in"' in page.text
    second = await rp.identified(await rp.redeem((await rp.go_through(page))["code"]))
    assert second["sub"] == first["sub"]
    assert second["auth_time"] > first["auth_time"]
    assert rp.store.clock().timestamp() - second["auth_time"] < 30


@module("oidcc-max-age-10000")
async def who_signed_in_lately_enough_is_asked_nothing(rp: Party) -> None:
    first = await rp.identified(await rp.tokens())
    second = await rp.identified(await rp.redeem(rp.told(await rp.ask(max_age="10000"))["code"]))
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


# What is refused -----------------------------------------------------------------------------------------------------


@module("oidcc-response-type-missing")
async def a_request_without_a_response_type_is_refused(rp: Party) -> None:
    assert await rp.refused(response_type="") in ("invalid_request", "unsupported_response_type")


@module("oidcc-ensure-registered-redirect-uri")
async def an_address_that_is_not_registered_is_not_gone_to(rp: Party) -> None:
    for uri in (f"{CALLBACK}/more", f"{CALLBACK}?more=1", f"{SUITE}/other"):
        answer = await rp.ask(redirect_uri=uri)
        assert (answer.status_code, answer.headers.get("location")) == (400, None)
        assert "redirect_uri" in answer.text
        assert SUITE not in answer.text


async def used_twice(rp: Party, later: timedelta) -> None:
    code = await rp.code()
    tokens = await rp.redeem(code)
    assert await rp.is_good(tokens["access_token"])
    if later:
        await rp.passes(later)
    again = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    answer = await rp.call_token(**again)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert not await rp.is_good(tokens["access_token"])  # RFC 6749, 4.1.2


@module("oidcc-codereuse")
async def a_code_works_once(rp: Party) -> None:
    await used_twice(rp, timedelta())


@module("oidcc-codereuse-30seconds")
async def a_code_works_once_and_a_while_later_too(rp: Party) -> None:
    await used_twice(rp, timedelta(seconds=30))


@module("oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported")
async def a_request_that_lies_elsewhere_is_not_fetched(rp: Party) -> None:
    assert (await rp.discovered())["request_uri_parameter_supported"] is False
    assert await rp.refused(request_uri=f"{SUITE}/requests/1") == "request_uri_not_supported"


@module("oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported")
async def a_request_in_a_token_is_not_read(rp: Party) -> None:
    assert (await rp.discovered())["request_parameter_supported"] is False
    assert await rp.refused(request=unsigned(dict(rp.request()))) == "request_not_supported"


@module("oidcc-ensure-request-object-with-redirect-uri")
async def no_address_in_a_token_takes_the_place_of_the_one_beside_it(rp: Party) -> None:
    answer = await rp.ask(redirect_uri=f"{SUITE}/other", request=unsigned(dict(rp.request())))
    assert (answer.status_code, answer.headers.get("location")) == (400, None)
    assert "redirect_uri" in answer.text


@module("oidcc-refresh-token")
async def a_refresh_token_works_for_the_client_it_was_given_to(rp: Party) -> None:
    assert "refresh_token" in (await rp.discovered())["grant_types_supported"]
    tokens = await rp.tokens(scope="openid offline_access")
    first = await rp.identified(tokens)
    asked = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert ALLOWED_IN_TOKENS.fullmatch(tokens["refresh_token"])
    again = (await rp.call_token(**asked)).json()
    assert again["access_token"] != tokens["access_token"]
    assert (await rp.known(again["access_token"]))["sub"] == first["sub"]
    async with party(rp.store, rp.person) as other:
        answer = await other.call_token(**asked)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await rp.call_token(**asked)).status_code == 200
