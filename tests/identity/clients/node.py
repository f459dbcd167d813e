"""Programs for node that speak in lines, and the packages of others that they drive."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import node

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds that a program may take to say something


def packages() -> Path:
    """The folder node_modules of what package-lock.json lists; skips where it cannot be had."""
    try:
        return node.packages(HERE)
    except node.NodeMissingError as reason:
        pytest.skip(f"the programs for node are not driven: {reason}")


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
    process = await asyncio.create_subprocess_exec(node.node(), script, cwd=room, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
