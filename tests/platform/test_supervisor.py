"""Whoever owns the processes takes them along when it goes, and brings back whoever goes without it."""

import os
import signal
import subprocess

import pytest

from tests.platform.conftest import PATIENCE, Terminal, eventually

ENGINES = "prepare,mail"
KILLED = signal.SIGKILL
LONG = pytest.mark.long  # every one of these starts engines of its own


def test_killing_the_supervisor_leaves_no_process(terminal: Terminal) -> None:
    known = terminal.up(ENGINES)
    assert len(terminal.pids()) >= 4
    os.kill(known["supervisor"], KILLED)
    eventually(lambda: not terminal.pids(), within=5)


@LONG
def test_killing_the_terminal_leaves_no_process(terminal: Terminal) -> None:
    process = terminal.start("up", "--ports", "free", "--only", ENGINES)
    eventually(terminal.is_up, within=PATIENCE)
    process.kill()
    eventually(lambda: not terminal.pids(), within=10)


def test_ctrl_c_stops_everything(terminal: Terminal) -> None:
    process = terminal.start("up", "--ports", "free", "--only", ENGINES)
    eventually(terminal.is_up, within=PATIENCE)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert "everything has stopped" in out
    assert not terminal.pids()


def test_down_stops_everything_and_keeps_the_data(terminal: Terminal) -> None:
    terminal.up(ENGINES)
    done = terminal.type("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert "everything has stopped" in done.stdout
    assert not terminal.pids()
    assert (terminal.state.folder / "postgres/data/PG_VERSION").exists()
    assert "not running" in terminal.type("down").stdout


@pytest.mark.parametrize("name", ["postgres", pytest.param("nats", marks=LONG), pytest.param("mail", marks=LONG)])
def test_a_killed_process_is_back_within_five_seconds(terminal: Terminal, name: str) -> None:
    terminal.up(ENGINES)
    before = terminal.pid(name)
    os.kill(before, KILLED)
    eventually(lambda: terminal.pid(name) not in (0, before) and terminal.ready(name), within=5)


@LONG
def test_a_killed_server_and_supervisor_start_again(terminal: Terminal) -> None:
    known = terminal.up(ENGINES)
    for victim in (terminal.pid("postgres"), known["supervisor"]):
        os.kill(victim, KILLED)
    eventually(lambda: not terminal.pids(), within=5)
    assert terminal.up(ENGINES)["up"]


@LONG
def test_a_note_of_a_server_whose_number_somebody_else_has_is_no_hindrance(terminal: Terminal) -> None:
    terminal.up("postgres")
    assert terminal.type("down").returncode == 0
    note = terminal.state.folder / "postgres/data/postmaster.pid"
    with subprocess.Popen(["sleep", "60"], user=note.parent.stat().st_uid) as other:
        note.write_text(f"{other.pid}\n{note.parent}\n1\n5432\n\n127.0.0.1\n")
        assert terminal.up("postgres")["up"]
        other.kill()


def test_a_process_that_does_not_start_shows_its_last_lines(terminal: Terminal) -> None:
    terminal.up("postgres")
    assert terminal.type("down").returncode == 0
    version = terminal.state.folder / "postgres/data/PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    done = terminal.type("up", "--ports", "free", "--only", "postgres")
    assert done.returncode == 1
    assert "database files are incompatible with server" in done.stderr
    assert str(terminal.state.log("postgres")) in done.stderr
    assert not terminal.pids()
    version.write_text(right)


def test_no_log_grows_without_end(terminal: Terminal) -> None:
    terminal.up("mail")
    log = terminal.state.log("mail")
    with log.open("ab") as file:
        file.write(b"a line\n" * (2 << 20))
    eventually(lambda: log.stat().st_size == 0, within=10)
    assert log.with_suffix(".1.log").stat().st_size >= 8 << 20
