"""Every screen, on a phone and a desk, light and dark: nothing that axe minds, nothing that does not fit."""

from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Browser

from deploy.local.plan import Plan
from tests.browser.people import Customer, make_leaver
from tests.browser.window import Window, window

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]
themed = pytest.mark.parametrize("theme", ["light", "dark"])


async def check(at: Window, name: str, theme: str) -> None:
    assert not (faults := await at.faults(f"{name}-{theme}")), f"{name}: {faults}"


@themed
async def test_what_visitors_see_is_in_order(chromium: Browser, plan: Plan, theme: str) -> None:
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.home()
        await at.page.locator(".answer summary").first.click()
        await check(at, "visitor", theme)
        await at.open("/?q=points")
        await check(at, "answers", theme)
        await at.open("/?q=zyzzyva")
        await check(at, "no-answers", theme)
        await at.open("/register#token=never")
        await at.page.get_by_label("Choose a password").fill("unusual words of hers")
        await at.page.get_by_role("button", name="Create my account").click()
        await at.page.locator(".error").wait_for()
        await check(at, "register-refused", theme)
        await at.open("/recover#token=never")
        await at.page.get_by_label("Choose a password").fill("unusual words of hers")
        await at.page.get_by_role("button", name="Change my password").click()
        await at.page.locator(".error").wait_for()
        await check(at, "recover-refused", theme)
        await at.open("/forgot")
        await check(at, "forgot", theme)
        await at.page.get_by_label("E-mail address").fill("nobody@example.org")
        await at.page.get_by_role("button", name="Mail me a link").click()
        await at.page.get_by_text("Look into your mailbox").wait_for()
        await check(at, "forgot-sent", theme)
        await at.open("/confirm-email#token=never")
        await at.page.get_by_role("button", name="Yes, change the address").wait_for()
        await check(at, "confirm-email", theme)
        await at.open("/confirm#token=never")
        await at.page.get_by_role("button").wait_for()
        await check(at, "confirm", theme)
        await at.open("/unsubscribe/never")
        await check(at, "unsubscribe", theme)


@themed
async def test_what_customers_see_is_in_order(chromium: Browser, plan: Plan, ada: Customer, theme: str) -> None:
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.sign_in(ada)
        page = at.page
        await page.locator("#tickets summary", has_text="shade").click()
        await page.locator(".thread .store").wait_for()
        await page.get_by_role("button", name="Show earlier").click()
        await page.locator("#points summary", has_text="more date").click()
        await check(at, "account", theme)
        await page.get_by_text("Read the policy").click()
        await page.get_by_text("Show every kind of data").click()
        await page.get_by_role("button", name="Show it here").click()
        await page.get_by_text("Here it is.").wait_for()
        await page.locator(".kinds").wait_for()
        await page.locator(".policy").wait_for()
        await check(at, "privacy", theme)
        await page.get_by_role("button", name="Get help with order A-100231").click()
        await check(at, "ticket-dialog", theme)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Delete my account").click()
        await page.get_by_role("dialog").wait_for()
        await check(at, "delete-dialog", theme)


@themed
async def test_what_is_asked_of_who_leaves_and_is_not_reached_is_in_order(
    chromium: Browser, plan: Plan, theme: str
) -> None:
    leaver = await make_leaver(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.home()
        card = at.page.get_by_role("region", name="Sign in", exact=True)
        await card.get_by_label("E-mail").fill(leaver.email)
        await card.get_by_label("Password").fill(leaver.password)
        await at.page.keyboard.press("Enter")
        await at.page.get_by_role("region", name="Your account will be deleted").wait_for()
        await at.page.get_by_role("region", name="Is this still right?").wait_for()
        await at.page.locator("#points .big").wait_for()
        await check(at, "account-leaving", theme)
        await at.page.get_by_role("button", name="Yes, it is").click()
        await at.page.get_by_text("Thank you. That is noted.").wait_for()
        await at.page.get_by_role("button", name="Keep my account").click()
        await at.page.get_by_text(
            "Your account stays."
        ).wait_for()  # what tells her so comes back, and she is asked again
        await check(at, "account-kept", theme)
        profile = at.page.get_by_role("region", name="Profile")
        await profile.get_by_label("Name", exact=True).fill("Mia L.")
        await profile.get_by_role("button", name="Save").click()
        await at.page.get_by_text("Saved.").wait_for()  # what she did above is no change by somebody else
        await at.page.get_by_role("button", name="Delete my account").click()
        await at.page.get_by_role("dialog").get_by_role("checkbox").check()
        await check(at, "delete-at-once", theme)
        await at.page.get_by_role("dialog").get_by_role("checkbox").uncheck()
        await at.page.get_by_role("dialog").get_by_role("button", name="Delete my account").click()
        await at.page.get_by_role("heading", name="Your account will be deleted").wait_for()
        await check(at, "deletion-scheduled", theme)


@themed
async def test_what_people_see_who_sign_in_to_a_program_is_in_order(
    chromium: Browser, plan: Plan, ada: Customer, theme: str
) -> None:
    asked = {
        "client_id": await program(plan),
        "redirect_uri": "https://app.example.org/callback",
        "response_type": "code",
        "scope": "openid profile email offline_access points",
        "code_challenge": "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
        "code_challenge_method": "S256",
    }
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.open(f"/oauth/authorize?{urlencode(asked)}")
        await at.page.get_by_label("E-mail address").fill(ada.email)
        await at.page.get_by_label("Password").fill("not the one")
        await at.page.get_by_role("button", name="Sign in").click()
        await at.page.get_by_role("alert").wait_for()
        await check(at, "oauth-sign-in-wrong", theme)
        await at.page.get_by_label("Password").fill(ada.password)
        await at.page.get_by_role("button", name="Sign in").click()
        await at.page.get_by_role("button", name="Do not allow").wait_for()
        await check(at, "oauth-consent", theme)
        await at.open("/oauth/end-session")
        await at.page.get_by_role("button", name="Stay signed in").wait_for()
        await check(at, "oauth-sign-out", theme)
        await at.open("/oauth/authorize?client_id=nobody")
        await check(at, "oauth-problem", theme)


async def program(plan: Plan) -> str:
    """A program of somebody else's that people sign in to."""
    said = {
        "title": "Lamp Finder",
        "profile": "PUBLIC",
        "redirectUris": ["https://app.example.org/callback"],
        "scopes": ["openid", "profile", "email", "offline_access", "points"],
    }
    operator = {"x-rapport-service": plan.state.secret("token-operator").read_text()}
    async with httpx.AsyncClient(base_url=plan.urls["store"], headers=operator, timeout=20) as http:
        (await http.patch("/v1/clients/lamp-finder", json=said)).raise_for_status()
    return "lamp-finder"


@themed
async def test_what_developers_see_is_in_order(chromium: Browser, plan: Plan, theme: str) -> None:
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.open("/docs")
        await at.page.locator("summary", has_text="POST").first.click()
        await check(at, "docs", theme)
        await at.open("/problems")
        await check(at, "problems", theme)
    async with window(chromium, plan.urls["mailbox"], theme=theme) as at:
        await at.open("/")
        await check(at, "mailbox", theme)
