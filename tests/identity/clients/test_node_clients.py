"""The certified libraries for node, as a program uses them: discovery, PKCE, nonce, userinfo, refresh, introspection,
revocation and signing out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.identity.clients.node import program
from tests.identity.clients.visits import visited
from tests.identity.conformance.party import AFTER, CALLBACK, party
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")


@pytest.mark.parametrize("profile", ["PUBLIC", "WEB"])
@pytest.mark.parametrize("script", ["openid_client.mjs", "oauth4webapi.mjs"])
async def test_a_program_for_node_signs_somebody_in_and_out(
    store: Store, tmp_path: Path, script: str, profile: str
) -> None:
    person = store.register("ada")
    async with party(store, person, profile=profile) as rp, program(script, tmp_path) as client:
        client.tell(
            issuer=store.plan.urls["store"],
            id=rp.client,
            secret=rp.secret,
            redirect=CALLBACK,
            after=AFTER,
            scope="openid email offline_access",
        )
        client.tell(callback=await visited(rp, (await client.says())["url"]))
        told = await client.says()
        assert told["sub"] == told["again"] == person.user.removeprefix("users/")
        assert told["email"] == person.email
        assert told["rotated"] is (profile == "PUBLIC")
        assert told.get("active") is (True if profile == "WEB" else None)
        assert told["left"] == "invalid_token"
        assert await visited(rp, told["out"]) == AFTER
        assert (
            await rp.refused(prompt="none", code_challenge="x" * 43, code_challenge_method="S256") == "login_required"
        )


async def test_a_program_for_node_says_the_nonces_it_is_asked_for(store: Store, tmp_path: Path) -> None:
    name = f"robot-{uuid4().hex[:8]}"
    said = {"title": "Robot", "profile": "SERVICE", "scopes": ["commerce.write"], "requireDpopNonce": True}
    async with store.http(**store.peer("operator")) as operator, program("bound.mjs", tmp_path) as client:
        (await operator.patch(f"/v1/clients/{name}", json=said)).raise_for_status()
        secret = (await operator.post(f"/v1/clients/{name}:resetSecret", json={})).json()["clientSecret"]
        body = json.dumps({"requestId": str(uuid4())})
        issuer, skew = store.plan.urls["store"], round((store.clock() - datetime.now(UTC)).total_seconds())
        client.tell(issuer=issuer, id=name, secret=secret, skew=skew, path="/v1/orderEvents", body=body)
        told = await client.says()
    assert told == {"type": "dpop", "asked": 2, "known": "EVENT_MISSING", "fresh": "EVENT_MISSING"}
