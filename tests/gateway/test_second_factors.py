"""Signing in with a second factor over HTTP: as a frontend does it, and on the pages without scripts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyotp
import pytest

from tests.gateway.conftest import problem
from tests.gateway.test_oauth import Browser, made, told
from tests.identity.authenticator import Authenticator
from tests.store import PASSWORD, Registered, Store

pytestmark = pytest.mark.xdist_group("store")
SESSION, DEVICE = "__Host-rapport", "__Host-rapport-device"


@dataclass
class Careful:
    """Somebody with an app that shows codes."""

    store: Store
    who: Registered
    secret: str = ""
    codes: list[str] = field(default_factory=list)
    steps: int = 0  # each code is good once: the next one is of a later step

    def code(self) -> str:
        """One that was not used yet; two of them before the platform's time has to move."""
        now = self.store.clock()
        self.steps = max(self.steps + 1, int(now.timestamp()) // 30)
        return pyotp.TOTP(self.secret).generate_otp(self.steps)


@pytest.fixture
async def eve(store: Store) -> Careful:
    """Added over the API."""
    careful = Careful(store, store.register("eve"))
    async with store.http(**store.bearer(careful.who.user)) as http:
        begun = (await http.post(f"/v1/{careful.who.user}/factors:beginTotp", json={})).raise_for_status().json()
        careful.secret = begun["secret"]
        added = await http.post(f"/v1/{begun['name']}:confirmTotp", json={"code": careful.code()})
        careful.codes = added.raise_for_status().json()["recoveryCodes"]
    return careful


@pytest.fixture
async def browser(store: Store) -> AsyncIterator[Browser]:
    """Of the store's own front end."""
    async with store.http() as http:
        yield Browser(http, store.url, await made(store, "PUBLIC", firstParty=True))


async def challenge(browser: Browser, eve: Careful) -> str:
    answer = await browser.go("POST", "/session", json=eve.who.sign_in)
    # Not signed in yet; but the password was right, and others who guess keep nobody out of this browser.
    assert answer.status_code == 202, answer.text
    assert [one.partition("=")[0] for one in answer.headers.get_list("set-cookie")] == ["__Host-rapport-browser"]
    missing = answer.json()["secondFactor"]
    assert missing["ways"] == ["CODE", "RECOVERY_CODE"]
    assert missing["expireTime"]
    return str(missing["challenge"])


async def go_on(browser: Browser, eve: Careful, **proof: Any) -> httpx.Response:
    asked = {"challenge": await challenge(browser, eve), **proof}
    return await browser.go("POST", "/session/factor", json=asked)


async def test_a_frontend_goes_on_with_a_code(browser: Browser, eve: Careful) -> None:
    problem(await go_on(browser, eve, code="000000"), 400, "CODE_WRONG")
    assert (await browser.go("GET", "/session")).status_code == 401
    done = await go_on(browser, eve, code=eve.code())
    assert (done.status_code, done.json()["user"], done.json()["roles"]) == (200, eve.who.user, [])
    assert (await browser.go("GET", "/session")).json() == done.json()
    said = {one.partition("=")[0]: one for one in done.headers.get_list("set-cookie")}
    assert set(said) == {SESSION, f"{SESSION}-linked", DEVICE}
    assert set(said[DEVICE].split("; ")[1:]) == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=15552000"}


async def test_a_device_that_is_trusted_is_known_by_its_cookie(browser: Browser, eve: Careful) -> None:
    first = (await go_on(browser, eve, code=eve.code(), trustDevice=True)).json()
    again = await browser.go("POST", "/session", json=eve.who.sign_in)
    assert again.status_code == 200
    assert again.json()["session"] != first["session"]
    listed = (await browser.go("GET", f"/v1/{eve.who.user}/devices")).json()["devices"]
    assert [bool(one["trustExpireTime"]) for one in listed] == [True]
    asked = await browser.go("POST", "/session", json=eve.who.sign_in | {"askAlways": True})
    assert asked.status_code == 202
    browser.cookies[DEVICE] = "what is none of ours"
    await challenge(browser, eve)


async def test_a_session_is_proven_again_under_another_cookie(browser: Browser, eve: Careful) -> None:
    problem(await browser.go("POST", "/session/proof", json={"code": eve.codes[0]}), 401, "SIGN_IN_NEEDED")
    first = (await go_on(browser, eve, code=eve.code())).json()
    before = browser.cookies[SESSION]
    problem(await browser.go("POST", "/session/proof", json={"password": PASSWORD}), 409, "FACTOR_NEEDED")
    done = await browser.go("POST", "/session/proof", json={"recoveryCode": eve.codes[0]})
    assert (done.status_code, done.json()) == (200, first)
    assert browser.cookies[SESSION] != before
    assert (await browser.go("GET", "/session")).json() == first
    browser.cookies[SESSION] = before
    problem(await browser.go("GET", "/session"), 401, "SESSION_ENDED")


async def test_a_passkey_signs_in_and_proves_again(store: Store, browser: Browser) -> None:
    ada = store.register("ada")
    device = Authenticator(origin=store.plan.urls["store"], party="localhost")
    async with store.http(**store.bearer(ada.user)) as http:
        begun = (await http.post(f"/v1/{ada.user}/factors:beginPasskey", json={})).json()
        made = {"credential": device.create(begun["options"]), "title": "My phone"}
        (await http.post(f"/v1/{ada.user}/factors:addPasskey", json=made)).raise_for_status()

    async def signed() -> str:
        return device.get((await browser.go("POST", "/v1/passkeys:begin", json={})).json()["options"])

    done = await browser.go("POST", "/session/passkey", json={"credential": await signed()})
    assert (done.status_code, done.json()["user"]) == (200, ada.user)
    before = browser.cookies[SESSION]
    again = await browser.go("POST", "/session/proof", json={"passkey": await signed()})
    assert (again.status_code, again.json(), browser.cookies[SESSION] != before) == (200, done.json(), True)
    device.origin = "http://localhost:1"
    problem(await browser.go("POST", "/session/passkey", json={"credential": await signed()}), 401, "PASSKEY_REFUSED")


async def test_no_other_site_goes_on_with_a_sign_in(browser: Browser, eve: Careful) -> None:
    asked = {"challenge": await challenge(browser, eve), "code": eve.code()}
    for path in ("/session/factor", "/session/passkey", "/session/proof"):
        problem(await browser.go("POST", path, "cross-site", json=asked), 403, "ORIGIN_REFUSED")


async def test_a_person_goes_on_to_a_program_by_a_page_without_scripts(browser: Browser, eve: Careful) -> None:
    page = await browser.submit(await browser.authorize(), "/oauth/sign-in", email=eve.who.email, password=PASSWORD)
    assert (page.status_code, "<script" in page.text) == (200, False)
    assert SESSION not in browser.cookies
    wrong = await browser.submit(page, "/oauth/second-factor", code="000000")
    assert (wrong.status_code, "That code is not the one" in wrong.text) == (401, True)
    code = eve.code()
    done = await browser.submit(wrong, "/oauth/second-factor", code=f"{code[:3]} {code[3:]}", trust="yes")
    assert "code" in told(done)
    assert "code" in told(await browser.authorize(prompt="none"))

    page = await browser.submit(
        await browser.authorize(prompt="login"), "/oauth/sign-in", email=eve.who.email, password=PASSWORD
    )
    assert 'action="/oauth/second-factor"' in page.text  # trusted, and yet asked
    assert "code" in told(await browser.submit(page, "/oauth/second-factor", code=eve.codes[0].upper()))


async def test_who_types_too_many_wrong_codes_is_told_when_to_come_again(browser: Browser, eve: Careful) -> None:
    page = await browser.submit(await browser.authorize(), "/oauth/sign-in", email=eve.who.email, password=PASSWORD)
    for _ in range(5):
        page = await browser.submit(page, "/oauth/second-factor", code="000000")
        assert page.status_code == 401
    ended = await browser.submit(page, "/oauth/second-factor", code="000000")
    assert (ended.status_code, "Sign in again." in ended.text) == (401, True)
    page = await browser.submit(ended, "/oauth/sign-in", email=eve.who.email, password=PASSWORD)
    waits = await browser.submit(page, "/oauth/second-factor", code="000000")
    assert (waits.status_code, "Try again in 1 minute, or type a recovery code" in waits.text) == (429, True)
    assert "code" in told(await browser.submit(waits, "/oauth/second-factor", code=eve.codes[0]))


async def test_nothing_that_proves_a_person_is_logged(store: Store, browser: Browser, eve: Careful) -> None:
    code = eve.code()
    await go_on(browser, eve, code=code)
    written = store.written("gateway") + store.written("identity")
    for planted in (eve.secret, *eve.codes, f'"{code}"', browser.cookies[DEVICE], browser.cookies[SESSION]):
        assert planted not in written
