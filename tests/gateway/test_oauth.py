"""Signing in to another program, as a browser without scripts and a client's server do it: over HTTP, page by page."""

import asyncio
import hashlib
import html
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gateway.conftest import problem
from tests.journeys.people import eventually
from tests.store import PASSWORD, Registered, Store

pytestmark = pytest.mark.xdist_group("store")
CALLBACK = "https://app.example.org/callback"
VERIFIER = "a-verifier-of-a-client-that-is-long-enough-for-it"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Browser:
    """It keeps cookies, says which page it is on, and runs nothing."""

    http: httpx.AsyncClient
    origin: str
    client: str
    cookies: dict[str, str] = field(default_factory=dict)

    async def go(self, method: str, path: str, site: str = "same-origin", **sent: Any) -> httpx.Response:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"cookie": kept, "sec-fetch-site": site}
        answer = await self.http.request(method, path, headers=headers, **sent)
        for said in answer.headers.get_list("set-cookie"):
            name, _, rest = said.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer

    async def authorize(self, **said: str) -> httpx.Response:
        challenge = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
        usual = {
            "client_id": self.client,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "a state/of=its own",
            "nonce": "n-1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return await self.go("GET", "/oauth/authorize", "cross-site", params=usual | said)

    async def submit(self, page: httpx.Response, path: str, **said: str) -> httpx.Response:
        """Send the form of a page, filled in."""
        assert f'action="{path}"' in page.text
        hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
        return await self.go("POST", path, data=hidden | said)


@pytest.fixture
async def client(store: Store) -> str:
    return await made(store, "PUBLIC")


async def made(store: Store, profile: str, **said: Any) -> str:
    """A client of its own for a test."""
    name = f"app-{uuid4().hex[:8]}"
    usual = {
        "title": "The <app>",
        "profile": profile,
        "redirectUris": [CALLBACK],
        "scopes": ["openid", "profile", "email", "offline_access"],
    }
    async with store.http(**store.peer("operator")) as operator:
        (await operator.patch(f"/v1/clients/{name}", json=usual | said)).raise_for_status()
    return name


@pytest.fixture
async def browser(store: Store, client: str) -> AsyncIterator[Browser]:
    async with httpx.AsyncClient(base_url=store.url, timeout=20) as http:
        yield Browser(http, store.url, client)


def told(answer: httpx.Response) -> dict[str, str]:
    """What the client is told in the redirect."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def redeemed(http: httpx.AsyncClient, client: str, code: str) -> dict[str, Any]:
    said = {"client_id": client, "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    answer = await http.post("/oauth/token", data={"grant_type": "authorization_code", **said})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens: dict[str, Any] = answer.json()
    return tokens


async def test_a_person_signs_in_consents_and_their_program_learns_who_they_are(
    browser: Browser, ada: Registered, store: Store
) -> None:
    discovered = (await browser.http.get("/.well-known/openid-configuration")).json()
    assert discovered["issuer"] == store.plan.urls["store"]
    page = await browser.authorize(login_hint=ada.email)
    assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
    assert "The &lt;app&gt;" in page.text
    assert ada.email in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' https://app.example.org {store.plan.social_url};" in policy
    wrong = await browser.submit(page, "/oauth/sign-in", email=ada.email, password="not hers at all")
    assert wrong.status_code == 401
    assert "Check the address and the password." in wrong.text
    asked = await browser.submit(wrong, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert asked.status_code == 200
    assert "See your e-mail address" in asked.text
    said = told(await browser.submit(asked, "/oauth/consent", decision="approve"))
    assert (said["state"], said["iss"]) == ("a state/of=its own", discovered["issuer"])

    tokens = await redeemed(browser.http, browser.client, said["code"])
    keys = KeySet.import_key_set((await browser.http.get("/oauth/jwks")).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (discovered["issuer"], browser.client, "n-1")
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    for method, sent in (("GET", {"headers": bearer}), ("POST", {"data": {"access_token": tokens["access_token"]}})):
        found = await browser.http.request(method, "/oauth/userinfo", **sent)
        assert (found.json()["sub"], found.json()["email"]) == (claims["sub"], ada.email)
    assert "code" in told(await browser.authorize(prompt="none"))


async def test_who_is_signed_in_to_the_store_need_not_sign_in_again(browser: Browser, ada: Registered) -> None:
    page = await browser.authorize()
    await browser.submit(page, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert (await browser.go("GET", "/session")).json()["user"] == ada.user
    assert 'action="/oauth/consent"' in (await browser.authorize()).text
    assert 'action="/oauth/sign-in"' in (await browser.authorize(prompt="login")).text


async def test_a_program_that_is_refused_is_told_so(browser: Browser, ada: Registered) -> None:
    page = await browser.submit(await browser.authorize(), "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert told(await browser.submit(page, "/oauth/consent", decision="deny"))["error"] == "access_denied"


async def test_an_answer_that_is_to_be_posted_stands_in_a_form_and_in_no_address(
    store: Store, browser: Browser, ada: Registered
) -> None:
    browser.client = await made(store, "PUBLIC", firstParty=True)
    page = await browser.authorize(response_mode="form_post")
    answer = await browser.submit(page, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert answer.status_code == 200
    fields = {name: html.unescape(value) for name, value in HIDDEN.findall(answer.text)}
    assert set(fields) == {"code", "state", "iss"}
    assert f'action="{CALLBACK}"' in answer.text
    assert "form-action 'self' https://app.example.org;" in answer.headers["content-security-policy"]


async def signed_in(browser: Browser, ada: Registered) -> dict[str, Any]:
    """The tokens of a sign-in from start to end."""
    page = await browser.submit(await browser.authorize(), "/oauth/sign-in", email=ada.email, password=PASSWORD)
    said = told(await browser.submit(page, "/oauth/consent", decision="approve"))
    return await redeemed(browser.http, browser.client, said["code"])


async def test_a_program_that_shows_its_id_token_signs_the_person_out(store: Store, ada: Registered) -> None:
    after = "https://app.example.org/signed-out"
    async with store.http() as http:
        browser = Browser(http, store.url, await made(store, "PUBLIC", postLogoutRedirectUris=[after]))
        hint = (await signed_in(browser, ada))["id_token"]
        asked = {"client_id": browser.client, "post_logout_redirect_uri": after}
        page = await browser.go("GET", "/oauth/end-session", "cross-site", params=asked)
        assert "form-action 'self' https://app.example.org;" in page.headers["content-security-policy"]
        wish = {"id_token_hint": hint, "post_logout_redirect_uri": after, "state": "s"}
        way = await browser.go("POST", "/oauth/end-session", "cross-site", data=wish)
        assert way.headers["location"].startswith("/oauth/end-session?")
        gone = await browser.go("GET", way.headers["location"], "cross-site")
        assert (gone.status_code, gone.headers["location"]) == (303, f"{after}?state=s")
        assert set(browser.cookies) >= {"__Host-rapport", "__Host-rapport-linked"}
        assert not browser.cookies["__Host-rapport"] + browser.cookies["__Host-rapport-linked"]
        assert told(await browser.authorize(prompt="none"))["error"] == "login_required"


async def test_who_is_sent_to_be_signed_out_by_anybody_is_asked(browser: Browser, ada: Registered) -> None:
    await signed_in(browser, ada)
    asked = await browser.go("GET", "/oauth/end-session", "cross-site")
    assert ada.email in asked.text
    problem(await browser.go("POST", "/oauth/sign-out", data={"decision": "sign-out"}), 403, "ORIGIN_REFUSED")
    stays = await browser.submit(asked, "/oauth/sign-out", decision="stay")
    assert "still signed in" in stays.text
    assert "code" in told(await browser.authorize(prompt="none"))
    gone = await browser.submit(asked, "/oauth/sign-out", decision="sign-out")
    assert "You are signed out" in gone.text
    assert told(await browser.authorize(prompt="none"))["error"] == "login_required"


async def test_what_is_asked_for_may_be_posted(browser: Browser) -> None:
    said = {"client_id": browser.client, "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
    answer = await browser.go("POST", "/oauth/authorize", "cross-site", data=said)
    assert told(answer)["error"] == "invalid_request"  # it lacks a challenge


@pytest.mark.parametrize("said", [{"client_id": "stranger"}, {"redirect_uri": "https://evil.example/"}])
async def test_a_request_that_proves_nothing_ends_on_a_page_of_ours(browser: Browser, said: dict[str, str]) -> None:
    answer = await browser.authorize(**said)
    assert (answer.status_code, answer.headers.get("location")) == (400, None)
    assert "invalid_request" in answer.text
    assert "evil" not in answer.text


async def test_no_other_page_can_sign_a_browser_in(browser: Browser, ada: Registered) -> None:
    page = await browser.authorize()
    hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
    whole = hidden | {"email": ada.email, "password": PASSWORD}
    problem(await browser.go("POST", "/oauth/sign-in", "cross-site", data=whole), 403, "ORIGIN_REFUSED")
    problem(await browser.go("POST", "/oauth/sign-in", data=whole | {"form_token": "x"}), 403, "ORIGIN_REFUSED")
    problem(await browser.go("POST", "/oauth/sign-in", data=whole | {"asked": "x"}), 403, "ORIGIN_REFUSED")
    browser.cookies.clear()
    problem(await browser.go("POST", "/oauth/sign-in", data=whole), 403, "ORIGIN_REFUSED")


@pytest.mark.parametrize("path", ["token", "introspect", "revoke", "userinfo"])
async def test_endpoints_answer_nonsense_in_the_protocol_s_own_words(http: httpx.AsyncClient, path: str) -> None:
    for said in ({}, {"token": "x"}, {"client_id": "x" * 9_000}, {"grant_type": "x" * 8_000}):
        answer = await http.post(f"/oauth/{path}", data=said)
        assert answer.status_code in (400, 401), answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
    twice = await http.post(
        f"/oauth/{path}", content=b"a=1&a=2", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert twice.json()["error"] == "invalid_request"
    problem(await http.post(f"/oauth/{path}", json={"token": "x"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    many = "&".join(f"a{number}=1" for number in range(200)).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    problem(await http.post(f"/oauth/{path}", content=many, headers=form), 413, "BODY_TOO_LARGE")


async def test_within_five_seconds_of_its_end_no_service_takes_a_token(
    store: Store, browser: Browser, ada: Registered
) -> None:
    browser.client = await made(store, "PUBLIC", firstParty=True, scopes=["openid", "profile"])
    page = await browser.authorize()
    answer = await browser.submit(page, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    tokens = await redeemed(browser.http, browser.client, told(answer)["code"])
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await browser.http.get(f"/v1/{ada.user}", headers=bearer)).status_code == 200
    said = {"client_id": browser.client, "token": tokens["refresh_token"]}
    assert (await browser.http.post("/oauth/revoke", data=said)).status_code == 200

    async def is_refused() -> bool:
        return (await browser.http.get(f"/v1/{ada.user}", headers=bearer)).status_code == 401

    await eventually(is_refused, "the end of the token", patience=5.0)


async def test_of_fifty_who_redeem_one_code_at_once_over_http_one_wins(
    store: Store, browser: Browser, ada: Registered
) -> None:
    browser.client = await made(store, "PUBLIC", firstParty=True)
    page = await browser.authorize()
    code = told(await browser.submit(page, "/oauth/sign-in", email=ada.email, password=PASSWORD))["code"]
    said = {"client_id": browser.client, "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    calls = (browser.http.post("/oauth/token", data={"grant_type": "authorization_code", **said}) for _ in range(50))
    statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
    assert (statuses.count(200), statuses.count(400)) == (1, 49)
