import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from argon2 import extract_parameters
from rapport.identity.v1 import identity_pb2 as pb
from sqlalchemy import select

from chassis.database import Sessions
from chassis.refusal import refused as read_refusal
from services.identity.models import Credential
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.people import ADA, EVE, PASSWORD
from tests.world import Hands, refused


async def kept(sessions: Sessions) -> str:
    async with sessions() as session:
        [hashed] = await session.scalars(select(Credential.password_hash))
    return hashed


async def test_a_password_is_kept_as_argon2id_at_the_price_that_was_set(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    dear = replace(settings, password_memory_kib=19_456, password_passes=2)
    async with served(dear, sessions, clock) as identity:
        await identity.create(ADA)
    assert (await kept(sessions)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_unless_told_otherwise_a_guess_costs_what_owasp_asks_at_least() -> None:
    assert Settings.password_memory_kib >= 19_456
    assert Settings.password_passes >= 2
    assert Settings.password_lanes == 1


def calibrated(sign_ins: str) -> tuple[str, dict[str, int]]:
    """What the command says that a machine bears, and the settings in it."""
    command = [sys.executable, "-m", "services.identity.calibration", "--sign-ins", sign_ins]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line.partition("=") for line in said.splitlines() if line.startswith("RAPPORT_")]
    return said, {name.removeprefix("RAPPORT_").lower(): int(value) for name, _, value in lines}


def test_a_guess_may_cost_as_much_as_the_machine_bears() -> None:
    _, few = calibrated("6")
    said, many = calibrated("5000")
    assert few["password_passes"] > many["password_passes"] == 2
    assert few["password_memory_kib"] > many["password_memory_kib"] == 19_456
    assert "does not bear that many" in said
    assert few["hashing_at_once"] == len(os.sched_getaffinity(0))
    assert few.keys() <= Settings.__dataclass_fields__.keys()


@pytest.mark.parametrize("sign_ins", ["0", "-1", "nan", "many"])
def test_what_is_no_number_of_sign_ins_is_refused(sign_ins: str) -> None:
    command = [sys.executable, "-m", "services.identity.calibration", "--sign-ins", sign_ins]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "sign-ins" in done.stderr
    assert not done.stdout


async def test_a_hash_follows_the_price_at_the_next_sign_in(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    async with served(settings, sessions, clock) as identity:
        await identity.create(ADA)
        before = await kept(sessions)
        await identity.sign_in()
        assert await kept(sessions) == before
    async with served(replace(settings, password_passes=3), sessions, clock) as identity:
        with refused("SIGN_IN_FAILED"):
            await identity.sign_in(ADA, "not her password")
        assert await kept(sessions) == before
        await identity.sign_in()
        assert extract_parameters(await kept(sessions)).time_cost == 3
        await identity.sign_in()


async def fastest(call: Callable[[], Awaitable[Any]]) -> float:
    """How long a refused call takes at the least."""
    took = []
    for _ in range(7):
        began = time.perf_counter()
        with refused("SIGN_IN_FAILED"):
            await call()
        took.append(time.perf_counter() - began)
    return min(took)


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    async with served(replace(settings, password_memory_kib=65_536), sessions, clock) as identity:
        await identity.create(ADA)
        wrong = await fastest(lambda: identity.sign_in(ADA, "not her password"))
        unknown = await fastest(lambda: identity.sign_in(EVE, PASSWORD))
    assert 0.5 < unknown / wrong < 2


async def test_a_flood_of_guesses_is_turned_away_and_stops_nothing(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    slow = replace(settings, password_memory_kib=65_536, password_passes=4, hashing_at_once=1, hashing_waiting=2)
    async with served(slow, sessions, clock) as identity:
        await identity.create(ADA)
        guesses = [asyncio.ensure_future(identity.sign_in(EVE, PASSWORD)) for _ in range(20)]
        await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
        await identity.stub.GetJwks(pb.GetJwksRequest())
        assert not all(one.done() for one in guesses)  # others are served meanwhile
        said = await asyncio.gather(*guesses, return_exceptions=True)
        told = [read_refusal(one) for one in said if isinstance(one, grpc.aio.AioRpcError)]
        assert {one.reason for one in told} == {"SIGN_IN_FAILED", "QUOTA_EXCEEDED"}
        turned_away = [one for one in told if one.reason == "QUOTA_EXCEEDED"]
        assert len(turned_away) > 10
        assert all(one.code is grpc.StatusCode.RESOURCE_EXHAUSTED and one.retry_after for one in turned_away)
        assert (await identity.sign_in()).secret  # and after it everything is as before
