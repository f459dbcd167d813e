import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import Sessions, connect
from chassis.migrations import keepers, lay
from deploy.local.throwaway import platform
from tests import engines
from tests.proofs import pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401 - pytest calls them
from tests.store import Store
from tests.world import copied

# Its own way of showing exceptions takes seconds for each.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])

# What a password costs is not what most tests are about.
CHEAP = {"identity": {"RAPPORT_PASSWORD_MEMORY_KIB": "64", "RAPPORT_PASSWORD_PASSES": "1"}}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of this worker's own server, which a database's name completes."""
    with engines.postgres(where=engines.memory()) as url:
        yield url


@pytest.fixture(scope="session")
def nats() -> Iterator[str]:
    with engines.nats() as url:
        yield url


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--replicas", type=int, default=1, help="of each service and the gateway in a whole store")


@pytest.fixture(scope="session")
def replicas(request: pytest.FixtureRequest) -> int:
    """How many of each service and of the gateway a whole store has."""
    return int(request.config.getoption("replicas"))


@pytest.fixture(scope="session")
def store(replicas: int) -> Iterator[Store]:
    """A whole store of separate processes; see tests.store."""
    with platform(replicas=replicas, where=engines.memory(), told=CHEAP) as (running, people):
        yield Store(running.plan, people["password"], f"http://127.0.0.1:{running.plan.ports['gateway']}")


@pytest.fixture
async def database(postgres: str) -> str:
    """The URL of a fresh, empty database."""
    return await copied(postgres, "template1")


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """A database that holds the tables of the chassis, to copy from."""
    asyncio.run(make_template(postgres))
    return "template_chassis"


async def make_template(postgres: str) -> None:
    await ask(postgres, "CREATE DATABASE template_chassis")
    engine, _ = connect(f"{postgres}template_chassis", name="tests")
    async with engine.begin() as connection:
        await connection.run_sync(lay, [keepers()])
    await engine.dispose()


@pytest.fixture
async def sessions(postgres: str, template: str) -> AsyncIterator[Sessions]:
    """A fresh database with the tables of the chassis."""
    engine, made = connect(await copied(postgres, template), name="tests")
    yield made
    await engine.dispose()


async def ask(postgres: str, statement: str) -> None:
    url = make_url(f"{postgres}postgres").set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(statement))
