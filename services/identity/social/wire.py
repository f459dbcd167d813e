"""The calls we make to others: to the addresses that were configured, and for photos to the public internet.

Every one has a deadline and a bound on what is read of its answer. None follows a redirect, none is made while a
transaction is open, and nothing of an answer is unpacked on the way.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import orjson

from services.identity import outside
from services.identity.refusals import SocialProviderFailed
from services.identity.social.providers import Provider, origin_of

PATIENCE = 3.0  # seconds, for one answer to be whole
MOST_JSON = 64 << 10
MOST_PHOTO = 2 << 20
PLAIN: dict[bytes | str, bytes | str] = {"accept-encoding": "identity"}
TIMEOUTS = {"connect": PATIENCE, "read": PATIENCE, "write": PATIENCE, "pool": PATIENCE}
FAILED = (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class TooMuch(Exception):  # noqa: N818 - it is what the answer is
    """An answer that does not end where it should."""


class Wire:
    """Calls to providers."""

    @cached_property
    def trusted(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=False)

    async def json(self, method: str, url: str, **sent: Any) -> tuple[int, Mapping[str, Any]]:
        """The status and the object of an answer; or refuse, because there is none."""
        try:
            status, body = await self.asked(method, url, MOST_JSON, **sent)
            said = orjson.loads(body)
        except (*FAILED, TimeoutError, TooMuch, orjson.JSONDecodeError):
            raise failed() from None
        if 300 <= status < 400 or status >= 500 or not isinstance(said, dict):
            raise failed()
        return status, said

    async def photo(self, provider: Provider, url: str) -> bytes:
        """The file at an address that a provider told us; nothing where it cannot be had."""
        try:
            if provider.is_local and origin_of(url) in provider.origins:
                status, body = await self.asked("GET", url, MOST_PHOTO)
            else:
                status, body = await self.fetched(url)
        except (*FAILED, TimeoutError, TooMuch, ValueError):
            return b""
        return body if status == 200 else b""

    async def asked(self, method: str, url: str, most: int, **sent: Any) -> tuple[int, bytes]:
        sent["headers"] = PLAIN | sent.get("headers", {})
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(follow_redirects=False, trust_env=False, verify=self.trusted, timeout=PATIENCE) as client,
            client.stream(method, url, **sent) as answer,
        ):
            return answer.status_code, await whole(answer.aiter_raw(), most)

    async def fetched(self, url: str) -> tuple[int, bytes]:
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.username or parts.port not in (None, 443):
            raise ValueError("no photo is there")
        async with (
            asyncio.timeout(PATIENCE),
            httpcore.AsyncConnectionPool(
                self.trusted, network_backend=outside.Guarded(loopback=False), max_connections=1
            ) as pool,
            pool.stream("GET", url, headers=PLAIN, extensions={"timeout": TIMEOUTS}) as answer,
        ):
            return answer.status, await whole(answer.aiter_stream(), MOST_PHOTO)


async def whole(pieces: AsyncIterator[bytes], most: int) -> bytes:
    found = bytearray()
    async for piece in pieces:
        found += piece
        if len(found) > most:
            raise TooMuch
    return bytes(found)


def failed() -> SocialProviderFailed:
    return SocialProviderFailed("The provider does not answer as it should just now.")
