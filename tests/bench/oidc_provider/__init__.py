"""npm's oidc-provider over PostgreSQL, which ours is measured beside (ADR 0115)."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import node

HERE = Path(__file__).parent
PROGRAM = {
    "grant_type": "client_credentials",
    "client_id": "shop",
    "client_secret": "a secret of sixty-four characters that nobody would guess, ever.",
}
PATH = "/token"


@dataclass(frozen=True)
class Running:
    port: int
    refresh_tokens: list[str]  # of the public client `app`, the first of each authorization


@contextmanager
def running(database: str, room: Path, *, authorizations: int) -> Iterator[Running]:
    """It, in one process; or NodeMissingError."""
    (room / "node_modules").symlink_to(node.packages(HERE))
    shutil.copy(HERE / "server.mjs", room)
    command = [node.node(), "server.mjs", database, str(authorizations)]
    silent = subprocess.DEVNULL  # it warns of what is no matter here: plain HTTP, the interactions that nobody sees
    with subprocess.Popen(command, cwd=room, stdout=subprocess.PIPE, stderr=silent, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            yield Running(said["port"], said["tokens"])
        finally:
            process.kill()
