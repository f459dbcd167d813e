"""A platform of somebody's own, on free ports, gone with everything in it on leaving: for the demo and the tests.

with platform() as (running, people):
    httpx.get(running.plan.urls["store"])
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local import launch, ports
from deploy.local.furnish import furnish
from deploy.local.launch import Platform, Say
from deploy.local.plan import Plan
from deploy.local.settings import Outside, outside
from deploy.local.terminal import LocalError


def silent(_: str) -> None: ...


@contextmanager
def platform(
    *,
    replicas: int = 1,
    only: tuple[str, ...] = (),
    told: Mapping[str, Mapping[str, str]] | None = None,
    say: Say = silent,
    where: str | None = None,
) -> Iterator[tuple[Platform, dict[str, Any]]]:
    """It, and the sample people with their password."""
    with folder(where) as home:
        free = ports.free(ports.usual(replicas))
        plan = Plan(folder=home, ports=free, replicas=replicas, only=only, told=told or {})
        plan.state.make()
        begun = launch.launch(plan, Outside(inherited=outside().inherited), say, detached=False)
        try:
            if not begun.until_up():
                raise LocalError("the platform did not come up")
            yield begun, furnish(begun)
        finally:
            begun.stop()


@contextmanager
def folder(where: str | None = None) -> Iterator[Path]:
    """One that the engines' user can reach too, in that place or the usual one."""
    where = where or ("/var/tmp" if os.getuid() == 0 else None)  # noqa: S108 - the folder's name is nobody's guess
    with tempfile.TemporaryDirectory(prefix="rapport-", dir=where, ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o711)
        yield Path(home)
