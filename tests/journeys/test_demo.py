"""`./rapport demo` tells the story, and says where it does not hold."""

import json

import pytest

from deploy.local.state import State
from deploy.local.throwaway import folder
from tests.journeys import demo
from tests.journeys.steps import STEPS
from tests.journeys.story import Story
from tests.platform.conftest import Terminal
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")


@pytest.mark.long
def test_the_demo_prints_an_object_for_each_step() -> None:
    with folder() as home:
        done = Terminal(State(home)).type("demo", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert [one["title"] for one in told] == [title for title, _ in STEPS]
    assert all(one["held"] and one["told"] and one["seconds"] >= 0 for one in told)


async def test_a_step_that_does_not_hold_fails_the_demo_and_ends_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_: Story) -> str:
        raise AssertionError("nothing was found")

    monkeypatch.setattr(demo, "STEPS", [("It fails", fail), ("It is never told", fail)])
    assert await demo.tell(store.plan, as_json=True) == 1
    [told] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (told["title"], told["held"]) == ("It fails", False)
    assert "nothing was found" in told["problem"]
    assert await demo.tell(store.plan, as_json=False) == 1
    assert "nothing was found" in capsys.readouterr().out
