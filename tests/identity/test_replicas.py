"""Two replicas over one database, and fifty who use one thing at once, half of them at each: one wins."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import PasswordChanged

from chassis.database import Sessions, connect
from services.identity.challenges import MOST
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.factors import STEP, Owner, owner
from tests.identity.oauth import Provider, reasons
from tests.identity.people import ADA, Identity
from tests.world import Hands

FIFTY = range(50)


@pytest.fixture
async def replicas(settings: Settings, sessions: Sessions, clock: Hands) -> AsyncIterator[list[Identity]]:
    engine, others = connect(settings.database_url.value, name="replica")
    async with served(settings, sessions, clock) as one, served(settings, others, clock) as two:
        yield [one, two]
    await engine.dispose()


async def at_once(call: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """What fifty calls come to, or how each was refused."""
    return await asyncio.gather(*map(call, FIFTY), return_exceptions=True)


async def providers(replicas: list[Identity]) -> list[Provider]:
    """The same client and browser at each."""
    await replicas[0].create(ADA)
    first = Provider(replicas[0])
    await first.register()
    session = await first.sign_in()
    return [first, *(Provider(one, session=session) for one in replicas[1:])]


async def test_a_code_is_redeemed_once(replicas: list[Identity]) -> None:
    both = await providers(replicas)
    code = await both[0].code()
    told = await at_once(lambda number: both[number % 2].redeem(code))
    assert [status for status, _ in told].count(200) == 1
    assert await reasons(replicas[0]) == ["TOKEN_REUSED"]


async def test_a_refresh_token_has_one_successor(replicas: list[Identity]) -> None:
    """All get the same successor, as a lost answer would; when the family has gone on, the first of it ends it."""
    both = await providers(replicas)
    first = await both[0].tokens()
    told = await at_once(lambda number: both[number % 2].refresh(first["refresh_token"]))
    assert {status for status, _ in told} == {200}
    [successor] = {answer["refresh_token"] for _, answer in told}
    status, _ = await both[1].refresh(successor)
    assert status == 200
    assert (await both[0].refresh(first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert await reasons(replicas[0]) == ["TOKEN_REUSED"]


async def test_a_recovery_link_sets_one_password(replicas: list[Identity]) -> None:
    await replicas[0].create(ADA)
    await replicas[0].stub.BeginRecovery(pb.BeginRecoveryRequest(email=ADA))
    token = await replicas[0].token()

    async def complete(number: int) -> Any:
        asked = pb.CompleteRecoveryRequest(token=token, password=f"copper lantern {number}")
        return await replicas[number % 2].stub.CompleteRecovery(asked)

    told = await at_once(complete)
    [winner] = [number for number, one in enumerate(told) if not isinstance(one, grpc.aio.AioRpcError)]
    assert (await replicas[1].sign_in(password=f"copper lantern {winner}")).secret
    assert len(await replicas[0].stated(PasswordChanged)) == 1


async def test_a_code_of_an_app_is_taken_once(replicas: list[Identity]) -> None:
    ada = await owner(replicas[0])
    await ada.add()
    ada.identity.clock.advance(STEP)
    both = [ada, replace(ada, identity=replicas[1])]
    held = [await ada.challenge() for _ in range(MOST)]
    told = await at_once(lambda number: both[number % 2].prove(held[number % MOST], code=ada.code()))
    assert len([one for one in told if not isinstance(one, grpc.aio.AioRpcError)]) == 1


async def test_guesses_at_one_replica_count_at_the_other(replicas: list[Identity]) -> None:
    ada: Owner = await owner(replicas[0])
    told = await at_once(lambda number: replicas[number % 2].sign_in(password=f"guess number {number}"))
    assert all(isinstance(one, grpc.aio.AioRpcError) for one in told)
    for one in replicas:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await one.sign_in(ada.email)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
