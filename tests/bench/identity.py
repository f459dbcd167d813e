"""What sign-in and tokens cost: over HTTP, through the gateway, with PostgreSQL flushing to the disk at every commit.
Client, gateway, service and database share the machine; both sides of a ratio are measured in one round."""

import asyncio
import http.client
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg
import grpc
import orjson
import uvloop
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1 import oauth_pb2
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.time import system_clock
from services.identity.blocklists import Mounted
from services.identity.calibration import LEAST
from services.identity.passwords import Passwords
from services.identity.settings import Settings
from tests import engines, world
from tests.bench import calls, edge, oidc_provider, token_check
from tests.bench.figures import ROUNDS, Figure, ratio
from tests.bench.loyalty import SAFE, analyse, driven
from tests.identity.conftest import new_key
from tests.identity.oauth import Provider
from tests.identity.people import GATEWAY, OPERATOR, PASSWORD, Identity
from tests.identity.process import CHEAP, keys_file, served
from tests.node import NodeMissingError

SECONDS = 4.0
PEOPLE = 64
SIGNING_IN = 8  # callers
STORM, CALM = 16, 4  # callers of the storm, and of those who refresh meanwhile
PACE = 0.05  # seconds between two refreshes of one caller
CHOSEN = (Settings.password_memory_kib, Settings.password_passes)  # what a password costs unless told otherwise
JSON = {"content-type": "application/json", "x-rapport-client": "bench"}
TOKEN = "/oauth/token"
FORM = {"content-type": "application/x-www-form-urlencoded"}
Ask = Callable[[http.client.HTTPConnection, int], None]


# People and clients ---------------------------------------------------------------------------------------------------


