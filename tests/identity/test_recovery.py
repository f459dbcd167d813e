"""Another password: by a link for who forgot theirs, and by who is signed in."""

import asyncio
from datetime import timedelta

import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import PasswordChanged, SessionRevoked
from sqlalchemy import func, select

from chassis.client import Metadata, as_person
from services.identity.models import Recovery
from services.identity.recoveries import LINK_LASTS, forget_recoveries
from services.identity.registrations import MAILS_AN_HOUR
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, PASSWORD, Identity
from tests.world import refused

OTHER = "copper lantern by noon"


async def begin(identity: Identity, email: str = ADA) -> None:
    await identity.stub.BeginRecovery(pb.BeginRecoveryRequest(email=email))


async def link(identity: Identity) -> str:
    await begin(identity)
    return await identity.token()


async def complete(identity: Identity, token: str, password: str = OTHER) -> None:
    await identity.stub.CompleteRecovery(pb.CompleteRecoveryRequest(token=token, password=password))


async def change(identity: Identity, name: str, metadata: Metadata, password: str = OTHER) -> None:
    await identity.stub.ChangePassword(pb.ChangePasswordRequest(name=name, password=password), metadata=metadata)


async def links(identity: Identity) -> int:
    async with identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Recovery)) or 0


async def test_a_link_by_mail_sets_another_password_and_ends_what_hung_on_the_old_one(identity: Identity) -> None:
    ada = await identity.create()
    before = await identity.sign_in()
    await begin(identity, " Ada@Example.ORG ")
    token = await identity.token()
    assert f"https://store.example.org/recover#token={token}" in (await identity.mails())[-1].text

    await complete(identity, token)

    with refused("SIGN_IN_FAILED"):
        await identity.sign_in()
    assert (await identity.sign_in(password=OTHER)).session.name.startswith(ada.name)
    with refused("SESSION_ENDED"):
        await identity.issue(before.secret)
    assert [one.session for one in await identity.stated(SessionRevoked)] == [before.session.name]
    [stated] = await identity.stated(PasswordChanged)
    assert (stated.user, stated.way) == (ada.name, PasswordChanged.LINK)
    assert (await identity.mails())[-1].template == "password_changed"


@pytest.mark.parametrize("is_recovery", [True, False])
async def test_what_was_let_in_by_the_old_password_is_out(provider: Provider, is_recovery: bool) -> None:
    identity = provider.identity
    tokens = await provider.tokens(scope="openid offline_access")  # it outlives the session
    if is_recovery:
        await complete(identity, await link(identity))
    else:
        name = (await provider.userinfo(tokens["access_token"]))[1]["sub"]
        await change(identity, f"users/{name}", identity.as_(f"users/{name}"))
    assert (await provider.userinfo(tokens["access_token"]))[0] == 401
    assert (await provider.refresh(tokens["refresh_token"]))[0] == 400


async def test_the_answer_is_the_same_for_an_unknown_address_which_is_mailed_how_to_register(
    identity: Identity,
) -> None:
    await begin(identity, EVE)
    [told] = await identity.mails(EVE)
    assert "no account here" in told.text
    assert "/register#token=" in told.text
    assert await links(identity) == 0


async def test_who_is_being_erased_gets_no_link_and_uses_none(identity: Identity) -> None:
    ada = await identity.create()
    token = await link(identity)
    await identity.delete(ada)
    with refused("LINK_INVALID"):
        await complete(identity, token)
    await begin(identity)
    assert "still being deleted" in (await identity.mails())[-1].text


async def test_a_link_works_once_and_with_it_go_the_others(identity: Identity) -> None:
    await identity.create()
    first, second = await link(identity), await link(identity)
    await complete(identity, second)
    for token in (first, second, "never one of ours"):
        with refused("LINK_INVALID"):
            await complete(identity, token, "silver thimble on Monday")


async def test_of_fifty_who_use_one_link_at_once_one_wins(identity: Identity) -> None:
    await identity.create()
    token = await link(identity)
    tries = [complete(identity, token, f"copper lantern {number}") for number in range(50)]
    told = await asyncio.gather(*tries, return_exceptions=True)
    [winner] = [number for number, error in enumerate(told) if error is None]
    assert await identity.sign_in(password=f"copper lantern {winner}")
    assert len(await identity.stated(PasswordChanged)) == 1


async def test_a_link_ends_after_ten_minutes(identity: Identity) -> None:
    await identity.create()
    token = await link(identity)
    identity.clock.advance(LINK_LASTS)
    with refused("LINK_INVALID"):
        await complete(identity, token)


async def test_a_weak_password_uses_up_no_link(identity: Identity) -> None:
    await identity.create()
    token = await link(identity)
    with refused("PASSWORD_WEAK"):
        await complete(identity, token, ADA)
    await complete(identity, token)


async def test_a_mailbox_is_not_filled_and_links_that_no_longer_count_are_forgotten(identity: Identity) -> None:
    await identity.create()
    for _ in range(MAILS_AN_HOUR + 2):
        await begin(identity)
    assert len(await identity.mails()) == MAILS_AN_HOUR
    identity.clock.advance(timedelta(hours=1))
    assert await forget_recoveries.work(identity.sessions, identity.clock()) == MAILS_AN_HOUR
    await begin(identity)
    assert len(await identity.mails()) == MAILS_AN_HOUR + 1


async def test_a_token_is_kept_as_a_hash(identity: Identity) -> None:
    await identity.create()
    token = await link(identity)
    async with identity.sessions() as session:
        [row] = await session.scalars(select(Recovery))
    assert token.encode() not in row.token_hash
    assert len(row.token_hash) == 32


async def test_who_is_signed_in_stays_so_where_they_change_their_password(identity: Identity) -> None:
    ada = await identity.create()
    here, elsewhere = await identity.sign_in(), await identity.sign_in()
    token = (await identity.issue(here.secret)).access_token
    await change(identity, ada.name, as_person(token))
    assert await identity.issue(here.secret)
    with refused("SESSION_ENDED"):
        await identity.issue(elsewhere.secret)
    assert await identity.sign_in(password=OTHER)
    [stated] = await identity.stated(PasswordChanged)
    assert stated.way == PasswordChanged.SIGNED_IN


@pytest.mark.parametrize("password", ["short", "password1", ADA])
async def test_a_password_that_is_guessed_first_changes_nothing(identity: Identity, password: str) -> None:
    ada = await identity.create()
    with refused("PASSWORD_WEAK"):
        await change(identity, ada.name, identity.as_(ada), password)
    assert await identity.sign_in(password=PASSWORD)


async def test_changing_a_password_takes_a_fresh_sign_in(identity: Identity) -> None:
    ada = await identity.create()
    secret = (await identity.sign_in()).secret
    identity.clock.advance(timedelta(minutes=6))
    token = (await identity.issue(secret)).access_token
    with refused("SIGN_IN_TOO_OLD"):
        await change(identity, ada.name, as_person(token))
    assert await identity.sign_in(password=PASSWORD)
