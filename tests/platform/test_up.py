"""What `up` says to a person, when all is well and when it is not."""

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.credentials import for_service
from deploy.local.plan import Plan, saved
from deploy.local.state import CLONE, State
from deploy.local.throwaway import folder
from tests.platform.conftest import Terminal, eventually

SINK = ("--only", "mail")
ORDINARY = pwd.getpwnam("daemon").pw_uid  # one with a name, because initdb asks for it


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody has the port, if only us."""
    with socket.socket() as listener:
        if ports.bindable(port):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        yield


def test_a_second_up_says_that_it_is_running(terminal: Terminal) -> None:
    known = terminal.up("mail")
    again = terminal.type("up", *SINK)
    assert (again.returncode, again.stderr) == (0, "")
    assert "already running" in again.stdout
    assert known["urls"]["store"] in again.stdout
    assert terminal.state.known()["supervisor"] == known["supervisor"]


def test_a_service_is_told_what_its_plan_says_over_the_usual() -> None:
    with folder() as home:
        told = {"identity": {"RAPPORT_PAYMENT_PROVIDERS": "stripe"}}
        plan = Plan(folder=home, ports=ports.free(ports.usual(1)), told=told)
        plan.state.make()
        (kept := home / "plan.json").write_text(plan.text())
        identity, support = (for_service(saved(kept), name, name) for name in ("identity", "support"))
    assert identity["RAPPORT_PAYMENT_PROVIDERS"] == "stripe"
    assert identity["RAPPORT_PUBLIC_URL"] == plan.origin
    assert "RAPPORT_PAYMENT_PROVIDERS" not in support


def test_a_busy_port_is_named_with_its_holder_and_what_to_type(terminal: Terminal) -> None:
    with taken(8025):
        done = terminal.type("up", *SINK)
    assert done.returncode == 1
    assert "Port 8025 is used by" in done.stderr
    assert "./rapport up --ports auto" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_port_is_taken_where_somebody_has_the_usual_one(terminal: Terminal) -> None:
    with taken(8025):
        done = terminal.type("up", "--detach", "--ports", "auto", *SINK)
    assert done.returncode == 0, done.stderr
    assert terminal.state.known()["ports"]["mail"] != 8025


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    try:
        done = Terminal(State(small / "state")).type("up", "--ports", "free", *SINK)
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 1
    assert "8 MB left, and 500 are needed" in done.stderr


def test_a_lock_that_its_holder_left_behind_is_no_hindrance(terminal: Terminal) -> None:
    (terminal.state.folder / "lock").write_text("4711")
    assert terminal.up("mail")["up"]


def test_one_object_is_printed_as_json(terminal: Terminal) -> None:
    done = terminal.type("up", "--detach", "--ports", "free", "--json", *SINK)
    told = json.loads(done.stdout)
    assert (told["ready"], told["urls"]) == (True, terminal.state.known()["urls"])
    assert {step["step"] for step in told["steps"]} == {"mail"}


def test_json_says_what_is_wrong_too(terminal: Terminal) -> None:
    with taken(8025):
        done = terminal.type("up", "--json", *SINK)
    assert "Port 8025" in json.loads(done.stdout)["error"]


@pytest.mark.long
def test_there_are_so_many_of_each_as_are_asked_for(terminal: Terminal) -> None:
    terminal.up("privacy-1,privacy-2,gateway-1,gateway-2", "--replicas", "2")
    assert all(map(terminal.ready, ("privacy-1", "privacy-2", "gateway-1", "gateway-2")))
    assert len({terminal.pid(name) for name in ("privacy-1", "privacy-2", "gateway-1", "gateway-2")}) == 4


def test_every_line_fits_eighty_columns(terminal: Terminal) -> None:
    done = terminal.type("up", "--detach", "--ports", "free", "--only", "prepare,mail", COLUMNS="80")
    assert max(map(len, done.stdout.splitlines())) < 80
    assert {line.split()[1] for line in done.stdout.splitlines() if line.startswith(" ✔")} >= {"preflight", "postgres"}


def test_a_terminal_without_unicode_is_spoken_to_plainly(terminal: Terminal) -> None:
    done = terminal.type("up", "--detach", "--ports", "free", *SINK, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert " + preflight" in done.stdout


def test_an_unknown_setting_is_refused_by_name(terminal: Terminal) -> None:
    done = terminal.type("up", *SINK, RAPPORT_DATABSE_URL="postgresql://localhost/x")
    assert done.returncode == 1
    assert "RAPPORT_DATABSE_URL is no setting" in done.stderr


def test_nothing_is_thrown_away_on_servers_that_are_not_ours(untouched: Terminal) -> None:
    done = untouched.type("up", "--reset", RAPPORT_DATABASE_URL="postgresql://admin@127.0.0.1:1/postgres")
    assert done.returncode == 1
    assert "--reset" in done.stderr


def test_nothing_is_thrown_away_while_it_runs(terminal: Terminal) -> None:
    terminal.up("mail")
    done = terminal.type("up", "--reset", *SINK)
    assert done.returncode == 1
    assert "./rapport down" in done.stderr


def test_reset_begins_anew(untouched: Terminal) -> None:
    kept = untouched.state.folder / "mail/1.eml"
    kept.parent.mkdir()
    kept.write_text("To: ada@example.org\n\nhello\n")
    untouched.up("mail", "--reset")
    assert not kept.exists()


def test_a_folder_of_somebody_else_is_refused(untouched: Terminal) -> None:
    untouched.state.folder.chmod(0o777)
    done = untouched.type("up", *SINK)
    assert done.returncode == 1
    assert "belongs to somebody else" in done.stderr


def test_no_permission_of_the_clone_or_above_is_changed(terminal: Terminal) -> None:
    places = [CLONE, *CLONE.parents, terminal.state.folder.parent]
    before = [(place.stat().st_mode, place.stat().st_uid) for place in places]
    terminal.up("prepare,mail")
    assert [(place.stat().st_mode, place.stat().st_uid) for place in places] == before


def test_a_strict_umask_keeps_nobody_out(untouched: Terminal) -> None:
    untouched.state.folder.rmdir()
    untouched.umask = 0o077
    assert untouched.up("postgres")["up"]


def test_secrets_are_for_their_owner_only(terminal: Terminal) -> None:
    terminal.up("prepare,mail")
    found = [*terminal.state.folder.rglob("secrets/*"), terminal.state.folder / "nats/nats.conf"]
    assert len(found) > 15
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_needs_nobody_else() -> None:
    try:
        subprocess.run([sys.executable, "-c", "import deploy.local"], cwd=CLONE, check=True, user=ORDINARY)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("Python or the clone is in a home that others cannot see into")
    with folder() as home:
        os.chown(home, ORDINARY, ORDINARY)
        one = Terminal(State(home), user=ORDINARY)
        try:
            one.up("prepare,mail")
            assert {os.stat(f"/proc/{pid}").st_uid for pid in one.pids()} == {ORDINARY}
        finally:
            assert one.type("down").returncode == 0
    eventually(lambda: not one.pids(), within=5)