async def people(port: int) -> list[str]:
    """Those who sign in."""
    emails = [f"person-{number}@example.org" for number in range(PEOPLE)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = IdentityServiceStub(channel)
        for email in emails:
            asked = pb.CreateUserRequest(user=pb.User(email=email), password=PASSWORD)
            await stub.CreateUser(asked, metadata=OPERATOR)
    return emails


@dataclass
class Granted:
    """An authorization of a public client's, at its newest token."""

    client: str
    refresh_token: str


async def granted(port: int, emails: Sequence[str]) -> list[Granted]:
    """A public client, with an authorization of each of these people."""
    made = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        nothing: Any = None
        identity = Identity(IdentityServiceStub(channel), nothing, nothing, nothing, channel)
        provider = Provider(identity)
        await provider.register()
        for email in emails:
            await provider.sign_in(email)
            made.append(Granted(provider.client, (await provider.tokens())["refresh_token"]))
    return made


async def program(port: int) -> dict[str, str]:
    """A client that acts for itself, and how it asks for a token."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        nothing: Any = None
        provider = Provider(Identity(IdentityServiceStub(channel), nothing, nothing, nothing, channel), client="shop")
        await provider.register(oauth_pb2.Client.SERVICE, redirect_uris=[], scopes=["commerce.write"])
    return {"grant_type": "client_credentials", "client_id": provider.client, "client_secret": provider.secret}


# Over HTTP ------------------------------------------------------------------------------------------------------------


def sent(connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> Any:
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {said[:200]!r}")
    return orjson.loads(said)


def signing_in(emails: Sequence[str]) -> Ask:
    def ask(connection: http.client.HTTPConnection, turn: int) -> None:
        body = orjson.dumps({"email": emails[turn % len(emails)], "password": PASSWORD})
        sent(connection, "/session", body, JSON)

    return ask


def refreshing(authorizations: Sequence[Granted], path: str = TOKEN) -> Ask:
    """Each caller has an authorization of its own: the next refresh needs what the last one gave."""

    def ask(connection: http.client.HTTPConnection, turn: int) -> None:
        one = authorizations[turn % len(authorizations)]
        said = {"grant_type": "refresh_token", "client_id": one.client, "refresh_token": one.refresh_token}
        one.refresh_token = sent(connection, path, urlencode(said).encode(), FORM)["refresh_token"]

    return ask


def asking_for_itself(said: dict[str, str], path: str = TOKEN) -> Ask:
    body = urlencode(said).encode()

    def ask(connection: http.client.HTTPConnection, _: int) -> None:
        sent(connection, path, body, FORM)

    return ask


def empty(connection: http.client.HTTPConnection, _: int) -> None:
    sent(connection, "/v1/registrations:begin", b'{"email":"ada@example.org"}', JSON)


def hammered(port: int, ask: Ask, callers: int, *, pace: float = 0.0, seconds: float = SECONDS) -> tuple[float, float]:
    """`ask` by so many callers for a while: how often a second, and the 99th of a hundred in milliseconds."""
    took: list[float] = []
    failures: list[BaseException] = []
    began = time.monotonic()

    def caller(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            turn = number
            while time.monotonic() - began < seconds:
                start = time.perf_counter()
                ask(connection, turn)
                took.append(time.perf_counter() - start)
                turn += callers
                time.sleep(pace)
        except Exception as problem:
            failures.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if failures:
        raise failures[0]
    rate = len(took) / (time.monotonic() - began)
    return rate, sorted(took)[int(len(took) * 0.99)] * 1e3


def hashing(price: tuple[int, int]) -> Passwords:
    return Passwords(
        memory_kib=price[0], passes=price[1], lanes=1, at_once=2, waiting=0, shortest=15, breached=Mounted("")
    )


def hashed(price: tuple[int, int]) -> float:
    """How many passwords a second the parameters allow on these cores, by the two threads that a service has."""
    hasher = hashing(price)
    began = time.monotonic()

    def compare(_: int) -> int:
        count = 0
        while time.monotonic() - began < SECONDS:
            assert hasher.is_of(known, PASSWORD)
            count += 1
        return count

    known = hasher.hasher.hash(PASSWORD)
    with ThreadPoolExecutor(2) as threads:
        return sum(threads.map(compare, range(2))) / (time.monotonic() - began)


def storm(port: int, sign_in: Ask, refresh: Ask) -> float:
    """The 99th of a hundred refreshes while many sign in."""
    ended: list[BaseException] = []

    def rage() -> None:
        try:
            hammered(port, sign_in, STORM, seconds=SECONDS + 1)
        except Exception as problem:
            ended.append(problem)

    storming = threading.Thread(target=rage)
    storming.start()
    time.sleep(0.5)
    p99 = hammered(port, refresh, CALM, pace=PACE)[1]
    storming.join()
    if ended:
        raise ended[0]
    return p99


def store(stack: ExitStack, postgres: str, price: tuple[int, int]) -> tuple[int, int]:
    """The ports of an identity at this price, with a database of its own, and of a gateway before it."""
    room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = asyncio.run(world.database_of(postgres, "identity"))
    backend = stack.enter_context(served(url, keys_file(room, new_key()), price))
    return backend, stack.enter_context(edge.gateway(backend, room, proof=world.token_of("gateway")))[1]


def http_figures(postgres: str) -> list[Figure]:
    nothing = calls.Server("chassis")
    with ExitStack() as stack:
        stack.callback(nothing.end)
        backend, port = store(stack, postgres, CHOSEN)
        cheap_backend, cheap_port = store(stack, postgres, LEAST)
        room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, bare = stack.enter_context(edge.gateway(nothing.port, room, proof=world.token_of("gateway")))
        emails = asyncio.run(people(backend))
        public = asyncio.run(granted(backend, emails[:STORM]))
        sign_in, refresh = signing_in(emails), refreshing(public)
        cheap_sign_in = signing_in(asyncio.run(people(cheap_backend)))
        act = asking_for_itself(asyncio.run(program(backend)))
        samples: dict[str, list[float]] = {
            name: [] for name in ("hash", "in", "least", "least in", "idle", "storm", "empty", "refresh", "program")
        }
        for warm in (sign_in, refresh, act):
            hammered(port, warm, CALM, seconds=1)
        hammered(cheap_port, cheap_sign_in, CALM, seconds=1)
        hammered(bare, empty, CALM, seconds=1)
        for _ in range(ROUNDS):
            samples["hash"].append(hashed(CHOSEN))
            samples["in"].append(hammered(port, sign_in, SIGNING_IN)[0])
            samples["least"].append(hashed(LEAST))
            samples["least in"].append(hammered(cheap_port, cheap_sign_in, SIGNING_IN)[0])
            samples["idle"].append(hammered(port, refresh, CALM, pace=PACE)[1])
            samples["storm"].append(storm(port, sign_in, refresh))
            samples["empty"].append(hammered(bare, empty, STORM)[0])
            samples["refresh"].append(hammered(port, refresh, STORM)[0])
            samples["program"].append(hammered(port, act, STORM)[0])
    return [
        ratio("password sign-in over HTTP / what Argon2id allows", samples["in"], samples["hash"], bound=0.85,
              is_least=True),
        ratio("the same with the least that OWASP asks", samples["least in"], samples["least"]),
        ratio("p99 of a refresh in a storm of sign-ins / idle", samples["storm"], samples["idle"], bound=3),
        ratio("refresh / a POST to an empty RPC", samples["refresh"], samples["empty"], bound=0.2, is_least=True),
        ratio("client credentials / a POST to an empty RPC", samples["program"], samples["empty"], bound=0.35,
              is_least=True),
    ]  # fmt: skip


def beside_figures(postgres: str) -> list[Figure]:
    """Beside another provider: npm's, in one process of node, over the same PostgreSQL."""
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = asyncio.run(world.copied(postgres, "template1"))
        try:
            other = stack.enter_context(oidc_provider.running(url, room, authorizations=STORM))
        except NodeMissingError as reason:
            print(f"not measured beside npm's oidc-provider: {reason}", file=sys.stderr)
            return []
        backend, port = store(stack, postgres, CHEAP)
        ours = asyncio.run(granted(backend, asyncio.run(people(backend))[:STORM]))
        theirs = [Granted("app", token) for token in other.refresh_tokens]
        asks = {
            "refresh": (refreshing(ours), refreshing(theirs, oidc_provider.PATH)),
            "client credentials": (
                asking_for_itself(asyncio.run(program(backend))),
                asking_for_itself(oidc_provider.PROGRAM, oidc_provider.PATH),
            ),
        }
        samples: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asks}
        for _ in range(ROUNDS):
            for name, both in asks.items():
                for ask, at, kept in zip(both, (port, other.port), samples[name], strict=True):
                    hammered(at, ask, CALM, seconds=0.5)
                    kept.append(hammered(at, ask, STORM)[0])
    return [ratio(f"{name} / that of npm's oidc-provider", *samples[name]) for name in asks]


