"""What Microsoft Entra and Okta send, as their own documentation shows it, beyond what the RFCs say."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway.scim import PATCH, USER, USERS, Directory, address, directory, place
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
async def hr(store: Store) -> AsyncIterator[Directory]:
    async with directory(store, grantableRoles=["agent", "privacy_officer"]) as made:
        yield made


def roles(user: dict[str, Any]) -> set[str]:
    return {one["value"] for one in user.get("roles", [])}


# Entra ----------------------------------------------------------------------------------------------------------------


async def test_entra_makes_a_user_with_more_than_we_hold(hr: Directory) -> None:
    email = address()
    made = await hr.made(
        schemas=[USER, ENTERPRISE],
        externalId="58342554-38d6-4ec8-948c-50044d0a33fd",
        userName=email,
        active=True,
        displayName="Grace Doe",
        emails=[{"primary": True, "type": "work", "value": "another@example.org"}],
        meta={"resourceType": "User"},
        name={"formatted": "Grace Doe", "familyName": "Doe", "givenName": "Grace"},
        title="Agent",
        roles=[],
        **{ENTERPRISE: {"department": "Support", "manager": "x"}},
    )
    assert (made["displayName"], made["name"], made["userName"]) == ("Grace Doe", {"formatted": "Grace Doe"}, email)
    assert made["emails"][0]["value"] == email
    assert {"title", ENTERPRISE, "roles"}.isdisjoint(made)


async def test_entra_asks_whether_somebody_is_there_before_it_makes_them(hr: Directory) -> None:
    told = await hr.found(filter=f'userName eq "{address()}"')
    assert told["totalResults"] == 0
    assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    none = await hr.found(attributes="id", filter='externalId eq "58342554"', startIndex=1, count=100)
    assert none["totalResults"] == 0


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "active", "value": False},
        {"op": "replace", "value": {"active": "False"}},
        {"op": "Replace", "value": {"active": False}},
        {"op": "REPLACE", "path": "Active", "value": "false"},
        {"op": "Add", "path": f"{USER}:active", "value": "False"},
    ],
)
async def test_entra_switches_a_user_off_in_any_of_these_ways(hr: Directory, operation: dict[str, Any]) -> None:
    assert (await hr.patched(await hr.made(), operation))["active"] is False


async def test_entra_changes_several_things_at_once_some_of_which_we_do_not_hold(hr: Directory) -> None:
    grace = await hr.made(displayName="Grace")
    changed = await hr.patched(
        grace,
        {"op": "Add", "path": "displayName", "value": "Grace H."},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "another@example.org"},
        {"op": "Add", "path": "name.givenName", "value": "Grace"},
        {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "5550100"},
        {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Support"},
        {"op": "Replace", "value": {f"{ENTERPRISE}:employeeNumber": "7", "externalId": "E-7"}},
    )
    assert (changed["displayName"], changed["externalId"]) == ("Grace H.", "E-7")
    assert changed["userName"] == grace["userName"] == changed["emails"][0]["value"]


async def test_entra_changes_a_name_by_its_formatted_form(hr: Directory) -> None:
    changed = await hr.patched(await hr.made(), {"op": "Replace", "path": "name.formatted", "value": "Grace"})
    assert (changed["displayName"], changed["name"]) == ("Grace", {"formatted": "Grace"})


async def test_entra_gives_and_takes_roles(hr: Directory) -> None:
    grace = await hr.made(roles=[{"value": "agent", "primary": "True", "type": "WindowsAzureActiveDirectoryRole"}])
    assert roles(grace) == {"agent"}
    officer = {"value": "privacy_officer", "display": "Privacy officer", "primary": "False", "type": "x"}
    both = await hr.patched(grace, {"op": "Add", "path": "roles", "value": [officer]})
    assert roles(both) == {"agent", "privacy_officer"}
    one = await hr.patched(grace, {"op": "Remove", "path": "roles", "value": [{"value": "agent"}]})
    assert roles(one) == {"privacy_officer"}
    none = await hr.patched(grace, {"op": "Remove", "path": 'roles[value eq "privacy_officer"]'})
    assert roles(none) == set()


async def test_entra_changes_the_one_role_of_a_single_app_role_assignment(hr: Directory) -> None:
    grace = await hr.made(roles=[{"value": "agent", "primary": True}])
    role = {"op": "Replace", "path": 'roles[primary eq "True"].value', "value": "privacy_officer"}
    assert roles(await hr.patched(grace, role)) == {"privacy_officer"}
    first = {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "agent"}
    assert roles(await hr.patched(await hr.made(), first)) == {"agent"}


# Okta -----------------------------------------------------------------------------------------------------------------


def okta(email: str, **said: Any) -> dict[str, Any]:
    return {
        "schemas": [USER],
        "userName": email,
        "name": {"givenName": "Grace", "familyName": "Hopper"},
        "emails": [{"primary": True, "value": email, "type": "work"}],
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "active": True,
        **said,
    }


async def test_okta_makes_a_user_with_a_password_that_is_not_taken(hr: Directory) -> None:
    email = address()
    made = await hr.made(**okta(email, password="1mz050nq"))
    assert (made["userName"], made["displayName"]) == (email, "Grace Hopper")
    assert {"password", "locale", "groups"}.isdisjoint(made)


async def test_okta_reads_changes_and_puts_a_whole_user(hr: Directory) -> None:
    email = address()
    made = await hr.made(**okta(email, displayName="Grace Hopper"), roles=[{"value": "agent"}])
    found = (await hr.http.get(place(made))).json()
    found |= {"displayName": "Admiral Hopper", "name": {"givenName": "Grace", "familyName": "Hopper"}}
    put = await hr.http.put(place(made), json=found)
    assert put.status_code == 200, put.text
    changed = put.json()
    assert (changed["displayName"], changed["active"], roles(changed)) == ("Admiral Hopper", True, {"agent"})


async def test_okta_puts_a_user_without_what_it_does_not_map_which_stays(hr: Directory) -> None:
    email = address()
    made = await hr.made(**okta(email), roles=[{"value": "agent"}])
    put = (await hr.http.put(place(made), json=okta(email, id=made["id"], displayName="G."))).json()
    assert (put["displayName"], roles(put)) == ("G.", {"agent"})
    bare = (await hr.http.put(place(made), json=okta(email, roles=[], active=None))).json()
    assert (roles(bare), bare["active"]) == (set(), True)


async def test_okta_switches_a_user_off_by_a_put_and_by_a_patch_without_a_path(hr: Directory) -> None:
    email = address()
    made = await hr.made(**okta(email))
    put = await hr.http.put(place(made), json=okta(email, active=False))
    assert put.json()["active"] is False
    on = await hr.patched(made, {"op": "replace", "value": {"active": True}})
    assert on["active"] is True
    said = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
    off = await hr.http.patch(place(made), json=said, headers={"content-type": "application/json"})
    assert off.json()["active"] is False


async def test_okta_looks_for_a_user_by_name_before_it_makes_one(hr: Directory) -> None:
    made = await hr.made()
    told = await hr.http.get(
        USERS, params={"filter": f'userName eq "{made["userName"]}"', "startIndex": 1, "count": 100}
    )
    assert [one["id"] for one in told.json()["Resources"]] == [made["id"]]
