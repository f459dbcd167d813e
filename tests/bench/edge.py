"""What the gateway costs a request, beside Envoy's grpc_json_transcoder, with the same service behind both.

As a program it is that service: python -m tests.bench.edge."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceServicer, add_SupportServiceServicer_to_server

from deploy.local.ready import answers
from deploy.local.state import CLONE
from tests import engines
from tests.bench.figures import ROUNDS, Figure, ratio

ADA = f"users/{UUID(int=0xADA, version=4)}"
REQUESTS, CALLERS = 2_000, 8
CONTRACTS = CLONE / "protos/gen/rapport.binpb"
FILTERS = "type.googleapis.com/envoy.extensions.filters"
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 30.0


def ticket() -> pb.Ticket:
    return pb.Ticket(
        name=f"{ADA}/tickets/{uuid4()}",
        order=f"{ADA}/orders/A-1001",
        kind=pb.Ticket.CLAIM,
        title="The lamp arrived broken",
        body="It fell out of the box, and the shade is cracked on one side. " * 8,
        state=pb.Ticket.OPEN,
        create_time=Timestamp(seconds=1_780_000_000),
        update_time=Timestamp(seconds=1_780_000_100, nanos=123_000_000),
        etag="c29tZXRoaW5n",
    )


ONE, FIFTY = ticket(), pb.ListTicketsResponse(tickets=[ticket() for _ in range(50)])
PATHS = {"one ticket": f"/v1/{ONE.name}", "a list of 50": f"/v1/{ADA}/tickets"}


class Tickets(SupportServiceServicer):
    async def GetTicket(self, request: pb.GetTicketRequest, context: Any) -> pb.Ticket:  # noqa: ARG002
        return ONE

    async def ListTickets(self, request: pb.ListTicketsRequest, context: Any) -> pb.ListTicketsResponse:  # noqa: ARG002
        return FIFTY


Tickets.__abstractmethods__ = frozenset()


async def serve() -> None:
    server = grpc.aio.server()
    add_SupportServiceServicer_to_server(Tickets(), server)  # type: ignore[abstract]
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


# The two that are compared -------------------------------------------------------------------------------------------


@contextmanager
def gateway(backend: int, folder: Path, proof: str = "none") -> Iterator[tuple[int, int]]:
    """Ours, as it is run: its process id and port."""
    port, secret = engines.free_port(), folder / "secret"
    secret.write_text(proof)
    told = {
        "RAPPORT_LISTEN": f"127.0.0.1:{port}",
        "RAPPORT_METRICS_LISTEN": f"127.0.0.1:{engines.free_port()}",
        "RAPPORT_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RAPPORT_NATS_URL": "nats://127.0.0.1:9",
        "RAPPORT_NATS_USER": "",
        "RAPPORT_DRAIN_SECONDS": "0",
        **{f"RAPPORT_{name}_FILE": str(secret) for name in ("NATS_PASSWORD", "SERVICE_TOKEN")},
        **{
            f"RAPPORT_{name}_TARGET": f"ipv4:127.0.0.1:{backend}"
            for name in ("IDENTITY", "SUPPORT", "PRIVACY", "LOYALTY")
        },
    }
    with running([sys.executable, "-m", "gateway"], folder, told) as pid:
        until_open(port)
        yield pid, port


@contextmanager
def envoy(backend: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Envoy with one worker, as its documentation sets the filter up."""
    port, config = engines.free_port(), folder / "envoy.json"
    config.write_text(json.dumps(envoy_config(port, backend)))
    program = Path(sysconfig.get_path("purelib")) / "envoy/_bin/envoy"
    command = [str(program), "-c", str(config), "--concurrency", "1", "-l", "error", "--base-id", str(port)]
    with running(command, folder, {}) as pid:
        yield pid, port


def envoy_config(port: int, backend: int) -> dict[str, Any]:
    transcoder = {
        "@type": f"{FILTERS}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(CONTRACTS),
        "services": ["rapport.support.v1.SupportService"],
        "print_options": {"always_print_primitive_fields": True},
        "convert_grpc_status": True,
    }
    router = {"@type": f"{FILTERS}.http.router.v3.Router"}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "10s"}}
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(backend)}}]}],
        },
    }
    listener = {
        "address": address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def running(command: list[str], folder: Path, told: dict[str, str]) -> Iterator[int]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    paths = os.pathsep.join([str(CLONE), str(CLONE / "protos/gen")])
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(
            command, cwd=CLONE, env=inherited | told | {"PYTHONPATH": paths}, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(PATIENCE)


# Measuring -----------------------------------------------------------------------------------------------------------


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def load(port: int, path: str, requests: int) -> None:
    """So many requests over connections that stay open."""

    def caller() -> None:
        try:
            ask(port, path, requests // CALLERS)
        except (OSError, RuntimeError, http.client.HTTPException) as problem:
            failures.append(problem)

    failures: list[Exception] = []
    callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    if failures:
        raise failures[0]


def ask(port: int, path: str, requests: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(requests):
        connection.request("GET", path, headers={"authorization": "Bearer of.a.token"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or not body:
            raise RuntimeError(f"{answer.status} {body[:200]!r}")
    connection.close()


def until_open(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while not asyncio.run(answers(f"tcp://127.0.0.1:{port}")):
        if time.monotonic() > until:
            raise RuntimeError(f"Nobody listens on port {port}.")
        time.sleep(0.1)


def until_up(port: int, path: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            load(port, path, CALLERS)
        except (OSError, RuntimeError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def measured() -> list[Figure]:
    command = [sys.executable, "-m", "tests.bench.edge"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service,
        ExitStack() as stack,
    ):
        assert service.stdout is not None
        backend = int(service.stdout.readline())
        edges = {
            "gateway": stack.enter_context(gateway(backend, Path(folder))),
            "envoy": stack.enter_context(envoy(backend, Path(folder))),
        }
        costs = {(name, what): [] for name in edges for what in PATHS}  # type: dict[tuple[str, str], list[float]]
        for _, port in edges.values():
            for path in PATHS.values():
                until_up(port, path)
                load(port, path, REQUESTS // 4)
        for _ in range(ROUNDS):
            for what, path in PATHS.items():
                for name, (pid, port) in edges.items():
                    before = cpu(pid)
                    load(port, path, REQUESTS)
                    costs[name, what].append((cpu(pid) - before) / REQUESTS * 1e6)
        assert service.stdin is not None
        service.stdin.close()
    return [compared(what, costs) for what in PATHS]


def compared(what: str, costs: dict[tuple[str, str], list[float]]) -> Figure:
    name = f"CPU of a transcoded request, {what}, gateway / Envoy"
    return ratio(name, costs["gateway", what], costs["envoy", what], bound=3)


if __name__ == "__main__":
    uvloop.run(serve())
