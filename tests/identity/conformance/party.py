"""What the suite is to the provider: a relying party without PKCE, a second one, and a browser that runs no scripts."""

import base64
import hashlib
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gateway.test_oauth import HIDDEN, Browser, made
from tests.journeys.platform import advance
from tests.store import PASSWORD, Registered, Store

SUITE = "https://suite.example.org/test/a/rapport"
CALLBACK, AFTER = f"{SUITE}/callback", f"{SUITE}/post_logout_redirect"
SCOPES = ["openid", "profile", "email", "address", "offline_access"]
STATE, NONCE = "a state/of=its own", "nonce-of-this-request"
ALLOWED_IN_ERRORS = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")  # RFC 6749, 4.1.2.1
ALLOWED_IN_TOKENS = re.compile(r"[\x20-\x7e]+")  # RFC 6749, A.17
Said = dict[str, Any]


@dataclass
class Party:
    """One relying party, whose requests come back by `mode` ("" is a redirect), and its person."""

    store: Store
    browser: Browser
    client: str
    secret: str
    person: Registered
    mode: str = ""

    @property
    def http(self) -> httpx.AsyncClient:
        return self.browser.http

    async def discovered(self) -> Said:
        said: Said = (await self.http.get("/.well-known/openid-configuration")).json()
        return said

    async def passes(self, time: timedelta) -> None:
        await advance(self.store.plan, time)

    # The authorization endpoint

    def request(self, **said: str) -> dict[str, str]:
        """An authorization request; a parameter that is "" is left out."""
        usual = {
            "client_id": self.client,
            "redirect_uri": CALLBACK,
            "scope": "openid",
            "state": STATE,
            "nonce": NONCE,
            "response_type": "code",
            "response_mode": self.mode,
        }
        return {name: value for name, value in (usual | said).items() if value}

    async def ask(self, **said: str) -> httpx.Response:
        """The first page of an authorization request, or its answer."""
        return await self.browser.go("GET", "/oauth/authorize", "cross-site", params=self.request(**said))

    async def go_through(self, page: httpx.Response) -> Said:
        """Do what the pages ask, and return what the client is told at the end."""
        if 'id="sign-in"' in page.text:
            sign_in = {"email": self.person.email, "password": PASSWORD}
            page = await self.browser.submit(page, "/oauth/sign-in", **sign_in)
        if 'id="consent"' in page.text:
            page = await self.browser.submit(page, "/oauth/consent", decision="approve")
        return self.told(page)

    def told(self, answer: httpx.Response) -> Said:
        """What the client is told, in the way it asked for and in no other."""
        if self.mode == "form_post":
            assert (answer.status_code, answer.headers.get("location")) == (200, None), answer.text
            assert f'<form method="post" action="{CALLBACK}"' in answer.text
            said = {name: html.unescape(value) for name, value in HIDDEN.findall(answer.text)}
        else:
            assert answer.status_code == 303, answer.text
            target = urlsplit(answer.headers["location"])
            assert target._replace(query="").geturl() == CALLBACK
            said = {name: values[0] for name, values in parse_qs(target.query, strict_parsing=True).items()}
        assert said["iss"] == self.store.plan.urls["store"]
        assert said["state"] == STATE
        if "error" in said:
            assert set(said) <= {"error", "error_description", "error_uri", "state", "iss"}
            assert ALLOWED_IN_ERRORS.fullmatch(said.get("error_description", ""))
        else:
            assert set(said) == {"code", "state", "iss"}
        return said

    async def code(self, **said: str) -> str:
        return str((await self.go_through(await self.ask(**said)))["code"])

    async def refused(self, **said: str) -> str:
        """The error that a request comes to."""
        return str(self.told(await self.ask(**said))["error"])

    # What follows

    async def call_token(self, post: bool = False, /, **said: str) -> httpx.Response:
        if post:
            said |= {"client_id": self.client, "client_secret": self.secret}
            return await self.http.post("/oauth/token", data=said)
        return await self.http.post("/oauth/token", data=said, auth=(self.client, self.secret))

    async def redeem(self, code: str, *, post: bool = False, **said: str) -> Said:
        usual = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        answer = await self.call_token(post, **usual | said)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        told: Said = answer.json()
        assert told["token_type"].lower() == "bearer"
        assert told["expires_in"] > 0
        return told

    async def tokens(self, **said: str) -> Said:
        return await self.redeem(await self.code(**said))

    async def identified(self, tokens: Said, *, nonce: str = NONCE) -> Said:
        """The claims of the ID token, checked as a client has to (OpenID Connect Core, 3.1.3.7)."""
        keys = (await self.http.get("/oauth/jwks")).json()["keys"]
        kids = [key["kid"] for key in keys]
        assert len(set(kids)) == len(kids)
        assert all(not {"d", "p", "q", "k"} & set(key) for key in keys)
        token = jwt.decode(tokens["id_token"], KeySet.import_key_set({"keys": keys}), algorithms=["RS256"])
        assert token.header["kid"] in kids
        claims, now = token.claims, self.store.clock().timestamp()
        assert (claims["iss"], claims["aud"]) == (self.store.plan.urls["store"], self.client)
        assert claims["iat"] - 5 <= now < claims["exp"]
        assert claims.get("nonce", "") == nonce
        assert 0 < len(claims["sub"]) <= 255
        half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
        assert claims["at_hash"] == base64.urlsafe_b64encode(half).decode().rstrip("=")
        return claims

    async def known(self, access_token: str) -> Said:
        """What userinfo tells."""
        answer = await self.http.get("/oauth/userinfo", headers={"authorization": f"Bearer {access_token}"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        said: Said = answer.json()
        return said

    async def is_good(self, access_token: str) -> bool:
        answer = await self.http.get("/oauth/userinfo", headers={"authorization": f"Bearer {access_token}"})
        assert answer.status_code in (200, 401)
        return answer.status_code == 200

    async def end_session(self, **said: str) -> httpx.Response:
        return await self.browser.go("GET", "/oauth/end-session", "cross-site", params=said)


def unsigned(claims: Said) -> str:
    """A JWT that nobody signed."""
    parts = (json.dumps(one).encode() for one in ({"alg": "none"}, claims))
    return f"{'.'.join(base64.urlsafe_b64encode(part).decode().rstrip('=') for part in parts)}."


@asynccontextmanager
async def party(
    store: Store, person: Registered, mode: str = "", profile: str = "CONFORMANCE", **said: Any
) -> AsyncIterator[Party]:
    """A relying party as the suite registers it: with a secret, and PKCE left to it; or one of another profile."""
    wanted = {"redirectUris": [CALLBACK], "postLogoutRedirectUris": [AFTER], "scopes": SCOPES, "title": "The suite"}
    async with store.http() as http, store.http(**store.peer("operator")) as operator:
        client, secret = await made(store, profile, **wanted | said), ""
        if profile != "PUBLIC":
            reset = (await operator.post(f"/v1/clients/{client}:resetSecret", json={})).raise_for_status()
            secret = reset.json()["clientSecret"]
        yield Party(store, Browser(http, store.url, client), client, secret, person, mode)
