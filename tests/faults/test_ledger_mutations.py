"""Each listed rule of the ledger has a test that notices when the rule is broken."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.state import CLONE
from deploy.local.throwaway import folder
from tests.faults.ledger_mutations import BROKEN, Broken
from tests.faults.test_mutations import LEFT_OUT

PATIENCE = 240
IDS = [one.says for one in BROKEN]


@pytest.fixture(scope="module")
def source() -> Iterator[Path]:
    """A copy of the source, to break."""
    with folder() as home:
        shutil.copytree(CLONE, home / "source", ignore=LEFT_OUT)
        yield home / "source"


def run(source: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run a test in the copy, which Python finds before the clone."""
    environment = os.environ | {"PYTHONPATH": f"{source}:{source}/protos/gen", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", test]
    return subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("broken", BROKEN, ids=IDS)
def test_what_is_broken_is_in_the_source_once_and_its_test_is_there(broken: Broken) -> None:
    assert (CLONE / broken.file).read_text().count(broken.old) == 1
    file, _, name = broken.test.partition("::")
    assert re.search(rf"^async def {name.partition('[')[0]}\(", (CLONE / file).read_text(), re.MULTILINE)


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.parametrize("broken", BROKEN, ids=IDS)
def test_a_broken_rule_fails_its_test(source: Path, broken: Broken) -> None:
    original = (CLONE / broken.file).read_text()
    (source / broken.file).write_text(original.replace(broken.old, broken.new))
    try:
        done = run(source, broken.test)
    finally:
        (source / broken.file).write_text(original)
    assert done.returncode == 1, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert f"FAILED {broken.test.partition('[')[0]}" in done.stdout, done.stdout[-3_000:]


@pytest.mark.long
@pytest.mark.faults
def test_unbroken_a_test_in_the_copy_passes(source: Path) -> None:
    done = run(source, BROKEN[0].test)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
