"""The main job, from a visitor's first look to an erased account, over HTTP against separate processes."""

import asyncio

import pytest

from deploy.local.plan import Plan
from deploy.local.throwaway import platform
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.platform import asked
from tests.journeys.steps import STEPS
from tests.journeys.story import begin


async def tell(plan: Plan) -> None:
    async with gateway_client(plan) as store, mailbox_client(plan) as mail:
        story = await begin(plan, store, mail)
        for title, act in STEPS:
            try:
                await act(story)
            except Exception as error:
                raise AssertionError(f"{title}: {error}") from error


def test_every_step_of_the_story_holds(replicas: int) -> None:
    with platform(replicas=replicas) as (running, _):
        asyncio.run(tell(running.plan))


@pytest.mark.long
def test_two_of_everything_behave_as_one_and_each_has_its_share() -> None:
    with platform(replicas=2) as (running, _):
        asyncio.run(tell(running.plan))
        calls = asked(running.plan)
    assert len(calls) == 10
    assert all(calls.values()), f"somebody had nothing to do: {calls}"
