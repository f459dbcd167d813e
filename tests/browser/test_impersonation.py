"""What customers see of the store's people who looked at their account."""

from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from deploy.local.plan import Plan
from tests.browser.test_factors import PASSWORD, Eve, eve, sign_in
from tests.browser.test_looks import check, themed
from tests.browser.window import window

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]
TITLE = "Our people who looked at your account"


async def looked_at(plan: Plan, who: Eve) -> None:
    """Have an administrator look at her account."""
    email = f"alma-{uuid4().hex[:8]}@example.org"
    usual = {"x-rapport-client": "tests"}
    operator = usual | {"x-rapport-service": plan.state.secret("token-operator").read_text()}
    async with httpx.AsyncClient(base_url=plan.urls["store"], timeout=20) as http:
        asked = {"user": {"email": email, "displayName": "Alma"}, "password": PASSWORD}
        alma = (await http.post("/v1/users", json=asked, headers=operator)).raise_for_status().json()["name"]
        roles = {"roles": ["admin"]}
        (await http.post(f"/v1/{alma}:setRoles", json=roles, headers=operator)).raise_for_status()
        http.cookies.clear()

        async def signed(email: str) -> tuple[dict[str, str], str]:
            answer = await http.post("/session", json={"email": email, "password": PASSWORD}, headers=usual)
            cookie = answer.raise_for_status().headers["set-cookie"].partition(";")[0]
            http.cookies.clear()
            return usual | {"cookie": cookie}, answer.json()["user"]

        _, user = await signed(who.email)
        browser, _ = await signed(email)
        said = {"reason": "SUPPORT_REQUEST", "note": "You asked where your points are."}
        (await http.post(f"/v1/{user}:impersonate", json=said, headers=browser)).raise_for_status()


@themed
async def test_who_was_looked_at_sees_when_and_why_and_ends_it(chromium: Chromium, plan: Plan, theme: str) -> None:
    who = await eve(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await sign_in(at, who)
        card = at.page.get_by_role("region", name=TITLE)
        await (
            at.page.get_by_role("region", name="Apps that reach your account").get_by_text("There are none.").wait_for()
        )
        await expect(card).to_be_hidden()
        await looked_at(plan, who)
        await expect(card).to_contain_text("An administrator, to help you, as you asked")  # without loading it anew
        await expect(card).to_contain_text("You asked where your points are.")
        await expect(card).not_to_contain_text("Alma")
        await check(at, "impersonation", theme)
        await card.get_by_role("button", name="End it").click()
        await expect(card.get_by_role("button", name="End it")).to_have_count(0)
        await expect(card).to_contain_text("An administrator")
        assert not at.wrongs
