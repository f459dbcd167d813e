"""Linking an account elsewhere to one's own, and ending that."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1.events_pb2 import ExternalIdentityLinked, ExternalIdentityUnlinked

from deploy.local.social_provider import Account
from tests.identity.people import ADA, EVE, PASSWORD
from tests.identity.social import ADA_THERE, NORA, TOM, VERA, Social, owner_of
from tests.world import refused


async def ada(social: Social) -> tuple[str, str]:
    """Ada, who has a password, and the secret of a session that has just begun."""
    made = await social.identity.create(ADA)
    return made.name, (await social.identity.sign_in()).secret


async def recovered(social: Social, email: str) -> None:
    await social.identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=email))
    token = await social.identity.token(email)
    asked = identity_pb2.CompleteRecoveryRequest(token=token, password="another kettle at noon")
    await social.identity.stub.CompleteRecovery(asked)


async def test_who_is_signed_in_links_whatever_address_that_account_has(social: Social) -> None:
    name, secret = await ada(social)
    came = await social.come(TOM, session=secret)
    assert came.linked.external_identity.name.startswith(f"{name}/externalIdentities/")
    assert came.linked.external_identity.account_name == TOM.name
    [fact] = await social.identity.stated(ExternalIdentityLinked)
    assert fact.external_identity == came.linked.external_identity.name
    assert owner_of((await social.come(TOM)).signed_in) == name
    notice = (await social.identity.mails(ADA))[-1]
    assert (notice.template, "Google" in notice.text) == ("external_identity_linked", True)


async def test_linking_again_changes_nothing(social: Social) -> None:
    _, secret = await ada(social)
    one, other = [await social.come(TOM, session=secret) for _ in range(2)]
    assert one.linked == other.linked
    assert len(await social.identity.stated(ExternalIdentityLinked)) == 1
    assert len(await social.identity.mails(ADA)) == 1


async def test_an_account_elsewhere_belongs_to_one_user(social: Social) -> None:
    user, _ = await social.signed_up(TOM)
    _, secret = await ada(social)
    with refused("EXTERNAL_IDENTITY_TAKEN"):
        await social.come(TOM, session=secret)
    assert owner_of((await social.come(TOM)).signed_in) == user


async def test_of_two_users_who_link_one_account_at_once_one_has_it(social: Social) -> None:
    await social.identity.create(EVE)
    secrets = [(await ada(social))[1], (await social.identity.sign_in(EVE)).secret]
    ways = [await social.begin(session=one) for one in secrets]
    backs = [await social.consent(one, TOM) for one in ways]
    trios = zip(ways, backs, secrets, strict=True)
    came = await asyncio.gather(
        *(social.complete(way, back, session=secret) for way, back, secret in trios), return_exceptions=True
    )
    assert sorted(isinstance(one, grpc.aio.AioRpcError) for one in came) == [False, True]
    assert len(await social.identity.stated(ExternalIdentityLinked)) == 1


async def test_linking_asks_for_a_sign_in_of_the_last_minutes(social: Social) -> None:
    _, secret = await ada(social)
    social.identity.clock.advance(timedelta(minutes=5, seconds=1))
    with refused("SIGN_IN_TOO_OLD") as said:
        await social.begin(session=secret)
    assert said[0].metadata["seconds"] == "300"
    with refused("SESSION_ENDED"):
        await social.begin(session="no session at all")


async def test_a_link_is_made_in_the_session_that_asked_and_in_no_other(social: Social) -> None:
    await social.identity.create(EVE)
    _, secret = await ada(social)
    begun = await social.begin(session=secret)
    back = await social.consent(begun, TOM)
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(begun, back, session=(await social.identity.sign_in(EVE)).secret)
    begun = await social.begin(session=secret)
    back = await social.consent(begun, TOM)
    with refused("SESSION_ENDED"):
        await social.complete(begun, back)
    assert await social.identity.stated(ExternalIdentityLinked) == []


async def test_ending_a_link_ends_that_way_in_and_tells_the_owner(social: Social) -> None:
    _, secret = await ada(social)
    linked = (await social.come(TOM, session=secret)).linked.external_identity
    await social.unlink(linked.name)
    [fact] = await social.identity.stated(ExternalIdentityUnlinked)
    assert (fact.external_identity, fact.reason) == (linked.name, ExternalIdentityUnlinked.ASKED_FOR)
    assert (await social.identity.mails(ADA))[-1].template == "external_identity_unlinked"
    with refused("EXTERNAL_IDENTITY_NOT_FOUND"):
        await social.unlink(linked.name)
    assert (await social.come(TOM)).signed_in.is_new  # they are a stranger again


async def test_the_last_way_in_is_not_ended(social: Social) -> None:
    user, secret = await social.signed_up()
    [one] = (await social.links(user)).external_identities
    with refused("LAST_WAY_IN"):
        await social.unlink(one.name)
    other = (await social.come(TOM, session=secret)).linked.external_identity
    await social.unlink(one.name)
    with refused("LAST_WAY_IN"):
        await social.unlink(other.name)
    asked = identity_pb2.ChangePasswordRequest(name=user, password=PASSWORD)
    await social.identity.stub.ChangePassword(asked, metadata=social.identity.as_(user))
    await social.unlink(other.name)


async def test_of_two_ways_ended_at_once_one_is_left(social: Social) -> None:
    user, secret = await social.signed_up()
    await social.come(TOM, session=secret)
    names = [one.name for one in (await social.links(user)).external_identities]
    ended = await asyncio.gather(*map(social.unlink, names), return_exceptions=True)
    assert sorted(isinstance(one, grpc.aio.AioRpcError) for one in ended) == [False, True]
    assert len((await social.links(user)).external_identities) == 1


async def test_links_are_their_owner_s_to_see_and_to_end(social: Social) -> None:
    user, _ = await social.signed_up()
    [one] = (await social.links(user)).external_identities
    eve = await social.identity.create(EVE)
    for roles in ((), ("admin",)):
        with refused("FORBIDDEN"):
            await social.links(user, social.identity.as_(eve, *roles))
        with refused("FORBIDDEN"):
            await social.unlink(one.name, social.identity.as_(eve, *roles))


async def test_links_are_listed_oldest_first_a_page_at_a_time_and_bounded(social: Social) -> None:
    name, secret = await ada(social)
    for number in range(10):
        await social.come(Account(f"1{number}", f"Ada {number}"), session=secret)
    with refused("QUOTA_EXCEEDED"):
        await social.come(Account("99", "Ada 99"), session=secret)
    seen: list[str] = []
    token = ""
    while True:
        from rapport.identity.v1 import social_pb2 as pb

        asked = pb.ListExternalIdentitiesRequest(parent=name, page_size=4, page_token=token)
        page = await social.stub.ListExternalIdentities(asked, metadata=social.identity.as_(name))
        seen += [one.account_name for one in page.external_identities]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(f"Ada {number}" for number in range(10))


async def test_a_recovery_ends_what_nothing_proves_to_be_the_owner_s(social: Social) -> None:
    """Who stole a session and linked an account of theirs is out when the owner proves the mailbox (S23)."""
    name, secret = await ada(social)
    await social.come(TOM, session=secret)
    await recovered(social, ADA)
    [fact] = await social.identity.stated(ExternalIdentityUnlinked)
    assert fact.reason == ExternalIdentityUnlinked.RECOVERY
    assert (await social.come(TOM)).signed_in.is_new
    assert list((await social.links(name)).external_identities) == []


@pytest.mark.parametrize("how", ["google", "facebook", "password"])
async def test_a_recovery_leaves_what_came_with_proof_of_the_mailbox(social: Social, how: str) -> None:
    if how == "facebook":
        user, email, provider, account = await social.by_facebook(), VERA.email, "facebook", VERA
    else:
        email, provider, account = NORA.email, "google", NORA
        if how == "password":
            await social.identity.create(email)
            user = owner_of(await social.prove((await social.come(NORA)).password_needed.secret, PASSWORD))
        else:
            user, _ = await social.signed_up()
    await recovered(social, email)
    assert owner_of((await social.come(account, provider=provider)).signed_in) == user


async def test_another_address_proves_nothing_that_the_one_before_did(social: Social) -> None:
    user, _ = await social.signed_up()
    asked = identity_pb2.ChangeEmailRequest(name=user, email=EVE)
    await social.identity.stub.ChangeEmail(asked, metadata=social.identity.as_(user))
    for address in (NORA.email, EVE):
        token = await social.identity.token(address)
        await social.identity.stub.ConfirmEmailChange(identity_pb2.ConfirmEmailChangeRequest(token=token))
    assert owner_of((await social.come(NORA)).signed_in) == user  # it is theirs as before
    await recovered(social, EVE)
    assert owner_of((await social.come(replace(NORA))).signed_in) != user


async def test_an_account_linked_with_the_same_proven_address_survives_a_recovery(social: Social) -> None:
    nora = await social.identity.create(NORA.email)
    secret = (await social.identity.sign_in(NORA.email)).secret
    await social.come(NORA, session=secret)
    await recovered(social, NORA.email)
    assert owner_of((await social.come(NORA)).signed_in) == nora.name
    assert ADA_THERE.email == ADA
