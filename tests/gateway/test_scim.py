"""The store's staff as a directory provisions them over SCIM (RFC 7644): their life, lists, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.gateway.scim import (
    PATCH,
    SEARCH,
    USER,
    USERS,
    Directory,
    address,
    choose_password,
    directory,
    error,
    place,
)
from tests.journeys.people import Browser, Mailbox, eventually, mailbox_client
from tests.store import PASSWORD, Registered, Store

pytestmark = pytest.mark.xdist_group("store")


@pytest.fixture
async def hr(store: Store) -> AsyncIterator[Directory]:
    async with directory(store, grantableRoles=["agent", "privacy_officer"]) as made:
        yield made


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Directory]:
    """Another program, of which the first knows nothing."""
    async with directory(store) as made:
        yield made


# A life ---------------------------------------------------------------------------------------------------------------


async def test_a_member_of_the_staff_is_made_works_is_switched_off_comes_back_and_goes(
    store: Store, hr: Directory, http: httpx.AsyncClient
) -> None:
    email, external_id = address(), uuid4().hex
    grace = await hr.made(
        userName=email.upper(), externalId=external_id, displayName="Grace", active=True, roles=[{"value": "agent"}]
    )
    assert (grace["userName"], grace["displayName"], grace["externalId"]) == (email, "Grace", external_id)
    assert (grace["active"], grace["roles"]) == (True, [{"value": "agent"}])
    assert grace["emails"] == [{"value": email, "type": "work", "primary": True}]

    await choose_password(store, email)
    browser = Browser(http)
    await browser.sign_in(email, PASSWORD)
    assert (await browser.get("/session"))["roles"] == ["agent"]
    assert "tickets" in await browser.get("/v1/users/-/tickets")

    off = await hr.patched(grace, {"op": "replace", "path": "active", "value": False})
    assert off["active"] is False

    async def is_out() -> bool:
        return (await browser.call("GET", "/v1/users/-/tickets")).status == 401

    await eventually(is_out, "the end of the session", patience=5.0)
    again = await browser.call("POST", "/session", {"email": email, "password": PASSWORD})
    assert (again.status, again.reason) == (401, "SIGN_IN_FAILED")

    assert (await hr.patched(grace, {"op": "replace", "path": "active", "value": True}))["active"] is True
    await browser.sign_in(email, PASSWORD)  # with the password of before: nothing was erased
    both = await hr.patched(grace, {"op": "add", "path": "roles", "value": [{"value": "privacy_officer"}]})
    assert {one["value"] for one in both["roles"]} == {"agent", "privacy_officer"}

    assert (await hr.http.delete(place(grace))).status_code == 204
    error(await hr.http.get(place(grace)), 404)
    await eventually(is_out, "the end of the session", patience=5.0)
    async with store.http(**store.peer("support")) as support:
        told = (await support.get(f"/v1/users/{grace['id']}")).json()
        assert told.get("roles", []) == []
        assert told.get("state", "DELETING") == "DELETING"  # or gone already

        async def is_gone() -> bool:
            return (await support.get(f"/v1/users/{grace['id']}")).status_code == 404

        await eventually(is_gone, "the end of the erasure")
    assert (await hr.made(userName=email))["id"] != grace["id"]  # who comes back is somebody new


async def test_who_is_made_inactive_is_mailed_when_they_begin(store: Store, hr: Directory) -> None:
    email = address()
    later = await hr.made(userName=email, active=False)
    async with mailbox_client(store.plan) as client:
        mailbox = Mailbox(client)
        assert later["active"] is False
        await hr.patched(later, {"op": "replace", "path": "active", "value": True})
        await mailbox.token(email, "/recover")
        assert len(await mailbox.messages(email)) == 1


async def test_another_address_is_another_way_to_sign_in(store: Store, hr: Directory, http: httpx.AsyncClient) -> None:
    before, after = address(), address()
    grace = await hr.made(userName=before, displayName="Grace")
    await choose_password(store, before)
    moved = await hr.patched(grace, {"op": "replace", "path": "userName", "value": after})
    assert (moved["userName"], moved["emails"][0]["value"], moved["id"]) == (after, after, grace["id"])
    await Browser(http).sign_in(after, PASSWORD)
    assert (await Browser(http).call("POST", "/session", {"email": before, "password": PASSWORD})).status == 401


async def test_a_new_address_of_who_has_no_password_yet_is_mailed_the_link(store: Store, hr: Directory) -> None:
    before, after = address(), address()
    grace = await hr.made(userName=before)
    await hr.patched(grace, {"op": "replace", "path": "userName", "value": after})
    await choose_password(store, after)


# Whose ----------------------------------------------------------------------------------------------------------------


async def test_users_of_another_program_are_not_there(hr: Directory, other: Directory) -> None:
    grace, said = await hr.made(), {"schemas": [USER], "userName": address()}
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    for answer in (
        await other.http.get(place(grace)),
        await other.http.put(place(grace), json=said),
        await other.http.patch(place(grace), json=change),
        await other.http.delete(place(grace)),
    ):
        error(answer, 404)
    assert (await other.found(filter=f'userName eq "{grace["userName"]}"'))["totalResults"] == 0
    assert (await other.found())["totalResults"] == 0
    assert (await hr.http.get(place(grace))).json()["active"] is True


async def test_a_customer_is_not_there_and_their_address_is_taken(hr: Directory, ada: Registered) -> None:
    customer = {"id": ada.user.removeprefix("users/")}
    error(await hr.http.get(place(customer)), 404)
    error(await hr.http.delete(place(customer)), 404)
    assert (await hr.found(filter=f'userName eq "{ada.email}"'))["totalResults"] == 0
    detail = error(await hr.http.post(USERS, json={"schemas": [USER], "userName": ada.email}), 409, "uniqueness")
    assert ada.email not in detail
    grace = await hr.made()
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "userName", "value": ada.email}]}
    error(await hr.http.patch(place(grace), json=change), 409, "uniqueness")


async def test_a_token_without_the_scope_and_nobody_and_people_are_refused(store: Store, ada: Registered) -> None:
    async with directory(store, scopes=["stock.read"]) as without:
        error(await without.http.get(USERS), 403)
    async with httpx.AsyncClient(base_url=store.url) as http:
        nobody = await http.get(USERS)
        assert nobody.headers["www-authenticate"] == "Bearer"
        error(nobody, 401)
        error(await http.get(USERS, headers={"authorization": "Bearer none.of.ours"}), 401)
        error(await http.get(USERS, headers=store.bearer(ada.user, "admin")), 403)
        error(
            await http.post(USERS, content=b"{}", headers={"content-type": "application/scim+json"}),
            400,
            "invalidValue",
        )


async def test_a_directory_that_keeps_a_secret_and_nothing_else_is_let_in_by_it(store: Store, hr: Directory) -> None:
    async with httpx.AsyncClient(base_url=store.url) as http, store.http(**store.peer("operator")) as operator:
        grace = await hr.made()
        by_secret = (hr.client, hr.secret)
        assert (await http.get(place(grace), auth=by_secret)).json()["id"] == grace["id"]
        error(await http.get(USERS, auth=(hr.client, "another")), 401)
        error(await http.get(USERS, auth=("nobody", hr.secret)), 401)
        error(await http.get(USERS, headers={"authorization": "Basic none"}), 401)
        async with directory(store, scopes=["stock.read"]) as without:
            error(await http.get(USERS, auth=(without.client, without.secret)), 403)
        (await operator.post(f"/v1/clients/{hr.client}:resetSecret", json={})).raise_for_status()
        error(await http.get(USERS, auth=by_secret), 401)


async def test_a_role_that_the_program_may_not_give_is_given_to_nobody(
    store: Store, hr: Directory, other: Directory
) -> None:
    for program, role in ((hr, "admin"), (other, "privacy_officer"), (hr, "boss")):
        said = {"schemas": [USER], "userName": address(), "roles": [{"value": role}]}
        error(await program.http.post(USERS, json=said), 400, "invalidValue")
    assert (await hr.found())["totalResults"] == 0
    assert "roles" not in await other.made()  # none was asked for


async def test_a_role_that_others_gave_stays(store: Store, hr: Directory) -> None:
    grace = await hr.made(roles=[{"value": "agent"}])
    async with store.http(**store.peer("operator")) as operator:
        said = {"roles": ["agent", "admin"]}
        (await operator.post(f"/v1/users/{grace['id']}:setRoles", json=said)).raise_for_status()
    kept = await hr.patched(grace, {"op": "replace", "path": "roles", "value": [{"value": "privacy_officer"}]})
    assert {one["value"] for one in kept["roles"]} == {"admin", "privacy_officer"}
    kept = await hr.patched(grace, {"op": "remove", "path": "roles"})
    assert kept["roles"] == [{"value": "admin"}]


# Lists ----------------------------------------------------------------------------------------------------------------


async def test_filters_find_who_they_name(hr: Directory) -> None:
    grace, joan = await hr.made(externalId="E-1"), await hr.made(externalId="E-2", active=False)
    for asked, found in (
        (f'userName eq "{grace["userName"]}"', [grace]),
        (f'userName eq "{grace["userName"].upper()}"', [grace]),
        (f'USERNAME EQ "{grace["userName"]}"', [grace]),
        (f'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "{grace["userName"]}"', [grace]),
        ('externalId eq "E-2"', [joan]),
        ('externalId eq "e-2"', []),
        (f'id eq "{joan["id"]}"', [joan]),
        ('id eq "none of ours"', []),
        ("active eq true", [grace]),
        ('active eq "False"', [joan]),
        ('active eq false and externalId eq "E-2"', [joan]),
        ('active eq true and externalId eq "E-2"', []),
        ('userName eq "nobody@example.org"', []),
    ):
        by_address = await hr.found(filter=asked)
        answer = await hr.http.post(f"{USERS}/.search", json={"schemas": [SEARCH], "filter": asked})
        assert answer.json() == by_address, asked
        assert [one["id"] for one in by_address.get("Resources", [])] == [one["id"] for one in found], asked
        assert by_address["totalResults"] == len(found)


@pytest.mark.parametrize(
    "filter",
    [
        'userName sw "a"',
        'userName eq "a" or active eq true',
        "userName pr",
        "not (active eq true)",
        'displayName eq "Grace"',
        'emails[type eq "work"].value eq "a@example.org"',
        'emails.value eq "a@example.org"',
        "active eq true and active eq false",
        'active eq "perhaps"',
        "userName eq 1",
        'userName eq "',
        "(" * 900,
        "x" * 2_000,
        "",
    ],
)
async def test_other_filters_are_refused_and_it_is_said_which_are_not(hr: Directory, filter: str) -> None:
    detail = error(await hr.http.get(USERS, params={"filter": filter}), 400, "invalidFilter")
    assert "userName, externalId, active or id by eq" in detail or len(filter) > 1_000


async def test_pages_are_as_long_as_they_may_be(hr: Directory) -> None:
    made = [await hr.made() for _ in range(5)]
    ids = [one["id"] for one in made]
    for query, shown, start in (
        ({}, ids, 1),
        ({"startIndex": 1, "count": 2}, ids[:2], 1),
        ({"startIndex": 4, "count": 2}, ids[3:], 4),
        ({"startIndex": 9, "count": 2}, [], 9),
        ({"startIndex": 0, "count": -1}, [], 1),
        ({"count": 0}, [], 1),
        ({"count": 1_000_000_000_000}, ids, 1),
        ({"startIndex": 10**30}, [], 2**31 - 1),
    ):
        told = await hr.found(**query)
        assert [one["id"] for one in told.get("Resources", [])] == shown, query
        assert (told["totalResults"], told["startIndex"], told["itemsPerPage"]) == (5, start, len(shown)), query
    error(await hr.http.get(USERS, params={"count": "many"}), 400, "invalidValue")


async def test_no_page_has_more_than_200(hr: Directory) -> None:
    said = (await hr.http.get("/scim/v2/ServiceProviderConfig")).json()
    assert (said["filter"]["maxResults"], said["pagination"]["maxPageSize"]) == (200, 200)
    for _ in range(201):
        await hr.made(active=False)
    told = await hr.found(count=500)
    assert (told["totalResults"], told["itemsPerPage"], len(told["Resources"])) == (201, 200, 200)


async def test_only_what_is_asked_for_is_shown(hr: Directory) -> None:
    grace = await hr.made(displayName="Grace")
    said = (await hr.http.get(place(grace), params={"attributes": "displayName"})).json()
    assert said == {"schemas": [USER], "id": grace["id"], "displayName": "Grace"}
    less = (await hr.http.get(place(grace), params={"excludedAttributes": "emails,name"})).json()
    assert {"emails", "name"}.isdisjoint(less)
    assert less["displayName"] == "Grace"
    error(await hr.http.get(place(grace), params={"attributes": "a", "excludedAttributes": "b"}), 400, "invalidValue")


# Versions -------------------------------------------------------------------------------------------------------------


async def test_a_change_of_what_one_has_not_seen_is_refused(hr: Directory) -> None:
    grace = await hr.made(displayName="Grace")
    seen = grace["meta"]["version"]
    assert seen.startswith('W/"')
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "Amazing Grace"}]}
    done = await hr.http.patch(place(grace), json=change, headers={"if-match": seen})
    assert (done.status_code, done.headers["etag"]) == (200, done.json()["meta"]["version"])
    assert done.headers["etag"] != seen
    whole = {"schemas": [USER], "userName": grace["userName"], "displayName": "Grace"}
    for answer in (
        await hr.http.patch(place(grace), json=change, headers={"if-match": seen}),
        await hr.http.put(place(grace), json=whole, headers={"if-match": seen}),
        await hr.http.delete(place(grace), headers={"if-match": seen}),
    ):
        error(answer, 412)
    unchanged = await hr.http.get(place(grace), headers={"if-none-match": done.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    any_state = await hr.http.put(place(grace), json=whole, headers={"if-match": "*"})
    assert any_state.json()["displayName"] == "Grace"


async def test_of_patches_at_once_none_is_lost(hr: Directory) -> None:
    grace = await hr.made()
    await asyncio.gather(
        hr.patched(grace, {"op": "add", "path": "roles", "value": [{"value": "agent"}]}),
        hr.patched(grace, {"op": "add", "path": "roles", "value": [{"value": "privacy_officer"}]}),
        hr.patched(grace, {"op": "replace", "path": "displayName", "value": "Grace"}),
        hr.patched(grace, {"op": "replace", "path": "externalId", "value": "E-1"}),
        hr.patched(grace, {"op": "replace", "path": "active", "value": False}),
    )
    found = (await hr.http.get(place(grace))).json()
    assert {one["value"] for one in found["roles"]} == {"agent", "privacy_officer"}
    assert (found["displayName"], found["externalId"], found["active"]) == ("Grace", "E-1", False)


# What is refused, and what is said of ourselves -----------------------------------------------------------------------


async def test_every_refusal_below_scim_is_scims(hr: Directory) -> None:
    grace = await hr.made()
    error(await hr.http.get("/scim/v2/Groups"), 404)
    error(await hr.http.get("/scim/v2/Users/none-of-ours"), 404)
    error(await hr.http.get(f"{USERS}/{uuid4()}"), 404)
    wrong = await hr.http.put(USERS, json={})
    assert wrong.headers["allow"] == "GET, HEAD, POST"
    error(wrong, 405)
    error(await hr.http.post(USERS, content=b"a=b", headers={"content-type": "text/plain"}), 415)
    error(await hr.http.post(USERS, content=b"{" + b" " * (1 << 20)), 413)
    for body in (b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 5_000):
        error(await hr.http.post(USERS, content=body), 400, "invalidSyntax")
    users: list[dict[str, Any]] = [{}, {"schemas": [USER]}, {"schemas": [USER], "userName": "no address"}]
    for said in users:
        error(await hr.http.post(USERS, json=said), 400, "invalidValue")
    long = {"schemas": [USER], "userName": address(), "displayName": "x" * 101}
    error(await hr.http.post(USERS, json=long), 400, "invalidValue")
    for operations, scim_type in (
        ([], "invalidSyntax"),
        ([7], "invalidSyntax"),
        ([{"op": "replace", "path": "active", "value": False}] * 101, "tooMany"),
        ([{"op": "move", "path": "active"}], "invalidValue"),
        ([{"op": "replace", "path": "active", "value": "perhaps"}], "invalidValue"),
        ([{"op": "replace", "path": "active[", "value": True}], "invalidPath"),
        ([{"op": "remove"}], "noTarget"),
        ([{"op": "remove", "path": "userName"}], "mutability"),
        ([{"op": "remove", "path": "active"}], "mutability"),
        ([{"op": "replace", "path": "id", "value": "x"}], "mutability"),
    ):
        answer = await hr.http.patch(place(grace), json={"schemas": [PATCH], "Operations": operations})
        error(answer, 400, scim_type)
    assert (await hr.http.get(place(grace))).json() == grace


async def test_no_password_is_set_by_a_program(store: Store, hr: Directory, http: httpx.AsyncClient) -> None:
    email = address()
    grace = await hr.made(userName=email, password=PASSWORD)
    assert "password" not in grace
    whole = {"schemas": [USER], "userName": email, "password": PASSWORD}
    assert (await hr.http.put(place(grace), json=whole)).status_code == 200
    await hr.patched(grace, {"op": "replace", "path": "password", "value": PASSWORD})
    assert (await Browser(http).call("POST", "/session", {"email": email, "password": PASSWORD})).status == 401
    assert (await hr.http.get("/scim/v2/ServiceProviderConfig")).json()["changePassword"] == {"supported": False}


async def test_anybody_may_read_what_is_supported(store: Store) -> None:
    async with httpx.AsyncClient(base_url=store.url) as http:
        said = await read(http, "/scim/v2/ServiceProviderConfig")
        supported = {
            name for name in ("patch", "bulk", "filter", "sort", "etag", "changePassword") if said[name]["supported"]
        }
        assert supported == {"patch", "filter", "etag"}
        [kind] = (await read(http, "/scim/v2/ResourceTypes"))["Resources"]
        assert (kind["endpoint"], kind["schema"]) == ("/Users", USER)
        assert await read(http, "/scim/v2/ResourceTypes/User") == kind
        [schema] = (await read(http, "/scim/v2/Schemas"))["Resources"]
        names = {one["name"] for one in schema["attributes"]}
        assert names == {"userName", "name", "displayName", "active", "emails", "roles"}
        assert await read(http, f"/scim/v2/Schemas/{USER}") == schema
        error(await http.get("/scim/v2/Schemas/urn:example:none"), 404)
        error(await http.get("/scim/v2/Schemas", params={"filter": 'id eq "x"'}), 403)


async def read(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/scim+json")
    body: dict[str, Any] = answer.json()
    location = body["meta"]["location"] if "meta" in body else None
    assert location is None or location.endswith(path)
    return body


async def test_an_address_in_a_filter_is_in_no_log(store: Store, hr: Directory) -> None:
    canary = f"canary-{uuid4().hex}@example.org"
    grace = await hr.made(userName=canary, displayName="Canary Grace", externalId="canary-external")
    await hr.found(filter=f'userName eq "{canary}"')
    await hr.found(filter='externalId eq "canary-external"')
    error(await hr.http.get(USERS, params={"filter": f'userName co "{canary}"'}), 400, "invalidFilter")
    error(await hr.http.post(USERS, json={"schemas": [USER], "userName": canary}), 409, "uniqueness")
    error(await hr.http.get(place(grace) + "/" + canary), 404)
    for process in ("gateway", "identity"):
        written = store.written(process)
        assert "ProvisioningService" in written or process == "gateway"
        assert "canary" not in written.lower(), process
    assert store.logged("gateway", route=USERS, code=409)
