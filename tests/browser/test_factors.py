"""The second step of signing in, and passkeys, as people meet them; with a device that Chromium makes up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pyotp
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from chassis.time import TestClock
from deploy.local.commands.clock import advance
from deploy.local.plan import Plan
from tests.browser.test_looks import check, program, themed
from tests.browser.window import Window, window

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]
PASSWORD = "brass kettle at dawn"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass
class Eve:
    """Somebody with an account of her own, and an app once she has added it."""

    plan: Plan
    email: str
    secret: str = ""
    step: int = 0

    def code(self) -> str:
        """One that was not used yet: each is good once."""
        now = TestClock(self.plan.state.clock)()
        self.step = max(self.step + 1, int(now.timestamp()) // 30)
        return pyotp.TOTP(self.secret).generate_otp(self.step)


async def eve(plan: Plan) -> Eve:
    email = f"eve-{uuid4().hex[:8]}@example.org"
    operator = {"x-rapport-service": plan.state.secret("token-operator").read_text()}
    async with httpx.AsyncClient(base_url=plan.urls["store"], headers=operator, timeout=20) as http:
        asked = {"user": {"email": email, "displayName": "Eve"}, "password": PASSWORD}
        (await http.post("/v1/users", json=asked)).raise_for_status()
    return Eve(plan, email)


async def type_password(at: Window, who: Eve) -> None:
    card = at.page.get_by_role("region", name="Sign in", exact=True)
    await card.get_by_label("E-mail").fill(who.email)
    await card.get_by_label("Password").fill(PASSWORD)
    await at.page.keyboard.press("Enter")


async def sign_in(at: Window, who: Eve) -> None:
    await at.home()
    await type_password(at, who)
    await at.page.get_by_role("region", name="Two-step sign-in").wait_for()


async def add_app(at: Window, who: Eve) -> None:
    await at.page.get_by_role("button", name="Add an app…").click()
    who.secret = (await at.page.locator("dialog .key").inner_text()).replace(" ", "")
    await at.page.locator("dialog").get_by_label("Code").fill(who.code())
    await at.page.keyboard.press("Enter")
    await at.page.get_by_role("heading", name="Keep these recovery codes").wait_for()


async def sign_out(at: Window) -> None:
    await at.page.get_by_role("button", name="Sign out here").click()
    await at.page.get_by_role("region", name="Sign in", exact=True).wait_for()


@themed
async def test_an_app_is_added_and_asked_for(chromium: Chromium, plan: Plan, theme: str) -> None:
    who = await eve(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        page = at.page
        await sign_in(at, who)
        card = page.get_by_role("region", name="Two-step sign-in")
        await card.get_by_role("button", name="Add an app…").click()
        await page.locator("dialog img.qr").wait_for()
        await expect(page.locator("dialog img.qr")).to_have_js_property("complete", True)
        assert await page.locator("dialog img.qr").evaluate("one => one.naturalWidth") > 100
        await check(at, "factor-add", theme)
        who.secret = (await page.locator("dialog .key").inner_text()).replace(" ", "")
        await page.locator("dialog").get_by_label("Code").fill("000000")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog .error")).to_contain_text("That code is not the one")
        await page.locator("dialog").get_by_label("Code").fill(who.code())
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Keep these recovery codes").wait_for()
        codes = await page.locator("dialog .codes li").all_inner_texts()
        assert len(set(codes)) == 10
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download them").click()
        assert (await coming.value).suggested_filename == "recovery-codes.txt"
        await check(at, "factor-codes", theme)
        await page.get_by_role("button", name="I have kept them").click()
        await expect(card.get_by_text("10 are left")).to_be_visible()

        await sign_out(at)
        await type_password(at, who)
        step = page.get_by_role("region", name="One more step")
        await step.get_by_label("Code").fill("000000")
        await page.keyboard.press("Enter")
        await expect(step.get_by_role("status")).to_contain_text("That code is not the one")
        await check(at, "factor-step", theme)
        await step.get_by_label("Code").fill(who.code())
        await step.get_by_label("Do not ask here for 30 days").check()
        await page.keyboard.press("Enter")
        await expect(card.get_by_text("not asked until")).to_be_visible()
        await check(at, "factor-account", theme)
        await sign_out(at)
        await asyncio.to_thread(advance, plan, timedelta(minutes=6))  # since the code was proven
        await type_password(at, who)  # here nobody is asked any more
        await card.wait_for()
        await card.get_by_role("button", name="Remove").click()  # what is sensitive asks all the same
        await page.locator("dialog").get_by_label("Code").wait_for()
        await check(at, "factor-again", theme)
        await page.locator("dialog").get_by_label("Code").fill(codes[0])
        await page.keyboard.press("Enter")
        await expect(card.get_by_role("button", name="Add an app…")).to_be_visible()
        assert not at.wrongs


@themed
async def test_the_code_is_asked_for_on_the_page_of_businesses_too(chromium: Chromium, plan: Plan, theme: str) -> None:
    who = await eve(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await sign_in(at, who)
        await add_app(at, who)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.open("/trade")
        await type_password(at, who)
        step = at.page.get_by_role("region", name="One more step")
        await step.get_by_label("Code").fill(who.code())
        await check(at, "trade-step", theme)
        await at.page.keyboard.press("Enter")
        await at.page.get_by_text("You have not begun an application.").wait_for()
        assert not at.wrongs


@themed
async def test_a_program_is_reached_by_a_page_without_scripts(chromium: Chromium, plan: Plan, theme: str) -> None:
    who = await eve(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await sign_in(at, who)
        await add_app(at, who)
    asked = {
        "client_id": await program(plan),
        "redirect_uri": "https://app.example.org/callback",
        "response_type": "code",
        "scope": "openid profile",
        "code_challenge": "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
        "code_challenge_method": "S256",
    }
    async with window(chromium, plan.urls["store"], theme=theme, scripts=False) as at:
        await at.open(f"/oauth/authorize?{urlencode(asked)}")
        await at.page.get_by_label("E-mail address").fill(who.email)
        await at.page.get_by_label("Password").fill(PASSWORD)
        await at.page.get_by_role("button", name="Sign in").click()
        await at.page.get_by_label("Code").fill("000000")
        await at.page.get_by_role("button", name="Go on").click()
        await at.page.get_by_role("alert").wait_for()
        await at.page.screenshot(path=f"tests/output/factor-oauth-{theme}-1280.png")
        await at.page.get_by_label("Code").fill(who.code())
        await at.page.get_by_role("button", name="Go on").click()
        await at.page.get_by_role("button", name="Do not allow").wait_for()


@asynccontextmanager
async def device(at: Window) -> AsyncIterator[Any]:
    """A device that holds passkeys and unlocks at once."""
    line = await at.page.context.new_cdp_session(at.page)
    await line.send("WebAuthn.enable")
    made = await line.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})

    async def unlocks(whether: bool) -> None:
        said = {"authenticatorId": made["authenticatorId"], "isUserVerified": whether}
        await line.send("WebAuthn.setUserVerified", said)

    yield unlocks
    await line.detach()


@themed
async def test_a_passkey_is_added_signs_in_and_is_removed(chromium: Chromium, plan: Plan, theme: str) -> None:
    who = await eve(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at, device(at) as unlocks:
        page = at.page
        await sign_in(at, who)
        card = page.get_by_role("region", name="Passkeys")
        await card.get_by_role("button", name="Add a passkey…").click()
        await expect(card.get_by_text("Passkey 1")).to_be_visible()
        await card.get_by_role("button", name="Rename").click()
        await page.get_by_label("Title").fill("My phone")
        await check(at, "passkey-rename", theme)
        await page.keyboard.press("Enter")
        await expect(card.get_by_text("My phone")).to_be_visible()
        await card.get_by_role("button", name="Add a passkey…").click()  # it holds one already
        await expect(card.locator(".error")).to_contain_text("holds a passkey of this account already")
        await check(at, "passkey-account", theme)

        await sign_out(at)
        await unlocks(False)
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("button", name="Sign in with a passkey")).not_to_have_attribute(
            "aria-disabled", "true"
        )
        await expect(card).to_have_count(0)
        await check(at, "passkey-sign-in", theme)
        await unlocks(True)
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(card.get_by_text("last used")).to_be_visible()
        await card.get_by_role("button", name="Remove").click()
        await expect(card.get_by_text("My phone")).to_have_count(0)
        await sign_out(at)
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.locator("#account .error").first).to_contain_text("That passkey cannot be used here.")
        assert not at.wrongs
