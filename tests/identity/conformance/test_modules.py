"""The modules of the OpenID Foundation's conformance suite, by their ids, over HTTP through the real gateway.

The words are ours, and so is every check: what the suite accepts is accepted here, and what it skips for a provider
like this is shown to be as the suite needs it to be to skip.
"""

from collections.abc import AsyncIterator

import pytest

from tests.identity.conformance import basic, config, logout
from tests.identity.conformance.party import Party, party
from tests.identity.conformance.plans import FORM_POST, SHOWN, listed
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
HOMES = {one.__name__ for one in (basic, config, logout)}
PASSED: set[tuple[str, str]] = set()
COUNTS = {
    "oidcc-basic-certification-test-plan": 38,
    "oidcc-formpost-basic-certification-test-plan": 38,
    "oidcc-config-certification-test-plan": 1,
    "oidcc-rp-initiated-logout-certification-test-plan": 11,
    "oidcc-backchannel-rp-initiated-logout-certification-test-plan": 2,
}


@pytest.fixture
async def rp(store: Store, plan: str) -> AsyncIterator[Party]:
    """The suite's relying party, and a person of its own who is not signed in."""
    async with party(store, store.register("ada"), "form_post" if plan == FORM_POST else "") as made:
        yield made


@pytest.mark.parametrize(("plan", "id"), [pytest.param(*one, id="/".join(one)) for one in sorted(SHOWN)])
async def test_module(rp: Party, plan: str, id: str) -> None:
    await SHOWN[plan, id](rp)
    PASSED.add((plan, id))


def test_every_module_of_every_plan_is_shown_and_nothing_else() -> None:
    assert {one.__module__ for one in SHOWN.values()} == HOMES
    assert sorted(SHOWN) == sorted(listed())
    counts = {plan: sum(one == plan for one, _ in listed()) for plan, _ in listed()}
    assert counts == COUNTS


def test_every_module_that_is_shown_was_run_and_passed(request: pytest.FixtureRequest) -> None:
    chosen = {one.name for one in request.session.items}
    if not chosen >= {f"test_module[{'/'.join(one)}]" for one in SHOWN}:
        pytest.skip("only some of the modules were asked for")
    assert sorted(set(listed()) - PASSED) == []
