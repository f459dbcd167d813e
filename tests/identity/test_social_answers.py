"""Every way in which a provider may misbehave, or somebody speak in its name: each is refused, and makes nobody."""

from datetime import timedelta

import grpc
import httpcore
import pytest
from rapport.identity.v1.events_pb2 import ExternalIdentityLinked, SessionCreated, UserCreated

from services.identity import outside
from services.identity.outside import Guarded
from services.identity.social.id_tokens import AGAIN
from tests.identity.social import NORA, TOM, VERA, Social
from tests.world import refused

GUARDED = Guarded(loopback=False)
UNPROVEN = [
    "alg_none",
    "alg_hs256",
    "foreign_key",
    "own_key",
    "unknown_kid",
    "no_token",
    "wrong_nonce",
    "no_nonce",
    "wrong_aud",
    "many_auds",
    "wrong_azp",
    "wrong_iss",
    "expired",
    "endless_token",
    "from_the_future",
    "no_sub",
    "long_sub",
]
FAILING = ["slow", "endless", "redirect", "broken", "no_json"]


async def nobody_came(social: Social) -> bool:
    facts = (UserCreated, SessionCreated, ExternalIdentityLinked)
    return not any([await social.identity.stated(kind) for kind in facts])


@pytest.mark.parametrize("mischief", UNPROVEN)
async def test_a_token_that_does_not_prove_it_lets_nobody_in(social: Social, mischief: str) -> None:
    with refused("SOCIAL_ANSWER_INVALID"):
        await social.come(NORA, mischief=mischief)
    assert await nobody_came(social)
    assert (await social.come(NORA)).signed_in.is_new  # and what went wrong is not remembered


@pytest.mark.parametrize("mischief", FAILING)
async def test_a_provider_that_fails_is_said_to_fail(social: Social, mischief: str) -> None:
    with refused("SOCIAL_PROVIDER_FAILED") as said:
        await social.come(NORA, mischief=mischief)
    assert said[0].code is grpc.StatusCode.UNAVAILABLE
    assert await nobody_came(social)


async def test_a_code_of_another_sign_in_is_worth_nothing(social: Social) -> None:
    """PKCE: the code was given for another browser's challenge."""
    stolen = await social.consent(await social.begin(), NORA)
    mine = await social.begin()
    with refused("SOCIAL_ANSWER_INVALID"):
        await social.complete(mine, {"state": mine.state, "code": stolen["code"]})
    with refused("SOCIAL_ANSWER_INVALID"):
        again = await social.begin()
        await social.complete(again, {"state": again.state, "code": "made up"})
    with refused("SOCIAL_ANSWER_INVALID"):
        again = await social.begin()
        await social.complete(again, {"state": again.state})
    assert await nobody_came(social)


async def test_who_says_no_is_told_so(social: Social) -> None:
    begun = await social.begin()
    with refused("SOCIAL_DENIED"):
        await social.complete(begun, await social.consent(begun, None))
    failing = await social.begin()
    with refused("SOCIAL_PROVIDER_FAILED"):
        await social.complete(failing, {"state": failing.state, "error": "server_error"})


async def test_an_answer_of_another_provider_is_refused(social: Social) -> None:
    """RFC 9207: who answers, where the provider says so."""
    begun = await social.begin()
    back = await social.consent(begun, NORA)
    with refused("SOCIAL_ANSWER_INVALID"):
        await social.complete(begun, back | {"iss": "https://accounts.example.net"})
    begun = await social.begin()
    back = await social.consent(begun, NORA)
    assert (await social.complete(begun, back | {"iss": social.there.issuer("google")})).signed_in.secret


async def test_a_profile_without_an_id_is_nobody_s(social: Social) -> None:
    with refused("SOCIAL_ANSWER_INVALID"):
        await social.come(VERA, provider="facebook", mischief="no_id")


async def test_keys_are_kept_and_asked_for_again_no_more_than_once_a_minute(social: Social) -> None:
    await social.come(NORA)
    await social.come(NORA)
    assert social.there.asked_for_keys == 1
    for _ in range(3):
        with refused("SOCIAL_ANSWER_INVALID"):
            await social.come(NORA, mischief="unknown_kid")
    assert social.there.asked_for_keys == 1
    social.identity.clock.advance(AGAIN)
    with refused("SOCIAL_ANSWER_INVALID"):
        await social.come(NORA, mischief="unknown_kid")
    assert social.there.asked_for_keys == 2
    social.identity.clock.advance(timedelta(hours=1))
    await social.come(NORA)
    assert social.there.asked_for_keys == 3


async def test_a_key_that_was_rotated_is_found(social: Social) -> None:
    await social.come(NORA)
    social.there.key, social.there.foreign = social.there.foreign, social.there.key
    social.identity.clock.advance(timedelta(hours=1))
    assert (await social.come(TOM)).signed_in.is_new


async def test_a_provider_that_is_down_is_said_to_fail(social: Social) -> None:
    begun = await social.begin()
    back = await social.consent(begun, NORA)
    await social.stop()
    with refused("SOCIAL_PROVIDER_FAILED"):
        await social.complete(begun, back)


async def test_a_connection_for_a_photo_looks_where_it_goes(social: Social, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody listens there, so that it is the look that stops it."""
    port = int(social.there.settings.listen.rpartition(":")[2])
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(httpcore.ConnectError):
            await GUARDED.connect_tcp(host, port, 1.0)
    monkeypatch.setattr(outside, "is_public", lambda _: True)
    await (await GUARDED.connect_tcp("127.0.0.1", port, 1.0)).aclose()


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - which is meant
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::ffff:8.8.8.8",  # in disguise
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_everybody_s_is_not_connected_to(address: str) -> None:
    assert not GUARDED.allows(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_an_address_on_the_internet_is(address: str) -> None:
    assert GUARDED.allows(address)
