"""Nothing that was promised is lost when a process is killed: at every step of the story, and at seeded instants."""

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.local.plan import Plan
from deploy.local.supervisor import tail
from deploy.local.throwaway import platform
from tests.faults.diary import kept, pages, prepare
from tests.journeys.people import eventually, gateway_client, mailbox_client
from tests.journeys.platform import until_served
from tests.journeys.steps import STEPS
from tests.journeys.story import begin

BACK = 5.0  # seconds until a killed process serves again
INSTANTS = 200
KILLED = ("identity", "support", "privacy", "loyalty", "gateway", "nats", "postgres", "mail")
SEED = 20_261_123
COMPLAINT = re.compile(r'"level": ?"(error|critical)"|Traceback|Error|"what": "(ended|failed)"')
pytestmark = [pytest.mark.long, pytest.mark.faults]


@pytest.fixture(autouse=True)
def told(plan: Plan, request: pytest.FixtureRequest) -> Iterator[None]:
    """What the processes complained of, where a test failed: the folder is gone when it is looked for."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for log in sorted(plan.state.log("x").parent.glob("*.log")):
            said = [line for line in log.read_text(errors="replace").splitlines() if COMPLAINT.search(line)]
            print("\n".join([f"\n  {log.name}", *said[-8:]]))


@pytest.fixture(scope="module")
def plan() -> Iterator[Plan]:
    with platform() as (running, _):
        yield running.plan


def process(plan: Plan, name: str) -> dict[str, Any]:
    return next(one for one in plan.state.known()["processes"] if one["name"] == name)


def kill(plan: Plan, name: str) -> float:
    """kill -9, and wait until the supervisor has it back; how many seconds that took."""
    before, began = process(plan, name)["pid"], time.monotonic()
    os.kill(before, signal.SIGKILL)
    while (now := process(plan, name))["pid"] == before or now["stage"] != "ready":
        assert time.monotonic() < began + BACK, f"{name} is not back within {BACK:.0f} s:\n{last_words(plan, name)}"
        time.sleep(0.05)
    return time.monotonic() - began


def last_words(plan: Plan, name: str) -> str:
    return "\n".join(tail(plan.state.log(one), 12, 0) for one in ("supervisor", name))


async def kill_one(plan: Plan, chosen: random.Random) -> float:
    await asyncio.sleep(chosen.uniform(0.05, 0.4))
    return await asyncio.to_thread(kill, plan, chosen.choice(KILLED))


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
    """People write all the while; what they were told is done is there in the end, and once."""
    chosen = random.Random(SEED)

    async def run() -> None:
        async with gateway_client(plan) as store, mailbox_client(plan) as mail:
            async with kept(await begin(plan, store, mail)) as diary:
                took = [await kill_one(plan, chosen) for _ in range(INSTANTS)]
                await until_served(plan, BACK)
            print(f"\n  seed {SEED}, {INSTANTS} kills, each back within {max(took):.1f} s: {diary}")
            await diary.check()

    asyncio.run(run())


def test_nats_can_be_away_for_a_minute_while_people_write(plan: Plan) -> None:
    """The API keeps answering, and afterwards nothing is lost and nothing doubled."""

    async def run() -> None:
        async with gateway_client(plan) as store, mailbox_client(plan) as mail:
            story = await begin(plan, store, mail)
            await prepare(story)
            path = f"/v1/{story.customer.user}/tickets"
            before = len([one async for one in pages(story.customer, path, "tickets")])
            nats = process(plan, "nats")["pid"]
            os.kill(nats, signal.SIGSTOP)  # it holds its port and answers nobody: harder than being gone
            written, until = 0, time.monotonic() + 60
            try:
                while time.monotonic() < until:
                    ticket = {"order": story.order, "kind": "QUERY", "title": "While away", "body": "Well?"}
                    await story.customer.post(path, ticket)
                    written += 1
                    await asyncio.sleep(0.25)
            finally:
                os.kill(nats, signal.SIGCONT)
            async with story.customer.events() as stream:
                await story.customer.post(f"/v1/{story.ticket}/messages", {"body": "Back again?"})
                await stream.fact("rapport.support.v1.TicketReplied")
            assert len([one async for one in pages(story.customer, path, "tickets")]) == before + written

            async def is_drained() -> bool:
                told = (await story.store.get(f"{plan.metrics()['support']}/metrics")).text
                return "\noutbox_pending 0.0" in told

            await eventually(is_drained, "an empty outbox", patience=30)

    asyncio.run(run())
