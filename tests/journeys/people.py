"""How the story's people act: over HTTP as a frontend would, each with a browser of their own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from deploy.local.plan import Plan

COOKIE = "__Host-rapport"
# Seconds until what was promised to come has come: longer than a message that a killed process had waits to be
# delivered again (chassis.streams.ACK_WAIT).
PATIENCE = 45.0
T = TypeVar("T")


class Missing(AssertionError):  # noqa: N818 - names what is
    """What should have come did not."""


async def eventually(look: Callable[[], Awaitable[T | None]], what: str, *, patience: float = PATIENCE) -> T:
    """Wait for a thing, not for a while: look again until there is an answer that is not None or False."""
    end = time.monotonic() + patience
    while True:
        found = await look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > end:
            raise Missing(f"{what}: not within {patience:.0f} s")
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: httpx.Headers

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", "")) if isinstance(self.body, dict) else ""


class Browser:
    """One person's browser: it keeps the cookie, and says which page calls."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http, self.secret, self.user = http, "", ""

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | self.headers()
        # The cookie is Secure, which a library keeps from plain HTTP where a browser does not from localhost.
        response = await self.http.request(method, path, json=body, headers=sent)
        if (cookie := response.headers.get("set-cookie", "")).startswith(f"{COOKIE}="):
            self.secret = cookie.split(";")[0].removeprefix(f"{COOKIE}=").strip('"')
        is_json = "json" in response.headers.get("content-type", "")
        return Answer(response.status_code, response.json() if is_json else response.content, response.headers)

    def headers(self) -> dict[str, str]:
        said = {"x-rapport-client": "demo", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
        return said | ({"cookie": f"{COOKIE}={self.secret}"} if self.secret else {})

    async def get(self, path: str) -> Any:
        return done(await self.call("GET", path))

    async def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        return done(await self.call("POST", path, body or {}, **({"idempotency_key": key} if key else {})))

    async def sign_in(self, email: str, password: str) -> None:
        told = done(await self.call("POST", "/session", {"email": email, "password": password}))
        self.user = told["user"]

    @asynccontextmanager
    async def events(self, last_id: str = "") -> "AsyncIterator[Stream]":
        """The person's own events, from after `last_id` where one is given."""
        headers = self.headers() | ({"last-event-id": last_id} if last_id else {})
        async with AsyncExitStack() as opened:

            async def look() -> httpx.Response | None:
                asked = self.http.stream("GET", "/events", headers=headers, timeout=60)
                response = await opened.enter_async_context(asked)
                if response.status_code == 503:  # the page comes back as well, until the events are to be had again
                    await asyncio.sleep(float(response.headers["retry-after"]))
                    return None
                assert response.status_code == 200, await response.aread()
                return response

            stream = Stream((await eventually(look, "a stream of events")).aiter_lines())
            await stream.next("hello")
            yield stream


class Stream:
    """Server-sent events as they come."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self.lines, self.last_id = lines, ""

    async def next(self, kind: str = "fact") -> Any:
        """The next event of that kind."""
        async with asyncio.timeout(PATIENCE):
            event, data = "", ""
            async for line in self.lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "event":
                    event = value
                elif name == "data":
                    data = value
                elif not line and event == kind:
                    return json.loads(data)
        raise Missing(f"the stream ended before a {kind}")

    async def fact(self, type: str) -> Any:
        """The next fact of that type; others pass by."""
        while True:
            found = await self.next()
            if found["type"] == type:
                return found


class Mailbox:
    """The mail that would have been sent, as its reader sees it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def messages(self, to: str) -> list[Any]:
        response = await self.http.get("/messages", params={"to": to})
        return list(response.json()["messages"])

    async def token(self, to: str, path: str, *, seen: int = 0) -> str:
        """The token behind the link to `path` in the newest of more than `seen` mails that have one."""

        async def look() -> str | None:
            links = [link for mail in await self.messages(to) for link in mail["links"] if f"{path}#token=" in link]
            return links[0].partition("#token=")[2] if len(links) > seen else None

        return await eventually(look, f"a mail that leads to {path}")


def done(answer: Answer) -> Any:
    """The body of an answer that went well."""
    assert answer.status < 300, f"{answer.status} {answer.body}"
    return answer.body


def new_key() -> str:
    return str(uuid4())


def gateway_client(plan: Plan) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=plan.urls["store"].replace("localhost", "127.0.0.1"), timeout=15)


def mailbox_client(plan: Plan) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=plan.urls["mailbox"].replace("localhost", "127.0.0.1"), timeout=15)
