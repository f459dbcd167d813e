"""Whatever is sent as a filter, a patch or a user, it is answered in SCIM's own way and is no fault of ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.scim import PATCH, SEARCH, USER, USERS, Directory, directory, place
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
FUZZ = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
ATTRIBUTES = st.sampled_from(
    [
        *("userName", "externalId", "active", "id", "roles", "roles.value", "emails", "name.formatted", "displayName"),
        *("password", "meta.version", "schemas", f"{USER}:userName", f"{USER}:", "urn:x:y", "", "$ref", "a" * 300),
        *('roles[value eq "agent"]', 'roles[primary eq "True"].value', "roles[", 'roles[value eq "x"].primary'),
        *('emails[type eq "work"].value', "name", "name.givenName", "groups", "groups.value", "\0", "٣", "a b"),
    ]
)
WORDS = st.sampled_from(
    [
        "eq",
        "ne",
        "pr",
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        '"',
        "true",
        "null",
        "1",
        "1e999",
        '"x"',
        '"\\ud800"',
        ":",
    ]
)
FILTERS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(ATTRIBUTES, WORDS), max_size=12).map(" ".join),
    st.integers(1, 490).map(lambda deep: "(" * deep + "active eq true" + ")" * deep),
    st.integers(1, 240).map(lambda deep: "not (" * deep + "id pr" + ")" * deep),
    st.integers(1, 60).map(lambda many: " and ".join(["active eq true"] * many)),
)
ROLES = st.sampled_from(["agent", "admin", "boss", "", "A", None, 7])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
NAMES = st.one_of(ATTRIBUTES, st.text(max_size=10))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(SCALARS, st.builds(dict, value=ROLES)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
OPERATIONS: st.SearchStrategy[Any] = st.one_of(
    VALUES,
    st.builds(
        dict,
        op=st.sampled_from(["add", "Replace", "REMOVE", "move", "", None, 7]),
        path=st.one_of(ATTRIBUTES, FILTERS, st.none()),
        value=VALUES,
    ),
    st.builds(dict, op=st.sampled_from(["add", "replace"]), value=st.dictionaries(NAMES, VALUES, max_size=4)),
)


@pytest.fixture
async def hr(store: Store) -> AsyncIterator[Directory]:
    async with directory(store) as made:
        yield made


@pytest.fixture
def http(hr: Directory) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hr.store.url, headers=hr.http.headers, timeout=20) as http:
        yield http


@pytest.fixture
async def grace(hr: Directory) -> dict[str, Any]:
    return await hr.made()


def check(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/scim+json", answer.text
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.status_code in (400, 404, 409), answer.text
        assert set(answer.json()) <= {"schemas", "status", "scimType", "detail"}


async def run(work: Any) -> None:
    """Hypothesis asks in turn, the fixtures live in a loop."""
    await asyncio.to_thread(work)


async def test_any_filter(http: httpx.Client) -> None:
    @FUZZ
    @given(FILTERS)
    def ask(filter: str) -> None:
        check(http.get(USERS, params={"filter": filter}))

    await run(ask)


async def test_any_search(http: httpx.Client) -> None:
    @FUZZ
    @given(st.dictionaries(st.sampled_from(["filter", "startIndex", "count", "attributes", "sortBy", "x"]), VALUES))
    def ask(said: dict[str, Any]) -> None:
        check(http.post(f"{USERS}/.search", json={"schemas": [SEARCH], **said}))

    await run(ask)


async def test_any_attributes_to_show(http: httpx.Client, grace: dict[str, Any]) -> None:
    @FUZZ
    @given(st.sampled_from(["attributes", "excludedAttributes"]), st.lists(ATTRIBUTES, max_size=4).map(",".join))
    def ask(which: str, names: str) -> None:
        check(http.get(place(grace), params={which: names}))

    await run(ask)


async def test_any_patch(http: httpx.Client, grace: dict[str, Any]) -> None:
    @FUZZ
    @given(st.lists(OPERATIONS, max_size=4))
    def ask(operations: list[Any]) -> None:
        check(http.patch(place(grace), json={"schemas": [PATCH], "Operations": operations}))

    await run(ask)


async def test_any_user(http: httpx.Client, grace: dict[str, Any]) -> None:
    @FUZZ
    @given(st.dictionaries(NAMES, VALUES, max_size=6))
    def ask(said: dict[str, Any]) -> None:
        check(http.put(place(grace), json={"schemas": [USER], "userName": grace["userName"]} | said))
        check(http.post(USERS, json={"schemas": [USER], "userName": "nobody"} | said))

    await run(ask)


@pytest.mark.parametrize("deep", [50, 200, 900, 1_020])
async def test_a_deep_body(http: httpx.Client, grace: dict[str, Any], deep: int) -> None:
    inner = "[" * deep + "]" * deep
    for body in (
        f'{{"schemas": ["{PATCH}"], "Operations": [{{"op": "add", "path": "roles", "value": {inner}}}]}}',
        f'{{"schemas": ["{PATCH}"], "Operations": [{{"op": "add", "value": {{"roles": {inner}, "x": {inner}}}}}]}}',
        f'{{"schemas": ["{PATCH}"], "Operations": {inner}}}',
    ):
        check(await asyncio.to_thread(http.patch, place(grace), content=body))
    said = f'{{"schemas": ["{USER}"], "userName": "a@example.org", "roles": {inner}, "name": {inner}}}'
    check(await asyncio.to_thread(http.put, place(grace), content=said))
