import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from chassis.client import channel
from chassis.database import Sessions
from tests import engines
from tests.chassis.oracle import Question, Stub
from tests.chassis.test_service import got, until
from tests.engines import free_port

COMMAND = (sys.executable, "-m", "tests.chassis.oracle_process")


@pytest.fixture
def told(tmp_path: Path, sessions: Sessions) -> dict[str, str]:
    """What an oracle is told, whatever else it runs in."""
    url = sessions.kw["bind"].url.set(drivername="postgresql").render_as_string(hide_password=False)
    for name, content in {"url": url, "secret": "a secret of sixteen", "peers": "{}", "mail-key": "3a" * 32}.items():
        (tmp_path / name).write_text(content)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ".:protos/gen",
        "RAPPORT_DATABASE_URL_FILE": str(tmp_path / "url"),
        "RAPPORT_NATS_URL": "nats://127.0.0.1:9",
        "RAPPORT_NATS_USER": "oracle",
        "RAPPORT_NATS_PASSWORD_FILE": str(tmp_path / "secret"),
        "RAPPORT_SERVICE_TOKEN_FILE": str(tmp_path / "secret"),
        "RAPPORT_PAGE_KEY_FILE": str(tmp_path / "secret"),
        "RAPPORT_MAIL_KEY_FILE": str(tmp_path / "mail-key"),
        "RAPPORT_ISSUER": "https://store.example.org",
        "RAPPORT_PEERS": str(tmp_path / "peers"),
        "RAPPORT_LISTEN": f"127.0.0.1:{free_port()}",
        "RAPPORT_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "RAPPORT_DRAIN_SECONDS": "0.7",
    }


@asynccontextmanager
async def oracle(told: Mapping[str, str]) -> AsyncIterator[Process]:
    """The process, ready."""
    # To a file: nobody reads a pipe meanwhile, and a full one would hold the process up.
    with log_of(told).open("wb") as log:
        process = await asyncio.create_subprocess_exec(*COMMAND, env=told, stdout=log, stderr=log)
    try:
        await until(partial(is_ready, process, told))
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def log_of(told: Mapping[str, str]) -> Path:
    return Path(f"{told['RAPPORT_PEERS']}.{port_of(told, 'LISTEN')}.log")


async def is_ready(process: Process, told: Mapping[str, str]) -> bool:
    try:
        return process.returncode is not None or (await got(port_of(told, "METRICS_LISTEN"), "/readyz"))[0] == 200
    except OSError:
        return False


def port_of(told: Mapping[str, str], name: str) -> int:
    return int(told[f"RAPPORT_{name}"].rpartition(":")[2])


async def said(told: Mapping[str, str], *arguments: str) -> tuple[int | None, str]:
    """How a run ends, and what it says."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, env=told, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, (out + err).decode()


async def test_a_process_stops_in_good_order_when_told_to(told: dict[str, str]) -> None:
    async with oracle(told) as process:
        async with channel(told["RAPPORT_LISTEN"], service_token="") as line:
            await Stub(line).Ask(Question())
        _, numbers = await got(port_of(told, "METRICS_LISTEN"), "/metrics")
        assert "\ndb_pool_in_use " in numbers
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)
    events = [json.loads(line)["event"] for line in log_of(told).read_bytes().splitlines() if line.startswith(b"{")]
    assert process.returncode == 0
    assert [one for one in events if one in ("service_started", "rpc_served", "service_stopping")] == [
        "service_started",
        "rpc_served",
        "service_stopping",
    ]


async def test_nobody_notices_that_instances_are_replaced(told: dict[str, str]) -> None:
    others = told | {f"RAPPORT_{name}": f"127.0.0.1:{free_port()}" for name in ("LISTEN", "METRICS_LISTEN")}
    target = f"ipv4:{told['RAPPORT_LISTEN']},{others['RAPPORT_LISTEN']}"
    served: set[str] = set()
    enough = asyncio.Event()

    async with oracle(others), channel(target, service_token="") as line:

        async def call() -> None:
            while not enough.is_set():
                served.add((await Stub(line).Ask(Question(), timeout=5)).text)

        callers = [asyncio.create_task(call()) for _ in range(4)]

        async def have_served(instances: int) -> bool:
            return len(served) == instances or any(one.done() for one in callers)

        async with oracle(told) as first:
            await until(partial(have_served, 2))
            first.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(first.wait(), 20) == 0
        async with oracle(told):
            await until(partial(have_served, 3))
            enough.set()
            await asyncio.gather(*callers)  # not one of their calls failed
    assert len(served) == 3


async def test_a_check_prints_what_it_was_told_and_no_secret(told: dict[str, str]) -> None:
    code, text = await said(told, "--check")
    assert code == 0
    assert f"RAPPORT_LISTEN={told['RAPPORT_LISTEN']}" in text
    assert "RAPPORT_SERVICE_TOKEN_FILE=(set)" in text
    assert "a secret of sixteen" not in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"RAPPORT_LISTN": "x"}, "did you mean RAPPORT_LISTEN?"),
        ({"RAPPORT_PEERS": "nowhere"}, "RAPPORT_PEERS must name a file"),
    ],
)
async def test_a_process_that_is_told_nonsense_says_so_in_a_sentence(
    told: dict[str, str], change: dict[str, str], problem: str
) -> None:
    for arguments in (["--check"], []):
        code, text = await said(told | change, *arguments)
        assert code == 1
        assert problem in text
        assert "Traceback" not in text


async def test_a_process_that_nats_sends_away_fails(told: dict[str, str]) -> None:
    with engines.nats(settings="authorization { user: somebody, password: else }") as url:
        async with oracle(told | {"RAPPORT_NATS_URL": url}) as process:
            assert await asyncio.wait_for(process.wait(), 20) == 1
