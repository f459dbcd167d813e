"""The pages that people sign in, consent and sign out on: nobody frames them, nothing foreign is on them, and no other
site fills them in."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.test_oauth import HIDDEN
from tests.identity.conformance.party import CALLBACK, Party
from tests.store import PASSWORD

pytestmark = pytest.mark.xdist_group("store")
LINKS = re.compile(r"""(?:src|href|action|formaction|data|poster|srcset|content)\s*=\s*["']([^"']*)["']""", re.I)
INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\son[a-z]+\s*=|style\s*=|javascript:", re.IGNORECASE)


async def every_page(rp: Party) -> AsyncIterator[tuple[str, httpx.Response]]:
    sign_in = await rp.ask()
    yield "sign-in", sign_in
    said = {"email": rp.person.email, "password": "not the right one"}
    yield "sign-in, wrong", await rp.browser.submit(sign_in, "/oauth/sign-in", **said)
    consent = await rp.browser.submit(sign_in, "/oauth/sign-in", **said | {"password": PASSWORD})
    yield "consent", consent
    await rp.redeem(rp.told(await rp.browser.submit(consent, "/oauth/consent", decision="approve"))["code"])
    yield "sign-out", await rp.end_session()
    yield "mistake", await rp.ask(redirect_uri="https://evil.example/")
    yield "mistake of a sign-out", await rp.end_session(id_token_hint="nonsense")
    yield "post", await rp.ask(response_mode="form_post")
    yield "signed out", await rp.browser.submit(await rp.end_session(), "/oauth/sign-out", decision="sign-out")


async def test_no_page_of_the_provider_is_framed_or_tells_where_it_leads_or_holds_what_is_not_ours(rp: Party) -> None:
    seen = []
    async for name, page in every_page(rp):
        seen.append(name)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert page.headers["referrer-policy"] == "no-referrer", name
        assert page.headers["cache-control"] == "no-store", name
        loaded = re.sub(r"<a\s[^>]*>", "", page.text)  # what is gone to only when somebody wants to
        foreign = {link for link in LINKS.findall(loaded) if re.match(r"(?:[a-z]+:)?//", link)}
        assert foreign <= ({CALLBACK} if name == "post" else set()), f"{name}: {foreign}"
        assert not INLINE.search(page.text), name
    assert len(seen) == 8


@pytest.mark.parametrize("path", ["/oauth/sign-in", "/oauth/consent", "/oauth/sign-out"])
async def test_no_form_of_the_provider_is_filled_in_by_another_site_or_another_browser(rp: Party, path: str) -> None:
    pages = {name: page async for name, page in every_page(rp)}
    page = pages[{"/oauth/sign-in": "sign-in", "/oauth/consent": "consent", "/oauth/sign-out": "sign-out"}[path]]
    fields = dict(HIDDEN.findall(page.text)) | {"email": rp.person.email, "password": PASSWORD, "decision": "approve"}
    problem(await rp.browser.go("POST", path, "cross-site", data=fields), 403, "ORIGIN_REFUSED")
    problem(await rp.browser.go("POST", path, "same-site", data=fields), 403, "ORIGIN_REFUSED")
    problem(await rp.browser.go("POST", path, data=fields | {"form_token": "0" * 64}), 403, "ORIGIN_REFUSED")
    rp.browser.cookies.pop("__Host-rapport-form")  # login CSRF: a form that the attacker got in a browser of their own
    problem(await rp.browser.go("POST", path, data=fields), 403, "ORIGIN_REFUSED")


async def test_every_sign_in_gives_the_browser_another_secret(rp: Party) -> None:
    seen = set()
    for _ in range(3):
        await rp.go_through(await rp.ask(prompt="login"))
        secret = rp.browser.cookies["__Host-rapport-linked"]
        assert secret == rp.browser.cookies["__Host-rapport"]
        seen.add(secret)
    assert len(seen) == 3


async def test_no_secret_that_a_browser_brings_along_becomes_its_session(rp: Party) -> None:
    for name in ("__Host-rapport", "__Host-rapport-linked"):
        rp.browser.cookies[name] = "a-secret-that-an-attacker-chose-beforehand"
    await rp.go_through(await rp.ask())
    assert "attacker" not in rp.browser.cookies["__Host-rapport"] + rp.browser.cookies["__Host-rapport-linked"]
    rp.browser.cookies = {"__Host-rapport-linked": "a-secret-that-an-attacker-chose-beforehand"}
    assert await rp.refused(prompt="none") == "login_required"
