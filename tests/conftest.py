from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

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
    connection = await asyncpg.connect(f"{postgres}postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
