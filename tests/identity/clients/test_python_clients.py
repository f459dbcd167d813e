"""Libraries that programs in Python sign people in with: Authlib, and oauthlib by way of requests."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session as Authlib
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from oauthlib.oauth2 import WebApplicationClient
from requests_oauthlib import OAuth2Session as Oauthlib

from services.identity.oauth.exchanges import ACCESS_TOKEN, GRANT
from tests.identity.clients.visits import visited
from tests.identity.conformance.party import AFTER, CALLBACK, Party, party
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
SCOPE = ["openid", "email", "offline_access"]


@pytest.fixture(autouse=True)
def _this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both want https, and are told that this is a test."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


async def identified(rp: Party, token: str, nonce: str) -> dict[str, Any]:
    """The claims of an ID token, as Authlib checks them."""
    keys = KeySet.import_key_set((await rp.http.get("/oauth/jwks")).json())
    read = jwt.decode(token, keys, algorithms=["RS256"])
    must: dict[str, Any] = {"iss": {"value": rp.store.plan.urls["store"]}, "aud": {"value": rp.client}}
    params = {"client_id": rp.client, "nonce": nonce}
    claims = CodeIDToken(read.claims, read.header, must, params)
    claims.validate(now=int(rp.store.clock().timestamp()))
    return dict(claims)


async def signed_out(rp: Party, end_session: str, hint: str) -> bool:
    query = requests.models.PreparedRequest()
    query.prepare_url(end_session, {"id_token_hint": hint, "post_logout_redirect_uri": AFTER})
    assert query.url is not None
    assert await visited(rp, query.url) == AFTER
    asked = {"prompt": "none", "code_challenge": "x" * 43, "code_challenge_method": "S256"}
    return await rp.refused(**asked) == "login_required"


@pytest.mark.parametrize("profile", ["PUBLIC", "WEB"])
async def test_authlib_signs_somebody_in_and_out(store: Store, profile: str) -> None:
    async with party(store, store.register("ada"), profile=profile) as rp:
        at, nonce, verifier = await rp.discovered(), generate_token(20), generate_token(64)
        proof = "client_secret_basic" if rp.secret else "none"
        with Authlib(
            rp.client,
            rp.secret or None,
            token_endpoint_auth_method=proof,
            revocation_endpoint_auth_method=proof,
            scope=SCOPE,
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
        ) as client:
            url, state = client.create_authorization_url(
                at["authorization_endpoint"], code_verifier=verifier, nonce=nonce
            )
            back = await visited(rp, url)

            def go_on() -> tuple[Any, Any, Any, int, int]:
                tokens = client.fetch_token(
                    at["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
                )
                known = client.get(at["userinfo_endpoint"]).json()
                renewed = client.refresh_token(at["token_endpoint"], refresh_token=tokens["refresh_token"])
                good = client.get(at["userinfo_endpoint"]).status_code
                if rp.secret:
                    asked = client.introspect_token(at["introspection_endpoint"], token=renewed["access_token"])
                    assert asked.json()["active"] is True
                client.revoke_token(at["revocation_endpoint"], token=renewed["refresh_token"]).raise_for_status()
                header = {"authorization": f"Bearer {renewed['access_token']}"}
                left = requests.get(at["userinfo_endpoint"], headers=header, timeout=20).status_code
                return tokens, known, renewed, good, left

            tokens, known, renewed, good, left = await asyncio.to_thread(go_on)
        assert (await identified(rp, tokens["id_token"], nonce))["sub"] == known["sub"]
        assert known["email"] == rp.person.email
        assert (renewed["refresh_token"] != tokens["refresh_token"]) is (profile == "PUBLIC")
        assert (good, left) == (200, 401)
        assert await signed_out(rp, at["end_session_endpoint"], tokens["id_token"])


@pytest.mark.parametrize("profile", ["PUBLIC", "WEB"])
async def test_oauthlib_signs_somebody_in_and_out(store: Store, profile: str) -> None:
    async with party(store, store.register("ada"), profile=profile) as rp:
        at, nonce = await rp.discovered(), generate_token(20)
        auth = (rp.client, rp.secret) if rp.secret else None
        with Oauthlib(rp.client, redirect_uri=CALLBACK, scope=SCOPE, pkce="S256") as client:
            url, _ = client.authorization_url(at["authorization_endpoint"], nonce=nonce)
            back = await visited(rp, url)

            def go_on() -> tuple[Any, Any, Any, int, int]:
                how: dict[str, Any] = {"auth": auth} if auth else {"include_client_id": True}
                tokens = dict(client.fetch_token(at["token_endpoint"], authorization_response=back, **how))
                known = client.get(at["userinfo_endpoint"]).json()
                named = {} if auth else {"client_id": rp.client}
                renewed = dict(client.refresh_token(at["token_endpoint"], auth=auth, **named))
                good = client.get(at["userinfo_endpoint"]).status_code
                asked = {"token": renewed["access_token"]}
                seen = requests.post(at["introspection_endpoint"], data=asked, auth=auth, timeout=20)
                assert (seen.json().get("active") is True) is (auth is not None)
                place, headers, body = WebApplicationClient(rp.client).prepare_token_revocation_request(
                    at["revocation_endpoint"], renewed["refresh_token"], "refresh_token", **named
                )
                requests.post(place, headers=headers, data=body, auth=auth, timeout=20).raise_for_status()
                left = client.get(at["userinfo_endpoint"]).status_code
                return tokens, known, renewed, good, left

            tokens, known, renewed, good, left = await asyncio.to_thread(go_on)
        assert (await identified(rp, tokens["id_token"], nonce))["sub"] == known["sub"]
        assert known["email"] == rp.person.email
        assert (renewed["refresh_token"] != tokens["refresh_token"]) is (profile == "PUBLIC")
        assert (good, left) == (200, 401)
        assert await signed_out(rp, at["end_session_endpoint"], tokens["id_token"])


async def test_authlib_exchanges_a_token_of_a_person(store: Store) -> None:
    name = f"advice-{uuid4().hex[:8]}"
    said = {"title": "Advice", "profile": "SERVICE", "scopes": [], "tokenExchangeScopes": ["profile"]}
    async with party(store, store.register("ada")) as rp, store.http(**store.peer("operator")) as operator:
        (await operator.patch(f"/v1/clients/{name}", json=said)).raise_for_status()
        secret = (await operator.post(f"/v1/clients/{name}:resetSecret", json={})).json()["clientSecret"]
        theirs = (await rp.tokens(scope="openid profile email"))["access_token"]
        at = (await rp.discovered())["token_endpoint"]

        def go_on() -> tuple[Any, int, int]:
            with Authlib(name, secret, token_endpoint_auth_method="client_secret_basic") as client:
                tokens = client.fetch_token(
                    at, grant_type=GRANT, subject_token=theirs, subject_token_type=ACCESS_TOKEN, scope="profile"
                )
                me = f"{store.url}/v1/{rp.person.user}"
                return tokens, client.get(me).status_code, client.get(f"{me}/sessions").status_code

        tokens, known, shut = await asyncio.to_thread(go_on)
    assert (tokens["issued_token_type"], tokens["scope"], "refresh_token" in tokens) == (ACCESS_TOKEN, "profile", False)
    assert (known, shut) == (200, 403)
