"""The whole way by keyboard alone: from a visitor to a customer who was helped, and is forgotten."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Download

from deploy.local.people import password
from deploy.local.plan import Plan
from tests.browser.people import answer, give_orders, token_for
from tests.browser.window import Window, window
from tests.journeys.people import Browser, gateway_client

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]
EMAIL, SECRET = "eve@example.org", "four unusual words here"


async def test_everything_is_done_by_keyboard_from_registering_to_being_erased(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"], still=True) as at:  # or what has the focus is on its way yet
        await register(at, plan)
        await subscribe(at, plan)
        ticket = await submit_ticket(at, plan)
        await hear_answer(at, plan, ticket)
        await take_copy(at, ticket)
        await be_erased(at)
        assert not at.wrongs


async def register(at: Window, plan: Plan) -> None:
    await at.home()
    await fill_by_keyboard(at, "New here?", EMAIL)
    await at.page.get_by_text("Open the mail we sent you to go on.").wait_for()
    await at.open(f"/register#token={await token_for(plan, EMAIL, '/register')}")
    await at.page.get_by_label("Your name").wait_for()
    assert "token" not in at.page.url, "the token stays in the address, and in the history"
    await at.tab_to("Your name")
    await at.page.keyboard.type("Eve")
    await at.tab_to("Choose a password")
    await at.page.keyboard.type(SECRET)
    await at.page.keyboard.press("Enter")
    await at.page.locator("#points").wait_for()


async def fill_by_keyboard(at: Window, card: str, email: str) -> None:
    await at.page.get_by_role("region", name=card).get_by_label("E-mail").focus()
    await at.page.keyboard.type(email)
    await at.page.keyboard.press("Enter")


async def subscribe(at: Window, plan: Plan) -> None:
    form = at.page.locator("newsletter-form")
    await form.locator(f"input[value='{EMAIL}']").wait_for()  # known already: not to be typed again
    await form.get_by_role("textbox").focus()
    await at.page.keyboard.press("Enter")
    await at.page.get_by_text("open the mail we sent you and confirm").wait_for()
    account = at.page.url
    await at.open(f"/confirm#token={await token_for(plan, EMAIL, '/confirm')}")
    await at.tab_to("Confirm my subscription")
    await at.page.keyboard.press("Enter")
    await at.page.get_by_text("500 R points are yours").wait_for()
    await at.page.goto(account)
    await at.page.locator("#points .big", has_text="500").wait_for()
    await form.get_by_text("You are subscribed").wait_for()


async def submit_ticket(at: Window, plan: Plan) -> str:
    async with gateway_client(plan) as store:
        shopper = Browser(store)
        await shopper.sign_in(EMAIL, SECRET)
        await give_orders(plan, shopper, {"E-1": 30})
        help_button = at.page.get_by_role("button", name="Get help with order E-1")
        await help_button.wait_for()  # it appears by itself
        await at.tab_to("Get help with order E-1")
        await at.page.keyboard.press("Enter")
        await at.page.locator("dialog").wait_for()
        await at.page.keyboard.press("Escape")
        await at.page.locator("dialog").wait_for(state="detached")
        assert await at.page.evaluate("document.activeElement.ariaLabel") == "Get help with order E-1", (
            "the focus is lost"
        )
        await at.page.keyboard.press("Enter")
        await at.tab_to("In a few words")
        await at.page.keyboard.type("Where is it?")
        await at.tab_to("What happened?")
        await at.page.keyboard.type("It has not come.")
        await at.tab_to("Send")
        await at.page.keyboard.press("Enter")
        await at.page.locator("[role=status]", has_text="Your ticket is submitted").wait_for()
        await at.page.locator("dialog").wait_for(state="detached")
        await at.page.locator(".thread li", has_text="It has not come.").wait_for()
        assert "Where is it?" in await at.focused(), "the new ticket has not the focus"
        tickets = (await shopper.get(f"/v1/{shopper.user}/tickets"))["tickets"]
        return str(tickets[0]["name"])


async def hear_answer(at: Window, plan: Plan, ticket: str) -> None:
    """It comes while she types, and again after her line was down; what she types stays."""
    await at.tab_to("Reply")
    await at.page.keyboard.type("Hello? ")
    await answer(plan, ticket, "It was sent today.", password(plan))
    await at.page.locator(".thread .store", has_text="It was sent today.").wait_for()
    await at.page.context.set_offline(True)
    await answer(plan, ticket, "It comes tomorrow.", password(plan))
    await at.page.context.set_offline(False)
    await at.page.locator(".thread .store", has_text="It comes tomorrow.").wait_for()
    assert await at.page.locator(".thread li").count() == 3, "something is shown twice"
    await at.page.keyboard.type("Thanks!")
    await at.tab_to("Send")
    await at.page.keyboard.press("Enter")
    await at.page.locator(".thread .customer", has_text="Hello? Thanks!").wait_for()


async def take_copy(at: Window, ticket: str) -> None:
    await at.tab_to("Download it")
    async with at.page.expect_download() as coming:
        await at.page.keyboard.press("Enter")
    copy = await read(await coming.value)
    assert copy["complete"] is True
    assert EMAIL in str(copy)
    assert "Hello? Thanks!" in str(copy)
    assert ticket.rpartition("/")[2] in str(copy)


async def be_erased(at: Window) -> None:
    await at.tab_to("Delete my account…")
    await at.page.keyboard.press("Enter")
    await at.page.get_by_role("dialog").wait_for()
    assert await at.focused() == "Keep my account", "one key too many would delete it"
    await at.page.keyboard.press("Shift+Tab")
    assert await at.focused() == "Delete my account"
    await at.page.keyboard.press("Shift+Tab")
    await at.page.keyboard.press("Space")
    await at.tab_to("Delete for good")
    await at.page.keyboard.press("Enter")
    await at.page.get_by_role("heading", name="Your account is erased").wait_for(timeout=45_000)
    assert await at.page.locator("dialog .badge", has_text="Erased and checked").count() == 4
    async with at.page.expect_download() as coming:
        await at.page.get_by_role("link", name="Save the receipt").press("Enter")
    receipt = await read(await coming.value)
    assert receipt["state"] == "COMPLETED"
    assert EMAIL not in str(receipt)
    await at.page.keyboard.press("Escape")
    await at.page.get_by_role("region", name="Sign in", exact=True).wait_for()


async def read(download: Download) -> Any:
    return json.loads(await asyncio.to_thread(Path(await download.path()).read_bytes))
