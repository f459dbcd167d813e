"""A window of the browser that notes what no page of ours may do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, ConsoleMessage, Page, Request

from tests.browser.people import Customer

OUTPUT = Path(__file__).parents[1] / "output"
WIDTHS = (1280, 360)
PATIENCE = 15_000  # milliseconds
RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
}
# The browser itself writes every refused or failed request to the console: the page cannot keep it from doing so.
REFUSED_REQUEST = "Failed to load resource:"


class Window:
    """One page, with what went wrong in it."""

    def __init__(self, page: Page, store: str) -> None:
        self.page, self.store = page, store
        self.wrongs: list[str] = []
        page.on("console", self.note_message)
        page.on("pageerror", lambda error: self.wrongs.append(f"uncaught: {error}"))
        page.on("request", self.note_request)

    def note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(REFUSED_REQUEST):
            self.wrongs.append(f"console: {message.text}")

    def note_request(self, request: Request) -> None:
        wanted, asked = urlsplit(self.store), urlsplit(request.url)
        if asked.scheme not in ("data", "blob") and (asked.scheme, asked.netloc) != (wanted.scheme, wanted.netloc):
            self.wrongs.append(f"left the origin: {asked.netloc}")

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.store}{path}")

    async def home(self) -> None:
        """The home page, when all of it is there."""
        await self.open("/")
        await self.page.locator("support-hours time").wait_for()

    async def sign_in(self, customer: Customer) -> None:
        await self.home()
        card = self.page.get_by_role("region", name="Sign in", exact=True)
        await card.get_by_label("E-mail").fill(customer.email)
        await card.get_by_label("Password").fill(customer.password)
        await self.page.keyboard.press("Enter")
        await self.page.locator("#points .big").wait_for()
        await self.page.locator("#orders .row").first.wait_for()
        await self.page.locator("#tickets summary").first.wait_for()

    async def faults(self, name: str) -> list[str]:
        """What a person would mind: axe's findings, and what does not fit a phone or a desk. Keeps pictures."""
        page = self.page
        faults = []
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            await page.screenshot(
                path=OUTPUT / f"{name}-{width}.png", full_page=await page.locator("dialog").count() == 0
            )
            if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                faults.append(f"scrolls sideways at {width} px")
            faults += [f"under 24 px at {width} px: {one}" for one in await page.evaluate(SMALL_TARGETS)]
        found = (await Axe().run(page, options=RULES)).response["violations"]
        faults += [f"{one['id']}: {node['target']}" for one in found for node in one["nodes"]]
        return faults + self.wrongs

    async def focused(self) -> Any:
        """The words of what has the focus."""
        return await self.page.evaluate("document.activeElement.innerText || document.activeElement.name")

    async def tab_to(self, text: str, *, most: int = 80) -> None:
        """Go there as who has no mouse does, and see on every stop that the header does not lie over it."""
        for _ in range(most):
            await self.page.keyboard.press("Tab")
            assert not await self.page.evaluate(OBSCURED), f"the header hides {await self.focused()}"
            if await self.page.evaluate(NAME) == text:
                return
        raise AssertionError(f"no way to {text} by keyboard")


# Links within a sentence may be as small as its letters (WCAG 2.2, 2.5.8).
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
  .filter((one) => one.checkVisibility() && !one.closest("p, .skip, .visually-hidden"))
  .filter((one) => { const { width, height } = one.getBoundingClientRect(); return width < 24 || height < 24; })
  .filter((one) => !(one.type === "checkbox" && one.closest("label")?.getBoundingClientRect().height >= 24))
  .map((one) => one.outerHTML.slice(0, 80))"""
NAME = """() => { const one = document.activeElement;
  return one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText; }"""
OBSCURED = """() => { const one = document.activeElement, bar = document.querySelector(".bar");
  if (!bar || bar.contains(one) || one.closest("dialog") || one === document.body) return false;
  const { top, bottom } = one.getBoundingClientRect(); return bottom > 0 && top < bar.getBoundingClientRect().bottom - 1
    && !one.matches(".skip"); }"""


@asynccontextmanager
async def window(
    chromium: Browser, store: str, *, theme: Any = "light", scripts: bool = True, still: bool = False
) -> AsyncIterator[Window]:
    context = await chromium.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme=theme,
        java_script_enabled=scripts,
        reduced_motion="reduce" if still else "no-preference",
        timezone_id="Europe/Berlin",
        locale="en-GB",
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE)
    try:
        yield Window(await context.new_page(), store)
    finally:
        await context.close()
