"""One of the store's people looks at a customer's account, over HTTP and in every service."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.test_sessions import cookie, sign_in
from tests.journeys.people import eventually
from tests.store import Registered, Store

pytestmark = pytest.mark.xdist_group("store")
SECURE = ("sessions", "authorizations", "auditEntries", "impersonations", "factors", "devices", "consents", "exports")
READS = ["/v1/{user}", "/v1/{user}/orders", "/v1/{user}/tickets", "/v1/{user}/pointsAccount", "/v1/{user}/vouchers"]


@pytest.fixture
def eve(store: Store) -> Registered:
    """A customer."""
    return store.register("eve")


@pytest.fixture
async def alma(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's browser, signed in."""
    who = store.register("alma", "admin")
    async with store.http() as http:
        http.headers.update(cookie(await sign_in(http, who)))
        yield http


async def looked(alma: httpx.AsyncClient, user: str, **said: Any) -> dict[str, Any]:
    asked = {"reason": "SUPPORT_REQUEST", "note": "She asked where her points are.", "requestId": str(uuid4())}
    answer = await alma.post(f"/v1/{user}:impersonate", json=asked | said)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_who_looks_reads_in_every_service_and_changes_nothing(
    store: Store, alma: httpx.AsyncClient, http: httpx.AsyncClient, eve: Registered
) -> None:
    told = await looked(alma, eve.user)
    looking = bearer(told["accessToken"])
    for path in READS:
        answer = await http.get(path.replace("{user}", eve.user), headers=looking)
        assert answer.status_code == 200, f"{path} {answer.text}"
    key = {"idempotency-key": str(uuid4())}
    for method, path, body in (
        ("PATCH", f"/v1/{eve.user}", {"displayName": "Somebody"}),
        ("DELETE", f"/v1/{eve.user}", None),
        ("POST", f"/v1/{eve.user}:changePassword", {"password": "marble teapot at midnight"}),
        ("POST", f"/v1/{eve.user}:changeEmail", {"email": "mallory@example.org"}),
        ("POST", f"/v1/{eve.user}/factors:beginTotp", {}),
        ("POST", f"/v1/{eve.user}/consents", {"use": "NEWSLETTER", "granted": True, "policy": "policies/1"}),
        ("POST", f"/v1/{eve.user}/exports", {}),
        ("POST", f"/v1/{eve.user}/vouchers", {"voucherOffer": "voucherOffers/five"}),
        ("POST", f"/v1/{eve.user}/referral:claim", {"code": "ABCDEFGH"}),
        ("POST", f"/v1/{eve.user}/tickets", {"title": "Hers?", "body": "No.", "kind": "QUERY"}),
        ("POST", "/v1/recoveries:begin", {"email": eve.email}),
    ):
        problem(await http.request(method, path, json=body, headers=looking | key), 403, "FORBIDDEN")
    for path in SECURE:
        problem(await http.get(f"/v1/{eve.user}/{path}", headers=looking), 403, "SCOPE_MISSING")


async def test_within_five_seconds_of_its_end_no_service_takes_its_token(
    store: Store, alma: httpx.AsyncClient, http: httpx.AsyncClient, eve: Registered
) -> None:
    paths = [path.replace("{user}", eve.user) for path in READS]

    async def goes_on(token: str) -> list[int]:
        return [(await http.get(path, headers=bearer(token))).status_code for path in paths]

    first, second = await looked(alma, eve.user), await looked(alma, eve.user, reason="FRAUD_REVIEW")
    assert await goes_on(first["accessToken"]) == [200] * len(paths)
    assert await goes_on(second["accessToken"]) == [200] * len(paths)
    hers = cookie(await sign_in(http, eve))
    [_, shown] = (await http.get(f"/v1/{eve.user}/impersonations", headers=hers)).json()["impersonations"]
    assert (shown["staff"], shown["staffRole"], shown["state"]) == ("", "admin", "ACTIVE")
    ended = await http.post(f"/v1/{first['impersonation']['name']}:end", json={}, headers=hers)
    assert ended.json()["state"] == "ENDED"

    async def ends(token: str) -> bool:
        return set(await goes_on(token)) == {401}

    await eventually(lambda: ends(first["accessToken"]), "the end of what she ended", patience=5.0)
    assert await goes_on(second["accessToken"]) == [200] * len(paths)
    assert (await alma.delete("/session")).status_code in (200, 204)
    await eventually(lambda: ends(second["accessToken"]), "its end with her sign-out", patience=5.0)


async def test_each_call_is_logged_with_who_acts_beside_whose_it_is(
    store: Store, alma: httpx.AsyncClient, http: httpx.AsyncClient, eve: Registered
) -> None:
    told = await looked(alma, eve.user)
    for path in READS:
        await http.get(path.replace("{user}", eve.user), headers=bearer(told["accessToken"]))
    staff = told["impersonation"]["staff"]
    assert staff.startswith("users/")

    async def written() -> bool:
        return all(store.logged(one, caller=eve.user, actor=staff) for one in ("identity", "support", "loyalty"))

    await eventually(written, "the lines", patience=5.0)
    assert all("actor" not in line for line in store.logged("identity", caller=staff))
    for process in ("identity", "support", "loyalty", "gateway"):
        assert "where her points are" not in store.written(process)
