"""How the help centre behaves: without scripts, without a mouse, without luck."""

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Route, expect

from deploy.local.plan import Plan
from tests.browser.people import Customer
from tests.browser.window import window
from tests.journeys.people import Browser, gateway_client

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_the_faq_and_its_search_need_no_scripts(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"], scripts=False) as at:
        await at.open("/")
        await at.page.get_by_label("Search the FAQ").fill("newsletter points")
        await at.page.keyboard.press("Enter")
        await expect(at.page.get_by_role("heading", name="Answers")).to_be_visible()
        await at.page.locator("summary", has_text="Subscribe and get 500 R points").click()
        await expect(at.page.get_by_text("once per person")).to_be_visible()


async def test_answers_come_while_one_types_and_their_number_is_announced(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.home()
        every = await at.page.locator("#answers .answer").count()
        await at.page.get_by_label("Search the FAQ").press_sequentially("refund")
        await expect(at.page.locator("#count")).to_contain_text("for “refund”")
        assert 0 < await at.page.locator("#answers .answer").count() < every
        await at.page.get_by_label("Search the FAQ").fill("zyzzyva")
        await expect(at.page.locator("#count")).to_contain_text("Nothing found for “zyzzyva”")
        await at.page.get_by_label("Search the FAQ").fill("")
        await expect(at.page.locator("#answers .answer")).to_have_count(every)


async def test_a_question_is_shown_as_it_was_typed_and_never_run(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        typed = "<img src=x onerror=alert(1)>"
        await at.home()
        await at.page.get_by_label("Search the FAQ").fill(typed)
        await expect(at.page.locator("#count")).to_contain_text(typed)
        await at.page.reload()
        await expect(at.page.locator("#count")).to_contain_text(typed)
        assert await at.page.locator("main img").count() == 0
        assert not at.wrongs


async def test_a_link_to_an_answer_opens_it(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.open("/#unsubscribe")
        await expect(at.page.locator("#unsubscribe")).to_have_attribute("open", "")


async def test_the_hours_are_told_in_the_visitors_own_zone(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.home()
        shown = at.page.locator("support-hours time")
        moment = await shown.get_attribute("datetime")
        berlin = await at.page.evaluate(
            "(at) => new Date(at).toLocaleTimeString('en-GB', {timeZone: 'Europe/Berlin', hour: 'numeric', "
            "minute: '2-digit'})",
            moment,
        )
        assert (await shown.inner_text()).endswith(berlin)


async def test_a_refusal_stands_beside_its_button_with_the_number_to_quote(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.home()
        card = at.page.get_by_role("region", name="Sign in", exact=True)
        await card.get_by_label("E-mail").fill("nobody@example.org")
        await card.get_by_label("Password").fill("not a password")
        async with at.page.expect_response("**/session") as answered:
            await card.get_by_role("button", name="Sign in", exact=True).click()
        refused = await (await answered.value).json()
        await expect(card.get_by_role("status")).to_contain_text(refused["detail"])
        await expect(card.get_by_role("status")).to_contain_text(refused["requestId"])
        assert await at.focused() == "Sign in", "the focus left the button"


async def test_a_line_that_is_down_is_told_in_words(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.home()
        await at.page.context.set_offline(True)
        card = at.page.get_by_role("region", name="New here?")
        await card.get_by_label("E-mail").fill("ada@example.org")
        await card.get_by_role("button").click()
        await expect(card.get_by_role("status")).to_contain_text("We cannot be reached")


async def test_pressing_twice_sends_once(chromium: Chromium, plan: Plan, ada: Customer) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.sign_in(ada)
        keys: list[str] = []

        async def lose_answer(route: Route) -> None:
            keys.append((await route.request.all_headers())["idempotency-key"])
            await route.abort()

        await at.page.route("**/messages", lose_answer, times=2)
        await at.page.locator("#tickets summary", has_text="shade").click()
        reply = at.page.locator("#tickets details[open]")
        await reply.get_by_label("Reply").fill("Twice?")
        await reply.get_by_label("Reply").blur()
        for _ in range(2):
            await reply.get_by_role("button", name="Send").click()
            await expect(reply.locator("form .error").first).to_be_visible()
        await expect(reply.locator("form [aria-disabled]")).to_have_count(0)
        assert len(keys) == 2
        assert len(set(keys)) == 1, "a retry would be another reply"


async def test_signing_out_elsewhere_is_noticed_here(chromium: Chromium, plan: Plan, ada: Customer) -> None:
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        await at.sign_in(ada)
        async with at.page.expect_response("**/session") as answered:
            await at.page.reload()
        here = (await (await answered.value).json())["session"]
        await at.page.locator("#orders .row").first.wait_for()
        elsewhere = Browser(store)
        await elsewhere.sign_in(ada.email, ada.password)
        assert (await elsewhere.call("DELETE", f"/v1/{here}")).status < 300
        await expect(at.page.locator("#account-notice")).to_have_text("You are signed out.")
        await expect(at.page.get_by_role("region", name="Sign in", exact=True)).to_be_visible()
        assert await at.page.locator("#orders").count() == 0, "what was hers is still shown"


async def test_every_request_of_the_page_is_one_of_the_public_api(
    chromium: Chromium, plan: Plan, ada: Customer
) -> None:
    async with window(chromium, plan.urls["store"]) as at, gateway_client(plan) as store:
        asked: set[str] = set()
        at.page.on("request", lambda request: asked.add(f"{request.resource_type} {request.url}"))
        await at.sign_in(ada)
        routes = set((await store.get("/openapi.json")).json()["paths"])
        called = {one.split(plan.urls["store"])[1].partition("?")[0] for one in asked if one.startswith("fetch ")}
        fixed = {path for path in called if not path.startswith("/v1/users/")}
        assert len(called) > len(fixed) > 1
        unknown = {path for path in fixed if path not in routes and path != "/v1/policies/latest"}
        assert not unknown


async def test_nothing_glides_for_who_asks_for_less_motion(chromium: Chromium, plan: Plan) -> None:
    moving = "getComputedStyle(document.documentElement).scrollBehavior"
    for still, expected in ((True, "auto"), (False, "smooth")):
        async with window(chromium, plan.urls["store"], still=still) as at:
            await at.open("/")
            assert await at.page.evaluate(moving) == expected


async def test_a_style_that_is_written_into_the_page_is_refused(chromium: Chromium, plan: Plan) -> None:
    async with window(chromium, plan.urls["store"]) as at:
        await at.open("/")
        await at.page.evaluate("document.body.setAttribute('style', 'color: red')")
        assert any("Content Security Policy" in wrong for wrong in at.wrongs), "an inline style was taken"
