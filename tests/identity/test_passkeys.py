"""Passkeys: added, used to sign in, renamed, removed, and everything a browser must not get through with."""

import asyncio
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport.identity.v1 import events_pb2 as events
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1.events_pb2 import CredentialAdded, CredentialRemoved, SessionCreated
from sqlalchemy import delete, func, select

from chassis.names import parse
from chassis.time import moment
from services.identity.ceremonies import LASTS, Ceremonies
from services.identity.models import Credential, ExternalIdentity, Spent, User
from services.identity.once import forget_spent
from services.identity.passkeys import MOST
from services.identity.refusals import PasskeyRefused
from tests.identity.authenticator import PRESENT, SYNCABLE, SYNCED, VERIFIED, Authenticator
from tests.identity.factors import Owner, owner
from tests.identity.people import ADA, EVE, GATEWAY, Identity
from tests.world import refused


@pytest.fixture
async def ada(identity: Identity) -> Owner:
    return await owner(identity)


async def options(ada: Owner) -> str:
    return (await ada.stub.BeginPasskey(pb.BeginPasskeyRequest(parent=ada.user), metadata=ada.me)).options


async def add(ada: Owner, device: Authenticator, credential: str = "", title: str = "My phone") -> pb.Factor:
    made = credential or device.create(await options(ada))
    asked = pb.AddPasskeyRequest(parent=ada.user, credential=made, title=title)
    return await ada.stub.AddPasskey(asked, metadata=ada.me)


async def begin(ada: Owner) -> str:
    return (await ada.stub.BeginPasskeySignIn(pb.BeginPasskeySignInRequest())).options


async def use(ada: Owner, credential: str) -> pb.SignInByPasskeyResponse:
    asked = pb.SignInByPasskeyRequest(credential=credential, user_agent="Firefox/141.0 Linux")
    return await ada.stub.SignInByPasskey(asked, metadata=GATEWAY)


async def sign_in(ada: Owner, device: Authenticator) -> pb.SignInByPasskeyResponse:
    return await use(ada, device.get(await begin(ada)))


# In the ordinary way --------------------------------------------------------------------------------------------------


async def test_a_passkey_signs_in_without_a_password_and_an_address(ada: Owner) -> None:
    device = Authenticator()
    asked = json.loads(await options(ada))
    assert (asked["rp"]["id"], asked["user"]["name"]) == ("store.example.org", ADA)
    added = await add(ada, device)
    assert (added.kind, added.title, added.suspect) == (pb.Factor.PASSKEY, "My phone", False)
    assert list((await ada.factors()).factors) == [added]
    begun = await sign_in(ada, device)
    assert begun.session.name.startswith(f"{ada.user}/sessions/")
    assert (begun.session.acr, list(begun.session.amr)) == ("mfa", ["hwk", "user", "mfa"])
    assert begun.session.device == "Firefox on Linux"
    assert await ada.identity.issue(begun.secret)
    assert [one.kind for one in await ada.identity.stated(CredentialAdded)] == [events.PASSKEY]
    assert (await ada.identity.mails())[-1].template == "passkey_added"
    [factor] = (await ada.factors()).factors
    assert moment(factor.last_use_time) == ada.identity.clock()


async def test_a_passkey_that_is_on_many_devices_says_so(ada: Owner) -> None:
    device = Authenticator(flags=PRESENT | VERIFIED | SYNCABLE | SYNCED, counts=False)
    await add(ada, device)
    for _ in range(2):  # such a key does not count
        assert list((await sign_in(ada, device)).session.amr) == ["swk", "user", "mfa"]


async def test_a_password_goes_on_working_beside_it(ada: Owner) -> None:
    await add(ada, Authenticator())
    assert (await ada.password()).secret


async def test_a_passkey_is_enough_where_there_is_an_app_as_well(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    ada.identity.clock.advance(timedelta(seconds=1))
    await ada.add()
    assert (await sign_in(ada, device)).session.acr == "mfa"
    assert [one.kind for one in (await ada.factors()).factors] == [pb.Factor.PASSKEY, pb.Factor.TOTP]


async def test_a_passkey_is_renamed_and_removed(ada: Owner) -> None:
    device = Authenticator()
    added = await add(ada, device)
    asked = pb.UpdateFactorRequest(factor=pb.Factor(name=added.name, title=" The old one "))
    assert (await ada.stub.UpdateFactor(asked, metadata=ada.me)).title == "The old one"
    await ada.remove(added.name)
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, device)
    assert [one.kind for one in await ada.identity.stated(CredentialRemoved)] == [events.PASSKEY]
    assert (await ada.identity.mails())[-1].template == "passkey_removed"
    for gone in (ada.stub.UpdateFactor(asked, metadata=ada.me), ada.remove(added.name)):
        with refused("FACTOR_NOT_FOUND"):
            await gone


