"""Trading with the store, as applicants and reviewers see it: on a phone and a desk, light and dark, by keyboard."""

import asyncio
from uuid import uuid4

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from deploy.local.people import password
from deploy.local.plan import Plan
from tests.browser.test_looks import check, themed
from tests.browser.window import Window, window
from tests.journeys.people import Browser, Mailbox, gateway_client, mailbox_client

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]
PDF = {"name": "register.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n" + bytes(700_000)}
ADMIN, OWNER, OTHER = "alma@example.org", "bo@example.org", "pia@example.org"
SAID = {
    "kind": "WHOLESALER",
    "website": "https://bolts.example.org",
    "regionCode": "DE",
    "taxId": "DE 123 456 789",
    "contacts": [{"name": "Carla Contact", "email": "carla@bolts.example.org", "phone": "+49 30 1234"}],
}


async def sign_in(at: Window, path: str, email: str, secret: str) -> None:
    await at.open(path)
    card = at.page.get_by_role("region", name="Sign in", exact=True)
    await card.get_by_label("E-mail").fill(email)
    await card.get_by_label("Password").fill(secret)
    await at.page.keyboard.press("Enter")
    await at.page.get_by_role("heading", level=2).first.wait_for()


async def begin(at: Window, company: str) -> None:
    await at.page.get_by_label("Legal name of the company").last.fill(company)
    await at.page.get_by_role("button", name="Begin an application").click()
    await at.page.get_by_role("region", name=company, exact=True).wait_for()


async def submitted(plan: Plan, company: str) -> str:
    """An application that waits for a reviewer, made over the API."""
    async with gateway_client(plan) as store:
        owner = Browser(store)
        await owner.sign_in(OWNER, password(plan))
        said = SAID | {"kind": "AFFILIATE", "company": company}
        name = str((await owner.post("/v1/businesses", {"business": said}))["name"])
        await owner.post(f"/v1/{name}:submit")
    return name


async def done_with(plan: Plan) -> None:
    """Have Bo in no business, so that there is room for the next."""
    async with gateway_client(plan) as store:
        owner = Browser(store)
        await owner.sign_in(OWNER, password(plan))
        for one in (await owner.get(f"/v1/{owner.user}/businesses?pageSize=200"))["businesses"]:
            assert (await owner.call("DELETE", f"/v1/{one['name']}")).status < 300


@themed
async def test_what_applicants_and_reviewers_see_is_in_order(chromium: Chromium, plan: Plan, theme: str) -> None:
    await done_with(plan)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.open("/trade")
        await at.page.get_by_role("region", name="Sign in", exact=True).wait_for()
        await check(at, "trade-visitor", theme)
        await sign_in(at, "/trade", OWNER, password(plan))
        await at.page.get_by_text("You have not begun an application.").wait_for()
        await check(at, "trade-empty", theme)
        company = f"Bo's Bolts and Donaudampfschifffahrtsgesellschaftszubehör GmbH {theme}"
        await begin(at, company)
        card = at.page.get_by_role("region", name=company, exact=True)
        await card.get_by_label("Add a document").set_input_files(PDF)  # type: ignore[arg-type]
        await card.get_by_role("button", name="Add it").click()
        await card.get_by_role("link", name="register.pdf").wait_for()
        await card.get_by_role("button", name="Hand it in").click()
        await card.locator(".error").wait_for()
        await card.locator("summary", has_text="People").click()
        await card.get_by_role("button", name="Leave this business").wait_for()
        await check(at, "trade-draft", theme)
    await decide(plan, await submitted(plan, f"Refused {theme}"), "refuse", {"reasons": ["NOT_PROVEN", "DUPLICATE"]})
    await decide(plan, await submitted(plan, f"Approved {theme}"), "approve", {})
    await submitted(plan, f"Waiting {theme}")
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await sign_in(at, "/trade", OWNER, password(plan))
        await at.page.get_by_text("The business is with us already").wait_for()
        await check(at, "trade-decided", theme)
        await at.open("/join#token=never")
        await at.page.get_by_role("button", name="Join the business").click()
        await at.page.locator(".error").wait_for()
        await check(at, "join-refused", theme)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await sign_in(at, "/review", ADMIN, password(plan))
        await at.page.locator("summary", has_text=f"Waiting {theme}").click()
        await at.page.get_by_role("button", name="Refuse").wait_for()
        await check(at, "review", theme)
    async with window(chromium, plan.urls["store"], theme=theme) as at:
        await at.open("/my-data")
        await at.page.get_by_role("button", name="Mail me a link").wait_for()
        await check(at, "my-data", theme)
        await sign_in_as_other(at, plan)
        await check(at, "review-not-yours", theme)


