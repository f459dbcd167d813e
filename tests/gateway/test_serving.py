"""The gateway as a process: what it says of its work, and how it ends."""

import asyncio
import re
import subprocess
import sys
from uuid import uuid4

import httpx
import pytest

from deploy.local.settings import outside
from tests.gateway.conftest import problem
from tests.gateway.peer import peer
from tests.journeys.people import eventually
from tests.journeys.platform import asked
from tests.store import OtherGateway, Registered, Store

pytestmark = pytest.mark.xdist_group("store")

# Ids -----------------------------------------------------------------------------------------------------------------


async def test_the_ids_of_a_request_are_on_its_answer_and_in_every_log_on_its_way(
    store: Store, signed: httpx.AsyncClient, ada: Registered
) -> None:
    given, trace = str(uuid4()), "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-request-id": given, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await signed.get(f"/v1/{ada.user}/tickets", headers=headers)
    assert answer.headers["x-request-id"] == given
    assert answer.headers["traceresponse"].split("-")[1] == trace
    (here,) = await store.until_logged("gateway", request_id=given)
    (there,) = store.logged("support", request_id=given)
    assert (here["event"], here["method"], here["code"]) == ("http_served", "GET", 200)
    assert here["route"] == "/v1/{parent=users/*}/tickets"  # never the path: it holds ids
    assert there["method"] == "rapport.support.v1.SupportService/ListTickets"
    assert here["trace_id"] == there["trace_id"] == trace
    assert (here["parent_id"], there["parent_id"]) == ("00f067aa0ba902b7", here["span_id"])


@pytest.mark.parametrize("given", ["", "x", "a" * 65, "ada@example.org", "a b c d e f g h"])
async def test_an_id_that_is_none_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    answer = await http.get("/v1/categories", headers={"x-request-id": given, "traceparent": given})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.headers["traceresponse"])


async def test_no_answer_is_without_ids(http: httpx.AsyncClient) -> None:
    for path in ("/", "/static/store.css", "/v1/nothing", "/v1/categories", "/events", "/session"):
        answer = await http.get(path)
        assert {"x-request-id", "traceresponse", "x-content-type-options"} <= set(answer.headers), path


# Numbers -------------------------------------------------------------------------------------------------------------


def count(text: str, route: str, method: str, status_class: str, name: str = "http_server_requests_total") -> float:
    labels = f'{{method="{method}",route="{re.escape(route)}",status_class="{status_class}"}}'
    found = re.search(rf"^{name}{labels} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_every_request_is_counted_by_its_route(store: Store, another: OtherGateway, ada: Registered) -> None:
    seconds = "http_server_request_duration_seconds_count"
    before = another.numbers()
    async with another.http(**store.bearer(ada.user)) as http:
        for path in (f"/v1/{ada.user}/tickets", f"/v1/{ada.user}/tickets", "/v1/nothing/canary", "/docs"):
            await http.get(path)
        await http.request("PURGE", "/v1/categories")
    told = another.numbers()

    def more(*labels: str) -> float:
        return count(told, *labels) - count(before, *labels)

    assert more("/v1/{parent=users/*}/tickets", "GET", "2xx") == 2
    assert more("/v1/{parent=users/*}/tickets", "GET", "2xx", seconds) == 2
    assert more("/docs", "GET", "2xx") == 1
    assert more("(none)", "GET", "4xx") == 1
    assert more("(none)", "OTHER", "4xx") == 1
    assert "rapport_process_info{" in told
    assert "canary" not in told
    assert ada.user.removeprefix("users/") not in told


async def test_every_instance_has_its_share_of_what_is_asked(store: Store) -> None:
    for _ in range(2 * store.plan.replicas):
        async with store.http() as http:  # over a connection of its own, which is the next gateway's
            for path in ("/v1/jwks", "/v1/availability", "/v1/policies", "/v1/programme"):
                assert (await http.get(path)).status_code == 200, path
    calls = await asyncio.to_thread(asked, store.plan)
    assert len(calls) == 5 * store.plan.replicas
    assert all(calls.values()), f"somebody had nothing to do: {calls}"


# The end -------------------------------------------------------------------------------------------------------------


async def test_a_gateway_that_is_to_end_says_so_finishes_what_it_began_and_goes(store: Store) -> None:
    async with peer() as target:
        # A peer that hangs keeps a request under way for as long as the gateway waits.
        with store.gateway(support_target=target, patience_seconds="2", drain_seconds="1") as gateway:
            async with gateway.http() as http:
                assert gateway.answers("/readyz")
                under_way = asyncio.create_task(http.get("/v1/articles:search", params={"query": "lamp"}))
                assert (await http.get("/v1/programme")).status_code == 200  # so the one before is under way too
                assert (await http.get("/v1/programme")).status_code == 200  # so the one before is under way too
                gateway.process.terminate()

                async def is_draining() -> bool:
                    return not await asyncio.to_thread(gateway.answers, "/readyz")

                await eventually(is_draining, "that it is not ready any more")
                assert await asyncio.to_thread(gateway.answers, "/healthz")
                late = await http.get("/v1/programme")  # who has not heard yet is served
                assert late.status_code == 200
                problem(await under_way, 504, "DEADLINE_TOO_SHORT")
            assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    events = [line["event"] for line in gateway.logged("gateway") if line["level"] != "info"]
    assert not set(events) & {"http_failed", "process_crashed"}


def test_what_it_is_told_can_be_checked_without_starting(store: Store) -> None:
    told = {**outside().inherited, **store.settings_of_gateway()}
    command = [sys.executable, "-P", "-m", "gateway", "--check"]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RAPPORT_SERVICE_TOKEN_FILE=(set)" in done.stdout
    wrong = subprocess.run(command, env=told | {"RAPPORT_PUBLIC_ULR": "x"}, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "RAPPORT_PUBLIC_URL" in wrong.stderr
    assert "Traceback" not in wrong.stderr


async def test_a_secure_address_is_said_to_stay_secure(http: httpx.AsyncClient, lonely: OtherGateway) -> None:
    assert "strict-transport-security" not in (await http.get("/v1/jwks")).headers
    async with lonely.http() as secure:
        answer = await secure.get("/v1/jwks")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
