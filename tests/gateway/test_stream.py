"""One stream of a person's own events, which goes on where it broke off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local.commands.clock import advance
from gateway.stream import MOST_EACH, Cursor
from tests.gateway.conftest import order, problem
from tests.gateway.test_sessions import cookie, sign_in
from tests.journeys.people import Stream, eventually
from tests.store import OtherGateway, Registered, Store

pytestmark = pytest.mark.xdist_group("store")
PLACED, CREATED = "rapport.commerce.v1.OrderPlaced", "rapport.support.v1.TicketCreated"


@asynccontextmanager
async def listening(http: httpx.AsyncClient, secret: str, last_id: str = "") -> AsyncIterator[Stream]:
    headers = cookie(secret) | ({"last-event-id": last_id} if last_id else {})
    async with http.stream("GET", "/events", headers=headers, timeout=20) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        stream = Stream(answer.aiter_lines())
        await stream.next("hello")
        yield stream


async def orders(store: Store, user: str, count: int) -> list[str]:
    return [await order(store, user) for _ in range(count)]


async def told(stream: Stream, count: int) -> list[str]:
    """The orders that the next facts about orders speak of."""
    return [(await stream.fact(PLACED))["event"]["order"] for _ in range(count)]


async def test_what_happens_to_a_person_is_told_to_them(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    async with listening(http, await sign_in(http, eve)) as stream:
        name = await order(store, eve.user)
        fact = await stream.fact(PLACED)
    assert set(fact) == {"id", "type", "time", "event"}
    assert (fact["event"]["order"], fact["event"]["user"]) == (name, eve.user)


async def test_nobody_hears_of_others(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    eve = store.register("eve")
    async with listening(http, await sign_in(http, eve)) as stream:
        await orders(store, ada.user, 3)
        own = await order(store, eve.user)
        assert await told(stream, 1) == [own]


async def test_a_stream_is_for_who_is_signed_in(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    problem(await http.get("/events"), 401, "SIGN_IN_NEEDED")
    problem(await http.get("/events", headers=store.bearer(ada.user)), 401, "SIGN_IN_NEEDED")
    problem(await http.get("/events", headers=cookie("a" * 43)), 401, "SESSION_ENDED")


async def test_a_stream_goes_on_where_it_broke_off_with_nothing_missed_or_doubled(
    store: Store, http: httpx.AsyncClient
) -> None:
    eve = store.register("eve")
    secret, heard, made = await sign_in(http, eve), list[str](), list[str]()
    async with listening(http, secret) as stream:
        made += await orders(store, eve.user, 2)
        heard += await told(stream, 2)
        last_id = stream.last_id
    for _ in range(3):
        made += await orders(store, eve.user, 2)  # while nobody listens
        async with listening(http, secret, last_id) as stream:
            made += await orders(store, eve.user, 1)
            heard += await told(stream, 3)
            last_id = stream.last_id
    assert heard == made


async def test_a_stream_goes_on_at_another_gateway(
    store: Store, http: httpx.AsyncClient, another: OtherGateway
) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    async with listening(http, secret) as stream:
        first = await order(store, eve.user)
        assert await told(stream, 1) == [first]
    second = await order(store, eve.user)
    async with another.http() as other, listening(other, secret, stream.last_id) as again:
        assert await told(again, 1) == [second]


async def test_a_stream_that_heard_nothing_yet_misses_nothing_either(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    async with listening(http, secret) as stream:
        last_id = stream.last_id
    made = await orders(store, eve.user, 2)
    async with listening(http, secret, last_id) as stream:
        assert await told(stream, 2) == made


async def test_a_stream_goes_on_when_time_has_moved(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    async with listening(http, secret) as stream:
        first = await order(store, eve.user)
        assert await told(stream, 1) == [first]
        await asyncio.to_thread(advance, store.plan, timedelta(hours=1))
        second = await order(store, eve.user)
        assert await told(stream, 1) == [second]
    third = await order(store, eve.user)
    async with listening(http, secret, stream.last_id) as again:
        assert await told(again, 1) == [third]


@pytest.mark.parametrize("last_id", ["nonsense", "1;RAPPORT_SUPPORT_V1=x", "9" * 400, ";;;", "-1e9", "٣"])
async def test_an_id_that_is_none_begins_anew(
    store: Store, http: httpx.AsyncClient, ada: Registered, last_id: str
) -> None:
    headers: Any = [
        (b"cookie", cookie(await sign_in(http, ada))["cookie"].encode()),
        (b"last-event-id", last_id.encode()),
    ]
    async with http.stream("GET", "/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert (await Stream(answer.aiter_lines()).next("hello")) == {}


def test_a_cursor_says_no_place_in_a_stream() -> None:
    text = f"1763928000000;RAPPORT_SUPPORT_V1={uuid4()}"
    read = Cursor.read(text, {"RAPPORT_SUPPORT_V1": ""})
    assert str(read) == text
    assert str(Cursor.read(text, {})) == "1763928000000"  # of a service that is gone


# How it ends ---------------------------------------------------------------------------------------------------------


async def ended(answer: httpx.Response) -> list[str]:
    """The lines until the stream ends by itself."""
    async with asyncio.timeout(10):
        return [line async for line in answer.aiter_lines()]


async def test_signing_out_ends_the_stream(store: Store, http: httpx.AsyncClient, ada: Registered) -> None:
    secret = await sign_in(http, ada)
    async with http.stream("GET", "/events", headers=cookie(secret)) as answer:
        await http.delete("/session", headers=cookie(secret))
        lines = await ended(answer)
    assert any("SessionRevoked" in line for line in lines)


async def test_another_session_of_the_same_person_does_not(
    store: Store, http: httpx.AsyncClient, ada: Registered
) -> None:
    here, there = await sign_in(http, ada), await sign_in(http, ada)
    async with listening(http, here) as stream:
        await http.delete("/session", headers=cookie(there))
        await stream.fact("rapport.identity.v1.SessionRevoked")
        name = await order(store, ada.user)
        assert await told(stream, 1) == [name]


async def test_deleting_the_account_ends_the_stream(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    async with http.stream("GET", "/events", headers=cookie(secret)) as answer:
        assert (await http.delete(f"/v1/{eve.user}?skipCoolingOff=true", headers=cookie(secret))).status_code == 200
        await ended(answer)
    problem(await http.get("/events", headers=cookie(secret)), 401, "SESSION_ENDED")


async def test_a_silent_stream_beats(http: httpx.AsyncClient, another: OtherGateway, ada: Registered) -> None:
    secret, beats = await sign_in(http, ada), 0
    async with another.http() as other, other.stream("GET", "/events", headers=cookie(secret)) as answer:
        async with asyncio.timeout(10):
            async for line in answer.aiter_lines():
                beats += line == ": still here"
                if beats == 3:
                    break
    assert beats == 3


async def test_a_gateway_that_ends_lets_its_streams_go_at_once(
    store: Store, http: httpx.AsyncClient, ada: Registered
) -> None:
    secret = await sign_in(http, ada)
    with store.gateway() as gateway:
        async with gateway.http() as other, other.stream("GET", "/events", headers=cookie(secret)) as answer:
            gateway.process.terminate()
            lines = await ended(answer)  # whole: the browser comes back, to another
        assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    assert "event: hello" in lines


async def test_a_browser_has_so_many_streams_and_no_more(store: Store, http: httpx.AsyncClient) -> None:
    eve = store.register("eve")
    secret = await sign_in(http, eve)
    async with AsyncExitStack() as stack:
        for _ in range(MOST_EACH):
            await stack.enter_async_context(listening(http, secret))
        refused = await http.get("/events", headers=cookie(secret))
        told = problem(refused, 429, "QUOTA_EXCEEDED")
        assert (refused.headers["retry-after"], told["retryable"]) == ("5", True)

    async def is_free() -> bool:
        async with http.stream("GET", "/events", headers=cookie(secret)) as answer:
            return answer.status_code == 200

    await eventually(is_free, "that a closed stream makes room")


async def test_without_nats_streams_are_to_be_had_later(
    http: httpx.AsyncClient, lonely: OtherGateway, ada: Registered
) -> None:
    secret = await sign_in(http, ada)
    async with lonely.http() as other:
        answer = await other.get("/events", headers=cookie(secret))
        assert (await other.get("/session", headers=cookie(secret))).status_code == 200  # nothing else needs it
    problem(answer, 503, "TRY_AGAIN")
    assert answer.headers["retry-after"] == "2"
