"""Nothing that was promised is lost when a process is killed: at every step of the story, and at seeded instants."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local.plan import Plan
from deploy.local.throwaway import platform
from tests.journeys.people import Browser, done, eventually, gateway_client, mailbox_client, new_key
from tests.journeys.platform import until_served
from tests.journeys.story import STEPS, Story, begin

BACK = 5.0  # seconds until a killed process serves again
INSTANTS = 200
KILLED = ("identity", "support", "privacy", "loyalty", "gateway", "nats", "postgres", "mail")
SEED = 20_261_123
pytestmark = [pytest.mark.long, pytest.mark.faults]


@pytest.fixture(scope="module")
def plan() -> Iterator[Plan]:
    with platform() as (running, _):
        yield running.plan


def process(plan: Plan, name: str) -> dict[str, Any]:
    return next(one for one in plan.state.known()["processes"] if one["name"] == name)


def kill(plan: Plan, name: str) -> None:
    """kill -9, and wait until the supervisor has it back."""
    before = process(plan, name)["pid"]
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + BACK
    while (now := process(plan, name))["pid"] == before or now["stage"] != "ready":
        assert time.monotonic() < until, f"{name} is not back within {BACK:.0f} s"
        time.sleep(0.05)


@pytest.mark.parametrize("name", KILLED)
def test_a_kill_at_every_boundary_of_the_story_changes_nothing_of_it(plan: Plan, name: str) -> None:
    async def tell() -> None:
        async with gateway_client(plan) as store, mailbox_client(plan) as mail:
            story = await begin(plan, store, mail)
            for title, act in STEPS:
                if act.__name__ == "search_canaries":
                    continue  # what is on disk is searched elsewhere; here it would only take time
                await asyncio.to_thread(kill, plan, name)
                await until_served(plan, BACK)
                try:
                    await act(story)
                except Exception as error:
                    raise AssertionError(f"{title}, after {name} was killed: {error}") from error

    asyncio.run(tell())


def test_nothing_acknowledged_is_lost_over_200_kills(plan: Plan) -> None:
    """Tickets and points are written all the while; each write that was acknowledged is there in the end, once."""
    chosen = random.Random(SEED)
    print(f"\n  seed {SEED}, {INSTANTS} kills")

    async def run() -> None:
        async with gateway_client(plan) as store, mailbox_client(plan) as mail:
            story = await begin(plan, store, mail)
            await prepare(story)
            writing = asyncio.create_task(write(story))
            for _ in range(INSTANTS):
                await asyncio.sleep(chosen.uniform(0.05, 0.4))
                name = chosen.choice(KILLED)
                await asyncio.to_thread(kill, plan, name)
            writing.cancel()
            keys = await asyncio.gather(writing, return_exceptions=True)
            assert isinstance(keys[0], asyncio.CancelledError)
            await until_served(plan, BACK)
            await check(story)

    asyncio.run(run())


made: list[str] = []  # names of tickets that were acknowledged


async def prepare(story: Story) -> None:
    for title, act in STEPS[:6]:
        try:
            await act(story)
        except Exception as error:
            raise AssertionError(f"{title}: {error}") from error


async def write(story: Story) -> None:
    """Submit tickets one after the other; one that fails is tried again under the same key until it is acknowledged."""
    number = 0
    while True:
        number += 1
        key, ticket = new_key(), {"order": story.order, "kind": "QUERY", "title": f"No. {number}", "body": "Well?"}
        while True:
            try:
                answer = await story.customer.call(
                    "POST", f"/v1/{story.customer.user}/tickets", ticket, idempotency_key=key
                )
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status == 200:
                made.append(answer.body["name"])
                break
            assert answer.status in (401, 409, 429, 503, 504), f"{answer.status} {answer.body}"
            await asyncio.sleep(0.05)


async def check(story: Story) -> None:
    assert made, "nothing was written"
    assert len(made) == len(set(made)), "one write made two"
    found = [name async for name in tickets(story.customer, story.customer.user)]
    titles = [title for _, title in found]
    assert set(made) <= {name for name, _ in found}, "an acknowledged ticket is lost"
    assert len(titles) == len(set(titles)), "a ticket was made twice"
    told = await story.admin.get("/v1/ledger:verify")
    assert told["balanced"] is True, told


async def tickets(browser: Browser, user: str) -> Any:
    token = ""
    while True:
        page = done(await browser.call("GET", f"/v1/{user}/tickets?pageSize=200&pageToken={token}"))
        for ticket in page["tickets"]:
            yield ticket["name"], ticket["title"]
        if not (token := page["nextPageToken"]):
            return


def test_nats_can_be_away_for_a_minute_while_people_write(plan: Plan) -> None:
    """The API keeps answering, and afterwards nothing is lost and nothing doubled."""

    async def run() -> None:
        async with gateway_client(plan) as store, mailbox_client(plan) as mail:
            story = await begin(plan, store, mail)
            await prepare(story)
            before = len([name async for name in tickets(story.customer, story.customer.user)])
            nats = process(plan, "nats")["pid"]
            os.kill(nats, signal.SIGSTOP)  # it holds its port and answers nobody: harder than being gone
            written, until = 0, time.monotonic() + 60
            try:
                while time.monotonic() < until:
                    ticket = {"order": story.order, "kind": "QUERY", "title": "While away", "body": "Well?"}
                    done(await story.customer.call("POST", f"/v1/{story.customer.user}/tickets", ticket))
                    written += 1
                    await asyncio.sleep(0.25)
            finally:
                os.kill(nats, signal.SIGCONT)
            async with story.customer.events() as stream:
                await story.customer.post(f"/v1/{story.ticket}/messages", {"body": "Back again?"})
                await stream.fact("rapport.support.v1.TicketReplied")
            found = [name async for name in tickets(story.customer, story.customer.user)]
            assert len(found) == before + written

            async def is_drained() -> bool:
                told = (await story.store.get(f"{plan.metrics()['support']}/metrics")).text
                return "\noutbox_pending 0.0" in told

            await eventually(is_drained, "an empty outbox", patience=30)

    asyncio.run(run())
