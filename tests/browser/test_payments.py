"""Cards on the page: what is kept of one is shown and removed, and a number that somebody typed is hidden."""

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from deploy.local.plan import Plan
from tests.browser.people import Customer
from tests.browser.window import window
from tests.journeys.people import Browser, gateway_client

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_who_typed_a_card_number_reads_that_it_was_hidden(chromium: Chromium, plan: Plan, ada: Customer) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.sign_in(ada)
        await at.page.locator("#tickets summary", has_text="shade").click()
        ticket = at.page.locator("#tickets details[open]")
        await ticket.get_by_label("Reply").fill("Refund it to 4111 1111 1111 1111")
        await ticket.get_by_role("button", name="Send").click()
        await expect(ticket.get_by_text("We hid a card number in what you wrote.")).to_be_visible()
        await expect(ticket.locator(".thread li").last).to_contain_text("Refund it to XXXX XXXX XXXX 1111")
        await at.page.get_by_role("button", name="Get help with order A-100231").click()
        await at.page.get_by_label("In a few words").fill("Charged twice")
        await at.page.get_by_label("What happened?").fill("On 4111111111111111")
        await at.page.locator("dialog").get_by_role("button", name="Send").click()
        await expect(at.page.locator("#tickets > .said")).to_contain_text("We hid a card number in what you wrote.")
        assert not at.wrongs


async def test_what_a_checkout_kept_is_shown_and_removed(chromium: Chromium, plan: Plan, ada: Customer) -> None:
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        await at.sign_in(ada)
        card = at.page.get_by_role("region", name="Payment methods")
        await expect(card).to_have_count(0)  # there is nothing to show
        checkout = Browser(store)
        await checkout.sign_in(ada.email, ada.password)
        visa = {"provider": "stripe", "kind": "CARD", "brand": "VISA", "lastFour": "4242"}
        method = visa | {"expireMonth": 12, "expireYear": 2095}
        asked = {"paymentMethod": method, "providerToken": "pm_1N4xKx"}
        await checkout.post(f"/v1/{ada.user}/paymentMethods", asked)
        paypal = {"paymentMethod": {"provider": "paypal", "kind": "PAYPAL"}, "providerToken": "B-9MN64552"}
        await checkout.post(f"/v1/{ada.user}/paymentMethods", paypal)
        await expect(card).to_contain_text("Visa ending in 4242")  # it appears by itself
        await expect(card).to_contain_text("expires 12/2095")
        assert not await at.faults("payments")
        for title in ("Visa ending in 4242", "PayPal"):
            button = card.get_by_role("button", name=f"Remove {title}")
            await button.click()
            await expect(button).to_have_count(0)
        await expect(card).to_have_count(0)
        assert not at.wrongs
