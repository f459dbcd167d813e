"""The story notices what is broken: each of the listed mutations makes its step fail, and no step before it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.launch import running
from deploy.local.plan import Plan
from deploy.local.state import CLONE, State
from deploy.local.throwaway import folder
from tests.faults.mutations import MUTATIONS, Mutation
from tests.journeys.people import gateway_client, mailbox_client
from tests.journeys.platform import database_of, until_served
from tests.journeys.steps import STEPS
from tests.journeys.story import begin

PATIENCE = 60.0
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".rapport", ".*_cache", "__pycache__", "output")
pytestmark = [pytest.mark.long, pytest.mark.faults]


class Copy:
    """A platform that runs from a copy of the source, so that the source can be broken."""

    def __init__(self, home: Path) -> None:
        self.source, self.state = home / "source", State(home / "state")
        shutil.copytree(CLONE, self.source, ignore=LEFT_OUT)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
        self.python = self.interpreter()
        self.rapport("up", "--detach", "--json", "--ports", "auto")

    def interpreter(self) -> Path:
        """Python with the same packages, that finds our own in the copy."""
        place = self.source / ".venv"
        shutil.copytree(sys.prefix, place, symlinks=True, copy_function=os.link)
        [ours] = place.glob("lib/*/site-packages/rapport.pth")
        ours.unlink()  # it is the same file as the clone's
        ours.write_text(f"{self.source}\n{self.source}/protos/gen\n")
        return place / "bin/python"

    def rapport(self, *words: str) -> None:
        command = [str(self.python), "-P", "-m", "deploy.local", *words, "--state", str(self.state.folder)]
        done = subprocess.run(
            command, cwd=self.source, env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def plan(self) -> Plan:
        return running(self.state)

    def breaking(self, mutation: Mutation) -> None:
        if mutation.statement:
            asyncio.run(self.execute(mutation.database, mutation.statement))
            return
        original = (CLONE / mutation.file).read_text()
        (self.source / mutation.file).write_text(original.replace(mutation.old, mutation.new))
        self.restart(mutation.restart)

    def mend(self, mutation: Mutation) -> None:
        if mutation.statement:
            asyncio.run(self.execute(mutation.database, mutation.undo))
            return
        shutil.copyfile(CLONE / mutation.file, self.source / mutation.file)
        self.restart(mutation.restart)

    def restart(self, names: tuple[str, ...]) -> None:
        """End processes by their ids, and wait until the supervisor has them back."""
        before = {one["name"]: one["pid"] for one in self.processes()}
        for name in names:
            os.kill(before[name], signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while any(one["pid"] == before[one["name"]] or one["stage"] != "ready" for one in self.of(names)):
            assert time.monotonic() < until, f"{names} did not come back"
            time.sleep(0.1)
        asyncio.run(until_served(self.plan, PATIENCE))

    def of(self, names: tuple[str, ...]) -> list[dict[str, Any]]:
        return [one for one in self.processes() if one["name"] in names]

    def processes(self) -> list[dict[str, Any]]:
        return list(json.loads((self.state.folder / "platform.json").read_text())["processes"])

    async def execute(self, database: str, statement: str) -> None:
        connection = await asyncpg.connect(database_of(self.plan, database))  # type: ignore[no-untyped-call]
        await connection.execute(statement)
        await connection.close()

    async def first_failure(self, last: str) -> str:
        """The first step of the story that does not hold, as far as `last`; "" when all do."""
        async with gateway_client(self.plan) as store, mailbox_client(self.plan) as mail:
            story = await begin(self.plan, store, mail)
            for _, act in STEPS:
                try:
                    await act(story)
                except Exception as error:
                    print(f"{act.__name__}: {error}")  # pytest shows it where this is the wrong step
                    return act.__name__
                if act.__name__ == last:
                    return ""
        return ""


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    with folder() as home:
        made = Copy(home)
        try:
            yield made
        finally:
            made.rapport("down")


def test_unbroken_every_step_holds(copy: Copy) -> None:
    assert asyncio.run(copy.first_failure("")) == ""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[f"{one.step}: {one.says}" for one in MUTATIONS])
def test_a_step_notices_what_is_broken(copy: Copy, mutation: Mutation) -> None:
    copy.breaking(mutation)
    try:
        assert asyncio.run(copy.first_failure(mutation.step)) == mutation.step
    finally:
        copy.mend(mutation)