async def test_factors_are_listed_a_page_at_a_time(ada: Owner) -> None:
    made = []
    for _ in range(3):
        ada.identity.clock.advance(timedelta(seconds=1))
        made.append((await add(ada, Authenticator())).name)
    asked = pb.ListFactorsRequest(parent=ada.user, page_size=2)
    first = await ada.stub.ListFactors(asked, metadata=ada.me)
    asked.page_token = first.next_page_token
    rest = await ada.stub.ListFactors(asked, metadata=ada.me)
    assert [one.name for one in (*first.factors, *rest.factors)] == made
    assert (len(first.factors), rest.next_page_token) == (2, "")


async def test_an_account_has_ten_at_most(ada: Owner) -> None:
    waiting = await options(ada)
    for _ in range(MOST):
        await add(ada, Authenticator())
    with refused("QUOTA_EXCEEDED"):
        await options(ada)
    with refused("QUOTA_EXCEEDED"):
        await add(ada, Authenticator(), Authenticator().create(waiting))


async def test_the_last_way_in_stays(ada: Owner) -> None:
    first, second = [(await add(ada, Authenticator())).name for _ in range(2)]
    async with ada.identity.sessions.begin() as session:
        await session.execute(delete(Credential))  # as of who never had a password
    await ada.remove(first)
    with refused("LAST_WAY_IN"):
        await ada.remove(second)


async def test_an_account_elsewhere_is_another_way_in(ada: Owner) -> None:
    passkey, now = (await add(ada, Authenticator())).name, ada.identity.clock()
    there = ExternalIdentity(
        user_id=parse("users/{user}", ada.user), provider="google", issuer="https://accounts.example", sub="1",
        account_name="", is_proven=True, create_time=now, last_use_time=now,
    )  # fmt: skip
    async with ada.identity.sessions.begin() as session:
        session.add(there)
        await session.execute(delete(Credential))
    await ada.remove(passkey)


async def test_who_has_a_passkey_proves_it_again(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    begun = await sign_in(ada, device)
    ada.identity.clock.advance(timedelta(minutes=6))
    renewed = await ada.again(begun.secret, passkey=device.get(await begin(ada)))
    assert moment(renewed.session.auth_time) == ada.identity.clock()
    eve, theirs = await owner(ada.identity, EVE), Authenticator()
    await add(eve, theirs)
    with refused("PASSKEY_REFUSED"):
        await ada.again(renewed.secret, passkey=theirs.get(await begin(ada)))


# What does not get through --------------------------------------------------------------------------------------------

WRONG: list[dict[str, Any]] = [
    {"origin": "https://evil.example.net"},
    {"origin": "https://store.example.org.evil.example.net"},
    {"origin": "http://store.example.org"},
    {"origin": "https://store.example.org:8443"},
    {"party": "example.org"},
    {"flags": PRESENT},  # not unlocked
    {"flags": VERIFIED},  # nobody was there
    {"client": {"crossOrigin": True}},
    {"client": {"type": "payment.get"}},
    {"client": {"challenge": "AAAA"}},
]


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_another_place_or_nobody_signed_is_refused(ada: Owner, wrong: dict[str, Any]) -> None:
    with refused("PASSKEY_REFUSED"):
        await add(ada, Authenticator(**wrong))
    device = Authenticator()
    await add(ada, device)
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, replace(device, **wrong))
    assert await ada.identity.stated(SessionCreated) == []


async def test_a_key_that_is_not_known_or_not_the_one_is_refused(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, Authenticator(user=device.user))
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, replace(device, key=Authenticator().key))
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, replace(device, user=b"somebody else's"))


async def test_a_challenge_is_signed_once(ada: Owner) -> None:
    device, asked = Authenticator(), await options(ada)
    made = device.create(asked)
    await add(ada, device, made)
    with refused("PASSKEY_REFUSED"):
        await add(ada, device, Authenticator().create(asked))
    signed = device.get(await begin(ada))
    tries = await asyncio.gather(*(use(ada, signed) for _ in range(50)), return_exceptions=True)
    assert sum(not isinstance(one, grpc.aio.AioRpcError) for one in tries) == 1
    with refused("PASSKEY_REFUSED"):
        await use(ada, signed)


async def test_of_fifty_who_add_one_passkey_at_once_one_does(ada: Owner) -> None:
    device = Authenticator()
    made = device.create(await options(ada))
    tries = await asyncio.gather(*(add(ada, device, made) for _ in range(50)), return_exceptions=True)
    assert sum(not isinstance(one, grpc.aio.AioRpcError) for one in tries) == 1
    with refused("PASSKEY_REFUSED"):
        await add(ada, device)  # under another challenge neither
    assert len((await ada.factors()).factors) == 1


