"""Coming by an account elsewhere, as a browser without scripts does it: over HTTP, page by page, to the stand-in for
Google and Facebook and back."""

import asyncio
import hmac
import html
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.test_oauth import HIDDEN, Browser, told
from tests.gateway.test_oauth import made as made_client
from tests.journeys.people import Mailbox, mailbox_client
from tests.store import PASSWORD, OtherGateway, Store

pytestmark = pytest.mark.xdist_group("store")
NAME = "Tom Baker"
NOBODY = "nobody"  # who says no
WAY = "__Host-rapport-way-"


@pytest.fixture
async def browser(store: Store) -> AsyncIterator[Browser]:
    async with httpx.AsyncClient(base_url=store.url, timeout=20) as http:
        yield Browser(http, store.url, "")


async def there(browser: Browser, provider: str = "google") -> str:
    """Press the button on the page at /; the provider's address that the browser is sent to."""
    page = await browser.go("GET", "/")
    return await pressed(browser, page, provider)


async def pressed(browser: Browser, page: httpx.Response, provider: str) -> str:
    hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
    assert f'formaction="/social/{provider}"' in page.text
    answer = await browser.go("POST", f"/social/{provider}", data=hidden)
    assert answer.status_code == 303, answer.text
    where = str(answer.headers["location"])
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(where))
    assert origin in page.headers["content-security-policy"].partition("form-action")[2].partition(";")[0]
    return where


async def consented(where: str, email: str, mischief: str = "") -> str:
    """Say yes there, as who has that address; the address at the store that the browser is sent back to."""
    page = urlsplit(where)
    account = {"account": "new" if email != NOBODY else "", "name": NAME, "email": email}
    said = dict(parse_qsl(page.query)) | account | {"mischief": mischief}
    async with httpx.AsyncClient() as elsewhere:
        assert "Who are you" in (await elsewhere.get(where)).text
        answer = await elsewhere.post(
            f"{page.scheme}://{page.netloc}{page.path}".replace("authorize", "consent"), data=said
        )
    assert answer.status_code == 303, answer.text
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"


async def come(browser: Browser, email: str, provider: str = "google", mischief: str = "") -> httpx.Response:
    back = await consented(await there(browser, provider), email, mischief)
    return await browser.go("GET", back, "cross-site")


async def who(browser: Browser) -> dict[str, Any]:
    told: dict[str, Any] = (await browser.go("GET", "/session")).json()
    return told


def ways(browser: Browser) -> list[str]:
    return [name for name, value in browser.cookies.items() if name.startswith(WAY) and value]


async def mailed(store: Store, email: str) -> str:
    async with mailbox_client(store.plan) as mail:
        return await Mailbox(mail).token(email, "/social/confirm")


def somebody() -> str:
    """The address of somebody who is new there, and here."""
    return f"tom-{uuid4().hex[:12]}@gmail.com"


async def test_a_person_signs_up_with_google_without_a_script_and_comes_back(store: Store, browser: Browser) -> None:
    tom = somebody()
    answer = await come(browser, tom)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#account")
    assert answer.headers["referrer-policy"] == "no-referrer"
    user = (await who(browser))["user"]
    async with store.http(**store.bearer(user)) as http:
        me = (await http.get(f"/v1/{user}")).json()
        assert (me["email"], me["displayName"], me["hasPhoto"]) == (tom, NAME, True)
        photo = await http.get(f"/v1/{user}/photo")
        assert photo.headers["content-type"] == "image/jpeg"
        linked = (await http.get(f"/v1/{user}/externalIdentities")).json()
        assert linked["hasPassword"] is False
        problem(await http.delete(f"/v1/{linked['externalIdentities'][0]['name']}"), 409, "LAST_WAY_IN")
    assert not ways(browser)
    assert "signed-in" in (await browser.go("GET", "/", "cross-site")).text
    first = browser.cookies["__Host-rapport"]
    assert (await come(browser, tom)).headers["location"] == "/#account"
    assert (await who(browser))["user"] == user
    assert browser.cookies["__Host-rapport"] != first
    ended = await browser.http.get("/session", headers={"cookie": f"__Host-rapport={first}"})
    problem(ended, 401, "SESSION_ENDED")


async def test_a_client_s_request_goes_on_where_it_was(store: Store, browser: Browser) -> None:
    browser.client = await made_client(store, "PUBLIC", firstParty=True)
    page = await browser.authorize()
    where = await pressed(browser, page, "google")
    answer = await browser.go("GET", await consented(where, somebody()), "cross-site")
    said = told(answer)
    assert said["state"] == "a state/of=its own"
    assert "code" in said


