"""Which other origins' pages may call."""

import httpx
import pytest

from tests.gateway.conftest import SHOP, problem
from tests.store import OtherGateway, Store

pytestmark = pytest.mark.xdist_group("store")
EVIL = "https://evil.example.net"
OPEN, CLOSED = ("jwks", "token", "userinfo", "revoke"), ("authorize", "sign-in", "consent", "introspect", "end-session")
ASKED = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}


def said(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_an_origin_on_the_list_may_call_and_read(another: OtherGateway) -> None:
    async with another.http(origin=SHOP) as http:
        answer = await http.get("/v1/categories")
        refused = await http.get("/v1/nothing")
        before = await http.options("/v1/users/x", headers=ASKED)
    async with another.http(origin=EVIL) as http:
        other = await http.get("/v1/categories")
        other_before = await http.options("/v1/users/x", headers=ASKED)
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert {"ETag", "X-Request-Id"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert refused.headers["access-control-allow-origin"] == SHOP  # what is refused can be read too
    assert answer.headers["vary"] == other.headers["vary"] == "Origin"
    assert (before.status_code, before.content) == (204, b"")
    assert before.headers["access-control-allow-origin"] == SHOP
    assert before.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, PATCH"
    assert "Authorization" in before.headers["access-control-allow-headers"]
    # No cookie crosses origins, whoever asks.
    assert "access-control-allow-credentials" not in said(answer) | said(before)
    assert said(other) == said(other_before) == {}
    problem(other_before, 405, "METHOD_NOT_ALLOWED")


async def test_without_a_list_no_other_origin_may(store: Store, http: httpx.AsyncClient) -> None:
    for origin in (EVIL, "null", "*", store.plan.urls["store"]):
        assert said(await http.get("/v1/categories", headers={"origin": origin})) == {}
        assert said(await http.options("/v1/categories", headers=ASKED | {"origin": origin})) == {}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", *(f"/oauth/{one}" for one in OPEN)])
async def test_a_page_of_any_origin_may_call_what_signs_people_in(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"origin": EVIL, "cookie": "__Host-rapport=a-secret-of-somebody-else"})
    before = await http.options(path, headers=ASKED | {"origin": EVIL})
    assert answer.headers["access-control-allow-origin"] == before.headers["access-control-allow-origin"] == "*"
    assert before.status_code == 204
    assert "Authorization" in before.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in said(answer) | said(before)


@pytest.mark.parametrize("path", [*(f"/oauth/{one}" for one in CLOSED), "/session"])
async def test_what_reads_a_cookie_or_a_secret_is_for_no_page_of_another_origin(
    http: httpx.AsyncClient, path: str
) -> None:
    assert said(await http.get(path, headers={"origin": EVIL})) == {}
    assert said(await http.options(path, headers=ASKED | {"origin": EVIL})) == {}
