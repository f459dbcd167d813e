"""A browser without scripts that comes by Google: from a form of the store's to the stand-in and back."""

import html
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import httpx

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Visitor:
    """It keeps cookies, and says which site leads it."""

    http: httpx.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)

    async def go(self, method: str, path: str, site: str = "same-origin", **sent: object) -> httpx.Response:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"cookie": kept, "sec-fetch-site": site}
        answer = await self.http.request(method, path, headers=headers, **sent)  # type: ignore[arg-type]
        for said in answer.headers.get_list("set-cookie"):
            name, _, rest = said.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return answer

    async def leave(self, provider: str) -> str:
        """Press the button on the page at /; where that leads."""
        page = await self.go("GET", "/")
        assert f'formaction="/social/{provider}"' in page.text, "no button leads there"
        hidden = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
        answer = await self.go("POST", f"/social/{provider}", data=hidden)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


async def consent(where: str, name: str, email: str) -> str:
    """Say yes there as somebody who is new there, too; the address that leads back."""
    page = urlsplit(where.replace("//localhost", "//127.0.0.1"))
    said = dict(parse_qsl(page.query)) | {"account": "new", "name": name, "email": email}
    async with httpx.AsyncClient() as elsewhere:
        path = page.path.replace("authorize", "consent")
        answer = await elsewhere.post(f"{page.scheme}://{page.netloc}{path}", data=said)
    assert answer.status_code == 303, answer.text
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"
