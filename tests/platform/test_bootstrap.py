"""`./rapport` on a machine that knows nothing of us: what it asks for, and how it installs."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import bootstrap
from deploy.local.state import CLONE


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone, in a path with a space in it, with what the launcher needs."""
    made = tmp_path / "a clone"
    (made / "protos/gen").mkdir(parents=True)
    shutil.copytree(CLONE / "deploy", made / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (CLONE / "rapport", *CLONE.glob("requirements-*.lock")):
        shutil.copy2(path, made)
    return made


def rapport(clone: Path, *arguments: str, path: str = "/usr/bin:/bin") -> "subprocess.CompletedProcess[str]":
    python = Path(sys.executable).resolve().parent
    environment = {**os.environ, "PATH": f"{path}:{python}"}
    return subprocess.run(
        [str(clone / "rapport"), *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False
    )


def install(clone: Path) -> list[str]:
    return [str(Path(sys.executable).resolve()), "-P", str(clone / "deploy/local/bootstrap.py"), "--help"]


def test_a_python_that_is_too_old_is_not_taken(bare: Path, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        (old / name).write_text("#!/bin/sh\nexit 1\n")
        (old / name).chmod(0o755)
    done = subprocess.run([bare / "rapport", "up"], env={"PATH": str(old)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_what_to_install(bare: Path, missing: str) -> None:
    script = str(bare / "deploy/local/bootstrap.py")
    code = f"import runpy, sys; sys.modules['{missing}'] = None; runpy.run_path({script!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-P", "-c", code, "up"], capture_output=True, text=True, check=False)
    assert (done.returncode, "apt install python3-venv" in done.stderr) == (1, True)


def test_what_pip_was_told_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    monkeypatch.setenv("PIP_INDEX_URL", "a mirror of our own")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    told = bootstrap.uv_settings()
    assert told["UV_DEFAULT_INDEX"] == "a mirror of our own"
    assert told["UV_FIND_LINKS"] == "/wheels,/more"
    assert told["UV_PYTHON_DOWNLOADS"] == "never"


def test_no_lock_names_an_address_and_every_package_has_a_hash() -> None:
    for path in CLONE.glob("requirements*.lock"):
        text = path.read_text()
        assert "://" not in text, path.name
        for package in text.replace("\\\n", "").splitlines():
            assert package.startswith("#") or "--hash=sha256:" in package, f"{path.name}: {package}"


@pytest.mark.long
def test_a_clone_installs_itself_once(bare: Path) -> None:
    first = rapport(bare, "--help")
    assert (first.returncode, "First run" in first.stderr) == (0, True), first.stderr
    assert "usage: ./rapport" in first.stdout
    second = rapport(bare, "--help")
    assert (second.returncode, second.stderr) == (0, "")


@pytest.mark.long
def test_an_installation_that_was_killed_is_gone_on_with(bare: Path) -> None:
    for seconds in (0.5, 2.0, 4.0, 6.0):
        with subprocess.Popen(install(bare), stderr=subprocess.DEVNULL, start_new_session=True) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    done = rapport(bare, "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_two_who_install_at_once_do_it_once(bare: Path) -> None:
    both = [subprocess.Popen(install(bare), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=300)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert ["Another ./rapport is installing" in one for one in said] == [True, False]
    stamp = json.loads((bare / ".venv/rapport.json").read_text())
    assert stamp["clone"] == str(bare.resolve())


def test_a_lock_that_changed_is_installed_again(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = bare / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(sys.executable)
    ours = {"CLONE": bare, "VENV": venv, "PYTHON": venv / "bin/python", "STAMP": venv / "rapport.json"}
    for name, value in ours.items():
        monkeypatch.setattr(bootstrap, name, value)
    lock = "requirements-dev.lock"
    bootstrap.STAMP.write_text(json.dumps(bootstrap.stamp() | {lock: bootstrap.fingerprint(lock)}))
    assert bootstrap.installed(lock)
    (bare / lock).write_text("")
    assert not bootstrap.installed(lock)
