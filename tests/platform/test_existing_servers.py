"""The platform on a PostgreSQL and a NATS that somebody else runs."""

from collections.abc import Iterator

import asyncpg
import pytest

from deploy.local.ports import SERVICES
from deploy.local.state import State
from deploy.local.throwaway import folder
from tests import engines
from tests.platform.conftest import Terminal, clear

pytestmark = pytest.mark.long  # it starts everything twice
Servers = dict[str, str]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with engines.postgres() as postgres, engines.nats() as nats:
        yield {"RAPPORT_DATABASE_URL": f"{postgres}postgres", "RAPPORT_NATS_URL": nats}


@pytest.fixture(scope="module")
def there(servers: Servers) -> Iterator[Terminal]:
    with folder() as home:
        one = Terminal(State(home))
        try:
            done = one.type("up", "--detach", "--ports", "free", **servers)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "none: they are made only on engines of our own" in done.stdout
            yield one
        finally:
            one.type("down")
            clear(one)


def test_no_engine_of_ours_runs_beside(there: Terminal) -> None:
    assert not {"postgres", "nats"} & {one["name"] for one in there.state.known()["processes"]}
    assert there.type("status").returncode == 0
    assert there.type("call", "GET", "/v1/categories").returncode == 0


async def test_each_service_has_a_role_and_a_database_made_for_it(there: Terminal, servers: Servers) -> None:
    connection = await asyncpg.connect(servers["RAPPORT_DATABASE_URL"])  # type: ignore[no-untyped-call]
    owners = await connection.fetch("SELECT datname, pg_get_userbyid(datdba) AS owner FROM pg_database")
    closed = await connection.fetchval("SELECT NOT has_database_privilege('support', 'loyalty', 'CONNECT')")
    await connection.close()
    assert {(service, service) for service in SERVICES} <= {(one["datname"], one["owner"]) for one in owners}
    assert closed


def test_time_is_not_moved_there(there: Terminal) -> None:
    done = there.type("clock", "advance", "1d")
    assert (done.returncode, "only on engines" in done.stderr) == (1, True)
    assert there.type("clock", "show").returncode == 1


def test_it_comes_up_again_on_the_same_data(there: Terminal, servers: Servers) -> None:
    assert there.type("down").returncode == 0
    done = there.type("up", "--detach", "--ports", "free", **servers)
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
