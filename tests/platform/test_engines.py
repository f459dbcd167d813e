"""The engines as `up` starts them: who may reach what, and what they never write down."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from deploy.local import credentials
from deploy.local.plan import Plan
from deploy.local.state import engine_user


async def connection(url: str) -> Any:
    return await asyncpg.connect(url)  # type: ignore[no-untyped-call]


async def test_a_role_reaches_its_own_database_and_no_other(engines: Plan) -> None:
    own = credentials.database_url(engines, "support")
    there = await connection(own)
    assert await there.fetchval("SELECT current_user || ' of ' || current_database()") == "support of support"
    await there.close()
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await connection(own.replace("/support", "/loyalty"))


async def test_a_role_needs_its_password(engines: Plan) -> None:
    port = urlsplit(credentials.database_url(engines, "support")).port
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connection(f"postgresql://support:guess@127.0.0.1:{port}/support")


async def test_a_refused_row_is_not_in_the_log(engines: Plan) -> None:
    canary = f"eve-{os.urandom(8).hex()}@example.org"
    there = await connection(credentials.database_url(engines, "support"))
    await there.execute("CREATE TABLE IF NOT EXISTS seen (address text UNIQUE)")
    await there.execute("INSERT INTO seen VALUES ($1)", canary)
    with pytest.raises(asyncpg.UniqueViolationError):
        await there.execute("INSERT INTO seen VALUES ($1)", canary)
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await there.execute(f"SELECT '{canary}' FROM")
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await there.execute("SELECT $1::text::int", canary)
    await there.execute("DROP TABLE seen")
    await there.close()
    log = engines.state.log("postgres").read_text()
    assert "ready to accept connections" in log  # it is the right log
    assert canary not in log


async def test_no_time_zone_or_language_of_the_machine_is_taken_over(engines: Plan) -> None:
    there = await connection(credentials.database_url(engines, "identity"))
    assert await there.fetchval("SHOW timezone") == "UTC"
    assert await there.fetchval("SELECT lower('ÀÉÎ') || datcollate FROM pg_database LIMIT 1") == "àéîC"
    await there.close()


async def test_what_is_committed_is_on_the_disk(engines: Plan) -> None:
    there = await connection(credentials.admin_url(engines))
    settings = [await there.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    await there.close()
    assert settings == ["on", "on", "on"]
    assert '"sync_interval": "always"' in (engines.folder / "nats/nats.conf").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has somebody else run the engines")
def test_root_has_nobody_run_the_engines(engines: Plan) -> None:
    owners = {path.name: path.stat().st_uid for path in (engines.folder / "postgres", engines.folder / "nats")}
    assert set(owners.values()) == {engine_user()}
    for name in ("postgres", "nats"):
        pid = next(one["pid"] for one in engines.state.known()["processes"] if one["name"] == name)
        assert os.stat(f"/proc/{pid}").st_uid == engine_user()


# Who may say what ----------------------------------------------------------------------------------------------------


class Line:
    """A user's line to NATS, and what the server refuses on it."""

    def __init__(self) -> None:
        self.client = Client()
        self.refusals: asyncio.Queue[str] = asyncio.Queue(10)

    async def note(self, error: Exception) -> None:
        self.refusals.put_nowait(str(error).lower())

    async def refuses(self) -> bool:
        async with asyncio.timeout(10):
            return "permissions violation" in await self.refusals.get()

    async def takes(self) -> bool:
        await self.client.flush()  # it has answered what came before
        await self.client.flush()
        return self.refusals.empty()


async def line(plan: Plan, user: str) -> Line:
    told, one = credentials.for_nats(plan, user), Line()
    password = (plan.folder / told["RAPPORT_NATS_PASSWORD_FILE"]).read_text()
    await one.client.connect(told["RAPPORT_NATS_URL"], user=user, password=password, error_cb=one.note)
    return one


@pytest.fixture
async def lines() -> AsyncIterator[list[Line]]:
    opened: list[Line] = []
    yield opened
    for one in opened:
        await one.client.close()


@pytest.mark.parametrize(
    ("user", "subject", "may"),
    [
        ("support", "rapport.support.v1.ticket.created.p01.x.y", True),
        ("support", "rapport.identity.v1.user.deleted.p01.x.y", False),
        ("loyalty", "rapport.identity.v1.user.deleted.p01.x.y", False),
        ("shop", "ingress.commerce.order.paid", True),
        ("shop", "rapport.commerce.v1.order.paid.p01.x.y", False),
        ("reader", "rapport.identity.v1.user.deleted.p01.x.y", False),
        ("gateway", "rapport.identity.v1.user.deleted.p01.x.y", False),
        ("mail", "rapport.identity.v1.user.deleted.p01.x.y", False),
    ],
)
async def test_everyone_speaks_for_themselves_only(
    engines: Plan, lines: list[Line], user: str, subject: str, may: bool
) -> None:
    one = await line(engines, user)
    lines.append(one)
    await one.client.publish(subject, b"")
    assert await (one.takes() if may else one.refuses())


async def test_nobody_but_the_operator_lays_out_streams(engines: Plan, lines: list[Line]) -> None:
    for user in ("support", "reader", "mail", "shop"):
        one = await line(engines, user)
        lines.append(one)
        await one.client.publish("$JS.API.STREAM.CREATE.MINE", b"{}")
        assert await one.refuses(), user


async def test_the_reader_hears_everything_that_is_stated(engines: Plan, lines: list[Line]) -> None:
    reader, support = await line(engines, "reader"), await line(engines, "support")
    lines += [reader, support]
    heard = await reader.client.subscribe("rapport.>")
    await reader.client.flush()
    await support.client.publish("rapport.support.v1.ticket.created.p01.x.y", b"hello")
    assert (await heard.next_msg(5)).data == b"hello"


async def test_who_is_not_known_is_not_let_in(engines: Plan) -> None:
    stranger = Client()
    with pytest.raises(NatsError):
        await stranger.connect(f"nats://127.0.0.1:{engines.ports['nats']}", allow_reconnect=False, connect_timeout=2)
    await stranger.close()
