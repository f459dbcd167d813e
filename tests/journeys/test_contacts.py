"""Contact data over HTTP: a mail server that refuses, and a year that goes by."""

import asyncio
from datetime import timedelta

import httpx

from deploy.local.people import password
from deploy.local.plan import Plan
from deploy.local.throwaway import platform
from tests import engines
from tests.journeys.people import Browser, done, eventually, gateway_client
from tests.journeys.platform import advance

EMAIL = "ada@example.org"


def test_an_owner_is_asked_when_mail_comes_back_and_after_a_year(replicas: int) -> None:
    with platform(replicas=replicas, where=engines.memory()) as (running, _):
        asyncio.run(go_by(running.plan))


async def go_by(plan: Plan) -> None:
    async with gateway_client(plan) as store:
        ada = Browser(store)
        await ada.sign_in(EMAIL, password(plan))
        assert await found(ada) == "CONFIRMED"

        await refuse(plan, EMAIL)
        await Browser(store).post("/v1/recoveries:begin", {"email": EMAIL})
        await eventually(lambda: becomes(ada, "BOUNCED"), "word that her mail comes back")
        await refuse(plan)
        await Browser(store).post("/v1/recoveries:begin", {"email": EMAIL})
        await eventually(lambda: becomes(ada, "CONFIRMED"), "word that her mail is taken")

        await advance(plan, timedelta(days=366))
        await ada.sign_in(EMAIL, password(plan))
        me = await ada.get(f"/v1/{ada.user}")
        assert me["contactConfirmation"] == "OLD", me
        confirming = f"/v1/{ada.user}:confirmContactData"
        stale = await ada.call("POST", confirming, {"etag": "of something else"})
        assert (stale.status, stale.reason) == (412, "ETAG_MISMATCH"), stale.body
        assert done(await ada.call("POST", confirming, {"etag": me["etag"]}))["contactConfirmation"] == "CONFIRMED"
        facts = [one["fact"] for one in (await ada.get(f"/v1/{ada.user}/auditEntries"))["auditEntries"]]
        assert "UserContactConfirmed" in facts


async def refuse(plan: Plan, *addresses: str) -> None:
    """Have the mail provider know these addresses no more."""
    async with httpx.AsyncClient(base_url=plan.urls["mailbox"]) as provider:
        (await provider.put("/refusals", json={"addresses": addresses})).raise_for_status()


async def found(person: Browser) -> str:
    return str((await person.get(f"/v1/{person.user}"))["contactConfirmation"])


async def becomes(person: Browser, wanted: str) -> bool:
    return await found(person) == wanted
