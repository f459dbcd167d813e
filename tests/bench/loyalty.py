"""How much the ledger takes, beside what its PostgreSQL takes of the barest work. Client, service and database share
the machine; PostgreSQL flushes to the disk at every commit; both sides of a ratio are measured in one round.

The service's rate is for the whole operation: journal, lots, moves, balance, event, seal. Relaying what it stated is
not in it: that is measured by `./rapport bench events`. As a program it is the service that is called:
python -m tests.bench.loyalty DATABASE_URL.
"""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import uvloop
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from rapport.loyalty.v1 import ledger_pb2 as ledger_pb
from rapport.loyalty.v1 import loyalty_pb2 as pb
from rapport.loyalty.v1.ledger_pb2_grpc import LedgerServiceStub
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from sqlalchemy import text

from chassis import collector, log
from chassis.database import Sessions, connect
from chassis.migrations import upgrade
from chassis.service import serving
from chassis.settings import Secret
from chassis.time import system_clock
from deploy.local.postgres import INSTALLED, WHEEL
from services.loyalty.__main__ import service
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Earn, Redeem, Request, Whose
from services.loyalty.ledger.writer import Writer
from services.loyalty.models import Kind
from services.loyalty.settings import Settings
from tests import engines
from tests.bench.figures import ROUNDS, Figure, ratio
from tests.world import as_service, settings

SAFE = (
    "fsync = on",
    "synchronous_commit = on",
    "full_page_writes = on",
    "shared_buffers = 512MB",
    "max_wal_size = 4GB",
)
SECONDS = 3.0
MEMBERS = 2_000
PGBENCH = WHEEL / INSTALLED / "bin/pgbench"
TWO_ROWS = "INSERT INTO two (a, b) VALUES (1, 2)"
FLOOR = f"BEGIN;\n{TWO_ROWS};\n{TWO_ROWS};\nCOMMIT;\n"
ONE_STATEMENT = f"{TWO_ROWS}, (3, 4);\n"
Act = Callable[[], Awaitable[object]]


class Rate:
    """How often something was done a second, and how long each took."""

    def __init__(self, seconds: float, took: list[float]) -> None:
        took.sort()
        self.count, self.each = len(took), len(took) / seconds
        self.batch = 1.0  # operations that were committed at once
        self.p50, self.p99 = (took[int(len(took) * part)] * 1e3 for part in (0.5, 0.99))


async def driven(act: Act, callers: int, seconds: float = SECONDS, most: int = 1_000_000) -> Rate:
    """`act` by so many callers at once, for a while and no longer."""
    took: list[float] = []
    began = time.monotonic()

    async def caller() -> None:
        while time.monotonic() - began < seconds and len(took) < most:
            start = time.perf_counter()
            await act()
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return Rate(time.monotonic() - began, took)


