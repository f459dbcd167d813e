"""Content as it is, in pieces; what breaks off must not look whole."""

import base64
from uuid import uuid4

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.peer import peer
from tests.identity.people import PNG
from tests.store import Registered, Store

pytestmark = pytest.mark.xdist_group("store")
PIXEL = base64.b64encode(PNG).decode()


async def export(http: httpx.AsyncClient, user: str) -> str:
    answer = await http.post(f"/v1/{user}/exports", json={}, headers={"idempotency-key": str(uuid4())})
    return str(answer.json()["name"])


async def test_an_export_comes_as_one_json_document(store: Store, signed: httpx.AsyncClient, ada: Registered) -> None:
    name = await export(signed, ada.user)
    async with signed.stream("GET", f"/v1/{name}:download") as answer:
        content = await answer.aread()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["cache-control"] == "no-store"
    assert ada.email in content.decode()
    assert httpx.Response(200, content=content).json()


async def test_what_cannot_be_downloaded_is_a_problem(signed: httpx.AsyncClient, ada: Registered) -> None:
    answer = await signed.get(f"/v1/{ada.user}/exports/{uuid4()}:download")
    problem(answer, 404, "EXPORT_NOT_FOUND")


async def test_who_only_asks_about_a_download_is_not_sent_it(signed: httpx.AsyncClient, ada: Registered) -> None:
    answer = await signed.head(f"/v1/{await export(signed, ada.user)}:download")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/json"


async def test_a_download_that_breaks_off_does_not_look_whole(store: Store, ada: Registered) -> None:
    async with peer() as target:
        with store.gateway(privacy_target=target) as gateway:
            async with gateway.http(**store.bearer(ada.user)) as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get(f"/v1/{ada.user}/exports/{uuid4()}:download")
            log = gateway.log.read_text()
    assert '"event":"http_broken_off"' in log
    assert "canary" not in log


async def test_a_photo_comes_as_a_picture_and_nothing_else_is_made_of_it(store: Store) -> None:
    eve = store.register("eve")
    async with store.http(**store.bearer(eve.user)) as http:
        problem(await http.get(f"/v1/{eve.user}/photo"), 404, "PHOTO_NOT_FOUND")
        await http.post(f"/v1/{eve.user}:setPhoto", json={"photo": PIXEL})
        answer = await http.get(f"/v1/{eve.user}/photo")
        problem(await http.post(f"/v1/{eve.user}:setPhoto", json={"photo": "PGh0bWw+"}), 400, "PHOTO_UNREADABLE")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
