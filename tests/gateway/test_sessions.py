"""Who a request is made for: the browser's cookie, or a token."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.local.commands.clock import advance
from tests.gateway.conftest import problem
from tests.journeys.people import eventually
from tests.store import OtherGateway, Registered, Store, user

pytestmark = pytest.mark.xdist_group("store")
COOKIE = "__Host-rapport"


def secret_of(answer: httpx.Response) -> str:
    return str(answer.headers["set-cookie"]).partition(";")[0].partition("=")[2]


def cookie(secret: str) -> dict[str, str]:
    return {"cookie": f"theme=dark; {COOKIE}={secret}"}


async def sign_in(http: httpx.AsyncClient, who: Registered, **headers: str) -> str:
    answer = await http.post("/session", json=who.sign_in, headers=headers)
    assert answer.status_code == 200, answer.text
    return secret_of(answer)


# In and out ----------------------------------------------------------------------------------------------------------


async def test_signing_in_sets_a_cookie_that_no_script_and_no_other_site_has(
    http: httpx.AsyncClient, ada: Registered
) -> None:
    answer = await http.post("/session", json=ada.sign_in)
    for name, where in ((COOKIE, "Strict"), (f"{COOKIE}-linked", "Lax")):
        [said] = [one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{name}=")]
        assert set(said.split("; ")[1:]) == {"Path=/", "Secure", "HttpOnly", f"SameSite={where}", "Max-Age=2592000"}
    assert answer.json() == {"user": ada.user, "session": answer.json()["session"], "roles": []}
    assert answer.json()["session"].startswith(f"{ada.user}/sessions/")
    assert answer.headers["cache-control"] == "no-store"
    assert "eyJ" not in answer.text + repr(answer.headers)  # no token reaches a browser


async def test_the_cookie_tells_who_is_signed_in(http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    assert (await http.get("/session", headers=cookie(secret))).json()["user"] == ada.user
    assert (await http.get(f"/v1/{ada.user}", headers=cookie(secret))).json()["email"] == ada.email


async def test_one_answer_for_every_failure_to_sign_in(http: httpx.AsyncClient, ada: Registered) -> None:
    wrong = await http.post("/session", json=ada.sign_in | {"password": "not hers at all"})
    unknown = await http.post("/session", json=ada.sign_in | {"email": "nobody@example.org"})
    told = [problem(answer, 401, "SIGN_IN_FAILED") for answer in (wrong, unknown)]
    assert told[0]["detail"] == told[1]["detail"]
    assert "set-cookie" not in wrong.headers


async def test_what_is_wrong_with_a_sign_in_is_pointed_at(http: httpx.AsyncClient) -> None:
    told = problem(await http.post("/session", json={"email": "e" * 300}), 400, "INVALID_FIELD")
    assert {one["pointer"] for one in told["errors"]} == {"/email", "/password"}
    problem(await http.post("/session", json={"mail": "x"}), 400, "UNKNOWN_FIELD")


async def test_signing_in_again_ends_the_session_before(http: httpx.AsyncClient, ada: Registered) -> None:
    first = await sign_in(http, ada)
    second = await sign_in(http, ada, **cookie(first))
    assert second != first
    problem(await http.get("/session", headers=cookie(first)), 401, "SESSION_ENDED")
    assert (await http.get("/session", headers=cookie(second))).status_code == 200


async def test_signing_out_ends_the_session_and_clears_the_cookie(http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    answer = await http.delete("/session", headers=cookie(secret))
    assert (answer.status_code, secret_of(answer)) == (204, "")
    assert answer.headers["set-cookie"].count("Max-Age=0") == 2
    refused = await http.get("/session", headers=cookie(secret))
    problem(refused, 401, "SESSION_ENDED")
    assert "Max-Age=0" in refused.headers["set-cookie"]
    assert (await http.delete("/session", headers=cookie(secret))).status_code == 204  # again changes nothing
    assert (await http.delete("/session")).status_code == 204


@pytest.mark.parametrize("secret", ["", "x", "a" * 5000, "not a secret at all", "ä" * 30, "a" * 43])
async def test_a_cookie_that_is_none_of_ours_is_nobodys(http: httpx.AsyncClient, ada: Registered, secret: str) -> None:
    given = [(b"cookie", f"{COOKIE}={secret}".encode("latin-1"))]
    answer = await http.get(f"/v1/{ada.user}", headers=given)
    assert (answer.status_code, answer.json()["reason"] in ("SIGN_IN_NEEDED", "SESSION_ENDED")) == (401, True)
    again = await http.post("/session", json=ada.sign_in, headers=given)
    assert again.status_code == 200


async def test_who_is_signed_out_is_a_guest_where_anybody_may_go(http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    await http.delete("/session", headers=cookie(secret))
    assert (await http.get("/v1/categories", headers=cookie(secret))).status_code == 200
    begun = await http.post("/v1/subscriptions:begin", json={"email": ada.email}, headers=cookie(secret))
    assert begun.status_code == 200


# For how long --------------------------------------------------------------------------------------------------------


async def test_a_session_ended_from_elsewhere_is_refused_within_five_seconds(
    store: Store, http: httpx.AsyncClient, ada: Registered
) -> None:
    secret = await sign_in(http, ada)
    session = (await http.get("/session", headers=cookie(secret))).json()["session"]
    ended = await http.delete(f"/v1/{session}", headers=store.bearer(ada.user))
    assert ended.status_code == 200

    async def is_refused() -> bool:
        return (await http.get("/session", headers=cookie(secret))).status_code == 401

    await eventually(is_refused, "the end of a session", patience=5)
    problem(await http.get(f"/v1/{ada.user}/orders", headers=cookie(secret)), 401, "SESSION_ENDED")


async def test_a_token_that_ends_is_renewed_without_anybody_noticing(
    store: Store, http: httpx.AsyncClient, ada: Registered
) -> None:
    secret = await sign_in(http, ada)
    await asyncio.to_thread(advance, store.plan, timedelta(minutes=6))
    answer = await http.get(f"/v1/{ada.user}/orders", headers=cookie(secret))
    assert answer.status_code == 200
    lines = store.logged("support", request_id=answer.headers["x-request-id"])
    assert [line["code"] for line in lines] == ["OK"]  # nor did the service: the gateway knew


async def test_who_signs_in_is_known_by_that_one_call(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    answer = await http.post("/session", json=ada.sign_in)
    lines = store.logged("identity", request_id=answer.headers["x-request-id"])
    assert [line["method"] for line in lines] == ["rapport.identity.v1.IdentityService/CreateSession"]


async def test_a_page_that_asks_for_many_things_at_once_swaps_its_cookie_once(
    store: Store, http: httpx.AsyncClient, another: OtherGateway
) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    issue = "rapport.identity.v1.IdentityService/IssueAccessToken"
    before = len(store.logged("identity", method=issue))
    async with another.http(**cookie(secret)) as other:
        answers = await asyncio.gather(*(other.get(f"/v1/{eve.user}/orders") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(store.logged("identity", method=issue)) == before + 1


# From where ----------------------------------------------------------------------------------------------------------

FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example.net"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_what_another_site_makes_a_browser_do_is_refused(
    http: httpx.AsyncClient, ada: Registered, headers: dict[str, str]
) -> None:
    secret = await sign_in(http, ada)
    for answer in (
        await http.patch(f"/v1/{ada.user}", json={"displayName": "Eve"}, headers=headers | cookie(secret)),
        await http.post("/session", json=ada.sign_in, headers=headers),
        await http.delete("/session", headers=headers | cookie(secret)),
    ):
        problem(answer, 403, "ORIGIN_REFUSED")
    assert (await http.get("/session", headers=cookie(secret))).status_code == 200


async def test_a_form_that_cannot_set_a_header_does_nothing(store: Store, ada: Registered) -> None:
    async with store.http() as http:
        secret = await sign_in(http, ada)
    async with httpx.AsyncClient(base_url=store.url, headers=cookie(secret)) as form:
        problem(await form.patch(f"/v1/{ada.user}", json={"displayName": "Eve"}), 403, "ORIGIN_REFUSED")
        problem(await form.delete("/session"), 403, "ORIGIN_REFUSED")
        assert (await form.get("/session")).status_code == 200  # to look is no harm


async def test_our_own_page_may_do_what_its_person_may(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": store.plan.urls["store"]}):
        change: dict[str, Any] = {"json": {"displayName": "Ada"}, "headers": headers | cookie(secret)}
        assert (await http.patch(f"/v1/{ada.user}", **change)).status_code == 200


# Tokens --------------------------------------------------------------------------------------------------------------


async def test_a_client_with_a_token_needs_no_cookie_and_no_header(store: Store, ada: Registered) -> None:
    async with httpx.AsyncClient(base_url=store.url, headers=store.bearer(ada.user)) as client:
        assert (await client.patch(f"/v1/{ada.user}", json={"displayName": "Ada"})).status_code == 200


async def test_a_token_goes_before_a_cookie(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    answer = await http.get(f"/v1/{ada.user}", headers=store.bearer(user()) | cookie(secret))
    problem(answer, 403, "FORBIDDEN")


@pytest.mark.parametrize("shown", ["Bearer", "Bearer x", "Basic YTpi", "bearer e30.e30.AAAA", "\xe4\xe4", "x" * 9000])
async def test_a_token_that_is_none_is_refused(http: httpx.AsyncClient, shown: str) -> None:
    answer = await http.get(f"/v1/{user()}", headers=[(b"authorization", shown.encode("latin-1"))])
    problem(answer, 401, "TOKEN_INVALID")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_token_that_has_ended_is_refused(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    stale = store.bearer(ada.user, age=timedelta(minutes=6))
    problem(await http.get(f"/v1/{ada.user}", headers=stale), 401, "TOKEN_INVALID")


async def test_another_of_our_systems_proves_itself_with_a_token_of_its_own(
    store: Store, http: httpx.AsyncClient
) -> None:
    problem(await http.get("/v1/ledger:verify"), 401, "SIGN_IN_NEEDED")
    problem(await http.get("/v1/ledger:verify", headers=store.peer("shop")), 401, "SIGN_IN_NEEDED")
    problem(await http.get("/v1/ledger:verify", headers={"x-rapport-service": "made up"}), 401, "TOKEN_INVALID")
    assert (await http.get("/v1/ledger:verify", headers=store.peer("operator"))).status_code == 200


async def test_nothing_secret_is_logged(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    await http.get(f"/v1/{eve.user}/orders", headers=cookie(secret))
    await http.delete("/session", headers=cookie(secret))
    log = store.written("gateway")
    assert not [one for one in (secret, eve.email, eve.user.removeprefix("users/"), "eyJ") if one in log]
