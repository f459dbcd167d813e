"""A directory that provisions the store's staff over SCIM: what tests of that face do again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.journeys.people import Mailbox, eventually, mailbox_client
from tests.store import PASSWORD, Store

USERS = "/scim/v2/Users"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@dataclass(frozen=True)
class Directory:
    """A program of the store with the scope `scim`, and its token."""

    store: Store
    client: str
    secret: str
    http: httpx.AsyncClient

    async def made(self, **said: Any) -> dict[str, Any]:
        """A new member of the staff."""
        answer = await self.http.post(USERS, json={"schemas": [USER], "userName": address()} | said)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def patched(self, user: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.patch(place(user), json={"schemas": [PATCH], "Operations": operations})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def found(self, **query: Any) -> dict[str, Any]:
        answer = await self.http.get(USERS, params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@asynccontextmanager
async def directory(store: Store, **said: Any) -> AsyncIterator[Directory]:
    """One that was registered just now."""
    client = f"hr-{uuid4().hex[:8]}"
    wanted = {"title": "The directory", "profile": "SERVICE", "scopes": ["scim"], **said}
    async with store.http(**store.peer("operator")) as operator:
        (await operator.patch(f"/v1/clients/{client}", json=wanted)).raise_for_status()
        secret = (await operator.post(f"/v1/clients/{client}:resetSecret", json={})).json()["clientSecret"]
    async with httpx.AsyncClient(base_url=store.url, timeout=20) as http:
        answer = await http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client, secret))
        http.headers["authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        http.headers["content-type"] = "application/scim+json"
        yield Directory(store, client, secret, http)


def address() -> str:
    return f"staff-{uuid4().hex[:12]}@example.org"


def place(user: dict[str, Any]) -> str:
    return f"{USERS}/{user['id']}"


def error(answer: httpx.Response, status: int, scim_type: str = "") -> str:
    """What an error says, which has to be this one and whole (RFC 7644, 3.12)."""
    assert answer.headers["content-type"] == "application/scim+json", answer.text
    body = answer.json()
    assert body["schemas"] == [ERROR]
    assert (answer.status_code, body["status"], body.get("scimType", "")) == (status, str(status), scim_type), body
    return str(body["detail"])


async def choose_password(store: Store, email: str, *, seen: int = 0) -> None:
    """As the person does, by the link that was mailed to them."""
    async with mailbox_client(store.plan) as http, store.http() as frontend:
        token = await Mailbox(http).token(email, "/recover", seen=seen)
        done = await frontend.post("/v1/recoveries:complete", json={"token": token, "password": PASSWORD})
        assert done.status_code == 200, done.text


async def refused_within_seconds(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    async def is_refused() -> bool:
        return (await http.get(path, headers=headers)).status_code == 401

    await eventually(is_refused, "the end of the token", patience=5.0)
