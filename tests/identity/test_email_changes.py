"""Another address: asked for by who is signed in, made when both mailboxes say yes."""

import asyncio
import re
from datetime import timedelta

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import UserUpdated
from sqlalchemy import func, select

from chassis.client import as_person
from services.identity import addresses
from services.identity.email_changes import LINK_LASTS, MOST_AN_HOUR, forget_email_changes
from services.identity.models import EmailChange
from tests.identity.people import ADA, EVE, Identity
from tests.world import refused

NEW = "ada@elsewhere.example.org"
HALF, CHANGED = pb.ConfirmEmailChangeResponse.HALF_CONFIRMED, pb.ConfirmEmailChangeResponse.CHANGED


async def ask(identity: Identity, user: pb.User, email: str = NEW) -> None:
    await identity.stub.ChangeEmail(pb.ChangeEmailRequest(name=user.name, email=email), metadata=identity.as_(user))


async def link(identity: Identity, email: str) -> str:
    """The token in the newest mail of a change to an address."""
    mails = [one for one in await identity.mails(email) if one.template in ("leave_address", "take_address")]
    found = re.search(r"/confirm-email#token=(\S+)", mails[-1].text)
    assert found
    return found[1]


async def confirm(identity: Identity, token: str) -> int:
    return (await identity.stub.ConfirmEmailChange(pb.ConfirmEmailChangeRequest(token=token))).state


async def waiting(identity: Identity) -> int:
    async with identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(EmailChange)) or 0


@pytest.mark.parametrize("first", [ADA, NEW])
async def test_when_both_sides_say_yes_the_account_has_another_address(identity: Identity, first: str) -> None:
    ada = await identity.create()
    here = await identity.sign_in()
    await ask(identity, ada, " Ada@Elsewhere.example.ORG ")
    second = NEW if first == ADA else ADA
    assert await confirm(identity, await link(identity, first)) == HALF
    assert (await identity.get(ada.name)).email == ADA
    assert await confirm(identity, await link(identity, first)) == HALF  # said again, it is as it was
    assert await confirm(identity, await link(identity, second)) == CHANGED

    changed = await identity.get(ada.name)
    assert (changed.email, changed.name) == (NEW, ada.name)
    assert changed.etag != ada.etag
    assert (await identity.stated(UserUpdated))[-1].paths == ["email"]
    assert (await identity.mails())[-1].template == "address_changed"
    assert NEW not in (await identity.mails())[-1].text
    assert await identity.issue(here.secret)  # who is signed in stays so
    assert (await identity.sign_in(NEW)).session.name.startswith(ada.name)
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(ADA)
    assert await waiting(identity) == 0


async def test_one_mailbox_alone_changes_nothing(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    for _ in range(2):
        await confirm(identity, await link(identity, ADA))
    identity.clock.advance(LINK_LASTS)
    with refused("LINK_INVALID"):
        await confirm(identity, await link(identity, NEW))
    assert await forget_email_changes.work(identity.sessions, identity.clock()) == 1
    assert await waiting(identity) == 0
    assert (await identity.get(ada.name)).email == ADA


async def test_the_owner_of_a_wanted_address_is_told_and_nothing_else_is_different(identity: Identity) -> None:
    ada = await identity.create()
    await identity.create(EVE)
    await ask(identity, ada, EVE)
    [told] = await identity.mails(EVE)
    assert (told.template, "token" in told.text) == ("address_wanted", False)
    assert await confirm(identity, await link(identity, ADA)) == HALF


async def test_an_address_that_somebody_took_meanwhile_is_theirs(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    await confirm(identity, await link(identity, ADA))
    await identity.create(NEW)
    with refused("EMAIL_TAKEN"):
        await confirm(identity, await link(identity, NEW))
    assert (await identity.get(ada.name)).email == ADA


async def test_what_was_asked_before_is_over_when_something_else_is_asked(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    old = await link(identity, ADA)
    await ask(identity, ada, "third@example.org")
    with refused("LINK_INVALID"):
        await confirm(identity, old)


async def test_a_recovery_that_was_mailed_to_the_old_address_is_over(identity: Identity) -> None:
    ada = await identity.create()
    await identity.stub.BeginRecovery(pb.BeginRecoveryRequest(email=ADA))
    recovery = await identity.token()
    await ask(identity, ada)
    await confirm(identity, await link(identity, ADA))
    await confirm(identity, await link(identity, NEW))
    with refused("LINK_INVALID"):
        asked = pb.CompleteRecoveryRequest(token=recovery, password="copper lantern by noon")
        await identity.stub.CompleteRecovery(asked)


async def test_who_makes_a_user_waits_for_who_is_about_to_have_the_address(identity: Identity) -> None:
    async with identity.sessions.begin() as session:
        await addresses.take_turns(session, NEW)
        making = asyncio.create_task(identity.create(NEW))
        _, waits = await asyncio.wait([making], timeout=0.5)
        assert waits
    assert (await making).email == NEW


async def test_of_fifty_who_confirm_at_once_the_change_is_made_once(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    tokens = [await link(identity, ADA), await link(identity, NEW)] * 25
    told = await asyncio.gather(*(confirm(identity, one) for one in tokens), return_exceptions=True)
    assert told.count(CHANGED) == 1
    assert all(one in (HALF, CHANGED) or isinstance(one, grpc.aio.AioRpcError) for one in told)
    assert len(await identity.stated(UserUpdated)) == 1
    assert (await identity.get(ada.name)).email == NEW


async def test_whoever_changes_the_password_ends_what_somebody_else_began(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    token = await link(identity, NEW)
    changed = pb.ChangePasswordRequest(name=ada.name, password="copper lantern by noon")
    await identity.stub.ChangePassword(changed, metadata=identity.as_(ada))
    with refused("LINK_INVALID"):
        await confirm(identity, token)


async def test_mailboxes_are_not_filled(identity: Identity) -> None:
    ada = await identity.create()
    for number in range(MOST_AN_HOUR):
        await ask(identity, ada, f"ada{number}@example.org")
    with refused("QUOTA_EXCEEDED"):
        await ask(identity, ada)
    identity.clock.advance(timedelta(hours=1))
    await ask(identity, ada)


async def test_changing_an_address_takes_a_fresh_sign_in_and_an_address(identity: Identity) -> None:
    ada = await identity.create()
    secret = (await identity.sign_in()).secret
    with refused("EMAIL_MALFORMED"):
        await ask(identity, ada, "nobody")
    identity.clock.advance(timedelta(minutes=6))
    token = (await identity.issue(secret)).access_token
    with refused("SIGN_IN_TOO_OLD"):
        await identity.stub.ChangeEmail(pb.ChangeEmailRequest(name=ada.name, email=NEW), metadata=as_person(token))
    assert await waiting(identity) == 0


async def test_who_is_being_erased_changes_no_address(identity: Identity) -> None:
    ada = await identity.create()
    await ask(identity, ada)
    token = await link(identity, ADA)
    await identity.delete(ada)
    with refused("LINK_INVALID"):
        await confirm(identity, token)