async def test_a_challenge_ends_in_five_minutes_and_what_was_spent_is_forgotten_then(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    asked = await begin(ada)
    ada.identity.clock.advance(LASTS)
    with refused("PASSKEY_REFUSED"):
        await use(ada, device.get(asked))
    assert await forget_spent.work(ada.identity.sessions, ada.identity.clock()) == 1
    async with ada.identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Spent)) == 0


async def test_a_challenge_is_for_one_person_and_one_thing(ada: Owner) -> None:
    device, eve = Authenticator(), await owner(ada.identity, EVE)
    with refused("PASSKEY_REFUSED"):
        await add(eve, device, device.create(await options(ada)))
    await add(ada, device)
    with refused("PASSKEY_REFUSED"):
        await use(ada, device.get(json.dumps(json.loads(await options(ada)) | {"userVerification": "required"})))


async def test_a_passkey_of_somebody_is_nobody_elses(ada: Owner) -> None:
    device, eve = Authenticator(), await owner(ada.identity, EVE)
    await add(ada, device)
    with refused("PASSKEY_REFUSED"):
        await add(eve, device)
    assert not (await eve.factors()).factors


async def test_one_that_counts_backwards_signs_nobody_in_any_more(ada: Owner) -> None:
    device = Authenticator()
    added = await add(ada, device)
    copy = replace(device)
    await sign_in(ada, device)
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, copy)
    assert (await ada.identity.mails())[-1].template == "passkey_suspected"
    [listed] = (await ada.factors()).factors
    assert (listed.name, listed.suspect) == (added.name, True)
    for one in (device, device):
        with refused("PASSKEY_REFUSED"):
            await sign_in(ada, one)
    assert [one.template for one in await ada.identity.mails()].count("passkey_suspected") == 1
    await ada.remove(added.name)


async def test_one_that_counts_backwards_does_not_renew_a_session(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    begun = await sign_in(ada, device)
    device.count = 0
    with refused("PASSKEY_REFUSED"):
        await ada.again(begun.secret, passkey=replace(device, counts=False).get(await begin(ada)))
    [listed] = (await ada.factors()).factors
    assert listed.suspect


async def test_adding_takes_a_fresh_sign_in(ada: Owner) -> None:
    secret = (await ada.password()).secret
    ada.identity.clock.advance(timedelta(minutes=6))
    old = await ada.token(secret)
    with refused("SIGN_IN_TOO_OLD"):
        await ada.stub.BeginPasskey(pb.BeginPasskeyRequest(parent=ada.user), metadata=old)


async def test_only_the_gateway_signs_people_in_by_a_passkey(ada: Owner) -> None:
    asked = pb.SignInByPasskeyRequest(credential="x")
    with refused("FORBIDDEN"):
        await ada.stub.SignInByPasskey(asked, metadata=ada.me)


async def test_who_is_being_erased_signs_in_by_none(ada: Owner) -> None:
    device = Authenticator()
    await add(ada, device)
    await ada.identity.delete(await ada.identity.get(ada.user))
    with refused("PASSKEY_REFUSED"):
        await sign_in(ada, device)


# Anything at all ------------------------------------------------------------------------------------------------------

ASKS = Ceremonies("fa" * 32, "https://store.example.org")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.builds(json.dumps, JSON))
def test_no_text_is_too_strange_to_be_refused(said: str) -> None:
    with pytest.raises(PasskeyRefused):
        ASKS.read(said)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_a_credential_is_too_strange_to_be_refused(data: st.DataObject) -> None:
    """Of what a browser makes, and of what is in it: the client's data, and what the device says in CBOR."""
    device, user, now = Authenticator(), uuid4(), datetime(2026, 7, 6, tzinfo=UTC)
    asked = ASKS.adding(User(id=user, email=ADA, display_name=""), [], now=now)
    made = device.create(asked)
    assert ASKS.added(made, user, now=now).credential_id == device.id
    credential = json.loads(made)
    place = data.draw(st.sampled_from([credential, credential["response"]]))
    name = data.draw(st.sampled_from(sorted(place)))
    if name in ("clientExtensionResults", "authenticatorAttachment"):
        return
    if isinstance(place[name], str) and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(place[name]) - 1))
        letter = data.draw(st.sampled_from("AZaz09-_"))
        changed = place[name][:at] + letter + place[name][at + 1 :]
    else:
        changed = data.draw(JSON)
    if changed == place[name]:
        return
    place[name] = changed
    with contextlib.suppress(
        PasskeyRefused
    ):  # some bits of a key are free: all that matters is that nothing else is raised
        ASKS.added(json.dumps(credential), user, now=now)
