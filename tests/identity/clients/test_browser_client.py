"""A program of one page, of another origin, with oidc-client-ts in Debian's chromium."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page

from tests.browser.conftest import chromium  # noqa: F401 - a fixture
from tests.browser.window import PATIENCE
from tests.gateway.test_oauth import made
from tests.identity.clients.node import packages
from tests.store import PASSWORD, Registered, Store

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("store")]
PAGE = b"<!doctype html><html lang='en'><title>A program</title><script src='/oidc.js'></script>"
MANAGER = """
  const kept = new oidc.WebStorageStateStore({ store: window.localStorage });
  const manager = new oidc.UserManager({ ...settings, userStore: kept, stateStore: kept });
"""
LEAVE = "([settings, what]) => {" + MANAGER + "manager[what](); }"
ASK = (
    "async ([settings, what]) => {"
    + MANAGER
    + """
  const user = await manager[what]();
  return user && user.profile ? {
    sub: user.profile.sub, email: user.profile.email, scope: user.scope,
    access: user.access_token, refresh: user.refresh_token,
  } : null;
}"""
)


@asynccontextmanager
async def program(library: bytes) -> AsyncIterator[str]:
    """The origin of a server that gives out one page and the library."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        kind, body = (b"text/javascript", library) if wanted == b"/oidc.js" else (b"text/html", PAGE)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        writer.write(head % (kind, len(body)) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def read() -> bytes:
    return (packages() / "oidc-client-ts/dist/browser/oidc-client-ts.min.js").read_bytes()


async def sign_in(page: Page, person: Registered) -> None:
    await page.locator("#email").fill(person.email)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("#sign-in-button").click()
    await page.locator("#approve").click()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_page_of_another_origin_signs_somebody_in_renews_and_signs_them_out(
    store: Store,
    chromium: Chromium,  # noqa: F811
) -> None:
    library = await asyncio.to_thread(read)
    person = store.register("ada")
    async with program(library) as origin:
        said = {"redirectUris": [f"{origin}/back"], "postLogoutRedirectUris": [f"{origin}/bye"]}
        client = await made(store, "PUBLIC", **said)
        settings = {
            "authority": store.plan.urls["store"],
            "client_id": client,
            "redirect_uri": f"{origin}/back",
            "post_logout_redirect_uri": f"{origin}/bye",
            "scope": "openid email offline_access",
            "loadUserInfo": True,
            "automaticSilentRenew": False,
        }
        context = await chromium.new_context()
        context.set_default_timeout(PATIENCE)
        try:
            page = await context.new_page()

            async def do(what: str) -> Any:
                return await page.evaluate(ASK, [settings, what])

            async def leave(what: str) -> None:
                await page.evaluate(LEAVE, [settings, what])  # and not its end: the page is gone before

            await page.goto(f"{origin}/")
            await leave("signinRedirect")
            await sign_in(page, person)
            await page.wait_for_url(f"{origin}/back?**")
            first = await do("signinCallback")
            assert (first["sub"], first["email"]) == (person.user.removeprefix("users/"), person.email)
            again = await do("signinSilent")
            assert again["sub"] == first["sub"]
            assert again["refresh"] != first["refresh"]
            assert again["access"] != first["access"]
            await leave("signoutRedirect")
            await page.wait_for_url(f"{origin}/bye**")
            await do("signoutCallback")
            await leave("signinRedirect")
            await page.locator("#sign-in").wait_for()  # nobody is signed in to the store any more
        finally:
            await context.close()
