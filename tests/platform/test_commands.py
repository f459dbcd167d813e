"""What can be asked of a platform that runs, typed as a person types it."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.commands.logs import Show
from deploy.local.ports import SERVICES
from deploy.local.state import State
from deploy.local.throwaway import folder
from tests.platform.conftest import Terminal, clear, eventually


@pytest.fixture(scope="module")
def shop() -> Iterator[Terminal]:
    """The whole platform, up."""
    with folder() as home:
        one = Terminal(State(home))
        try:
            done = one.type("up", "--detach", "--ports", "free")
            assert done.returncode == 0, done.stdout + done.stderr
            yield one
        finally:
            one.type("down")
            clear(one)


def test_status_shows_every_process_and_that_it_answers(shop: Terminal) -> None:
    shown = shop.type("status")
    assert shown.returncode == 0, shown.stdout
    told = json.loads(shop.type("status", "--json").stdout)
    assert {*SERVICES, "gateway", "postgres", "nats", "mail"} <= {one["name"] for one in told["processes"]}
    assert all(one["answers"] and one["name"] in shown.stdout for one in told["processes"])
    assert max(map(len, shown.stdout.splitlines())) < 80


def test_doctor_finds_nothing_wrong(shop: Terminal) -> None:
    done = shop.type("doctor")
    assert done.returncode == 0, done.stdout
    assert re.search(r"databases +up to date", done.stdout)


def test_doctor_finds_the_provider_safe_and_says_what_makes_it_unsafe(shop: Terminal) -> None:
    done = shop.type("doctor", "--security")
    assert done.returncode == 0, done.stdout
    assert re.search(r"audit log +\d+ entries in one chain", done.stdout)
    loose = json.dumps({"title": "A suite", "profile": "CONFORMANCE", "redirectUris": ["https://suite.example/cb"]})
    made = shop.type("call", "PATCH", "/v1/clients/suite", "--as", "alma", "--data", loose)
    secret = shop.state.secret("token-operator")
    secret.chmod(0o644)
    found = shop.type("doctor", "--security")
    secret.chmod(0o600)
    gone = shop.type("call", "DELETE", "/v1/clients/suite", "--as", "alma")
    assert (made.returncode, found.returncode, gone.returncode) == (0, 1, 0), made.stdout + found.stdout
    assert "clients/suite need not use PKCE" in found.stdout
    assert "others may read token-operator" in found.stdout


def test_a_call_is_made_as_nobody_or_as_somebody(shop: Terminal) -> None:
    nobody = shop.type("call", "GET", "/session")
    assert (nobody.returncode, nobody.stderr.strip()) == (1, "401 Unauthorized")
    assert json.loads(nobody.stdout)["reason"] == "SIGN_IN_NEEDED"
    ravi = shop.type("call", "GET", "/session", "--as", "ravi")
    assert ravi.returncode == 0, ravi.stdout
    assert json.loads(ravi.stdout)["roles"] == ["agent"]


def test_a_call_carries_a_body(shop: Terminal) -> None:
    done = shop.type("call", "post", "/v1/registrations:begin", "--data", '{"email": "eve@example.org"}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {})
    wrong = shop.type("call", "POST", "/v1/registrations:begin", "--data", '{"emial": "eve@example.org"}')
    assert (wrong.returncode, wrong.stderr.strip()) == (1, "400 Bad Request")


def test_a_call_as_somebody_unknown_names_those_there_are(shop: Terminal) -> None:
    done = shop.type("call", "GET", "/session", "--as", "mallory")
    assert done.returncode == 1
    assert "ada, bo, ravi, pia, alma" in done.stderr


def test_users_are_brought_in_though_identity_is_killed_meanwhile(shop: Terminal, tmp_path: Path) -> None:
    """Nobody twice and nobody lost: a dry run after it finds all of them there."""
    file = tmp_path / "users.csv"
    hashed = "md5$$88a434c88cca4e900f7874cd98123f43"  # which is hashed again: that takes a while
    rows = [f"p{number}@example.org,true,{hashed}" for number in range(300)]
    file.write_text("\n".join(["email,email_verified,password_hash", *rows, "no address,,", ""]))
    dry = shop.type("import-users", str(file), "--dry-run")
    assert dry.returncode == 1, dry.stderr
    assert dry.stdout.splitlines()[-2:] == [
        "line 302: EMAIL_MALFORMED (user.email)",
        "300 would be created (0 of them choose a password by a mailed link), 0 there before, 1 refused",
    ]
    run = shop.start("import-users", str(file), "--json")

    def has_begun() -> bool:
        told = json.loads(shop.type("call", "GET", "/v1/userImports", "--as", "alma").stdout)
        return any(int(one.get("createdCount", 0)) > 0 and one["state"] == "RUNNING" for one in told["userImports"])

    eventually(has_begun, within=60)
    os.kill(shop.pid("identity"), signal.SIGKILL)
    said, _ = run.communicate(timeout=120)
    told = json.loads(said)
    assert (run.returncode, told["created"], told["existing"], len(told["refused"])) == (1, 300, 0, 1)
    again = json.loads(shop.type("import-users", str(file), "--dry-run", "--json").stdout)
    assert (again["created"], again["existing"]) == (0, 300)
    assert hashed not in "".join(path.read_text() for path in shop.state.folder.rglob("*.log"))


def test_the_clock_moves_forward_for_everyone(shop: Terminal) -> None:
    before = shop.type("clock", "show").stdout
    moved = shop.type("clock", "advance", "30d")
    assert moved.returncode == 0, moved.stderr
    assert shop.type("clock").stdout[:7] != before[:7]  # another month
    session = json.loads(shop.type("call", "GET", "/v1/users", "--as", "alma").stdout)
    assert session["users"]  # signing in works by the new time, in the gateway and in identity


def test_the_clock_waits_for_a_process_that_is_just_coming_back(shop: Terminal) -> None:
    os.kill(shop.pid("loyalty"), signal.SIGKILL)
    moved = shop.type("clock", "advance", "1s")
    assert moved.returncode == 0, moved.stderr


def test_the_clock_does_not_go_back(shop: Terminal) -> None:
    assert (
        "no duration" in shop.type("clock", "advance", "-1d").stderr + shop.type("clock", "advance", "yesterday").stderr
    )


def test_events_are_shown_as_they_happen(shop: Terminal) -> None:
    tail = shop.start("events", "tail", "rapport.identity.v1.>")
    assert tail.stdout is not None
    eventually(lambda: listening(shop, "reader"), within=20)
    shop.type("call", "GET", "/session", "--as", "bo")
    line = tail.stdout.readline()
    assert "rapport.identity.v1.SessionCreated" in line
    assert '"user": "users/' in line
    tail.kill()


def test_the_shop_tells_of_an_order(shop: Terminal) -> None:
    sent = shop.type("events", "send", "order.placed", "--as", "bo", "--order", "S-77")
    assert (sent.returncode, sent.stdout) == (0, "order.placed: order S-77 of bo\n")
    user = json.loads(shop.type("call", "GET", "/session", "--as", "bo").stdout)["user"]

    def known() -> bool:
        return "S-77" in shop.type("call", "GET", f"/v1/{user}/orders", "--as", "bo").stdout

    eventually(known, within=20)


def listening(shop: Terminal, user: str) -> bool:
    monitor = shop.state.known()["ports"]["nats-monitor"]
    known = httpx.get(f"http://127.0.0.1:{monitor}/connz?subs=true&auth=true").json()
    return any(one.get("authorized_user") == user and one["subscriptions"] for one in known["connections"])


def test_logs_are_shown_of_all_or_of_one(shop: Terminal) -> None:
    everything = shop.type("logs").stdout
    assert {line.split()[0] for line in everything.splitlines()} >= {*SERVICES, "gateway", "nats"}
    one = shop.type("logs", "identity").stdout.splitlines()
    assert all(json.loads(line) for line in one if line.startswith("{"))
    assert "there is no such log" in shop.type("logs", "nobody").stderr


def test_a_log_line_is_readable_on_a_terminal() -> None:
    said = {"timestamp": "2026-11-23T21:07:30Z", "level": "error", "event": "rpc_failed", "code": "INTERNAL"}
    line = json.dumps(said | {"trace_id": "0af7", "exception": "  File a\n  File b"})
    assert (
        Show(0, readable=True, colour=False).line(line) == "21:07:30 error rpc_failed code=INTERNAL\n  File a\n  File b"
    )
    assert Show(0, readable=False, colour=False).line(line) == line


def test_logs_go_on_with_what_comes(shop: Terminal) -> None:
    follow = shop.start("logs", "gateway", "--follow")
    assert follow.stdout is not None
    path = shop.state.log("gateway")
    known = len(path.read_text().splitlines()[-200:])
    for _ in range(known):
        follow.stdout.readline()
    with path.open("a") as file:
        file.write("something new\n")
    while (line := follow.stdout.readline()) != "something new\n":
        assert line
    follow.kill()


def test_store_data_is_brought_in_once(shop: Terminal) -> None:
    done = shop.type("apply", str(Path("deploy/store").resolve()))
    assert (done.returncode, done.stdout.strip()) == (0, "nothing to change")


@pytest.mark.long
@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_a_killed_service_is_back_within_five_seconds(shop: Terminal, name: str) -> None:
    before = shop.pid(name)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: shop.pid(name) not in (0, before) and shop.ready(name), within=5)


def test_asking_a_platform_that_does_not_run_says_how_to_start_it(tmp_path: Path) -> None:
    one = Terminal(State(tmp_path / "none"))
    for command in (("call", "GET", "/"), ("clock",), ("events", "tail"), ("apply", "deploy/store")):
        done = one.type(*command)
        assert (done.returncode, done.stderr) == (1, "rapport: It is not running. Type: ./rapport up\n")
    assert "It is not running" in one.type("status").stdout
