"""Card numbers do not enter the store, whoever types them where: looked for afterwards in all that it wrote."""

import asyncio
import random
import secrets
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cards import card, parcels
from tests.gateway.conftest import SHOP, order, problem
from tests.journeys.canary import Search
from tests.journeys.platform import find_left
from tests.store import OtherGateway, Registered, Store

pytestmark = pytest.mark.xdist_group("store")


async def ticket(http: httpx.AsyncClient, store: Store, user: str, **said: str) -> httpx.Response:
    asked: dict[str, Any] = {"kind": "CLAIM", "title": "Charged twice", "body": "Why?"} | said
    return await http.post(f"/v1/{user}/tickets", json=asked | {"order": await order(store, user)})


async def test_a_card_number_in_a_ticket_is_nowhere_in_the_store(store: Store) -> None:
    eve, number = store.register("eve"), card("4", 16, random.Random(secrets.token_bytes(16)))
    spaced = " ".join(number[place : place + 4] for place in range(0, 16, 4))
    async with store.http(**store.bearer(eve.user)) as http:
        sent = await ticket(http, store, eve.user, title=f"Card {spaced}", body=f"I paid by {number}, twice.")
        made = sent.raise_for_status().json()
        assert made["body"] == f"I paid by XXXXXXXXXXXX{number[-4:]}, twice."
        assert made["title"] == f"Card XXXX XXXX XXXX {number[-4:]}"
        assert sent.headers["rapport-masked"] == "title, body"

        replied = await http.post(f"/v1/{made['name']}/messages", json={"body": f"It is {spaced}"})
        assert replied.headers["rapport-masked"] == "body"
        plain = await http.post(f"/v1/{made['name']}/messages", json={"body": "It is mine"})
        assert "rapport-masked" not in plain.headers
        found = await http.get("/v1/articles:search", params={"query": f"refund to {number}"})
        assert found.headers["rapport-masked"] == "query"

        listed = (await http.get(f"/v1/{made['name']}/messages")).json()["messages"]
        assert [one["body"][-4:] for one in listed] == ["ice.", number[-4:], "mine"]
        key = {"idempotency-key": str(uuid4())}
        export = (await http.post(f"/v1/{eve.user}/exports", json={}, headers=key)).json()["name"]
        copy = (await http.get(f"/v1/{export}:download")).text
        assert made["body"] in copy
        problem(await http.patch(f"/v1/{eve.user}", json={"displayName": f"Eve {spaced}"}), 400, "CARD_NUMBER")
    left, _ = await find_left(store.plan, {"number": number, "spaced": spaced})
    assert not left, "\n".join(map(str, left))
    [wal] = (store.plan.folder / "postgres").rglob("pg_wal")
    assert list(await asyncio.to_thread(lambda: [*Search({"n": number, "s": spaced}).files("wal", wal)])) == []


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"displayName": "4111 1111 1111 1111"}, "/displayName"),
        ({"shippingAddress": {"lines": ["Lane 1", "4111-1111-1111-1111"]}}, "/shippingAddress/lines/1"),
    ],
)
async def test_a_name_or_an_address_is_refused_with_one(
    store: Store, ada: Registered, changed: dict[str, Any], pointer: str
) -> None:
    async with store.http(**store.bearer(ada.user)) as http:
        said = problem(await http.patch(f"/v1/{ada.user}", json=changed), 400, "CARD_NUMBER")
    assert [(one["pointer"], one["reason"]) for one in said["errors"]] == [(pointer, "CARD_NUMBER")]
    assert "4111" not in str(said)
    assert "Payment is the shop's own" in said["help"]


async def test_a_thousand_tracking_numbers_stay_as_they_are(store: Store) -> None:
    eve, numbers = store.register("eve"), list(parcels(1_000, random.Random(4)))
    async with store.http(**store.bearer(eve.user)) as http:
        made = (await ticket(http, store, eve.user)).raise_for_status().json()["name"]
        for first in range(0, 1_000, 100):
            body = "\n".join(f"Parcel {number}" for number in numbers[first : first + 100])
            sent = await http.post(f"/v1/{made}/messages", json={"body": body})
            assert sent.raise_for_status().json()["body"] == body
            assert "rapport-masked" not in sent.headers


async def test_a_page_of_another_origin_can_read_that_something_was_hidden(another: OtherGateway) -> None:
    async with another.http(origin=SHOP) as http:
        answer = await http.get("/v1/articles:search", params={"query": "4111111111111111"})
    assert answer.headers["rapport-masked"] == "query"
    assert "Rapport-Masked" in answer.headers["access-control-expose-headers"].split(", ")
