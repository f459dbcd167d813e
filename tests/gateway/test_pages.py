"""What people look at, as far as the server lays it out; the rest is in tests/browser."""

import re

import httpx
import pytest

from chassis.refusal import PLATFORM_DOMAIN
from gateway.contracts import reasons
from tests.gateway.conftest import NOWHERE, problem
from tests.journeys.people import Mailbox, mailbox_client
from tests.store import OtherGateway, Store

pytestmark = pytest.mark.xdist_group("store")
PAGES = ["/", "/register", "/confirm", "/docs", "/problems", "/unsubscribe/x", "/trade", "/review", "/join", "/my-data"]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_and_sends_nothing_but_our_own(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert not re.search(r'<script(?![^>]*src=)|\son\w+="|\sstyle="|https?://(?!localhost)', answer.text)


async def test_what_pages_are_made_of_is_sent_once(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text
    for path in sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
        again = await http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/", "/static/no.js", "/static/..%2f__init__.py", "/static/%2e%2e/app.py"])
async def test_nothing_but_those_files_is_given_out(http: httpx.AsyncClient, path: str) -> None:
    problem(await http.get(path), 404, "ROUTE_NOT_FOUND")


async def test_answers_are_found_without_scripts(http: httpx.AsyncClient) -> None:
    page, found = await http.get("/"), await http.get("/", params={"q": "points"})
    assert page.text.count("<details") > 5
    assert 0 < found.text.count("<details") < page.text.count("<details")


async def test_what_was_searched_is_shown_as_text(http: httpx.AsyncClient) -> None:
    answer = await http.get("/", params={"q": '"><script>alert(1)</script>'})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


async def test_the_page_stands_while_the_answers_are_away(lonely: OtherGateway) -> None:
    async with lonely.http() as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert "cannot be shown just now" in answer.text


async def test_every_reason_is_explained_where_a_problem_points(http: httpx.AsyncClient) -> None:
    page = (await http.get("/problems")).text
    told = problem(await http.get("/v1/nothing"), 404, "ROUTE_NOT_FOUND")
    assert told["domain"] == PLATFORM_DOMAIN
    assert f'id="{told["type"].partition("#")[2]}"' in page
    for package, reason in reasons():
        assert f'id="{package}.{reason}"' in page


async def test_every_route_is_on_the_page_about_the_api(http: httpx.AsyncClient) -> None:
    page, description = (await http.get("/docs")).text, (await http.get("/openapi.json")).json()
    operations = [one["operationId"] for verbs in description["paths"].values() for one in verbs.values()]
    assert len(operations) > 50
    assert not [one for one in operations if f'id="{one}"' not in page]


# Unsubscribing -------------------------------------------------------------------------------------------------------


async def subscribed(store: Store, http: httpx.AsyncClient, email: str) -> str:
    """The path that the unsubscribe link of a confirmed subscription leads to."""
    await http.post("/v1/subscriptions:begin", json={"email": email})
    async with mailbox_client(store.plan) as client:
        mailbox = Mailbox(client)
        token = await mailbox.token(email, "/confirm")
        done = await http.post("/v1/subscriptions:confirm", json={"token": token})
        assert done.status_code == 200, done.text
        await mailbox.token(email, "/confirm")
        links = [link for mail in await mailbox.messages(email) for link in mail["links"] if "/unsubscribe/" in link]
    return httpx.URL(links[0]).path


async def test_opening_an_unsubscribe_link_ends_nothing_and_its_button_does(store: Store) -> None:
    eve = store.register("eve")
    async with store.http(**store.bearer(eve.user)) as http:
        path = await subscribed(store, http, eve.email)
        page = await http.get(path)
        assert (page.status_code, f'action="{path}"' in page.text) == (200, True)
        shown = f"/v1/{eve.user}/subscription"
        assert (await http.get(shown)).json()["state"] == "CONFIRMED"
        one_click = {"List-Unsubscribe": "One-Click"}
        async with httpx.AsyncClient(base_url=store.url) as mail_program:
            assert (await mail_program.post(path, data=one_click)).status_code == 200
            assert (await http.get(shown)).json()["state"] == "ENDED"
            assert (await mail_program.post(path, data=one_click)).status_code == 200  # again changes nothing


async def test_a_link_that_is_none_says_so_or_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.post(f"/unsubscribe/{'x' * 200}")).status_code == 404
    assert (await http.post("/unsubscribe/not-a-token-of-ours")).status_code in (200, 404)


async def test_unsubscribing_while_nobody_is_there_is_to_be_tried_again(lonely: OtherGateway) -> None:
    async with lonely.http() as http:
        answer = await http.post("/unsubscribe/token")
    assert (answer.status_code, "try again" in answer.text) == (503, True)


async def test_who_forgot_their_password_is_answered_alike_whoever_they_are(store: Store) -> None:
    ada = store.register("ada")
    async with store.http() as http:
        assert 'action="/forgot"' in (await http.get("/forgot")).text
        known, unknown = [await http.post("/forgot", data={"email": one}) for one in (ada.email, "no@example.org")]
        malformed = await http.post("/forgot", data={"email": "nobody"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert (known.status_code, "mail we just sent" in known.text) == (200, True)
    assert (malformed.status_code, "Check the address" in malformed.text) == (400, True)


async def test_a_recovery_while_nobody_is_there_is_to_be_tried_again(store: Store) -> None:
    with store.gateway(identity_target=NOWHERE) as gateway:
        async with gateway.http() as http:
            answer = await http.post("/forgot", data={"email": "ada@example.org"})
    assert (answer.status_code, "try again" in answer.text) == (503, True)