async def test_who_has_no_address_there_says_one_and_confirms_it(store: Store, browser: Browser) -> None:
    email = f"omar-{uuid4().hex[:8]}@example.org"
    page = await come(browser, "", "facebook")
    assert page.status_code == 200
    assert "One step more, Tom Baker" in page.text
    wrong = await browser.submit(page, "/social/address", email="omar at example.org")
    assert (wrong.status_code, "Check the address" in wrong.text) == (400, True)
    sent = await browser.submit(wrong, "/social/address", email=email)
    assert "Look into your mailbox" in sent.text
    token = await mailed(store, email)
    assert "confirm-social" in (await browser.go("GET", "/social/confirm", "none")).text
    script = {"x-rapport-client": "tests"}
    async with store.http() as other:
        problem(await other.post("/social/confirm", json={"token": token}), 404, "SOCIAL_CLAIM_INVALID")
    kept = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    made = await browser.http.post("/social/confirm", json={"token": token}, headers=script | {"cookie": kept})
    assert made.json() == {"onward": "/#account"}
    secret = made.headers["set-cookie"].partition(";")[0].partition("=")[2]
    answer = await browser.http.get("/session", headers={"cookie": f"__Host-rapport={secret}"})
    user = answer.json()["user"]
    async with store.http(**store.bearer(user)) as http:
        assert (await http.get(f"/v1/{user}")).json()["email"] == email


