"""What comes over HTTP as the request of a method."""

from uuid import uuid4

import httpx
import pytest

from tests.gateway.conftest import order, problem
from tests.store import Registered, Store, user

pytestmark = pytest.mark.xdist_group("store")
CLAIM = {"kind": "CLAIM", "title": "Broken foot", "body": "The lamp arrived with a broken foot."}


async def submit(store: Store, http: httpx.AsyncClient, owner: str, **headers: str) -> httpx.Response:
    ticket = CLAIM | {"order": await order(store, owner)}
    return await http.post(f"/v1/{owner}/tickets", json=ticket, headers=headers)


# The query -----------------------------------------------------------------------------------------------------------


async def test_fields_that_no_path_and_no_body_holds_come_from_the_query(http: httpx.AsyncClient) -> None:
    one = (await http.get("/v1/categories", params={"pageSize": 1})).json()
    next_one = (await http.get("/v1/categories", params={"page_size": 1, "pageToken": one["nextPageToken"]})).json()
    assert len(one["categories"]) == len(next_one["categories"]) == 1
    assert one["categories"] != next_one["categories"]


async def test_an_unknown_parameter_is_refused_by_name(http: httpx.AsyncClient) -> None:
    told = problem(await http.get("/v1/categories", params={"pagesize": "1"}), 400, "UNKNOWN_FIELD")
    assert told["errors"][0] | {"detail": ""} == {
        "parameter": "pagesize",
        "in": "query",
        "reason": "UNKNOWN_FIELD",
        "detail": "",
    }


async def test_a_parameter_that_could_be_anything_is_not_repeated(http: httpx.AsyncClient) -> None:
    told = await http.get("/v1/categories", params={"ada@example.org": "1"})
    assert problem(told, 400, "UNKNOWN_FIELD")["errors"][0]["parameter"] == ""
    assert "ada@" not in told.text


@pytest.mark.parametrize("query", ["pageSize=many", "pageSize=1.5", "pageSize=99999999999", "pageSize="])
async def test_a_parameter_of_the_wrong_kind_is_refused_where_it_stands(http: httpx.AsyncClient, query: str) -> None:
    told = problem(await http.get(f"/v1/categories?{query}"), 400, "INVALID_FIELD")
    assert [(one["parameter"], one["in"], one["reason"]) for one in told["errors"]] == [
        ("pageSize", "query", "WRONG_TYPE")
    ]


async def test_a_parameter_given_twice_is_refused(http: httpx.AsyncClient) -> None:
    told = problem(await http.get("/v1/categories?pageSize=1&pageSize=2"), 400, "INVALID_FIELD")
    assert told["errors"][0]["reason"] == "REPEATED"


@pytest.mark.parametrize("query", ["pageSize", "%ff=1", "pageSize=%ff", "&".join(["a=1"] * 200)])
async def test_a_query_that_is_none_is_refused(http: httpx.AsyncClient, query: str) -> None:
    problem(await http.get(f"/v1/categories?{query}"), 400, "INVALID_FIELD")


async def test_no_parameter_says_what_the_path_says(store: Store, signed: httpx.AsyncClient, ada: Registered) -> None:
    told = problem(await signed.get(f"/v1/{ada.user}/orders", params={"parent": user()}), 400, "UNKNOWN_FIELD")
    assert told["errors"][0]["parameter"] == "parent"


@pytest.mark.parametrize("name", ["title", "ticket.title", "ticket"])
async def test_no_parameter_says_what_the_body_says(signed: httpx.AsyncClient, ada: Registered, name: str) -> None:
    problem(await signed.post(f"/v1/{ada.user}/tickets", params={name: "x"}, json={}), 400, "UNKNOWN_FIELD")


async def test_a_route_that_takes_all_from_the_body_takes_nothing_from_the_query(http: httpx.AsyncClient) -> None:
    asked = {"email": "ada@example.org"}
    problem(await http.post("/v1/registrations:begin", params=asked, json=asked), 400, "UNKNOWN_FIELD")


# The path ------------------------------------------------------------------------------------------------------------


async def test_the_path_has_the_last_word(signed: httpx.AsyncClient, ada: Registered) -> None:
    answer = await signed.patch(f"/v1/{ada.user}", json={"name": user(), "displayName": "Ada"})
    assert answer.json()["name"] == ada.user
    problem(await signed.patch(f"/v1/{user()}", json={"name": ada.user, "displayName": "Eve"}), 403, "FORBIDDEN")