# With many people -----------------------------------------------------------------------------------------------------

USER = ("id", "email", "display_name", "state", "roles", "version", "create_time", "update_time")


async def seeded(url: str, count: int) -> list[str]:
    """So many people, by COPY; the addresses of some of them."""
    password_hash = await hashing(CHEAP).hash(PASSWORD)
    connection: Any = await asyncpg.connect(url)  # type: ignore[no-untyped-call]
    now, ids = system_clock(), [uuid4() for _ in range(count)]
    no_roles: list[str] = []
    rows = ((one, email_of(one), "", "ACTIVE", no_roles, 1, now, now) for one in ids)
    await connection.copy_records_to_table("user", columns=USER, records=rows)
    hashes = ((one, password_hash) for one in ids)
    await connection.copy_records_to_table("credential", columns=("user_id", "password_hash"), records=hashes)
    await connection.close()
    await analyse(url)
    return [email_of(one) for one in ids[:: max(1, count // 1_000)]]


def email_of(user: UUID) -> str:
    return f"{user.hex}@example.org"


async def sign_in_rate(port: int, emails: Sequence[str]) -> float:
    """Milliseconds of a sign-in, by one caller after the other: the median."""
    turn = iter(range(10_000_000))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = IdentityServiceStub(channel)

        async def sign_in() -> None:
            asked = pb.CreateSessionRequest(email=emails[next(turn) % len(emails)], password=PASSWORD)
            await stub.CreateSession(asked, metadata=GATEWAY, timeout=20)

        return (await driven(sign_in, 1, seconds=SECONDS)).p50


def scale_figures(postgres: str, *, many: int = 1_000_000, few: int = 1_000) -> list[Figure]:
    urls = {count: asyncio.run(world.database_of(postgres, "identity")) for count in (few, many)}
    crowds = {count: asyncio.run(seeded(url, count)) for count, url in urls.items()}
    samples: dict[int, list[float]] = {few: [], many: []}
    with ExitStack() as stack:
        keys = keys_file(Path(stack.enter_context(tempfile.TemporaryDirectory())), new_key())
        small, large = (stack.enter_context(served(urls[count], keys, CHEAP)) for count in (few, many))
        for _ in range(ROUNDS):
            for count, port in ((few, small), (many, large)):
                samples[count].append(uvloop.run(sign_in_rate(port, crowds[count])))
    name = f"a sign-in among {many:,} people / among {few:,}, the password costing nothing"
    return [ratio(name, samples[many], samples[few], bound=1.2)]


def measured() -> list[Figure]:
    figures = token_check.measured()
    with engines.postgres(*SAFE) as postgres:
        for name, part in PARTS.items():
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += part(postgres)
    return figures


PARTS: dict[str, Callable[[str], list[Figure]]] = {
    "HTTP": http_figures,
    "another provider": beside_figures,
    "many people": scale_figures,
}