def pgbench(url: str, script: str) -> float:
    """Transactions a second of 32 clients."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        said = [PGBENCH, "-n", "-M", "prepared", "-c", "32", "-j", "2", "-T", str(int(SECONDS)), "-f", file.name, url]
        told = subprocess.run([str(one) for one in said], capture_output=True, text=True, check=True).stdout
    return float(next(line for line in told.splitlines() if line.startswith("tps")).split()[2])


# The core ------------------------------------------------------------------------------------------------------------


def earn(user: UUID, points: int = 10) -> Earn:
    return Earn(account=Whose(user, "points"), scope="request", key=str(uuid4()), kind=Kind.GOODWILL, points=points)


def asked(users: Sequence[UUID], most: int = 60_000) -> Callable[[], Request]:
    """What callers ask next, made before the time is taken."""
    return iter([mixed(users) for _ in range(most)]).__next__


def mixed(users: Sequence[UUID]) -> Request:
    """One half earns, the other spends."""
    user = random.choice(users)
    if random.random() < 0.5:
        return earn(user)
    return Redeem(account=Whose(user, "points"), scope="request", key=str(uuid4()), points=5)


class TwoRows(Writer):
    """The same queue and the same commits, for two rows an operation and nothing else."""

    async def posted(self, requests: Sequence[Request]) -> list[Any]:
        async with self.sessions.begin() as session:
            raw = await (await session.connection()).get_raw_connection()
            driver: Any = raw.driver_connection
            await session.connection()
            await driver.copy_records_to_table("two", columns=("a", "b"), records=[(1, 2)] * (2 * len(requests)))
        return [None] * len(requests)


@asynccontextmanager
async def furnished(url: str) -> AsyncIterator[tuple[Sessions, list[UUID]]]:
    """Members with enough to spend."""
    engine, sessions = connect(url, name="bench", most=16)
    writer, users = Writer(sessions, system_clock), [uuid4() for _ in range(MEMBERS)]
    for start in range(0, MEMBERS, 200):
        await writer.post_all([earn(user, 1_000_000) for user in users[start : start + 200]])
    await analyse(url)
    yield sessions, users
    await engine.dispose()


async def core(url: str) -> dict[str, Rate]:
    """The ledger without a wire, by callers at once: gathered into batches, and each on its own."""
    async with furnished(url) as (sessions, users):
        writer, two, any_one = Writer(sessions, system_clock), TwoRows(sessions, system_clock), [mixed(users)]

        async def alone(request: Request) -> None:
            async with sessions.begin() as session:
                await post(session, [request], now=system_clock())

        before = await seals(sessions)
        many = await posted(users, writer.post, 256)
        many.batch = many.count / (await seals(sessions) - before)
        return {
            "256": many,
            "64": await posted(users, writer.post, 64),
            "alone": await posted(users, alone, 16),
            "two 256": await driven(lambda: two.post_all(any_one), 256),
        }


async def seals(sessions: Sessions) -> int:
    """How many batches were committed so far."""
    async with sessions() as session:
        return await session.scalar(text("SELECT number FROM chain")) or 0


async def is_flushed(url: str) -> float:
    """Whether PostgreSQL flushes to the disk at every commit: 1."""
    engine, sessions = connect(url, name="bench")
    async with sessions() as session:
        said = [
            await session.scalar(text(f"SHOW {one}")) for one in ("fsync", "synchronous_commit", "full_page_writes")
        ]
    await engine.dispose()
    return float(said == ["on"] * 3)


async def posted(users: Sequence[UUID], post: Callable[[Request], Awaitable[object]], callers: int) -> Rate:
    ask = asked(users)
    return await driven(lambda: post(ask()), callers)


def core_figures(url: str) -> list[Figure]:
    floor, one, rates = [], [], []
    collector.work()  # as a service does when it starts
    for _ in range(ROUNDS):
        floor.append(pgbench(url, FLOOR))
        one.append(pgbench(url, ONE_STATEMENT))
        rates.append(uvloop.run(core(url)))
    full, small = [one["256"].each for one in rates], [one["64"].each for one in rates]
    alone, two = [one["alone"].each for one in rates], [one["two 256"].each for one in rates]
    return [
        ratio("R1: ledger, 256 callers / two inserts a transaction, 32 clients", full, floor, bound=1.0, is_least=True),
        ratio("R2: ledger, 256 callers / the two rows as one statement", full, one, bound=0.45, is_least=True),
        ratio("R3: ledger, 64 callers, gathered / a transaction each", small, alone, bound=3, is_least=True),
        ratio("R1 of two rows an operation and no more, 256 callers", two, floor),
        ratio("R2 of two rows an operation and no more, 256 callers", two, one),
        Figure("fsync, synchronous_commit and full_page_writes are on", "", [asyncio.run(is_flushed(url))]),
        Figure("ledger, 256 callers, operations a batch", "", [one["256"].batch for one in rates]),
        Figure("ledger, 256 callers, p50", "ms", [one["256"].p50 for one in rates]),
        Figure("ledger, 256 callers, p99", "ms", [one["256"].p99 for one in rates]),
    ]


# Over the wire -------------------------------------------------------------------------------------------------------


async def serve(url: str) -> None:
    """The service alone, until it is told no more; NATS is away."""
    with tempfile.TemporaryDirectory() as folder, open("/dev/null", "wb") as nowhere:  # noqa: ASYNC230 - at the start
        told = settings(
            Settings, Path(folder), name="loyalty", database=url, identity_target="127.0.0.1:9",
            public_url="https://store.example.org", bonus_key=Secret(bytes(32).hex()),
        )  # fmt: skip
        log.configure("loyalty", "bench", stream=nowhere)
        collector.work()
        _, sessions = connect(url, name="loyalty")
        composed = service(told, sessions, system_clock)
        async with serving(composed, told) as served:
            print(served.port, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def served(url: str) -> Iterator[tuple[int, int]]:
    """The port of the service in a process of its own, and its id."""
    command = [sys.executable, "-m", "tests.bench.loyalty", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.stdin.close()
        process.wait(20)


OPERATOR = as_service("operator")


async def over_the_wire(port: int, users: Sequence[UUID]) -> dict[str, Rate]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        loyalty, ledger = LoyaltyServiceStub(channel), LedgerServiceStub(channel)
        health: Any = HealthStub(channel)

        def asked() -> pb.EarnPointsRequest:
            parent = f"users/{random.choice(users)}/pointsAccount"
            return pb.EarnPointsRequest(parent=parent, points=10, request_id=str(uuid4()))

        async def batch() -> None:
            postings = [ledger_pb.Posting(earn=asked()) for _ in range(100)]
            request = ledger_pb.BatchPostRequest(postings=postings)
            told = await ledger.BatchPost(request, metadata=OPERATOR, timeout=20)
            assert all(one.HasField("movement") for one in told.posted)

        return {
            "empty": await driven(lambda: health.Check(HealthCheckRequest(), timeout=20), 64),
            "earn": await driven(lambda: loyalty.EarnPoints(asked(), metadata=OPERATOR, timeout=20), 64),
            "batch": await driven(batch, 8),
        }


def wire_figures(url: str) -> list[Figure]:
    users = [uuid4() for _ in range(MEMBERS)]
    floor, rates, memory = [], [], []
    with served(url) as (port, pid):
        uvloop.run(over_the_wire(port, users))  # everybody has an account, everything is warm
        for _ in range(ROUNDS):
            floor.append(pgbench(url, FLOOR))
            rates.append(uvloop.run(over_the_wire(port, users)))
            memory.append(resident(pid))
    earned, empty = [one["earn"].each for one in rates], [one["empty"].each for one in rates]
    batched = [one["batch"].each * 100 for one in rates]
    return [
        ratio("EarnPoints, 64 callers / an empty call of the same server", earned, empty, bound=0.5, is_least=True),
        ratio("BatchPost of 100 / two inserts a transaction, 32 clients", batched, floor, bound=0.8, is_least=True),
        Figure("EarnPoints, 64 callers, p50", "ms", [one["earn"].p50 for one in rates]),
        Figure("EarnPoints, 64 callers, p99", "ms", [one["earn"].p99 for one in rates]),
        Figure("memory of the service under load", "MB", memory, bound=300),
    ]


def resident(pid: int) -> float:
    """The most that the process had in memory so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


