from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests import engines


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of this worker's own server, which a database's name completes."""
    with engines.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def nats() -> Iterator[str]:
    with engines.nats() as url:
        yield url


@pytest.fixture
async def database(postgres: str) -> str:
    """The URL of a fresh, empty database."""
    name = f"t{uuid4().hex}"
    await ask(postgres, f"CREATE DATABASE {name}")
    return postgres + name


async def ask(postgres: str, statement: str) -> None:
    url = make_url(f"{postgres}postgres").set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(statement))
