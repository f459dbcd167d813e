"""Wrong passwords are counted, and nobody is kept out by others who guess."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from sqlalchemy import func, select

from chassis.refusal import Refused
from chassis.refusal import refused as read_refusal
from services.identity.attempts import ACCOUNT, NETWORK, forget_attempts
from services.identity.models import Attempts
from tests.identity.people import ADA, EVE, GATEWAY, PASSWORD, Identity
from tests.world import refused

HOME = "203.0.113.7"
WRONG = "not her password"


async def try_in(identity: Identity, email: str = ADA, password: str = WRONG, **said: Any) -> pb.CreateSessionResponse:
    asked = pb.CreateSessionRequest(email=email, password=password, **said)
    return await identity.stub.CreateSession(asked, metadata=GATEWAY)


async def told(identity: Identity, email: str = ADA, password: str = WRONG, **said: Any) -> Refused | None:
    """What a sign-in is refused with; None where it worked."""
    try:
        await try_in(identity, email, password, **said)
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    return None


async def guess(identity: Identity, times: int, email: str = ADA, **said: Any) -> list[str]:
    """The reasons that so many wrong passwords are refused for, one after the other."""
    answers = [await told(identity, email, **said) for _ in range(times)]
    return [one.reason for one in answers if one is not None]


@pytest.mark.parametrize("email", [ADA, EVE], ids=["an account", "nobody"])
async def test_after_ten_wrong_passwords_none_is_looked_at_whether_there_is_an_account_or_not(
    identity: Identity, email: str
) -> None:
    await identity.create(ADA)
    assert await guess(identity, 11, email) == ["SIGN_IN_FAILED"] * 10 + ["QUOTA_EXCEEDED"]
    with refused("QUOTA_EXCEEDED") as said:
        await try_in(identity, email, PASSWORD)  # not even the right one: it would tell
    assert said[0].retry_after == ACCOUNT.each
    assert (
        said[0].message == "Too many wrong passwords: wait a while, or choose another by a link that is mailed to you."
    )


async def test_however_the_address_is_typed_it_counts_as_one(identity: Identity) -> None:
    await identity.create(ADA)
    assert await guess(identity, 5) + await guess(identity, 5, " ADA@Example.org ") == ["SIGN_IN_FAILED"] * 10
    assert await guess(identity, 1, "Ada@example.org") == ["QUOTA_EXCEEDED"]


async def test_time_frees_one_guess_after_the_other(identity: Identity) -> None:
    await identity.create(ADA)
    await guess(identity, 10)
    identity.clock.advance(ACCOUNT.each)
    assert await guess(identity, 2) == ["SIGN_IN_FAILED", "QUOTA_EXCEEDED"]
    identity.clock.advance(timedelta(days=1))
    assert await guess(identity, 11) == ["SIGN_IN_FAILED"] * 10 + ["QUOTA_EXCEEDED"]


async def test_a_right_password_has_the_count_begin_anew(identity: Identity) -> None:
    await identity.create(ADA)
    await guess(identity, 9)
    await try_in(identity, password=PASSWORD)
    assert await guess(identity, 11) == ["SIGN_IN_FAILED"] * 10 + ["QUOTA_EXCEEDED"]


async def test_two_hundred_at_once_are_no_more_than_ten(identity: Identity) -> None:
    await identity.create(ADA)
    answers = await asyncio.gather(*(told(identity) for _ in range(200)))
    reasons = [one.reason for one in answers if one is not None]
    assert reasons.count("SIGN_IN_FAILED") == 10
    assert reasons.count("QUOTA_EXCEEDED") == 190


async def test_who_signed_in_in_this_browser_before_is_not_kept_out_by_others(identity: Identity) -> None:
    await identity.create(ADA)
    known = (await try_in(identity, password=PASSWORD)).browser_secret
    assert (await guess(identity, 11))[-1] == "QUOTA_EXCEEDED"
    again = await try_in(identity, password=PASSWORD, browser_secret=known)
    assert again.browser_secret == known  # and goes on being known by it
    await guess(identity, 11)
    assert await guess(identity, 11, browser_secret=known) == ["SIGN_IN_FAILED"] * 10 + ["QUOTA_EXCEEDED"]


@pytest.mark.parametrize("made", ["of somebody else", "made up", "cut", "no base64"])
async def test_a_secret_that_is_not_of_this_persons_browser_helps_nobody(identity: Identity, made: str) -> None:
    await identity.create(ADA)
    await identity.create(EVE)
    hers = (await try_in(identity, password=PASSWORD)).browser_secret
    eves = (await try_in(identity, EVE, PASSWORD)).browser_secret
    shown = {"of somebody else": eves, "made up": "x" * 64, "cut": hers[:-4], "no base64": "é!"}[made]
    await guess(identity, 10)
    assert await guess(identity, 1, browser_secret=shown) == ["QUOTA_EXCEEDED"]


async def test_after_a_hundred_in_a_row_only_a_mailed_link_helps(identity: Identity) -> None:
    await identity.create(ADA)
    for _ in range(100):
        assert await guess(identity, 1) == ["SIGN_IN_FAILED"]
        identity.clock.advance(ACCOUNT.each)
    identity.clock.advance(timedelta(days=2))
    with refused("QUOTA_EXCEEDED") as said:
        await try_in(identity, password=PASSWORD)
    assert said[0].message == "Too many wrong passwords in a row: choose another by a link that is mailed to you."
    await identity.stub.BeginRecovery(pb.BeginRecoveryRequest(email=ADA))
    chosen = pb.CompleteRecoveryRequest(token=await identity.token(), password="copper kettle at dusk")
    await identity.stub.CompleteRecovery(chosen)
    await try_in(identity, password="copper kettle at dusk")


async def test_one_network_cannot_try_a_password_on_everybody(identity: Identity) -> None:
    await identity.create(ADA)
    for number in range(NETWORK.at_once):
        assert await guess(identity, 1, f"person-{number}@example.org", client_address=HOME) == ["SIGN_IN_FAILED"]
    assert await guess(identity, 1, client_address=HOME) == ["QUOTA_EXCEEDED"]
    assert await guess(identity, 1, client_address="203.0.113.8") == ["SIGN_IN_FAILED"]


async def test_an_ipv6_network_is_what_one_household_has(identity: Identity) -> None:
    for number in range(NETWORK.at_once):
        await guess(identity, 1, f"person-{number}@example.org", client_address=f"2001:db8::{number + 1:x}")
    assert await guess(identity, 1, EVE, client_address="2001:db8::ffff") == ["QUOTA_EXCEEDED"]
    assert await guess(identity, 1, EVE, client_address="2001:db8:0:1::1") == ["SIGN_IN_FAILED"]


async def test_a_right_password_does_not_count_for_the_network(identity: Identity) -> None:
    await identity.create(ADA)
    for _ in range(NETWORK.at_once + 1):
        await try_in(identity, password=PASSWORD, client_address=HOME)
    assert await guess(identity, 1, EVE, client_address=HOME) == ["SIGN_IN_FAILED"]


async def test_what_counts_no_more_is_forgotten_and_a_long_row_is_known_for_a_month(identity: Identity) -> None:
    await guess(identity, 1, EVE, client_address=HOME)
    await guess(identity, 10)
    identity.clock.advance(timedelta(days=2))
    await forget_attempts.work(identity.sessions, identity.clock())
    assert await kept(identity) == 1
    identity.clock.advance(timedelta(days=29))
    await forget_attempts.work(identity.sessions, identity.clock())
    assert await kept(identity) == 0


async def kept(identity: Identity) -> int:
    async with identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Attempts)) or 0
