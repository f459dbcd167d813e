"""How much is taken, and for how long it is waited for."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from gateway.http import MOST_BYTES, Gone, Stream, Write
from gateway.protocol import MOST_BYTES as MOST_HEAD
from tests.gateway.conftest import problem
from tests.identity.people import PNG
from tests.journeys.people import eventually
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
BEGIN = "/v1/registrations:begin"
JSON = {"content-type": "application/json"}


async def test_a_body_that_says_it_is_too_large_is_not_read(http: httpx.AsyncClient) -> None:
    answer = await http.post(BEGIN, content=b"{" + b" " * MOST_BYTES, headers=JSON)
    told = problem(answer, 413, "BODY_TOO_LARGE")
    assert told["metadata"] == {"max_bytes": str(MOST_BYTES)}


async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MOST_BYTES // 65_536 + 1):
            yield b" " * 65_536

    problem(await http.post(BEGIN, content=endless(), headers=JSON), 413, "BODY_TOO_LARGE")


async def test_a_body_in_pieces_is_taken(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"email": "ada'
        yield b'@example.org"}'

    assert (await http.post(BEGIN, content=pieces(), headers=JSON)).status_code == 200


async def test_a_body_as_large_as_is_taken_is_taken(http: httpx.AsyncClient) -> None:
    written = b'{"email": "ada@example.org"}'
    answer = await http.post(BEGIN, content=written + b" " * (MOST_BYTES - len(written)), headers=JSON)
    assert answer.status_code == 200


async def test_the_next_request_is_none_the_worse_for_one_too_large(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        problem(await http.post(BEGIN, content=b" " * (MOST_BYTES + 1), headers=JSON), 413, "BODY_TOO_LARGE")
        assert (await http.get("/v1/categories")).status_code == 200


async def test_a_photo_as_large_as_the_contract_allows_goes_through(store: Store) -> None:
    eve = store.register("eve")
    photo = PNG + bytes(262_144 - len(PNG))
    async with store.http(**store.bearer(eve.user)) as http:
        said = {"photo": base64.b64encode(photo).decode()}
        assert (await http.post(f"/v1/{eve.user}:setPhoto", json=said)).json()["hasPhoto"] is True
        shown = await http.get(f"/v1/{eve.user}/photo")
        assert (shown.content[:3], shown.headers["content-type"]) == (b"\xff\xd8\xff", "image/jpeg")
        said = {"photo": base64.b64encode(photo + b"x").decode()}
        told = problem(await http.post(f"/v1/{eve.user}:setPhoto", json=said), 400, "INVALID_FIELD")
        assert [(one["pointer"], one["reason"]) for one in told["errors"]] == [("/photo", "TOO_LONG")]


async def test_json_that_nests_without_end_takes_nobody_down(store: Store, http: httpx.AsyncClient) -> None:
    for opener in (b"[", b'{"email":'):
        answer = await http.post(BEGIN, content=opener * 100_000, headers=JSON)
        problem(answer, 400, "MALFORMED_JSON")
    assert (await http.get("/v1/categories")).status_code == 200


# From the wire -------------------------------------------------------------------------------------------------------


async def wire(store: Store, sent: bytes) -> bytes:
    """What comes back for these bytes, until the other side closes or has answered in full."""
    host, _, port = store.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read(65_536)
    finally:
        writer.close()


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(store: Store) -> None:
    head = b"POST /v1/registrations:begin HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    told = await wire(store, head + b"content-length: 9999999999\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 413 ")


async def test_a_head_without_end_is_refused(store: Store) -> None:
    told = await wire(store, b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * (MOST_HEAD + 1))
    assert told.startswith(b"HTTP/1.1 431 ")
    many = b"".join(b"x-%d: y\r\n" % number for number in range(20_000))
    assert (await wire(store, b"GET / HTTP/1.1\r\nhost: x\r\n" + many)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://elsewhere/v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/caf\xc3\xa9 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/%00%ff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PURGE /v1/categories HTTP/1.1\r\nhost: x\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/categories?%zz HTTP/1.1\r\nhost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /session HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /events HTTP/1.1\r\nhost: x\r\nlast-event-id: \xff\xff;;=\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_nothing_from_the_wire_is_a_fault_of_ours(store: Store, sent: bytes) -> None:
    told = await wire(store, sent)
    status = int(told.split(b" ")[1])
    assert status < 500, told
    assert b"Traceback" not in told


# Who does not read ---------------------------------------------------------------------------------------------------


async def for_ever() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def test_who_does_not_read_an_answer_in_pieces_is_let_go() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await for_ever()

    async def tell(write: Write) -> None:
        await write(b"first")

    with pytest.raises(Gone):
        await Stream(tell, [], patience=0.01).send(for_ever, send)
    assert [one.get("body") for one in sent] == [None, b"first"]  # and no end that would make it look whole


async def test_who_leaves_is_told_no_more() -> None:
    ended: list[str] = []
    receive: Iterator[dict[str, Any]] = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

    async def next_message() -> dict[str, Any]:
        return next(receive)

    async def send(_: Any) -> None: ...

    async def tell(_: Write) -> None:
        try:
            await for_ever()
        finally:
            ended.append("closed")

    with pytest.raises(Gone):
        await Stream(tell, []).send(next_message, send)
    assert ended == ["closed"]


async def test_a_browser_that_hangs_up_in_its_body_is_nobodys_fault(store: Store) -> None:
    left, failed = {"route": "/session", "code": 499}, len(store.logged("gateway", event="http_failed"))
    before = len(store.logged("gateway", **left))
    host, _, port = store.url.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /session HTTP/1.1\r\nhost: x\r\nx-rapport-client: t\r\ncontent-length: 50\r\n\r\n{")
    writer.write_eof()
    writer.close()
    await writer.wait_closed()

    async def is_noticed() -> bool:
        return len(store.logged("gateway", **left)) > before

    await eventually(is_noticed, "that they left")
    assert len(store.logged("gateway", event="http_failed")) == failed
