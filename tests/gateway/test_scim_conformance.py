"""What scim2-tester, a checker by others, finds of the running platform: it makes, reads, changes and deletes users by
what /Schemas says, and compares."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from scim2_client import BaseSyncSCIMClient
from scim2_models import ResourceType, ScimProvider
from scim2_tester import Status, check_server

from gateway.scim.resources import User
from tests.gateway.scim import Directory, address, directory
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")


# It removes every attribute. Whether somebody can sign in is never unassigned, and to remove it is refused.
ALWAYS_THERE = "A user is active or is not: that cannot be removed."


class Addresses:
    """Examples of a userName, each another one: the checker does not know that ours are mail addresses."""

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return 1

    def __getitem__(self, _: int) -> str:
        return address()

    def __iter__(self) -> Iterator[str]:
        yield address()


class Client(BaseSyncSCIMClient):
    """Its client, on the library that we have."""

    def __init__(self, http: httpx.Client, **said: Any) -> None:
        super().__init__(**said)
        self.http = http

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return endpoint.startswith(("/", str(self.http.base_url)))

    def _parse_json(self, response: Any) -> Any:
        return json.loads(response.content)

    def request(self, method: str, url: str, **said: Any) -> Any:
        return self.http.request(method, url, **said)


@pytest.fixture
async def hr(store: Store) -> AsyncIterator[Directory]:
    async with directory(store, grantableRoles=["agent", "privacy_officer", "admin"]) as made:
        yield made


async def test_a_checker_by_others_finds_nothing_wrong(hr: Directory, capsys: pytest.CaptureFixture[str]) -> None:
    def check() -> list[Any]:
        base = f"{hr.store.url}/scim/v2"
        with httpx.Client(base_url=base, headers=hr.http.headers, timeout=20) as http:
            return check_server(Client(http, provider=described()))

    results = await asyncio.to_thread(check)
    wrong = [f"{one.title}: {one.reason}" for one in results if one.status in (Status.ERROR, Status.CRITICAL)]
    wrong = [one for one in wrong if ALWAYS_THERE not in one]
    with capsys.disabled():
        print(f"\n  scim2-tester: {len(results)} checks, {len(wrong)} wrong", end="")
    assert wrong == []
    assert len(results) > 30


def described() -> ScimProvider:
    """What we publish, and of a userName what it has to look like."""
    schema = User.to_schema()
    model = User.from_schema(schema)
    model.model_fields["user_name"].examples = Addresses()  # type: ignore[assignment]
    return ScimProvider(models=[model], resource_types=[ResourceType.from_resource(model)])


async def test_what_we_publish_is_what_the_checker_knows_us_by(hr: Directory) -> None:
    told = (await hr.http.get("/scim/v2/Schemas")).json()["Resources"][0]
    ours = User.to_schema().model_dump()
    assert told["attributes"] == ours["attributes"]
    assert uuid4().hex not in told