async def sign_in_as_other(at: Window, plan: Plan) -> None:
    await at.open("/review")
    card = at.page.get_by_role("region", name="Sign in", exact=True)
    await card.get_by_label("E-mail").fill(OTHER)
    await card.get_by_label("Password").fill(password(plan))
    await at.page.keyboard.press("Enter")
    await at.page.get_by_text("Only administrators").wait_for()


async def decide(plan: Plan, name: str, verb: str, said: dict[str, object]) -> None:
    async with gateway_client(plan) as store:
        admin = Browser(store)
        await admin.sign_in(ADMIN, password(plan))
        await admin.post(f"/v1/{name}:{verb}", said)


async def test_an_application_goes_from_its_first_word_to_its_approval(chromium: Chromium, plan: Plan) -> None:
    await done_with(plan)
    company = f"Bolts {uuid4().hex[:8]}"
    async with (
        window(chromium, plan.urls["store"]) as at,
        window(chromium, plan.urls["store"]) as there,
    ):
        await sign_in(at, "/trade", OWNER, password(plan))
        await begin(at, company)
        card = at.page.get_by_role("region", name=company, exact=True)
        await card.get_by_label("Country").fill("de")
        await card.get_by_label("Tax id").fill("DE 1")
        await card.get_by_label("Website").fill("https://bolts.example.org")
        await card.get_by_label("Name", exact=True).fill("Carla")
        await card.get_by_label("Add a document").set_input_files(PDF)  # type: ignore[arg-type]
        await card.get_by_role("button", name="Add it").click()
        await card.get_by_role("link", name="register.pdf").wait_for()
        await card.get_by_role("button", name="Hand it in").click()
        await expect(card.locator(".badge.state")).to_have_text("With us")

        await sign_in(there, "/review", ADMIN, password(plan))
        summary = there.page.locator("summary", has_text=company)
        await summary.focus()
        await there.page.keyboard.press("Enter")
        async with there.page.expect_download() as saved:
            await there.page.get_by_role("link", name="register.pdf").click()
        path = await (await saved.value).path()
        assert await asyncio.to_thread(path.read_bytes) == PDF["buffer"]
        await there.page.get_by_label("What is missing?").fill("Which year is it from?")
        await there.page.get_by_role("button", name="Ask", exact=True).click()
        await expect(there.page.locator(".said .done").first).to_contain_text("asked for more")
        assert await there.focused() == "Longest waiting first"

        # The applicant hears of it without asking.
        await expect(card.locator(".badge.state")).to_have_text("Your turn")
        await expect(card.get_by_text("Which year is it from?")).to_be_visible()
        await card.get_by_role("button", name="Hand it in").click()
        await expect(card.locator(".badge.state")).to_have_text("With us")

        await there.page.get_by_label("Show").select_option("SUBMITTED")
        await there.page.reload()
        await there.page.locator("summary", has_text=company).click()
        await there.tab_to("Approve")
        await there.page.keyboard.press("Enter")
        await expect(there.page.locator(".said .done").first).to_contain_text("approved")
        await expect(card.locator(".badge.state")).to_have_text("Approved")
        assert not at.wrongs
        assert not there.wrongs


async def test_who_is_invited_joins_by_the_link_in_the_mail(chromium: Chromium, plan: Plan) -> None:
    await done_with(plan)
    company = f"Bolts {uuid4().hex[:8]}"
    async with window(chromium, plan.urls["store"]) as at, mailbox_client(plan) as mail:
        await sign_in(at, "/trade", OWNER, password(plan))
        await begin(at, company)
        card = at.page.get_by_role("region", name=company, exact=True)
        await card.locator("summary", has_text="People").click()
        await card.get_by_label("Invite somebody by mail").fill(OTHER)
        await card.get_by_label("As", exact=True).select_option("MANAGER")
        await card.get_by_role("button", name="Invite").click()
        await expect(card.get_by_text("works for 24 hours")).to_be_visible()
        await expect(card.get_by_text("Invited: manager")).to_be_visible()
        token = await Mailbox(mail).token(OTHER, "/join")
        async with window(chromium, plan.urls["store"]) as there:
            await there.open(f"/join#token={token}")
            sign = there.page.get_by_role("region", name="Sign in", exact=True)
            await sign.get_by_label("E-mail").fill(OTHER)
            await sign.get_by_label("Password").fill(password(plan))
            await there.page.keyboard.press("Enter")
            await there.page.get_by_role("button", name="Join the business").click()
            await expect(there.page.get_by_text(f"You act for {company} now, as manager.")).to_be_visible()
            assert "token" not in there.page.url
            await there.page.get_by_role("link", name="To your businesses").click()
            await expect(there.page.get_by_role("region", name=company, exact=True)).to_be_visible()
            assert not there.wrongs
        assert not at.wrongs
