"""Businesses over HTTP: who has just become a member is one at once, and who is none any more is out at once."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.test_sessions import cookie, sign_in
from tests.journeys.people import Mailbox, eventually, mailbox_client
from tests.store import Registered, Store, user

pytestmark = pytest.mark.xdist_group("store")
SAID = {
    "kind": "AFFILIATE",
    "company": "Bolts Ltd",
    "website": "https://bolts.example.org",
    "regionCode": "GB",
    "contacts": [{"name": "Carla"}],
}
PDF = b"%PDF-1.7\n<script>alert(1)</script>"


async def signed_in(store: Store, who: Registered) -> httpx.AsyncClient:
    """A browser of theirs."""
    async with store.http() as http:
        secret = await sign_in(http, who)
    return store.http(**cookie(secret))


async def begun(http: httpx.AsyncClient, **said: Any) -> str:
    answer = await http.post("/v1/businesses", json={"business": SAID | said})
    return str(answer.raise_for_status().json()["name"])


@asynccontextmanager
async def joined(store: Store, owner: httpx.AsyncClient, business: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of somebody new, who is a member in that role."""
    who = store.register("mia")
    invited = await owner.post(f"/v1/{business}/invitations", json={"email": who.email, "role": role})
    assert invited.json() == {}, invited.text
    async with mailbox_client(store.plan) as client:
        token = await Mailbox(client).token(who.email, "/join")
    async with await signed_in(store, who) as http:
        accepted = await http.post("/v1/businessInvitations:accept", json={"token": token})
        assert accepted.json()["role"] == role, accepted.text
        yield http


async def test_who_has_just_begun_an_application_reads_it_with_the_cookie_they_had(store: Store) -> None:
    async with await signed_in(store, store.register()) as http:
        assert (await http.get(f"/v1/{user()}")).status_code == 403  # so that the gateway holds a token
        business = await begun(http)
        shown = await http.get(f"/v1/{business}")
        assert (shown.status_code, shown.json()["role"]) == (200, "OWNER")
        changed = await http.patch(
            f"/v1/{business}", json={"company": "Nuts Ltd"}, headers={"if-match": shown.headers["etag"]}
        )
        assert changed.json()["company"] == "Nuts Ltd"
        handed_in = await http.post(f"/v1/{business}:submit", json={})
        assert handed_in.json()["state"] == "SUBMITTED"
    async with store.http(**store.bearer(user(), "admin")) as admin:
        queue = (await admin.get("/v1/businesses", params={"state": "SUBMITTED", "pageSize": 200})).json()
        assert business in [one["name"] for one in queue["businesses"]]


async def test_a_document_leaves_as_a_download_that_nothing_runs(store: Store) -> None:
    async with await signed_in(store, store.register()) as http:
        business = await begun(http)
        told = {"document": {"title": "Register entry", "sizeBytes": len(PDF)}}
        made = (await http.post(f"/v1/{business}/documents", json=told)).json()
        piece = {"offsetBytes": 0, "content": b64encode(PDF).decode()}
        assert (await http.post(f"/v1/{made['name']}:append", json=piece)).json()["contentType"] == "application/pdf"
        answer = await http.get(f"/v1/{made['name']}:download")
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_largest_document_comes_through_in_pieces(store: Store) -> None:
    content, step = b"%PDF-1.7\n".ljust(2 << 20, b"x"), 512 << 10
    async with await signed_in(store, store.register()) as http:
        business = await begun(http)
        told = {"document": {"title": "Large", "sizeBytes": len(content)}}
        made = (await http.post(f"/v1/{business}/documents", json=told)).json()
        for at in range(0, len(content), step):
            piece = {"offsetBytes": at, "content": b64encode(content[at : at + step]).decode()}
            (await http.post(f"/v1/{made['name']}:append", json=piece)).raise_for_status()
        assert (await http.get(f"/v1/{made['name']}:download")).content == content


@pytest.mark.parametrize("ends", ["removed", "lower role"])
async def test_a_member_who_is_one_no_more_is_refused_within_five_seconds(store: Store, ends: str) -> None:
    async with await signed_in(store, store.register()) as owner:
        business = await begun(owner)
        async with joined(store, owner, business, "MANAGER") as member:
            change = {"website": "https://other.example.org"}
            assert (await member.patch(f"/v1/{business}", json=change)).status_code == 200
            listed = (await owner.get(f"/v1/{business}/members")).json()["members"]
            [name] = [one["name"] for one in listed if one["role"] == "MANAGER"]
            if ends == "removed":
                assert (await owner.delete(f"/v1/{name}")).is_success
            else:
                assert (await owner.post(f"/v1/{name}:setRole", json={"role": "VIEWER"})).status_code == 200

            async def is_out() -> bool:
                return (await member.patch(f"/v1/{business}", json=change)).status_code == 403

            await eventually(is_out, "the member refused", patience=5)
            told = problem(await member.patch(f"/v1/{business}", json=change), 403, "FORBIDDEN")
            assert told["detail"]
            seen = await member.get(f"/v1/{business}")
            assert seen.status_code == (403 if ends == "removed" else 200)
            assert (await member.get("/session")).status_code == 200  # and signed in as before


async def test_decisions_at_once_over_http_are_one(store: Store) -> None:
    async with await signed_in(store, store.register()) as http:
        business = await begun(http)
        await http.post(f"/v1/{business}:submit", json={})
    async with store.http(**store.bearer(user(), "admin")) as admin:
        answers = await asyncio.gather(*(admin.post(f"/v1/{business}:approve", json={}) for _ in range(20)))
    assert [one.status_code for one in answers].count(200) == 1
    assert {one.json().get("reason", "") for one in answers} == {"", "BUSINESS_STATE"}


@pytest.mark.parametrize("path", ["/trade", "/review", "/join"])
async def test_a_desk_shows_nothing_of_anybody_by_itself(store: Store, path: str) -> None:
    async with store.http() as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert f"<{path[1:]}-desk>" in answer.text
    assert 'content="noindex"' in answer.text
