"""Which way a request goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport.identity.v1 import identity_pb2
from rapport.support.v1 import support_pb2

from gateway.routes import Found, Routes, Template, Wrong, rules
from tests.store import Store, user


def routes(*lines: str) -> Routes[str]:
    """Routes whose targets are their own lines: "GET /v1/{name=users/*}"."""
    made: Routes[str] = Routes()
    for line in lines:
        verb, _, template = line.partition(" ")
        made.add(verb, template, line)
    return made


def test_a_template_says_which_segments_are_the_value_of_which_field() -> None:
    template = Template.read("/v1/{parent=users/*/tickets/*}/messages/{id}:close")
    assert template.parts == ("v1", "users", "*", "tickets", "*", "messages", "*")
    assert template.variables == (("parent", 1, 5), ("id", 6, 7))
    assert template.custom == "close"


def test_a_route_is_found_with_what_its_path_says() -> None:
    found = routes("GET /v1/{name=users/*/tickets/*}").find("GET", "/v1/users/7/tickets/3")
    assert found == Found("GET /v1/{name=users/*/tickets/*}", {"name": "users/7/tickets/3"})


def test_verbs_on_one_path_may_call_its_segments_differently() -> None:
    made = routes("GET /v1/{name=users/*}", "PATCH /v1/{user.name=users/*}")
    assert made.find("GET", "/v1/users/7") == Found("GET /v1/{name=users/*}", {"name": "users/7"})
    assert made.find("PATCH", "/v1/users/7") == Found("PATCH /v1/{user.name=users/*}", {"user.name": "users/7"})


def test_a_custom_verb_is_a_route_of_its_own() -> None:
    made = routes("GET /v1/{name=users/*}", "POST /v1/{name=users/*}:setRoles")
    assert made.find("POST", "/v1/users/7:setRoles") == Found("POST /v1/{name=users/*}:setRoles", {"name": "users/7"})
    assert made.find("POST", "/v1/users/7") == Wrong(["GET", "HEAD"])


def test_a_custom_verb_that_is_not_there_is_no_part_of_the_id() -> None:
    assert routes("GET /v1/{name=orders/*}").find("GET", "/v1/orders/A:1") is None


def test_a_literal_goes_before_a_variable() -> None:
    made = routes("GET /v1/{name=policies/*}", "GET /v1/policies/latest")
    assert made.find("GET", "/v1/policies/latest") == Found("GET /v1/policies/latest", {})
    assert made.find("GET", "/v1/policies/2") == Found("GET /v1/{name=policies/*}", {"name": "policies/2"})


def test_a_segment_is_decoded_once_and_never_into_two() -> None:
    made = routes("GET /v1/{name=orders/*}")
    assert made.find("GET", "/v1/orders/a%20b") == Found("GET /v1/{name=orders/*}", {"name": "orders/a b"})
    assert made.find("GET", "/v1/orders/a%2Fb") is None
    assert made.find("GET", "/v1/orders/a%2fb") is None
    assert made.find("GET", "/v1/orders/a%252Fb") == Found("GET /v1/{name=orders/*}", {"name": "orders/a%2Fb"})


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/users", "/v1/users/", "/v1//7", "/v1/users/7/", "*"])
def test_a_path_of_no_template_is_nobodys(path: str) -> None:
    assert routes("GET /v1/{name=users/*}").find("GET", path) is None


def test_two_methods_with_one_route_are_refused() -> None:
    with pytest.raises(ValueError, match="is taken"):
        routes("GET /v1/{name=users/*}", "GET /v1/{parent=users/*}")


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_no_path_is_too_strange_to_be_looked_up(path: str) -> None:
    made = routes("GET /v1/{name=users/*}", "POST /v1/{name=users/*}:solve", "GET /")
    made.find("GET", f"/{path}")
    made.find("POST", f"/v1/users/{path}")


def test_every_method_of_the_contracts_that_has_a_rule_is_a_route() -> None:
    found = {rule.method.name for rule in rules([identity_pb2.DESCRIPTOR, support_pb2.DESCRIPTOR])}
    assert {"GetUser", "CreateTicket", "SolveTicket"} <= found
    assert "IssueAccessToken" not in found  # the gateway's own


# Over HTTP -----------------------------------------------------------------------------------------------------------

over_http = pytest.mark.xdist_group("store")


@over_http
async def test_a_get_answers_with_what_the_service_says(store: Store) -> None:
    async with store.http() as http:
        answer = await http.get("/v1/categories", params={"pageSize": "2"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert [one["name"].partition("/")[0] for one in answer.json()["categories"]] == ["categories"] * 2


@over_http
async def test_head_is_get_without_the_body(store: Store) -> None:
    async with store.http() as http:
        full, head = await http.get("/v1/programme"), await http.head("/v1/programme")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == full.headers["content-length"] == str(len(full.content))
    assert head.headers["etag"] == full.headers["etag"]


@over_http
async def test_a_method_that_the_route_does_not_take_is_told_which_it_takes(store: Store) -> None:
    async with store.http() as http:
        answer = await http.delete(f"/v1/{user()}/tickets")
    assert (answer.status_code, answer.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET, HEAD, POST"


@over_http
@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/nothing", "/v2/users", "/nothing", "/v1/users//tickets", "/%2e%2e"]
)
async def test_a_route_that_is_not_there_is_a_problem_as_any_other(store: Store, path: str) -> None:
    async with store.http() as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert answer.headers["content-type"] == "application/problem+json"
