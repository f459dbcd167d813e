"""The main job, from a visitor's first look to an erased account, over HTTP against separate processes."""

import asyncio
import re
from collections import Counter

import httpx
import pytest

from deploy.local.plan import Plan
from deploy.local.ports import SERVICES, instances
from deploy.local.throwaway import platform
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.story import STEPS, begin

HANDLED = re.compile(r'^grpc_server_handled_total\{.*grpc_service="rapport\.[^"]*".*\} ([0-9.e+]+)$', re.MULTILINE)
SERVED = re.compile(r"^http_server_requests_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)


async def tell(plan: Plan) -> None:
    async with gateway_client(plan) as store, mailbox_client(plan) as mail:
        story = await begin(plan, store, mail)
        for title, act in STEPS:
            try:
                await act(story)
            except Exception as error:
                raise AssertionError(f"{title}: {error}") from error


def test_every_step_of_the_story_holds() -> None:
    with platform() as (running, _):
        asyncio.run(tell(running.plan))


@pytest.mark.long
def test_two_of_everything_behave_as_one_and_each_has_its_share() -> None:
    with platform(replicas=2) as (running, _):
        asyncio.run(tell(running.plan))
        traffic = asked(running.plan)
    idle = [name for service in (*SERVICES, "gateway") for name in instances(service, 2) if not traffic[name]]
    assert not idle, f"{idle} had nothing to do: {traffic}"


def asked(plan: Plan) -> Counter[str]:
    """How many calls or requests each instance has answered."""
    found: Counter[str] = Counter()
    for name, address in plan.metrics().items():
        told = httpx.get(f"{address}/metrics").raise_for_status().text
        pattern = SERVED if name.startswith("gateway") else HANDLED
        found[name] = round(sum(float(count) for count in pattern.findall(told)))
    return found