# With many lots ------------------------------------------------------------------------------------------------------

LOT = ("id", "account_id", "operation_id", "origin", "priority", "available_time", "amount", "pending", "open", "held",
       "spent", "expired", "reversed", "absorbed", "removed", "clawed")  # fmt: skip


async def seeded(url: str, members: int, lots: int) -> list[UUID]:
    """Members with so many lots each, by COPY."""
    connection: Any = await asyncpg.connect(url)  # type: ignore[no-untyped-call]
    users, accounts, now = [uuid4() for _ in range(members)], [uuid4() for _ in range(members)], system_clock()
    columns = ("id", "currency", "available", "pending", "held", "arrears", "create_time")
    rows = [(account, "points", 100 * lots, 0, 0, 0, now) for account in accounts]
    await connection.copy_records_to_table("account", columns=columns, records=rows)
    mapped = [(user, "points", account) for user, account in zip(users, accounts, strict=True)]
    await connection.copy_records_to_table("member", columns=("user_id", "currency", "account_id"), records=mapped)
    each = (
        (lot := uuid4(), account, lot, "GOODWILL", 100, now, 100, 0, 100, 0, 0, 0, 0, 0, 0, 0)
        for account in accounts
        for _ in range(lots)
    )
    await connection.copy_records_to_table("lot", columns=LOT, records=each)
    await connection.close()
    await analyse(url)
    return users


