"""Whether an address has an account is told at no door: not by what is said, and not by how long it takes."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb

from chassis.database import Sessions
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.people import Identity
from tests.world import Hands

TRIES = 250  # with known addresses, and as many with unknown ones
PEOPLE = 50
SLOWER = 1.7  # as much as the middle of the one may be beside that of the other: a missing hash makes it ten times


def sign_in(identity: Identity, email: str) -> Awaitable[Any]:
    return identity.sign_in(email, "not the password of anybody")


def register(identity: Identity, email: str) -> Awaitable[Any]:
    return identity.stub.BeginRegistration(pb.BeginRegistrationRequest(email=email))


def recover(identity: Identity, email: str) -> Awaitable[Any]:
    return identity.stub.BeginRecovery(pb.BeginRecoveryRequest(email=email))


async def answer(call: Awaitable[Any]) -> tuple[str, float]:
    """All that is said, and the seconds it took."""
    began = time.perf_counter()
    try:
        said = repr(await call)
    except grpc.aio.AioRpcError as error:
        said = f"{error.code()} {error.details()} {error.trailing_metadata()}"
    return said, time.perf_counter() - began


@pytest.mark.parametrize("door", [sign_in, register, recover])
async def test_of_five_hundred_tries_none_tells_whether_an_address_is_known(
    settings: Settings, sessions: Sessions, clock: Hands, door: Callable[[Identity, str], Awaitable[Any]]
) -> None:
    """Registering is also the way to have the link sent again, so the second round of it is the fourth door."""
    known, unknown = ([f"{kind}-{n}@example.org" for n in range(PEOPLE)] for kind in ("known", "other"))
    async with served(settings, sessions, clock) as identity:
        for email in known:
            await identity.create(email)
    said, took = set(), dict[str, list[float]]({"known": [], "unknown": []})
    async with served(replace(settings, password_memory_kib=4_096), sessions, clock) as identity:
        for email in (*known, *unknown):  # warm, and with hashes of one price on both sides
            await answer(door(identity, email))
        for _ in range(TRIES // PEOPLE):
            clock.advance(timedelta(minutes=61))
            for one, other in zip(known, unknown, strict=True):
                for kind, email in (("known", one), ("unknown", other)):
                    text, seconds = await answer(door(identity, email))
                    said.add(text)
                    took[kind].append(seconds)
    assert len(said) == 1
    known_middle, unknown_middle = (statistics.median(one) for one in took.values())
    assert 1 / SLOWER < known_middle / unknown_middle < SLOWER
