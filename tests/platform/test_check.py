"""`./rapport check` on a copy of the clone in which something is wrong."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.state import CLONE

LEFT_OUT = (".git", ".venv", ".rapport", ".cache", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis", "output")
Change = Callable[[Path], None]
pytestmark = pytest.mark.long  # most of it makes the contracts anew


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    made = tmp_path / "clone"
    shutil.copytree(CLONE, made, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    (made / ".venv").symlink_to(CLONE / ".venv")
    return made


def check(copy: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "deploy.local", "check", *names],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": f"{copy}:{copy / 'protos/gen'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def build(copy: Path) -> None:
    subprocess.run(["sh", "protos/build.sh"], cwd=copy, check=True, capture_output=True)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def import_a_neighbour(copy: Path) -> None:
    with (copy / "services/support/orders.py").open("a") as file:
        file.write("from services.identity import users  # noqa\n")


def declare_nothing_of_a_column(copy: Path) -> None:
    with (copy / "services/support/models.py").open("a") as file:
        file.write(
            "\n\nclass Visit(Base):\n    __tablename__ = 'visit'\n"
            "    id: Mapped[UUID] = mapped_column(primary_key=True)\n    nickname: Mapped[str]\n"
        )


def tell_of_a_person_in_an_event(copy: Path) -> None:
    events, message = copy / "protos/rapport/identity/v1/events.proto", "message UserCreated {"
    replace(events, message, f"{message}\n  string nickname = 77;")
    build(copy)


def leave_access_open(copy: Path) -> None:
    replace(
        copy / "protos/rapport/identity/v1/identity.proto",
        '    option (rapport.annotations.v1.access) = {roles: "admin"};\n',
        "",
    )
    build(copy)


def change_a_contract_only(copy: Path) -> None:
    replace(copy / "protos/rapport/identity/v1/identity.proto", "message Jwk {", "message Jwk {\n  string x5t = 12;")


def forget_a_promise(copy: Path) -> None:
    with (copy / "docs/promises/page.txt").open("a") as file:
        file.write("\nWe answer within a minute.\n")


def add_a_table_without_a_step(copy: Path) -> None:
    with (copy / "services/support/models.py").open("a") as file:
        file.write("\n\nclass Count(Base):\n    __tablename__ = 'count'\n")
        file.write("    id: Mapped[int] = mapped_column(primary_key=True)\n")


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("imports", import_a_neighbour, "services.support.orders -> services.identity"),
        ("people", declare_nothing_of_a_column, "nickname"),
        ("people", tell_of_a_person_in_an_event, "nickname"),
        ("access", leave_access_open, "ListUsers"),
        ("generated", change_a_contract_only, "identity_pb2.py is not what the contracts make"),
        ("promises", forget_a_promise, "We answer within a minute."),
        ("migrations", add_a_table_without_a_step, "count"),
    ],
)
def test_the_check_fails_when_something_is_wrong(copy: Path, name: str, change: Change, says: str) -> None:
    change(copy)
    done = check(copy, name)
    assert done.returncode == 1, done.stdout
    assert says in done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here, which knows the contracts as they were")
def test_the_check_fails_when_a_field_number_changes(copy: Path) -> None:
    ours = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    git = {**os.environ, **ours, "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
    for words in (["init", "-q"], ["add", "protos"], ["commit", "-q", "-m", "Promise"]):
        subprocess.run(["git", *words], cwd=copy, env=git, check=True)
    assert check(copy, "breaking").returncode == 0
    replace(copy / "protos/rapport/identity/v1/identity.proto", "string display_name = 3", "string display_name = 33")
    build(copy)
    found = check(copy, "breaking")
    assert found.returncode == 1
    assert "display_name" in found.stdout
    subprocess.run(["git", "commit", "-q", "-a", "-m", "Break it"], cwd=copy, env=git, check=True)
    assert check(copy, "breaking").returncode == 1  # to commit it does not mend it


def test_an_unknown_check_is_refused_with_the_known_ones(copy: Path) -> None:
    done = check(copy, "tpyes")
    assert (done.returncode, "types, lint, format" in done.stderr) == (1, True)
