"""One shape for everything that is refused, with what to do about it and nothing of what went wrong inside."""

import httpx
import pytest

from tests.gateway.conftest import problem
from tests.gateway.peer import LEAK, peer
from tests.store import OtherGateway, Registered, Store, user

pytestmark = pytest.mark.xdist_group("store")


async def test_a_refusal_of_a_service_is_a_problem(signed: httpx.AsyncClient, ada: Registered) -> None:
    name = f"{ada.user}/tickets/3b0c2a52-3f0f-4c8e-9a57-1f2d3c4b5a69"
    told = problem(await signed.get(f"/v1/{name}"), 404, "TICKET_NOT_FOUND")
    assert told == {
        "type": "/problems#support.TICKET_NOT_FOUND",
        "title": "Ticket not found",
        "status": 404,
        "detail": told["detail"],
        "reason": "TICKET_NOT_FOUND",
        "domain": "support.rapport.example",
        "requestId": told["requestId"],
        "traceId": told["traceId"],
        "retryable": False,
        "metadata": {},
        "errors": [],
    }


async def test_a_refusal_of_the_gateway_is_the_same_kind_of_problem(http: httpx.AsyncClient) -> None:
    told = problem(await http.get("/v1/nothing"), 404, "ROUTE_NOT_FOUND")
    assert (told["type"], told["domain"]) == ("/problems#platform.ROUTE_NOT_FOUND", "rapport.example")


async def test_the_contract_says_what_to_do(http: httpx.AsyncClient) -> None:
    told = problem(await http.get("/v1/nothing"), 404, "ROUTE_NOT_FOUND")
    assert told["help"] == "No such route; /openapi.json lists them."


async def test_who_is_nobody_is_asked_to_sign_in(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/v1/{user()}")
    problem(answer, 401, "SIGN_IN_NEEDED")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_problem_is_kept_by_nobody(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/nothing")).headers["cache-control"] == "no-store"


async def test_a_service_that_is_down_is_to_be_asked_again(lonely: OtherGateway) -> None:
    async with lonely.http() as http:
        answer = await http.get("/v1/programme")
        told = problem(answer, 503, "TRY_AGAIN")
        assert (answer.headers["retry-after"], told["retryable"]) == ("2", True)
        assert (await http.get("/v1/jwks")).status_code == 200  # identity is as well as ever


CARELESS = {
    "/v1/availability": (500, "INTERNAL"),  # an exception
    "/v1/serviceHours": (500, "INTERNAL"),
    "/v1/categories/-/articles": (500, "INTERNAL"),  # forbidden, without a reason of ours
    "/v1/programme": (500, "INTERNAL"),  # a method that it does not know
    "/v1/categories": (503, "TRY_AGAIN"),
    "/v1/categories/a/articles/b": (503, "TRY_AGAIN"),
    "/v1/articles:search?query=lamp": (504, "DEADLINE_TOO_SHORT"),  # it hangs
    "/v1/dataMap": (500, "INTERNAL"),  # an answer that is none
}


async def test_no_text_of_an_error_reaches_a_caller_or_a_log(store: Store) -> None:
    async with peer() as target:
        targets = dict.fromkeys(("support_target", "loyalty_target", "privacy_target"), target)
        with store.gateway(patience_seconds="0.3", **targets) as gateway:
            async with gateway.http() as http:
                answers = {path: await http.get(path) for path in (*CARELESS, "/")}
            log = gateway.log.read_text()
    for path, (status, reason) in CARELESS.items():
        problem(answers[path], status, reason)
    assert problem(answers["/v1/availability"], 500, "INTERNAL")["retryable"] is False
    assert answers["/"].status_code == 200  # the page stands without the answers
    seen = "".join(answer.text + repr(answer.headers) for answer in answers.values())
    assert "Traceback" not in seen
    assert LEAK.split()[0] not in seen + log
    assert '"event":"http_failed"' in log
