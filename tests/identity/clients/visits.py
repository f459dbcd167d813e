"""What a browser does for a program of somebody else's: it goes where the program sends it, and its person signs in."""

from urllib.parse import urlsplit

from tests.identity.conformance.party import Party
from tests.store import PASSWORD


async def visited(rp: Party, url: str) -> str:
    """Where the browser is in the end that was sent to `url`: an address of the program's own."""
    assert url.startswith(f"{rp.store.plan.urls['store']}/oauth/")
    parts = urlsplit(url)
    page = await rp.browser.go("GET", f"{parts.path}?{parts.query}", "cross-site")
    if 'id="sign-in"' in page.text:
        said = {"email": rp.person.email, "password": PASSWORD}
        page = await rp.browser.submit(page, "/oauth/sign-in", **said)
    if 'id="consent"' in page.text:
        page = await rp.browser.submit(page, "/oauth/consent", decision="approve")
    assert page.status_code == 303, page.text
    return str(page.headers["location"])
