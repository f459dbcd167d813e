"""What people see of their points."""

import re

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from deploy.local.people import password
from deploy.local.plan import Plan
from tests.browser.people import Customer
from tests.browser.window import Window, window
from tests.journeys.people import Browser, gateway_client, new_key
from tests.journeys.shop import Shop

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def rows(at: Window) -> list[str]:
    return [re.sub(r"\s+", " ", text) for text in await at.page.locator("#points tbody tr").all_inner_texts()]


async def test_the_wallet_says_what_there_is_what_waits_and_what_ends(
    chromium: Chromium, plan: Plan, ada: Customer
) -> None:
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        await at.sign_in(ada)
        me = Browser(store)
        await me.sign_in(ada.email, ada.password)
        told = await me.get(f"/v1/{me.user}/pointsAccount")
        wallet = at.page.locator("#points")
        await expect(wallet.locator(".big")).to_have_text(f"{int(told['available']):,} R points")
        shown = await wallet.locator(".purses > div").all_inner_texts()
        assert [re.sub(r"\s+", " ", one) for one in shown] == [
            f"Pending yours to spend later {told['pending']}",
            f"Set aside for an order under way {told['held']}",
        ]
        ends = wallet.locator(".ends").first.locator("li")
        await expect(ends).to_have_count(3)
        await expect(ends.first.locator(".number")).to_have_text(f"{int(told['expiring'][0]['points']):,}")
        await expect(wallet.locator("details li")).to_have_count(len(told["expiring"]) - 3)
        assert not at.wrongs


async def test_points_are_shown_to_the_last_day_they_can_be_spent(
    chromium: Chromium, plan: Plan, ada: Customer
) -> None:
    """What ends at midnight in Berlin ends, for who is there, with the day before."""
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        admin = Browser(store)
        await admin.sign_in("alma@example.org", password(plan))
        gift = {"points": 7, "expireTime": "2099-06-30T22:00:00Z"}
        await admin.post(f"/v1/{ada.user}/pointsAccount/movements:earn", gift, key=new_key())
        await at.sign_in(ada)
        await at.page.locator("#points summary", has_text="more dates").click()
        last = at.page.locator("#points details li").last
        assert re.sub(r"\s+", " ", await last.inner_text()) == "until 30 Jun 2099 7"


async def test_the_statement_goes_back_by_keyboard_to_the_first_movement(
    chromium: Chromium, plan: Plan, ada: Customer
) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.sign_in(ada)
        await at.page.locator("#points tbody tr").nth(4).wait_for()
        assert len(await rows(at)) == 5
        button = at.page.get_by_role("button", name="Show earlier")
        while await button.is_visible():
            before = len(await rows(at))
            await button.focus()
            await at.page.keyboard.press("Enter")
            await expect(at.page.locator("#points tbody tr").nth(before)).to_be_visible()
        found = await rows(at)
        assert {one.split()[1] for one in found[-2:]} == {"A-100231", "A-100245"}, found
        assert await at.page.evaluate("document.activeElement.closest('tbody') !== null"), "the focus is lost"
        await expect(at.page.locator("#points .said")).to_contain_text("earlier")
        assert any(one.startswith("Set aside for an order") and "−1,200" in one for one in found), found
        assert any(one.startswith("Spent") and "300 of those set aside 0" in one for one in found), found
        assert not [one for one in found if "_" in one], "a name of the contract is shown"
        assert not at.wrongs


async def test_the_tier_is_shown_and_how_far_the_next_one_is(chromium: Chromium, plan: Plan, ada: Customer) -> None:
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        await at.sign_in(ada)
        me = Browser(store)
        await me.sign_in(ada.email, ada.password)
        told = await me.get(f"/v1/{me.user}/tier")
        await expect(at.page.locator("#points .tier strong")).to_have_text(told["title"])
        has, lacks = int(told["qualifyingPoints"]), int(told["nextTierPoints"])
        assert has > 0
        assert lacks > 0
        bar = at.page.locator("#points progress")
        assert await bar.evaluate("one => [one.value, one.max]") == [has, has + lacks]
        assert await bar.get_attribute("aria-label") == f"{has} of {has + lacks} points"
        await expect(at.page.locator("#points progress + p")).to_contain_text(f"{lacks} more by")


async def test_what_the_shop_sets_aside_is_seen_at_once_and_earlier_rows_stay(
    chromium: Chromium, plan: Plan, ada: Customer
) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.sign_in(ada)
        await at.page.locator("#points tbody tr").nth(4).wait_for()
        await at.page.get_by_role("button", name="Show earlier").click()
        await at.page.locator("#points tbody tr").nth(5).wait_for()
        count = len(await rows(at))
        shop = Shop(plan)
        hold = await shop.post(f"/v1/{ada.user}/pointsAccount/holds", {"points": 11})
        await expect(at.page.locator("#points tbody tr").first).to_contain_text("−11")
        assert len(await rows(at)) == count
        await shop.post(f"/v1/{hold['name']}:release", {})
        await expect(at.page.locator("#points tbody tr").first).to_contain_text("No longer set aside")


async def test_who_has_no_points_is_told_how_to_gain_some(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.home()
        card = at.page.get_by_role("region", name="Sign in", exact=True)
        await card.get_by_label("E-mail").fill("pia@example.org")
        await card.get_by_label("Password").fill(password(plan))
        await at.page.keyboard.press("Enter")
        wallet = at.page.locator("#points")
        await expect(wallet.locator(".big")).to_have_text("0 R points")
        await expect(wallet.get_by_text("every paid order gain you some")).to_be_visible()
        await expect(wallet.locator("table, .actions")).to_have_count(2)
        await expect(wallet.locator("table")).to_be_hidden()
        await expect(wallet.locator(".purses, .ends")).to_have_count(0)
