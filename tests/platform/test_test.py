"""`./rapport test` is pytest with what this machine needs."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.state import CLONE


def test_what_is_given_beside_is_pytests(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(
        "import pytest\n"
        "def test_short(): ...\n"
        "@pytest.mark.long\ndef test_long(): ...\n"
        "@pytest.mark.browser\ndef test_browser(): ...\n"
    )
    given = [
        str(tmp_path),
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(CLONE),
        "-c",
        str(CLONE / "pyproject.toml"),
    ]
    short = run(*given)
    assert "1 passed, 2 deselected" in short, short
    assert "Browser tests are skipped: there is no chromium here." in short
    assert "2 passed, 1 deselected" in run("--long", *given)


def test_whole_stores_have_so_many_of_each_as_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--replicas', default='1')\n")
    (tmp_path / "test_two.py").write_text("def test_two(request): assert request.config.getoption('replicas') == '2'\n")
    given = [str(tmp_path), "-n", "0", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    assert "1 passed" in run("--replicas", "2", *given)


def test_what_fails_beside_others_is_asked_once_more_and_what_fails_twice_fails(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(
        "from pathlib import Path\n"
        "SEEN = Path(__file__).with_name('seen')\n"
        "def test_once():\n    was = SEEN.exists()\n    SEEN.touch()\n    assert was\n"
    )
    (tmp_path / "test_fine.py").write_text("def test_fine(): ...\n")
    given = [str(tmp_path), "--rootdir", str(tmp_path), "-o", f"cache_dir={tmp_path}/cache"]
    first, _, second = run(*given).partition("Failed beside others; once more, alone:")
    assert "1 failed, 1 passed" in first
    assert "1 passed" in second
    (tmp_path / "test_never.py").write_text("def test_never(): assert False\n")
    first, _, second = run(*given, code=1).partition("Failed beside others; once more, alone:")
    assert "1 failed, 2 passed" in first
    assert "1 failed" in second


def run(*arguments: str, code: int = 0) -> str:
    """What it prints on a machine without a browser."""
    command = [sys.executable, "-P", "-m", "deploy.local", "test", *arguments]
    done = subprocess.run(command, env=os.environ | {"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
