"""Who asks to sign in, and how often they may be wrong."""

from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from gateway.http import Request
from gateway.visitors import COOKIE, Visitors
from tests.gateway.conftest import problem
from tests.store import Registered, Store

pytestmark = pytest.mark.xdist_group("store")
OURS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.4", None, "198.51.100.4"),
        ("198.51.100.4", "203.0.113.9", "198.51.100.4"),  # nobody we trust says so
        ("10.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "192.0.2.1, 203.0.113.9", "203.0.113.9"),  # what was there before our proxies, anybody may write
        ("10.0.0.2", "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("fd00::2", "2001:db8::9", "2001:db8::9"),
        ("10.0.0.2", None, ""),
        ("127.0.0.1", None, ""),  # a proxy that nobody told us of
        ("192.168.7.7", "203.0.113.9", ""),
        ("10.0.0.2", "unknown", ""),
        ("10.0.0.2", "10.0.0.7", ""),
    ],
)
def test_an_address_is_believed_as_far_as_our_proxies_say_it(peer: str, forwarded: str | None, found: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope: dict[str, Any] = {"method": "POST", "raw_path": b"/session", "query_string": b"", "headers": headers}
    assert Visitors(OURS).address_of(Request(scope | {"client": (peer, 7)}, no_body)) == found


async def no_body() -> dict[str, Any]:
    raise AssertionError("nobody reads it")


async def test_a_browser_that_signed_in_is_not_kept_out_by_others_who_guess(store: Store) -> None:
    dora = store.register("dora")
    async with store.http() as hers, store.http() as theirs:
        first = await hers.post("/session", json=dora.sign_in)
        [said] = [one for one in first.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}=")]
        secret, *rest = said.split("; ")
        assert set(rest) == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=31536000"}
        assert [await wrong(theirs, dora) for _ in range(11)] == [401] * 10 + [429]
        refused = await theirs.post("/session", json=dora.sign_in)
        problem(refused, 429, "QUOTA_EXCEEDED")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        again = await hers.post("/session", json=dora.sign_in, headers={"cookie": secret})
        assert again.status_code == 200, again.text


async def test_nobody_says_where_they_call_from_in_the_body(store: Store) -> None:
    """What it holds is overwritten by what the gateway knows."""
    emil = store.register("emil")
    async with store.http() as http:
        said = {"clientAddress": "203.0.113.9", "browserSecret": "x" * 64, "userAgent": "a browser"}
        signed_in = await http.post("/session", json=emil.sign_in | said)
        assert signed_in.status_code == 200
        listed = await http.get(f"/v1/{emil.user}/sessions", headers=store.bearer(emil.user))
        assert listed.json()["sessions"][0]["device"] == "Unknown browser"


async def wrong(http: httpx.AsyncClient, who: Registered) -> int:
    return (await http.post("/session", json=who.sign_in | {"password": "not hers at all"})).status_code
