"""Signing in with a second factor, trusting a device, and proving again that it is you."""

import asyncio
import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import grpc
import pytest
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1 import identity_pb2
from sqlalchemy import func, select

from chassis.refusal import refused as read_refusal
from chassis.time import moment
from services.identity.challenges import LASTS, MOST, TRIES, forget_challenges
from services.identity.guesses import FREE, KEPT, LONGEST_WAIT, forget_guesses
from services.identity.known_devices import KNOWN, TRUSTED, forget_devices
from services.identity.models import Challenge, Device, Guess
from tests.identity.factors import STEP, Owner, owner
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, GATEWAY, PASSWORD, Identity
from tests.world import refused

CODE, RECOVERY_CODE = identity_pb2.SecondFactor.CODE, identity_pb2.SecondFactor.RECOVERY_CODE
OTHER = "copper lantern by noon"


@pytest.fixture
async def ada(identity: Identity) -> Owner:
    made = await owner(identity)
    await made.add()
    return made


def claims(token: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(urlsafe_b64decode(f"{token.split('.')[1]}=="))
    return said


async def kept(ada: Owner, table: type[Challenge | Device | Guess]) -> int:
    async with ada.identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


def won(told: list[Any]) -> list[Any]:
    return [one for one in told if not isinstance(one, BaseException)]


def reasons(told: list[Any]) -> set[str]:
    return {read_refusal(one).reason for one in told if isinstance(one, grpc.aio.AioRpcError)}


# Both -----------------------------------------------------------------------------------------------------------------


async def test_a_password_alone_begins_no_session(ada: Owner) -> None:
    told = await ada.password()
    assert not told.secret
    assert not told.HasField("session")
    assert list(told.second_factor.ways) == [CODE, RECOVERY_CODE]
    assert moment(told.second_factor.expire_time) == ada.identity.clock() + LASTS
    assert not told.HasField("access")
    with refused("SESSION_ENDED"):
        await ada.identity.issue(told.second_factor.challenge)


async def test_both_begin_a_session_that_says_so(ada: Owner) -> None:
    done = await ada.sign_in()
    assert (done.session.acr, list(done.session.amr)) == ("mfa", ["pwd", "otp", "mfa"])
    said = claims((await ada.identity.issue(done.secret)).access_token)
    assert (said["acr"], said["amr"]) == ("mfa", ["pwd", "otp", "mfa"])


async def test_a_program_learns_how_a_person_signed_in(provider: Provider) -> None:
    simple = claims((await provider.tokens())["id_token"])
    assert (simple["acr"], simple["amr"]) == ("pwd", ["pwd"])
    ada = Owner(provider.identity, f"users/{simple['sub']}")
    await ada.add()
    provider.session = (await ada.sign_in()).secret
    tokens = await provider.tokens()
    for said in map(claims, (tokens["id_token"], tokens["access_token"])):
        assert (said["acr"], said["amr"]) == ("mfa", ["pwd", "otp", "mfa"])


async def test_a_wrong_code_leaves_the_challenge_for_the_right_one(ada: Owner) -> None:
    challenge = await ada.challenge()
    with refused("CODE_WRONG"):
        await ada.prove(challenge, code=ada.wrong())
    assert (await ada.prove(challenge, code=f" {ada.code()[:3]} {ada.code()[3:]}")).secret


async def test_a_proof_is_needed(ada: Owner) -> None:
    challenge = await ada.challenge()
    with refused("INVALID_FIELD"):
        await ada.prove(challenge)
    with refused("INVALID_FIELD"):
        await ada.again((await ada.sign_in()).secret)


@pytest.mark.parametrize(("steps", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_clock_may_be_one_step_away(ada: Owner, steps: int, accepted: bool) -> None:
    challenge, code = await ada.challenge(), ada.code(steps)
    if accepted:
        assert (await ada.prove(challenge, code=code)).secret
    else:
        with refused("CODE_WRONG"):
            await ada.prove(challenge, code=code)


async def test_each_step_is_accepted_once_and_none_before_it(ada: Owner) -> None:
    code, before = ada.code(), ada.code(-1)
    await ada.prove(await ada.challenge(), code=code)
    for used in (code, before):
        with refused("CODE_WRONG"):
            await ada.prove(await ada.challenge(), code=used)
    ada.identity.clock.advance(STEP)
    assert (await ada.prove(await ada.challenge(), code=ada.code())).secret


async def test_of_fifty_who_use_one_code_at_once_one_wins(ada: Owner) -> None:
    ada.identity.clock.advance(STEP)
    held = [await ada.challenge() for _ in range(MOST)]
    tries = [ada.prove(held[number % MOST], code=ada.code()) for number in range(50)]
    told = await asyncio.gather(*tries, return_exceptions=True)
    assert len(won(told)) == 1
    assert reasons(told) <= {"CODE_WRONG", "CHALLENGE_ENDED", "QUOTA_EXCEEDED"}


async def test_of_fifty_who_go_on_with_one_challenge_at_once_one_wins(ada: Owner) -> None:
    challenge = await ada.challenge()
    proofs = [{"code": ada.code()}, {"recovery_code": ada.codes[0]}] * 25
    told = await asyncio.gather(*(ada.prove(challenge, **proof) for proof in proofs), return_exceptions=True)
    assert len(won(told)) == 1
    with refused("CHALLENGE_ENDED"):
        await ada.prove(challenge, recovery_code=ada.codes[1])


async def test_a_challenge_ends_in_five_minutes(ada: Owner) -> None:
    challenge = await ada.challenge()
    ada.identity.clock.advance(LASTS)
    with refused("CHALLENGE_ENDED"):
        await ada.prove(challenge, code=ada.code())
    assert await forget_challenges.work(ada.identity.sessions, ada.identity.clock()) == 1
    with refused("CHALLENGE_ENDED"):
        await ada.prove("never one of ours", code=ada.code())


async def test_a_challenge_sees_five_wrong_codes_at_most(ada: Owner) -> None:
    challenge = await ada.challenge()
    for _ in range(TRIES):
        with refused("CODE_WRONG"):
            await ada.prove(challenge, recovery_code="0000-0000-0000-0000")
    with refused("CHALLENGE_ENDED"):
        await ada.prove(challenge, recovery_code=ada.codes[0])


async def test_of_too_many_challenges_the_oldest_ends(ada: Owner) -> None:
    first = await ada.challenge()
    for _ in range(MOST):
        ada.identity.clock.advance(timedelta(seconds=1))
        last = await ada.challenge()
    assert await kept(ada, Challenge) == MOST
    with refused("CHALLENGE_ENDED"):
        await ada.prove(first, code=ada.code())
    assert (await ada.prove(last, code=ada.code())).secret


async def test_a_challenge_is_over_when_the_password_is_another(ada: Owner) -> None:
    challenge = await ada.challenge()
    changed = identity_pb2.ChangePasswordRequest(name=ada.user, password=OTHER)
    await ada.identity.stub.ChangePassword(changed, metadata=ada.me)
    with refused("CHALLENGE_ENDED"):
        await ada.prove(challenge, code=ada.code())


async def test_only_the_gateway_goes_on_with_a_sign_in(ada: Owner) -> None:
    asked = pb.ProveFactorRequest(challenge=await ada.challenge(), code=ada.code())
    with refused("FORBIDDEN"):
        await ada.stub.ProveFactor(asked, metadata=ada.me)


async def test_a_recovered_password_is_no_way_around_the_factor(ada: Owner) -> None:
    device = (await ada.sign_in(trust_device=True)).device_secret
    stub = ada.identity.stub
    await stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=ADA))
    asked = identity_pb2.CompleteRecoveryRequest(token=await ada.identity.token(), password=OTHER)
    await stub.CompleteRecovery(asked)
    told = await ada.password(OTHER, device_secret=device)
    assert (told.secret, bool(told.second_factor.challenge)) == ("", True)
    assert (await ada.prove(told.second_factor.challenge, code=ada.code())).secret


# Codes on paper -------------------------------------------------------------------------------------------------------


async def test_a_code_on_paper_works_once_however_it_is_typed(ada: Owner) -> None:
    typed = ada.codes[0].upper().replace("-", " ").replace("0", "O").replace("1", "l")
    assert (await ada.prove(await ada.challenge(), recovery_code=typed)).secret
    with refused("CODE_WRONG"):
        await ada.prove(await ada.challenge(), recovery_code=ada.codes[0])
    told = (await ada.identity.mails())[-1]
    assert (told.template, "You have 9 left" in told.text) == ("recovery_code_used", True)
    assert (await ada.factors()).recovery_codes_left == 9


async def test_who_has_used_all_codes_on_paper_is_asked_for_the_app(ada: Owner) -> None:
    for code in ada.codes:
        await ada.prove(await ada.challenge(), recovery_code=code)
    assert list((await ada.password()).second_factor.ways) == [CODE]


async def test_a_code_on_paper_is_its_owners(ada: Owner) -> None:
    eve = await owner(ada.identity, EVE)
    await eve.add()
    with refused("CODE_WRONG"):
        await eve.prove(await eve.challenge(), recovery_code=ada.codes[0])


# Guessing -------------------------------------------------------------------------------------------------------------


async def guess(ada: Owner, **said: Any) -> str:
    """Why a wrong code was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ada.prove(await ada.challenge(), code=ada.wrong(), **said)
    return read_refusal(caught.value).reason


async def test_fifty_guesses_at_once_are_no_more_than_five(ada: Owner) -> None:
    held = [await ada.challenge() for _ in range(MOST)]
    tries = [ada.prove(held[number % MOST], code=ada.wrong()) for number in range(50)]
    told = await asyncio.gather(*tries, return_exceptions=True)
    said = [read_refusal(one) for one in told if isinstance(one, grpc.aio.AioRpcError)]
    assert len([one for one in said if one.reason == "CODE_WRONG"]) == FREE
    waits = {one.retry_after for one in said if one.reason == "QUOTA_EXCEEDED"}
    assert waits == {timedelta(minutes=1)}
    assert len(said) == 50


async def test_a_wait_grows_with_each_wrong_code_to_a_day_and_the_right_one_ends_it(ada: Owner) -> None:
    for _ in range(FREE):
        assert await guess(ada) == "CODE_WRONG"
    wait, waits = timedelta(minutes=1), []
    for _ in range(14):
        assert await guess(ada) == "QUOTA_EXCEEDED"
        ada.identity.clock.advance(wait - timedelta(seconds=1))
        assert await guess(ada) == "QUOTA_EXCEEDED"
        ada.identity.clock.advance(timedelta(seconds=1))
        assert await guess(ada) == "CODE_WRONG"
        waits.append(wait)
        wait = min(wait * 2, LONGEST_WAIT)
    assert waits[-1] == LONGEST_WAIT
    ada.identity.clock.advance(LONGEST_WAIT)
    await ada.sign_in()
    assert await guess(ada) == "CODE_WRONG"
    assert await guess(ada) == "CODE_WRONG"


async def test_who_guesses_elsewhere_keeps_nobody_waiting_where_they_are_known(ada: Owner) -> None:
    known = (await ada.sign_in()).device_secret
    while await guess(ada) != "QUOTA_EXCEEDED":
        pass
    done = await ada.prove(await ada.challenge(), code=ada.code(), device_secret=known)
    assert done.secret
    ada.identity.clock.advance(STEP)
    assert (await ada.again(done.secret, code=ada.code())).secret  # nor in their session
    assert (await ada.prove(await ada.challenge(), recovery_code=ada.codes[0])).secret  # nor with a code on paper


async def test_guesses_on_a_known_device_wait_as_well(ada: Owner) -> None:
    known = (await ada.sign_in()).device_secret
    for _ in range(FREE):
        assert await guess(ada, device_secret=known) == "CODE_WRONG"
    assert await guess(ada, device_secret=known) == "QUOTA_EXCEEDED"
    assert await guess(ada) == "CODE_WRONG"


async def test_guesses_are_forgotten_in_a_month(ada: Owner) -> None:
    await guess(ada)
    assert await kept(ada, Guess) == 1
    ada.identity.clock.advance(KEPT)
    assert await forget_guesses.work(ada.identity.sessions, ada.identity.clock()) == 1
    assert await kept(ada, Guess) == 0


# Devices --------------------------------------------------------------------------------------------------------------

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


async def test_a_trusted_device_is_not_asked_for_thirty_days(ada: Owner) -> None:
    waits = (await ada.password(user_agent=FIREFOX)).second_factor.challenge
    device = (await ada.prove(waits, code=ada.code(), trust_device=True)).device_secret
    [listed] = await ada.devices()
    assert listed.title == "Firefox on Linux"
    assert moment(listed.trust_expire_time) == ada.identity.clock() + TRUSTED
    ada.identity.clock.advance(TRUSTED - timedelta(seconds=1))
    told = await ada.password(device_secret=device)
    assert (told.session.acr, list(told.session.amr)) == ("pwd", ["pwd"])
    assert (await ada.password()).second_factor.challenge  # nowhere else
    ada.identity.clock.advance(timedelta(seconds=1))
    assert (await ada.password(device_secret=device)).second_factor.challenge
    [listed] = await ada.devices()
    assert not listed.HasField("trust_expire_time")


async def test_a_device_that_was_not_to_be_trusted_is_asked(ada: Owner) -> None:
    device = (await ada.sign_in()).device_secret
    assert (await ada.password(device_secret=device)).second_factor.challenge
    assert len(await ada.devices()) == 1


async def test_a_program_that_wants_a_recent_sign_in_has_a_trusted_device_asked(ada: Owner) -> None:
    device = (await ada.sign_in(trust_device=True)).device_secret
    assert (await ada.password(device_secret=device, ask_always=True)).second_factor.challenge


async def test_trust_is_in_one_person_and_in_one_secret(ada: Owner) -> None:
    eve = await owner(ada.identity, EVE)
    await eve.add()
    first = (await ada.sign_in(trust_device=True)).device_secret
    assert (await eve.password(device_secret=first)).second_factor.challenge
    second = (await ada.sign_in(device_secret=first)).device_secret
    assert len(await ada.devices()) == 1
    assert (await ada.password(device_secret=first)).second_factor.challenge
    assert (await ada.password(device_secret=second)).secret  # it stays trusted


async def test_a_device_that_is_forgotten_is_asked_again(ada: Owner) -> None:
    device = (await ada.sign_in(trust_device=True)).device_secret
    [listed] = await ada.devices()
    await ada.stub.DeleteDevice(pb.DeleteDeviceRequest(name=listed.name), metadata=ada.me)
    assert (await ada.password(device_secret=device)).second_factor.challenge
    with refused("DEVICE_NOT_FOUND"):
        await ada.stub.DeleteDevice(pb.DeleteDeviceRequest(name=listed.name), metadata=ada.me)


async def test_trust_ends_with_the_password(ada: Owner) -> None:
    device = (await ada.sign_in(trust_device=True)).device_secret
    changed = identity_pb2.ChangePasswordRequest(name=ada.user, password=OTHER)
    await ada.identity.stub.ChangePassword(changed, metadata=ada.me)
    assert (await ada.password(OTHER, device_secret=device)).second_factor.challenge
    assert await ada.devices() == []


async def test_devices_are_forgotten_when_nobody_uses_them(ada: Owner) -> None:
    await ada.sign_in()
    ada.identity.clock.advance(KNOWN)
    assert await ada.devices() == []
    assert await forget_devices.work(ada.identity.sessions, ada.identity.clock()) == 1
    assert await kept(ada, Device) == 0


# Again ----------------------------------------------------------------------------------------------------------------


async def remove_as(ada: Owner, secret: str) -> None:
    await ada.remove(metadata=await ada.token(secret))


async def test_who_proves_the_factor_again_is_fresh_under_another_secret(ada: Owner) -> None:
    done = await ada.sign_in()
    ada.identity.clock.advance(timedelta(minutes=6))
    with refused("SIGN_IN_TOO_OLD"):
        await remove_as(ada, done.secret)
    with refused("FACTOR_NEEDED"):
        await ada.again(done.secret, password=PASSWORD)
    with refused("CODE_WRONG"):
        await ada.again(done.secret, code=ada.wrong())
    renewed = await ada.again(done.secret, code=ada.code())
    assert (renewed.session.name, moment(renewed.session.auth_time)) == (done.session.name, ada.identity.clock())
    assert (renewed.session.acr, list(renewed.session.amr)) == ("mfa", ["pwd", "otp", "mfa"])
    with refused("SESSION_ENDED"):
        await ada.identity.issue(done.secret)
    with refused("SESSION_ENDED"):
        await ada.again(done.secret, code=ada.code(1))
    await remove_as(ada, renewed.secret)


async def test_who_signed_in_on_a_trusted_device_proves_the_factor_before_what_is_sensitive(ada: Owner) -> None:
    device = (await ada.sign_in(trust_device=True)).device_secret
    ada.identity.clock.advance(timedelta(minutes=6))
    secret = (await ada.password(device_secret=device)).secret
    with refused("SIGN_IN_TOO_OLD"):
        await remove_as(ada, secret)
    renewed = await ada.again(secret, recovery_code=ada.codes[0])
    assert renewed.session.acr == "mfa"
    await remove_as(ada, renewed.secret)


async def test_who_has_no_factor_proves_the_password_again(identity: Identity) -> None:
    eve = await owner(identity, EVE)
    secret = (await eve.password()).secret
    identity.clock.advance(timedelta(minutes=6))
    with refused("SIGN_IN_FAILED"):
        await eve.again(secret, password="not hers")
    with refused("CODE_WRONG"):
        await eve.again(secret, code="000000")
    renewed = await eve.again(secret, password=PASSWORD)
    assert (renewed.session.acr, moment(renewed.session.auth_time)) == ("pwd", identity.clock())
    assert await identity.issue(renewed.secret)


async def test_who_stole_a_session_guesses_no_password_in_it(identity: Identity) -> None:
    eve = await owner(identity, EVE)
    secret = (await eve.password()).secret
    tries = (eve.again(secret, password=f"guess number {number}") for number in range(50))
    told = await asyncio.gather(*tries, return_exceptions=True)
    said = [read_refusal(one).reason for one in told if isinstance(one, grpc.aio.AioRpcError)]
    assert said.count("SIGN_IN_FAILED") <= FREE
    assert said.count("QUOTA_EXCEEDED") >= 50 - FREE
    identity.clock.advance(timedelta(minutes=1))
    assert (await eve.again(secret, password=PASSWORD)).secret


async def test_of_fifty_who_renew_a_session_at_once_one_has_it(identity: Identity) -> None:
    eve = await owner(identity, EVE)
    secret = (await eve.password()).secret
    told = await asyncio.gather(*(eve.again(secret, password=PASSWORD) for _ in range(50)), return_exceptions=True)
    [renewed] = won(told)
    assert await identity.issue(renewed.secret)


async def test_only_the_gateway_renews_a_session(ada: Owner) -> None:
    with refused("SIGN_IN_NEEDED"):
        await ada.stub.ProveAgain(pb.ProveAgainRequest(session_secret="x", code="0"))
    with refused("SESSION_ENDED"):
        await ada.stub.ProveAgain(pb.ProveAgainRequest(session_secret="x", code="0"), metadata=GATEWAY)