async def test_a_name_of_the_wrong_shape_is_refused_in_the_path(signed: httpx.AsyncClient, ada: Registered) -> None:
    told = problem(await signed.get(f"/v1/{ada.user}/tickets/first"), 400, "MALFORMED_NAME")
    assert [(one["parameter"], one["in"]) for one in told["errors"]] == [("name", "path")]
    assert told["metadata"]["pattern"] == "users/{user}/tickets/{ticket}"


async def test_a_name_of_the_wrong_shape_is_refused_in_the_body(signed: httpx.AsyncClient, ada: Registered) -> None:
    for wrong in ("users/me/orders/R-1", "orders/R-1", "R-1"):
        told = problem(
            await signed.post(f"/v1/{ada.user}/tickets", json=CLAIM | {"order": wrong}), 400, "MALFORMED_NAME"
        )
        assert [one["pointer"] for one in told["errors"]] == ["/order"]


# The body ------------------------------------------------------------------------------------------------------------


async def test_what_a_service_finds_in_the_body_is_pointed_at_in_json(
    store: Store, signed: httpx.AsyncClient, ada: Registered
) -> None:
    told = problem(await signed.post(f"/v1/{ada.user}/tickets", json={"kind": "CLAIM"}), 400, "INVALID_FIELD")
    assert {(one["pointer"], one["reason"]) for one in told["errors"]} == {
        ("/order", "REQUIRED"),
        ("/title", "REQUIRED"),
        ("/body", "REQUIRED"),
    }
    told = problem(await signed.patch(f"/v1/{ada.user}", json={"displayName": "a" * 101}), 400, "INVALID_FIELD")
    assert told["errors"][0]["pointer"] == "/displayName"


async def test_a_body_that_is_the_whole_request_is_pointed_at_from_its_root(http: httpx.AsyncClient) -> None:
    asked = {"email": "e" * 300, "requestId": "x"}
    told = problem(await http.post("/v1/registrations:begin", json=asked), 400, "INVALID_FIELD")
    assert {one["pointer"] for one in told["errors"]} == {"/email", "/requestId"}


async def test_a_body_where_none_is_taken_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.request("GET", "/v1/categories", json={})
    problem(answer, 400, "MALFORMED_JSON")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
