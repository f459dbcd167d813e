"""What the chassis adds to a unary call: its whole road (ids, log line, metrics, deadline, token, access, limits)
against a bare grpc.aio handler. As a program it is the server that is measured: python -m tests.bench.calls KIND."""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import uvloop
from google.protobuf import empty_pb2
from joserfc.jwk import OKPKey
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import (
    IdentityServiceServicer,
    IdentityServiceStub,
    add_IdentityServiceServicer_to_server,
)

from chassis import log, telemetry
from chassis.server import listening
from chassis.settings import Secret, ServiceSettings
from chassis.time import system_clock
from tests import tokens
from tests.bench.figures import ROUNDS, Figure, ratio
from tests.world import token_of

ADA = UUID(int=0xADA, version=4)
REPLY = pb.User(name=f"users/{ADA}", email="ada@example.org", state=pb.User.ACTIVE, etag="7")
REQUEST = pb.GetUserRequest(name=REPLY.name)
CALLS, CALLERS = 4_000, 16
KINDS = ("bare", "chassis")


class Empty(IdentityServiceServicer):
    """Answers, and does nothing for it."""

    async def GetUser(self, request: pb.GetUserRequest, context: Any) -> pb.User:  # noqa: ARG002
        return REPLY

    async def BeginRegistration(self, request: pb.BeginRegistrationRequest, context: Any) -> empty_pb2.Empty:  # noqa: ARG002
        return empty_pb2.Empty()


Empty.__abstractmethods__ = frozenset()


@asynccontextmanager
async def bare() -> AsyncIterator[int]:
    server = grpc.aio.server()
    add_IdentityServiceServicer_to_server(Empty(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(0)


@asynccontextmanager
async def chassis(key: str) -> AsyncIterator[int]:
    tokens.KEY = OKPKey.import_key(json.loads(key))
    with tempfile.TemporaryDirectory() as folder:
        peers = Path(folder, "peers.json")
        known = {"operator": b"operator", "gateway": token_of("gateway").encode()}
        told = json.dumps({name: sha256(token).hexdigest() for name, token in known.items()})
        peers.write_text(told)  # noqa: ASYNC240 - at the start
        settings = ServiceSettings(
            listen="127.0.0.1:0",
            metrics_listen="",
            issuer="https://store.example.org",
            database_url=Secret(""),
            nats_url="",
            nats_user="",
            nats_password=Secret(""),
            service_token=Secret(""),
            peers=peers,
            page_key=Secret("a page key for tests"),
            mail_key=Secret("3a" * 32),
            drain_seconds=0,
        )
        telemetry.started("bench", "bench")
        async with listening(
            "identity",
            [pb.DESCRIPTOR],
            [(add_IdentityServiceServicer_to_server, Empty())],  # type: ignore[abstract]
            settings,
            clock=system_clock,
            keys=tokens.keys,
            revoked=frozenset(),
        ) as port:
            yield port


async def serve(kind: str) -> None:
    """Serve, and say on every line that is read how much CPU that has taken."""
    loop = asyncio.get_running_loop()
    key = await loop.run_in_executor(None, sys.stdin.readline)
    with open("/dev/null", "wb") as nowhere:  # noqa: ASYNC230 - opened once, at the start
        log.configure("bench", "bench", stream=nowhere)
        async with bare() if kind == "bare" else chassis(key) as port:
            print(port, flush=True)
            while await loop.run_in_executor(None, sys.stdin.readline):
                used = resource.getrusage(resource.RUSAGE_SELF)
                print(used.ru_utime + used.ru_stime, flush=True)


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.calls", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.ask(json.dumps(tokens.KEY.as_dict(private=True))))

    def ask(self, line: str = "") -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def cpu(self) -> float:
        return float(self.ask())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


async def load(port: int, calls: int) -> None:
    """So many calls, by so many callers at once."""
    metadata = tokens.as_user(ADA, now=system_clock())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = IdentityServiceStub(channel)

        async def caller() -> None:
            for _ in range(calls // CALLERS):
                await stub.GetUser(REQUEST, metadata=metadata, timeout=10)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))


def measured() -> list[Figure]:
    servers = {kind: Server(kind) for kind in KINDS}
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        for server in servers.values():
            uvloop.run(load(server.port, CALLS // 2))
        for _ in range(ROUNDS):
            for kind, server in servers.items():
                before = server.cpu()
                uvloop.run(load(server.port, CALLS))
                costs[kind].append((server.cpu() - before) / CALLS * 1e6)
    finally:
        for server in servers.values():
            server.end()
    call = ratio(
        "server CPU of a unary call, whole chassis / bare handler", costs["chassis"], costs["bare"], bound=1.67
    )
    return [call]


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
