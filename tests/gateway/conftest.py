"""People in front of the store: by token where only a service looks, signed in where the gateway does."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.store import OtherGateway, Registered, Store

NOWHERE, NATS_NOWHERE = "ipv4:127.0.0.1:9", "nats://127.0.0.1:9"  # where nobody listens
SHOP = "https://shop.example.org"


@pytest.fixture
async def http(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A frontend's client, with nobody signed in."""
    async with store.http() as client:
        yield client


@pytest.fixture(scope="session")
def ada(store: Store) -> Registered:
    """A customer with an account, for tests that leave her as she is."""
    return store.register("ada")


@pytest.fixture(scope="session")
def another(store: Store) -> Iterator[OtherGateway]:
    """A second gateway, where streams beat fast and pages of SHOP may call."""
    with store.gateway(heartbeat_seconds="0.05", allowed_origins=f"{SHOP}, https://app.example.org") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def lonely(store: Store) -> Iterator[OtherGateway]:
    """A gateway at a secure address, which reaches identity and nobody else."""
    targets = dict.fromkeys(("support_target", "loyalty_target", "privacy_target"), NOWHERE)
    with store.gateway(nats_url=NATS_NOWHERE, public_url="https://store.example.org", **targets) as gateway:
        yield gateway


@pytest.fixture
async def signed(store: Store, ada: Registered) -> AsyncIterator[httpx.AsyncClient]:
    """Ada's client, with a token."""
    async with store.http(**store.bearer(ada.user)) as client:
        yield client


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The body of a problem, which has to be this one and whole."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["reason"]) == (status, status, reason), body
    assert body["requestId"] == answer.headers["x-request-id"]
    assert body["traceId"] == answer.headers["traceresponse"].split("-")[1]
    return body


async def order(store: Store, user: str) -> str:
    """An order of that user, as the shop's own systems tell it; its name."""
    name = f"{user}/orders/R-{uuid4().hex[:8]}"
    placed = {
        "user": user,
        "order": name,
        "lines": [{"sku": "LAMP-7", "title": "Desk lamp", "quantity": 1}],
        "total": {"currencyCode": "USD", "units": "40"},
        "eventTime": "2026-07-06T12:00:00Z",
    }
    async with store.http(**store.peer("shop")) as shop:
        done = await shop.post("/v1/orderEvents", json={"requestId": str(uuid4()), "placed": placed})
    assert done.status_code == 200, done.text
    return name