async def analyse(url: str) -> None:
    """What autovacuum does a minute after a table has grown."""
    connection: Any = await asyncpg.connect(url)  # type: ignore[no-untyped-call]
    await connection.execute("ANALYZE")
    await connection.close()


async def rate_of(url: str, users: Sequence[UUID]) -> float:
    engine, sessions = connect(url, name="bench")
    writer = Writer(sessions, system_clock)
    rate = await posted(users, writer.post, 64)
    await engine.dispose()
    return 1e6 / rate.each


async def redemption(url: str, user: UUID, times: int = 30) -> float:
    """Milliseconds of one redemption after the other by one member: the median."""
    engine, sessions = connect(url, name="bench")
    writer = Writer(sessions, system_clock)

    async def redeem() -> None:
        key = str(uuid4())
        await writer.post(Redeem(account=Whose(user, "points"), scope="request", key=key, points=5))

    rate = await driven(redeem, 1, seconds=20, most=times)
    await engine.dispose()
    return rate.p50


def scale_figures(postgres: str, *, lots: int = 1_000_000) -> list[Figure]:
    few, many, alone = (database(postgres) for _ in range(3))
    some, crowd = uvloop.run(seeded(few, 1_000, 10)), uvloop.run(seeded(many, lots // 10, 10))
    [small], [large] = uvloop.run(seeded(alone, 1, 10)), uvloop.run(seeded(alone, 1, 10_000))
    costs: dict[str, list[float]] = {"few": [], "many": [], "small": [], "large": []}
    for _ in range(ROUNDS):
        costs["few"].append(uvloop.run(rate_of(few, some)))
        costs["many"].append(uvloop.run(rate_of(many, crowd)))
        costs["small"].append(uvloop.run(redemption(alone, small)))
        costs["large"].append(uvloop.run(redemption(alone, large)))
    return [
        ratio(f"an operation with {lots:,} lots / with 10,000", costs["many"], costs["few"], bound=1.3),
        ratio("a redemption by a member of 10,000 lots / of 10", costs["large"], costs["small"], bound=5),
    ]


def database(postgres: str) -> str:
    """A fresh one, with the tables of loyalty and two plain columns."""
    name = f"b{uuid4().hex}"

    async def make() -> None:
        connection: Any = await asyncpg.connect(f"{postgres}postgres")  # type: ignore[no-untyped-call]
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        await upgrade(postgres + name, "loyalty")
        connection = await asyncpg.connect(postgres + name)  # type: ignore[no-untyped-call]
        await connection.execute("CREATE TABLE two (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int)")
        await connection.close()

    asyncio.run(make())
    return postgres + name


def measured() -> list[Figure]:
    with engines.postgres(*SAFE) as postgres:
        figures = []
        for name, part in PARTS.items():
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += part(postgres)
    return figures


PARTS: dict[str, Callable[[str], list[Figure]]] = {
    "the core": lambda postgres: core_figures(database(postgres)),
    "the wire": lambda postgres: wire_figures(database(postgres)),
    "many lots": scale_figures,
}

if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
