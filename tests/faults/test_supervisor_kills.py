"""The supervisor itself is killed, which ends everything at once: what was promised is there once it runs again."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import launch, ports
from deploy.local.furnish import furnish
from deploy.local.launch import Platform
from deploy.local.plan import Plan
from deploy.local.settings import Outside, outside
from deploy.local.throwaway import folder, silent
from tests.faults.diary import kept
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.platform import until_served
from tests.journeys.steps import STEPS
from tests.journeys.story import begin
from tests.platform.conftest import eventually, everybody, mentions

GONE = 5.0  # seconds until nothing of it runs
SERVED = 30.0
INSTANTS = 20
SEED = 20_261_127
pytestmark = [pytest.mark.long, pytest.mark.faults]


class Home:
    """A folder whose platform dies and is started again, on the same ports."""

    def __init__(self, place: Path) -> None:
        self.plan = Plan(folder=place, ports=ports.free(ports.usual(1)))
        self.plan.state.make()
        self.platform = self.start()

    def start(self) -> Platform:
        begun = launch.launch(self.plan, Outside(inherited=outside().inherited), silent, detached=False)
        assert begun.until_up()
        furnish(begun)
        return begun

    def kill(self) -> None:
        """kill -9 of the supervisor, and wait until nothing is left of what it started."""
        os.kill(self.platform.supervisor.pid, signal.SIGKILL)
        self.platform.supervisor.wait()
        self.platform.let_go()
        eventually(lambda: not self.left(), within=GONE)

    def left(self) -> list[int]:
        return [pid for pid in everybody() if mentions(pid, self.plan.folder)]

    def kill_and_start(self) -> None:
        self.kill()
        self.platform = self.start()


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with folder() as place:
        made = Home(place)
        try:
            yield made
        finally:
            made.platform.stop()


def test_a_kill_of_the_supervisor_at_every_boundary_of_the_story_changes_nothing_of_it(home: Home) -> None:
    async def tell() -> None:
        async with gateway_client(home.plan) as store, mailbox_client(home.plan) as mail:
            story = await begin(home.plan, store, mail)
            for title, act in STEPS:
                if act.__name__ == "search_canaries":
                    continue  # what is on disk is searched elsewhere; here it would only take time
                await asyncio.to_thread(home.kill_and_start)
                await until_served(home.plan, SERVED)
                try:
                    await act(story)
                except Exception as error:
                    raise AssertionError(f"{title}, after the supervisor was killed: {error}") from error

    asyncio.run(tell())


def test_nothing_acknowledged_is_lost_over_20_kills_of_the_supervisor(home: Home) -> None:
    chosen = random.Random(SEED)

    async def run() -> None:
        async with gateway_client(home.plan) as store, mailbox_client(home.plan) as mail:
            async with kept(await begin(home.plan, store, mail)) as diary:
                for _ in range(INSTANTS):
                    await asyncio.sleep(chosen.uniform(0.2, 3.0))
                    await asyncio.to_thread(home.kill_and_start)
                await until_served(home.plan, SERVED)
            print(f"\n  seed {SEED}, {INSTANTS} kills of the supervisor: {diary}")
            await diary.check()

    asyncio.run(run())