async def test_a_body_of_another_kind_is_refused(http: httpx.AsyncClient, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await http.post("/v1/registrations:begin", content=b'{"email":"ada@example.org"}', headers=headers)
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_is_json_whatever_else_its_kind_says(http: httpx.AsyncClient) -> None:
    kind = {"content-type": "Application/JSON; charset=utf-8"}
    answer = await http.post("/v1/registrations:begin", content=b'{"email":"ada@example.org"}', headers=kind)
    assert (answer.status_code, answer.json()) == (200, {})


# PATCH ---------------------------------------------------------------------------------------------------------------


async def test_a_patch_changes_what_its_body_names_and_nothing_else(store: Store) -> None:
    eve = store.register("eve")
    async with store.http(**store.bearer(eve.user)) as http:
        address = {"city": "Lyon", "regionCode": "FR"}
        await http.patch(f"/v1/{eve.user}", json={"displayName": "Eve", "shippingAddress": address})
        told = (await http.patch(f"/v1/{eve.user}", json={"displayName": "Eva"})).json()
        assert (told["displayName"], told["shippingAddress"]["city"]) == ("Eva", "Lyon")
        told = (await http.patch(f"/v1/{eve.user}", json={"shippingAddress": None})).json()
        assert (told["displayName"], told.get("shippingAddress")) == ("Eva", None)


async def test_a_patch_with_a_mask_changes_what_the_mask_names(store: Store) -> None:
    eve = store.register("eve")
    async with store.http(**store.bearer(eve.user)) as http:
        mask = {"updateMask": "shippingAddress"}
        said = {"displayName": "Nobody", "shippingAddress": {"city": "Lyon"}}
        told = (await http.patch(f"/v1/{eve.user}", params=mask, json=said)).json()
        assert (told["displayName"], told["shippingAddress"]["city"]) == ("Eve", "Lyon")
        told = problem(
            await http.patch(f"/v1/{eve.user}", params={"updateMask": "state"}, json={}), 400, "INVALID_FIELD"
        )
        assert (told["errors"][0]["parameter"], told["errors"][0]["in"]) == ("updateMask", "query")


async def test_what_was_read_can_be_sent_back_changed(store: Store) -> None:
    eve = store.register("eve")
    async with store.http(**store.bearer(eve.user)) as http:
        read = (await http.get(f"/v1/{eve.user}")).json()
        del read["email"]  # which is no field to change
        answer = await http.patch(f"/v1/{eve.user}", json=read | {"displayName": "Eva"})
    assert (answer.status_code, answer.json()["displayName"]) == (200, "Eva")


# ETags ---------------------------------------------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_sent_again(signed: httpx.AsyncClient, ada: Registered) -> None:
    first = await signed.get(f"/v1/{ada.user}")
    etag = first.headers["etag"]
    assert etag == f'"{first.json()["etag"]}"'
    for known in (etag, f'W/"other", {etag}', "*"):
        again = await signed.get(f"/v1/{ada.user}", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert "content-type" not in again.headers
    other = await signed.get(f"/v1/{ada.user}", headers={"if-none-match": '"other"'})
    assert other.status_code == 200


async def test_a_change_of_what_changed_meanwhile_is_refused(store: Store) -> None:
    eve = store.register("eve")
    path = f"/v1/{eve.user}"
    async with store.http(**store.bearer(eve.user)) as http:
        stale = (await http.get(path)).headers["etag"]
        present = (await http.patch(path, json={"displayName": "Eva"}, headers={"if-match": stale})).headers["etag"]
        assert present != stale
        refused = await http.patch(path, json={"displayName": "Evi"}, headers={"if-match": stale})
        told = problem(refused, 412, "ETAG_MISMATCH")
        assert [(one["parameter"], one["in"]) for one in told["errors"]] == [("If-Match", "header")]
        in_body = await http.patch(path, json={"displayName": "Evi", "etag": stale.strip('"')})
        assert problem(in_body, 412, "ETAG_MISMATCH")["errors"][0]["pointer"] == "/etag"
        assert (await http.patch(path, json={"displayName": "Evi"}, headers={"if-match": "*"})).status_code == 200


@pytest.mark.parametrize("etag", ['""', '"other"', "other", '"a", "b"'])
async def test_an_etag_that_was_never_ours_is_refused(signed: httpx.AsyncClient, ada: Registered, etag: str) -> None:
    answer = await signed.patch(f"/v1/{ada.user}", json={"displayName": "Ada"}, headers={"if-match": etag})
    problem(answer, 412, "ETAG_MISMATCH")


# Idempotency-Key -----------------------------------------------------------------------------------------------------


async def test_a_request_with_a_key_is_done_once(store: Store, signed: httpx.AsyncClient, ada: Registered) -> None:
    ticket, key = CLAIM | {"order": await order(store, ada.user)}, str(uuid4())
    path = f"/v1/{ada.user}/tickets"
    first = (await signed.post(path, json=ticket, headers={"idempotency-key": f'"{key}"'})).json()
    again = (await signed.post(path, json=ticket, headers={"idempotency-key": key})).json()
    in_query = (await signed.post(path, json=ticket, params={"requestId": key})).json()
    assert first["name"] == again["name"] == in_query["name"]
    other = (await signed.post(path, json=ticket, headers={"idempotency-key": str(uuid4())})).json()
    assert other["name"] != first["name"]


async def test_a_key_used_for_another_request_is_refused(
    store: Store, signed: httpx.AsyncClient, ada: Registered
) -> None:
    ticket, key = CLAIM | {"order": await order(store, ada.user)}, {"idempotency-key": str(uuid4())}
    path = f"/v1/{ada.user}/tickets"
    assert (await signed.post(path, json=ticket, headers=key)).status_code == 200
    told = problem(await signed.post(path, json=ticket | {"title": "Other"}, headers=key), 422, "REQUEST_ID_REUSED")
    assert [(one["parameter"], one["in"]) for one in told["errors"]] == [("Idempotency-Key", "header")]


async def test_a_key_that_is_no_uuid_is_refused_in_the_header(
    store: Store, signed: httpx.AsyncClient, ada: Registered
) -> None:
    told = problem(await submit(store, signed, ada.user, **{"idempotency-key": "mine"}), 400, "INVALID_FIELD")
    assert [(one["parameter"], one["in"]) for one in told["errors"]] == [("Idempotency-Key", "header")]