async def test_an_account_with_the_address_is_linked_by_its_password(store: Store, browser: Browser) -> None:
    nora = somebody()
    async with store.http(**store.peer("operator")) as operator:
        asked = {"user": {"email": nora}, "password": PASSWORD}
        made = await operator.post("/v1/users", json=asked)
    assert made.status_code == 200, made.text
    page = await come(browser, nora)
    assert "You have an account already" in page.text
    wrong = await browser.submit(page, "/social/password", password="not hers at all")
    assert (wrong.status_code, "Check the password." in wrong.text) == (401, True)
    answer = await browser.submit(wrong, "/social/password", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#account")
    assert (await who(browser))["user"] == made.json()["name"]


async def test_who_is_signed_in_links_and_ends_the_link(store: Store, browser: Browser) -> None:
    bo = store.register("bo")
    signed = await browser.http.post("/session", json=bo.sign_in, headers={"x-rapport-client": "tests"})
    for said in signed.headers.get_list("set-cookie"):
        name, _, rest = said.partition("=")
        browser.cookies[name] = rest.partition(";")[0]
    problem(await browser.go("POST", "/social/google/link", "cross-site"), 403, "ORIGIN_REFUSED")
    problem(await browser.go("POST", "/social/google/link"), 403, "ORIGIN_REFUSED")
    kept = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    begun = await browser.http.post("/social/google/link", headers=kept | {"x-rapport-client": "tests"})
    for said in begun.headers.get_list("set-cookie"):
        name, _, rest = said.partition("=")
        browser.cookies[name] = rest.partition(";")[0]
    back = await consented(begun.json()["uri"], somebody())
    assert (await browser.go("GET", back, "cross-site")).headers["location"] == "/#account"
    async with store.http(**store.bearer(bo.user)) as http:
        [one] = (await http.get(f"/v1/{bo.user}/externalIdentities")).json()["externalIdentities"]
        assert (one["provider"], one["accountName"]) == ("google", NAME)
        assert (await http.delete(f"/v1/{one['name']}")).status_code == 200
    async with store.http() as http:
        problem(await http.post("/social/google/link"), 401, "SIGN_IN_NEEDED")


# What goes wrong is a page that says what to do -----------------------------------------------------------------------


async def test_a_state_works_once_and_in_the_browser_that_began(store: Store, browser: Browser) -> None:
    back = await consented(await there(browser), somebody())
    async with httpx.AsyncClient(base_url=store.url) as stranger:
        answer = await stranger.get(back)
        assert (answer.status_code, "Please begin again" in answer.text) == (400, True)
        assert "set-cookie" not in answer.headers
    cookies = dict(browser.cookies)
    first = await browser.go("GET", back, "cross-site")
    assert first.headers["location"] == "/#account"
    browser.cookies = cookies
    again = await browser.go("GET", back, "cross-site")
    assert (again.status_code, "Please begin again" in again.text) == (400, True)


async def test_of_fifty_who_come_back_with_one_state_at_once_one_is_signed_in(store: Store, browser: Browser) -> None:
    back = await consented(await there(browser), somebody())
    kept = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    answers = await asyncio.gather(*(browser.http.get(back, headers=kept) for _ in range(50)))
    statuses = [one.status_code for one in answers]
    assert (statuses.count(303), statuses.count(400)) == (1, 49)
    [won] = [one for one in answers if one.status_code == 303]
    secret = won.headers["set-cookie"]
    said = re.search(r"__Host-rapport=([\w-]+)", secret)
    assert said is not None
    answer = await browser.http.get("/session", headers={"cookie": f"__Host-rapport={said[1]}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("email", "mischief", "status", "says"),
    [
        (NOBODY, "", 403, "You did not let us ask who you are"),
        ("", "foreign_key", 400, "That did not prove who you are"),
        ("", "wrong_nonce", 400, "That did not prove who you are"),
        ("", "broken", 503, "They do not answer just now"),
        ("", "redirect", 503, "They do not answer just now"),
    ],
)
async def test_what_went_wrong_is_a_page(browser: Browser, email: str, mischief: str, status: int, says: str) -> None:
    answer = await come(browser, email, mischief=mischief)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert 'href="/#account"' in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not ways(browser)
    assert "__Host-rapport" not in browser.cookies


async def test_no_other_page_can_send_a_browser_there(browser: Browser) -> None:
    page = await browser.go("GET", "/")
    hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
    problem(await browser.go("POST", "/social/google", "cross-site", data=hidden), 403, "ORIGIN_REFUSED")
    problem(await browser.go("POST", "/social/google", data=hidden | {"form_token": "x"}), 403, "ORIGIN_REFUSED")
    for path in ("/social/address", "/social/password"):
        problem(await browser.go("POST", path, data={}), 403, "ORIGIN_REFUSED")
        answer = await browser.go("POST", path, data=hidden | {"email": "eve@example.org", "password": PASSWORD})
        assert (answer.status_code, "Please begin again" in answer.text) == (400, True)
    answer = await browser.go("POST", "/social/gitlab", data=hidden)
    assert (answer.status_code, "That is not offered here" in answer.text) == (404, True)


@pytest.mark.parametrize(
    "query", ["", "state=x", "state=&code=x", "code=x", "state=" + "x" * 5000, "state=x&code=" + "x" * 9000]
)
async def test_nonsense_comes_back_as_a_page(browser: Browser, query: str) -> None:
    for provider in ("google", "gitlab"):
        answer = await browser.go("GET", f"/social/{provider}/callback?{query}", "cross-site")
        assert (answer.status_code, "Please begin again" in answer.text) == (400, True)


async def test_pages_without_providers_have_no_buttons_and_are_whole(lonely: OtherGateway, store: Store) -> None:
    with store.gateway(identity_target="ipv4:127.0.0.1:9") as gateway:
        async with gateway.http() as http:
            page = await http.get("/")
    assert (page.status_code, "/social/" in page.text) == (200, False)
    async with lonely.http() as http:
        assert "/social/google" in (await http.get("/")).text


# What Facebook tells by itself ----------------------------------------------------------------------------------------


def signed_request(store: Store, sub: str, secret: str = "") -> dict[str, str]:
    key = secret or store.plan.state.secret("social-client").read_text()
    said = {"user_id": sub, "algorithm": "HMAC-SHA256", "issued_at": int(store.clock().timestamp())}
    payload = urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    signature = urlsafe_b64encode(hmac.digest(key.encode(), payload.encode(), "sha256")).decode().rstrip("=")
    return {"signed_request": f"{signature}.{payload}"}


async def test_facebook_is_told_where_a_deletion_can_be_looked_at(store: Store, http: httpx.AsyncClient) -> None:
    answer = await http.post("/social/facebook/data-deletion", data=signed_request(store, "a stranger"))
    told = answer.json()
    assert (answer.status_code, set(told)) == (200, {"url", "confirmation_code"})
    assert told["url"] == f"{store.plan.urls['store']}/social/deletions/{told['confirmation_code']}"
    page = await http.get(urlsplit(told["url"]).path)
    assert (page.status_code, "It is deleted" in page.text) == (200, True)
    unknown = await http.get("/social/deletions/another")
    assert (unknown.status_code, "That code is not known" in unknown.text) == (404, True)


@pytest.mark.parametrize("path", ["data-deletion", "deauthorize"])
async def test_what_facebook_did_not_sign_is_refused(store: Store, http: httpx.AsyncClient, path: str) -> None:
    bad = await http.post(f"/social/facebook/{path}", data=signed_request(store, "5788", "another secret"))
    problem(bad, 403, "SIGNED_REQUEST_INVALID")
    problem(await http.post(f"/social/facebook/{path}", data={"signed_request": "x"}), 403, "SIGNED_REQUEST_INVALID")
    problem(await http.post(f"/social/facebook/{path}"), 400, "INVALID_FIELD")
    problem(
        await http.post(f"/social/gitlab/{path}", data=signed_request(store, "5788")), 404, "SOCIAL_PROVIDER_UNKNOWN"
    )
    assert (await http.post("/social/facebook/deauthorize", data=signed_request(store, "5788"))).status_code == 200


async def test_nothing_secret_is_logged(store: Store, browser: Browser) -> None:
    tom = somebody()
    back = await consented(await there(browser), tom)
    secrets = [value for name, value in browser.cookies.items() if name.startswith(WAY)]
    assert (await browser.go("GET", back, "cross-site")).status_code == 303
    said = dict(parse_qsl(urlsplit(back).query))
    for process in ("gateway", "identity"):
        log = store.written(process)
        told = (*secrets, said["state"], said["code"], NAME, tom)
        assert not [one for one in told if one and one in log]
