"""Programs that prove themselves by keys, over HTTP: their own tokens, pushed requests, bound tokens."""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.identity.oauth.exchanges import ACCESS_TOKEN
from tests.gateway.conftest import problem
from tests.gateway.test_oauth import CALLBACK, VERIFIER, Browser, made, told
from tests.identity.conformance.party import party
from tests.identity.keys import OTHER_P256, P256, asserted, assertion, proof, public
from tests.journeys.people import eventually
from tests.store import PASSWORD, Registered, Store

pytestmark = pytest.mark.xdist_group("store")
GRANT = {"grant_type": "client_credentials"}
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid profile",
    "state": "s",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
async def operator(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    async with store.http(**store.peer("operator")) as operator:
        yield operator


@pytest.fixture
async def http(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A program's: it sends no cookie and no header of the store's own page."""
    async with httpx.AsyncClient(base_url=store.url, timeout=20) as http:
        yield http


async def program(operator: httpx.AsyncClient, **said: Any) -> str:
    name = f"robot-{uuid4().hex[:8]}"
    usual = {"title": "Robot", "profile": "SERVICE", "scopes": ["commerce.write", "stock.read"]}
    (await operator.patch(f"/v1/clients/{name}", json=usual | said)).raise_for_status()
    return name


def proven(store: Store, path: str, **said: Any) -> dict[str, str]:
    """The header of a request that was signed just now."""
    issuer = store.plan.urls["store"]
    return {"dpop": proof(path, now=store.clock(), **{"htu": f"{issuer}{path}", **said})}


def by_key(store: Store, name: str, **said: Any) -> dict[str, str]:
    return asserted(assertion(name, now=store.clock(), **{"aud": store.plan.urls["store"], **said}))


async def test_a_program_states_orders_by_its_own_token_until_its_secret_is_another(
    operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    name = await program(operator)
    secret = (await operator.post(f"/v1/clients/{name}:resetSecret", json={})).json()["clientSecret"]

    async def bearer(**said: str) -> dict[str, str]:
        answer = (await http.post("/oauth/token", data=GRANT | said, auth=(name, secret))).raise_for_status()
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    async def stated(headers: dict[str, str]) -> httpx.Response:
        return await http.post("/v1/orderEvents", json={"requestId": str(uuid4())}, headers=headers)

    able = await bearer(scope="commerce.write")
    problem(await stated(able), 400, "EVENT_MISSING")  # it was let in
    problem(await stated(await bearer(scope="stock.read")), 403, "SCOPE_MISSING")
    problem(await http.get("/v1/users", headers=able), 403, "FORBIDDEN")
    (await operator.post(f"/v1/clients/{name}:resetSecret", json={})).raise_for_status()

    async def is_refused() -> bool:
        return (await stated(able)).status_code == 401

    await eventually(is_refused, "the end of the token", patience=5.0)


async def test_a_program_proves_itself_by_its_key(
    store: Store, operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    name = await program(operator, keys=[public(P256)])
    once = by_key(store, name)
    assert (await http.post("/oauth/token", data=GRANT | once)).status_code == 200
    again = await http.post("/oauth/token", data=GRANT | once)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


async def test_a_private_key_is_registered_by_nobody(operator: httpx.AsyncClient) -> None:
    private = {name: str(value) for name, value in P256.as_dict(private=True).items()}
    said = {"title": "Robot", "profile": "SERVICE", "scopes": [], "keys": [private]}
    answer = await operator.patch(f"/v1/clients/robot-{uuid4().hex[:8]}", json=said)
    assert answer.status_code == 400
    assert private["d"] not in answer.text


async def test_a_bound_token_is_taken_with_a_proof_of_each_call(
    store: Store, operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    name, path = await program(operator, keys=[public(P256)]), "/v1/orderEvents"
    answer = await http.post("/oauth/token", data=GRANT | by_key(store, name), headers=proven(store, "/oauth/token"))
    token = answer.json()["access_token"]
    assert answer.json()["token_type"] == "DPoP"

    async def stated(scheme: str = "DPoP", **headers: str) -> httpx.Response:
        shown = {"authorization": f"{scheme} {token}", **headers}
        return await http.post(path, json={"requestId": str(uuid4())}, headers=shown)

    once = proven(store, path, token=token)
    problem(await stated(**once), 400, "EVENT_MISSING")  # it was let in
    assert 'DPoP error="invalid_dpop_proof"' in problem_of(await stated(**once))
    for headers in (
        {},
        proven(store, path),
        proven(store, path, token=token, key=OTHER_P256),
        proven(store, path, token=token, method="GET"),
        proven(store, "/v1/users", token=token),
        {"dpop": "x"},
    ):
        problem_of(await stated(**headers))
    problem(await stated("Bearer"), 401, "TOKEN_INVALID")
    problem(await stated("Bearer", **proven(store, path, token=token)), 401, "TOKEN_INVALID")
    peer = store.peer("shop") | proven(store, path, token=token)
    problem(await stated(**peer), 401, "TOKEN_INVALID")  # a peer's word is no proof that the gateway saw
    two = [("dpop", proven(store, path, token=token)["dpop"]) for _ in range(2)]
    said = [("authorization", f"DPoP {token}"), *two]
    problem_of(await http.post(path, json={"requestId": str(uuid4())}, headers=said))


def problem_of(answer: httpx.Response) -> str:
    """The challenge of a request whose proof was no good."""
    problem(answer, 401, "PROOF_INVALID")
    return str(answer.headers["www-authenticate"])


async def test_a_program_that_has_to_say_a_nonce_learns_it_from_each_answer(
    store: Store, operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    name, path = await program(operator, keys=[public(P256)], requireDpopNonce=True), "/v1/orderEvents"

    async def granted(**said: str) -> httpx.Response:
        shown = proven(store, "/oauth/token", **said)
        return await http.post("/oauth/token", data=GRANT | by_key(store, name), headers=shown)

    asked = await granted()
    assert (asked.status_code, asked.json()["error"]) == (400, "use_dpop_nonce")
    answer = await granted(nonce=asked.headers["dpop-nonce"])
    assert answer.status_code == 200
    token, nonce = answer.json()["access_token"], answer.headers["dpop-nonce"]

    async def stated(**said: str) -> httpx.Response:
        headers = {"authorization": f"DPoP {token}"} | proven(store, path, token=token, **said)
        return await http.post(path, json={"requestId": str(uuid4())}, headers=headers)

    let_in = await stated(nonce=nonce)
    problem(let_in, 400, "EVENT_MISSING")
    assert let_in.headers["dpop-nonce"]
    for said in ({}, {"nonce": "made-up"}):
        refused = await stated(**said)
        problem(refused, 401, "PROOF_NONCE_NEEDED")
        assert refused.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
        problem(await stated(nonce=refused.headers["dpop-nonce"]), 400, "EVENT_MISSING")
    bare = await http.post("/oauth/token", data=GRANT | {"client_id": name})
    assert "dpop-nonce" not in bare.headers


async def test_a_page_of_another_origin_reads_the_nonce(store: Store, http: httpx.AsyncClient) -> None:
    answer = await http.post("/oauth/token", headers={"origin": "https://app.example.org", "dpop": "x"})
    assert answer.headers["dpop-nonce"]
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"].split(", ")


async def test_what_was_exchanged_ends_with_what_it_was_got_for_and_with_the_program(
    store: Store, operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    reach = ["profile", "points", "orders"]
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    assert exchange in (await http.get("/.well-known/openid-configuration")).json()["grant_types_supported"]
    async with party(store, store.register("eve"), scopes=["openid", *reach]) as rp:
        theirs = (await rp.tokens(scope=" ".join(["openid", *reach])))["access_token"]
        user = rp.person.user

    async def given(client: str) -> str:
        secret = (await operator.post(f"/v1/clients/{client}:resetSecret", json={})).json()["clientSecret"]
        said = {"grant_type": exchange, "subject_token": theirs, "subject_token_type": ACCESS_TOKEN}
        answer = (await http.post("/oauth/token", data=said, auth=(client, secret))).raise_for_status()
        return str(answer.json()["access_token"])

    async def answers(token: str) -> set[int]:
        paths = [f"/v1/{user}", f"/v1/{user}/pointsAccount", f"/v1/{user}/orders"]
        headers = {"authorization": f"Bearer {token}"}
        return {(await http.get(path, headers=headers)).status_code for path in paths}

    async def ends(token: str) -> bool:
        return await answers(token) == {401}

    one, other = [await program(operator, tokenExchangeScopes=reach) for _ in range(2)]
    first, second = await given(one), await given(other)
    assert await answers(first) == await answers(second) == {200}
    (await operator.post(f"/v1/clients/{one}:resetSecret", json={})).raise_for_status()
    await eventually(lambda: ends(first), "the end with the program's secret", patience=5.0)
    assert await answers(second) == {200}
    hers = store.bearer(user)
    [let_in] = (await http.get(f"/v1/{user}/authorizations", headers=hers)).json()["authorizations"]
    (await http.delete(f"/v1/{let_in['name']}", headers=hers)).raise_for_status()
    await eventually(lambda: ends(second), "the end with what the person allowed", patience=5.0)
    assert await answers(theirs) == {401}
    told = await http.get(f"/v1/{user}", headers={"authorization": f"Bearer {second}"})
    problem(told, 401, "TOKEN_INVALID")
    assert store.logged("loyalty", caller=user, actor=f"clients/{other}")


async def test_of_fifty_calls_with_one_proof_at_once_one_is_carried(
    store: Store, operator: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    name, path = await program(operator, keys=[public(P256)]), "/v1/orderEvents"
    answer = await http.post("/oauth/token", data=GRANT | by_key(store, name), headers=proven(store, "/oauth/token"))
    token = answer.json()["access_token"]
    shown = {"authorization": f"DPoP {token}"} | proven(store, path, token=token)
    calls = (http.post(path, json={"requestId": str(uuid4())}, headers=shown) for _ in range(50))
    statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
    assert (statuses.count(400), statuses.count(401)) == (1, 49)


async def test_a_person_signs_in_by_a_pushed_request(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    client = await made(store, "PUBLIC", requirePushedAuthorizationRequests=True)
    browser = Browser(http, store.url, client)
    answer = await http.post("/oauth/par", data=ASKED | {"client_id": client}, headers=proven(store, "/oauth/par"))
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    params = {"client_id": client, "request_uri": answer.json()["request_uri"]}
    page = await browser.go("GET", "/oauth/authorize", "cross-site", params=params)
    assert "form-action 'self' https://app.example.org " in page.headers["content-security-policy"]
    wrong = await browser.submit(page, "/oauth/sign-in", email=ada.email, password="not hers at all")
    assert "form-action 'self' https://app.example.org " in wrong.headers["content-security-policy"]
    asked = await browser.submit(wrong, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert "form-action 'self' https://app.example.org;" in asked.headers["content-security-policy"]
    said = told(await browser.submit(asked, "/oauth/consent", decision="approve"))
    assert said["state"] == "s"
    again = await browser.go("GET", "/oauth/authorize", "cross-site", params=params)
    assert again.status_code == 400
    redeem = {"client_id": client, "code": said["code"], "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    token = {"grant_type": "authorization_code", **redeem}
    assert (await http.post("/oauth/token", data=token)).json()["error"] == "invalid_grant"
    tokens = (await http.post("/oauth/token", data=token, headers=proven(store, "/oauth/token"))).json()
    shown = {"authorization": f"DPoP {tokens['access_token']}"}
    for method in ("GET", "POST"):
        signed = proven(store, "/oauth/userinfo", token=tokens["access_token"], method=method)
        found = await http.request(method, "/oauth/userinfo", headers=shown | signed)
        assert found.status_code == 200, found.text
    bare = await http.get("/oauth/userinfo", headers=shown)
    assert (bare.status_code, bare.headers["www-authenticate"].split()[0]) == (401, "DPoP")
    refused = await browser.authorize()
    assert (refused.status_code, refused.headers.get("location")) == (400, None)  # it has to push


async def test_discovery_says_how_programs_prove_themselves(store: Store, http: httpx.AsyncClient) -> None:
    for where in ("openid-configuration", "oauth-authorization-server"):
        said = (await http.get(f"/.well-known/{where}")).json()
        assert said["pushed_authorization_request_endpoint"] == f"{store.plan.urls['store']}/oauth/par"
        assert "client_credentials" in said["grant_types_supported"]
        assert set(said["id_token_signing_alg_values_supported"]) == {"RS256", "ES256", "Ed25519"}
        ways = {"private_key_jwt", "client_secret_basic", "client_secret_post", "none"}
        assert set(said["token_endpoint_auth_methods_supported"]) == ways
        for name in ("dpop", "token_endpoint_auth", "introspection_endpoint_auth", "revocation_endpoint_auth"):
            assert said[f"{name}_signing_alg_values_supported"] == ["ES256", "PS256", "Ed25519", "EdDSA"]


async def test_a_person_lets_a_device_in_by_typing_its_code(
    store: Store, http: httpx.AsyncClient, ada: Registered
) -> None:
    client = await made(store, "PUBLIC", deviceAuthorization=True)
    browser = Browser(http, store.url, client)
    begun = (await http.post("/oauth/device_authorization", data={"client_id": client, "scope": "openid"})).json()
    assert begun["verification_uri"] == f"{store.plan.urls['store']}/oauth/device"
    page = await browser.go("GET", "/oauth/device", "none", params={"user_code": begun["user_code"]})
    assert f'value="{begun["user_code"]}"' in page.text
    problem(await browser.go("POST", "/oauth/device", data={"user_code": begun["user_code"]}), 403, "ORIGIN_REFUSED")
    sign_in = await browser.submit(page, "/oauth/device", user_code=begun["user_code"])
    asked = await browser.submit(sign_in, "/oauth/sign-in", email=ada.email, password=PASSWORD)
    assert begun["user_code"] in asked.text
    assert "The &lt;app&gt;" in asked.text
    done = await browser.submit(asked, "/oauth/consent", decision="approve")
    assert "Your device is let in" in done.text
    wrong = await browser.submit(page, "/oauth/device", user_code=begun["user_code"])
    assert (wrong.status_code, "has ended" in wrong.text) == (400, True)
    said = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    assert (await http.post("/oauth/token", data=said | {"client_id": client})).json()["id_token"]
