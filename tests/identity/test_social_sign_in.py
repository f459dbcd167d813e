"""Coming by an account elsewhere: who becomes a user, who is one, and who has to prove one thing more."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from PIL import Image
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.events_pb2 import ExternalIdentityLinked, SessionCreated, UserCreated
from sqlalchemy import func, select, text

from deploy.local.social_provider import Account
from services.identity.models import Credential, ExternalIdentity, Session, SocialClaim, SocialFlow
from services.identity.social.claims import forget_social_claims
from services.identity.social.flows import forget_social_flows
from tests.identity.factors import Owner
from tests.identity.people import ADA, EVE, PASSWORD, Identity
from tests.identity.social import ADA_THERE, NORA, OMAR, TOM, VERA, Social, owner_of
from tests.identity.test_registration import complete
from tests.world import refused


async def count(social: Social, table: Any) -> int:
    async with social.identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


# The way there --------------------------------------------------------------------------------------------------------


async def test_the_store_s_providers_are_listed_and_none_is_there_by_default(
    social: Social, identity: Identity
) -> None:
    shown = (await social.stub.GetSocialProviders(pb.GetSocialProvidersRequest())).providers
    assert [(one.provider, one.title) for one in shown] == [("google", "Google"), ("facebook", "Facebook")]
    assert {one.origin for one in shown} == {social.there.settings.public_url}
    with refused("SOCIAL_PROVIDER_UNKNOWN"):
        await social.begin("gitlab")
    bare = await Social(identity, social.there, social.stop).stub.GetSocialProviders(pb.GetSocialProvidersRequest())
    assert list(bare.providers) == []


async def test_what_goes_to_the_provider_says_nothing_that_comes_back(social: Social) -> None:
    begun = await social.begin()
    said = {name: values[0] for name, values in parse_qs(urlsplit(begun.uri).query).items()}
    assert said["redirect_uri"] == "https://store.example.org/social/google/callback"
    assert (said["response_type"], said["code_challenge_method"]) == ("code", "S256")
    assert said["scope"] == "openid profile email"
    assert said["state"] == begun.state
    assert begun.browser_secret not in begun.uri
    assert len({said["state"], said["nonce"], said["code_challenge"], begun.browser_secret}) == 4
    facebook = parse_qs(urlsplit((await social.begin("facebook")).uri).query)
    assert "nonce" not in facebook


async def test_a_database_holds_nothing_that_a_way_can_be_gone_by(social: Social) -> None:
    begun = await social.begin()
    async with social.identity.sessions() as session:
        [row] = (await session.execute(text("SELECT * FROM social_flow"))).all()
    assert sha256(begun.state.encode()).digest() in row
    told = [begun.state, begun.browser_secret]
    assert not [one for one in told if one in map(str, row) or one.encode() in row]


async def test_a_state_is_good_once_for_ten_minutes_in_the_browser_that_began(social: Social) -> None:
    begun = await social.begin()
    back = await social.consent(begun, NORA)
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(begun, back, browser=(await social.begin()).browser_secret)
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(begun, back, provider="facebook")
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(begun, back | {"state": "another"})
    assert (await social.complete(begun, back)).signed_in.secret
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(begun, back)
    late = await social.begin()
    back = await social.consent(late, NORA)
    social.identity.clock.advance(timedelta(minutes=10))
    with refused("SOCIAL_STATE_INVALID"):
        await social.complete(late, back)


async def test_of_fifty_who_come_back_with_one_state_at_once_one_is_let_in(social: Social) -> None:
    begun = await social.begin()
    back = await social.consent(begun, NORA)
    came = await asyncio.gather(*(social.complete(begun, back) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(one, pb.CompleteSocialSignInResponse) for one in came) == 1
    failed = [one for one in came if isinstance(one, grpc.aio.AioRpcError)]
    assert {one.code() for one in failed} == {grpc.StatusCode.NOT_FOUND}
    assert len(failed) == 49
    assert len(await social.identity.stated(UserCreated)) == 1


async def test_ways_and_claims_that_nobody_finished_are_forgotten(social: Social) -> None:
    await social.begin()
    await social.come(OMAR, provider="facebook")
    assert (await count(social, SocialFlow), await count(social, SocialClaim)) == (1, 1)
    now = social.identity.clock.advance(timedelta(hours=1))
    assert await forget_social_flows.work(social.identity.sessions, now) == 1
    assert await forget_social_claims.work(social.identity.sessions, now) == 1
    assert (await count(social, SocialFlow), await count(social, SocialClaim)) == (0, 0)


# By an address that the provider proves -------------------------------------------------------------------------------


async def test_who_comes_for_the_first_time_has_an_account_with_their_name_and_photo(social: Social) -> None:
    user, secret = await social.signed_up()
    me = await social.identity.get(user)
    assert (me.email, me.display_name, me.has_photo) == (NORA.email, NORA.name, True)
    assert await social.identity.stated(UserCreated)
    [linked] = await social.identity.stated(ExternalIdentityLinked)
    assert (linked.user, linked.external_identity.startswith(f"{user}/externalIdentities/")) == (user, True)
    assert len(await social.identity.stated(SessionCreated)) == 1
    assert (await social.identity.issue(secret)).session.startswith(user)
    told = await social.links(user)
    [one] = told.external_identities
    assert (one.provider, one.provider_title, one.account_name) == ("google", "Google", NORA.name)
    assert not told.has_password
    sessions = await social.identity.stub.ListSessions(
        identity_pb2.ListSessionsRequest(parent=user), metadata=social.identity.as_(user)
    )
    assert [(one.acr, one.device) for one in sessions.sessions] == [("ext", "Firefox on Linux")]


async def test_who_comes_again_is_signed_in_to_the_same_account(social: Social) -> None:
    user, _ = await social.signed_up()
    social.identity.clock.advance(timedelta(days=1))
    moved = replace(NORA, email="another@gmail.com", name="Nora Lind-Berg")  # they are known by neither
    again = (await social.come(moved)).signed_in
    assert (owner_of(again), again.is_new) == (user, False)
    [one] = (await social.links(user)).external_identities
    assert one.last_use_time.ToDatetime() - one.create_time.ToDatetime() == timedelta(days=1)
    assert len(await social.identity.stated(UserCreated)) == 1
    assert (await social.identity.get(user)).email == NORA.email


async def test_of_one_person_who_comes_twice_at_once_one_account_is_made(social: Social) -> None:
    ways = [await social.begin() for _ in range(8)]
    backs = [await social.consent(one, NORA) for one in ways]
    came = await asyncio.gather(*(social.complete(one, back) for one, back in zip(ways, backs, strict=True)))
    assert len({owner_of(one.signed_in) for one in came}) == 1
    assert sum(one.signed_in.is_new for one in came) == 1
    assert await count(social, ExternalIdentity) == 1


async def test_an_address_is_proven_where_the_provider_is_the_mailbox(social: Social) -> None:
    assert (await social.come(TOM)).signed_in.is_new  # their employer's directory, by hd
    for doubtful in (
        Account("1", "Eve", "eve@example.net"),  # once told to Google, and anybody's since
        Account("2", "Eve", "eve@example.net", hd="another.example"),
        Account("3", "Eve", "eve@gmail.com.example.net"),
    ):
        assert (await social.come(doubtful)).address_needed.email == doubtful.email
    for mischief in ("unverified", "email_verified_as_text", "no_email"):
        assert (await social.come(Account("4", "Eve", "eve@gmail.com"), mischief=mischief)).HasField("address_needed")


async def test_the_photo_is_written_anew_and_says_no_more_than_it_shows(social: Social) -> None:
    user, _ = await social.signed_up()
    photo = await social.photo(user)
    assert photo.content_type == "image/jpeg"
    assert b"taken at" not in photo.data
    with Image.open(BytesIO(photo.data)) as shown:
        assert (shown.format, shown.size) == ("JPEG", (96, 96))


@pytest.mark.parametrize(
    "mischief",
    [
        "photo_bomb",
        "photo_huge",
        "photo_svg",
        "photo_redirect",
        "photo_of_metadata",
        "photo_of_loopback",
        "photo_of_file",
    ],
)
async def test_nobody_is_kept_out_for_a_photo_that_we_do_not_take(social: Social, mischief: str) -> None:
    came = await social.come(NORA, mischief=mischief)
    assert came.signed_in.is_new
    assert not (await social.identity.get(owner_of(came.signed_in))).has_photo


# Without a password ---------------------------------------------------------------------------------------------------


async def test_an_account_without_a_password_is_entered_by_none(social: Social) -> None:
    await social.signed_up()
    assert await count(social, Credential) == 0
    for password in ("", PASSWORD, "None"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await social.identity.sign_in(NORA.email, password)
        assert caught.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT)


async def test_who_has_no_password_gets_one_by_mail_and_keeps_their_way_in(social: Social) -> None:
    user, _ = await social.signed_up()
    asked = identity_pb2.BeginRecoveryRequest(email=NORA.email)
    assert await social.identity.stub.BeginRecovery(asked) == Empty()
    token = await social.identity.token(NORA.email)
    await social.identity.stub.CompleteRecovery(identity_pb2.CompleteRecoveryRequest(token=token, password=PASSWORD))
    assert (await social.identity.sign_in(NORA.email)).session.name.startswith(user)
    assert (await social.links(user)).has_password
    assert owner_of((await social.come(NORA)).signed_in) == user


async def test_who_has_no_password_chooses_one_while_signed_in(social: Social) -> None:
    user, _ = await social.signed_up()
    asked = identity_pb2.ChangePasswordRequest(name=user, password=PASSWORD)
    await social.identity.stub.ChangePassword(asked, metadata=social.identity.as_(user))
    assert (await social.identity.sign_in(NORA.email)).session.name.startswith(user)


# An address that has an account ---------------------------------------------------------------------------------------


async def test_an_account_with_the_same_address_is_entered_with_its_password_alone(social: Social) -> None:
    nora = await social.identity.create(NORA.email)
    came = await social.come(NORA)
    assert (came.WhichOneof("outcome"), came.password_needed.email) == ("password_needed", NORA.email)
    assert await count(social, ExternalIdentity) == 0
    with refused("SIGN_IN_FAILED"):
        await social.prove(came.password_needed.secret, "not hers at all")
    proven = await social.prove(came.password_needed.secret, PASSWORD)
    assert owner_of(proven) == nora.name
    assert not proven.is_new
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.prove(came.password_needed.secret, PASSWORD)
    assert owner_of((await social.come(NORA)).signed_in) == nora.name
    notice = (await social.identity.mails(NORA.email))[-1]
    assert notice.template == "external_identity_linked"


async def test_a_claim_allows_ten_guesses_however_many_come_at_once(social: Social) -> None:
    await social.identity.create(NORA.email)
    claim = (await social.come(NORA)).password_needed.secret
    guesses = await asyncio.gather(*(social.prove(claim, f"guess {n}") for n in range(20)), return_exceptions=True)
    codes = [one.code() for one in guesses if isinstance(one, grpc.aio.AioRpcError)]
    assert codes.count(grpc.StatusCode.UNAUTHENTICATED) == 10
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.prove(claim, PASSWORD)


async def test_guesses_at_a_claim_count_for_the_account_too(social: Social) -> None:
    """Otherwise whoever has the mailbox at the provider guesses on, claim after claim."""
    await social.identity.create(NORA.email)
    for number in range(2):
        claim = (await social.come(NORA)).password_needed.secret
        for guess in range(5):
            with refused("SIGN_IN_FAILED"):
                await social.prove(claim, f"guess {number} {guess}")
    claim = (await social.come(NORA)).password_needed.secret
    with refused("QUOTA_EXCEEDED"):
        await social.prove(claim, PASSWORD)


async def test_who_has_a_second_factor_is_asked_for_it_after_the_provider_too(social: Social) -> None:
    user, _ = await social.signed_up()
    nora = Owner(social.identity, user, NORA.email)
    await nora.add()
    came = (await social.come(NORA)).signed_in
    assert (came.secret, came.HasField("session")) == ("", False)
    proven = await nora.prove(came.second_factor.challenge, code=nora.code())
    assert proven.session.acr == "mfa"
    async with social.identity.sessions() as session:
        newest = select(Session.amr).order_by(Session.create_time.desc(), Session.auth_time.desc()).limit(1)
        assert await session.scalar(newest) == ["ext", "otp", "mfa"]


async def test_who_proves_the_password_of_a_claim_is_asked_for_the_second_factor_too(social: Social) -> None:
    user = (await social.identity.create(NORA.email)).name
    nora = Owner(social.identity, user, NORA.email)
    await nora.add()
    claim = (await social.come(NORA)).password_needed.secret
    asked = await social.prove(claim, PASSWORD)
    assert (asked.secret, asked.HasField("second_factor")) == ("", True)
    assert (await nora.prove(asked.second_factor.challenge, code=nora.code())).session.acr == "mfa"


async def test_an_account_without_a_password_is_not_proven_by_one(social: Social) -> None:
    await social.by_facebook(VERA, NORA.email)
    came = await social.come(NORA)
    with refused("SIGN_IN_FAILED"):
        await social.prove(came.password_needed.secret, PASSWORD)
    assert await count(social, ExternalIdentity) == 1


async def test_a_claim_ends_with_its_hour(social: Social) -> None:
    await social.identity.create(NORA.email)
    claim = (await social.come(NORA)).password_needed.secret
    social.identity.clock.advance(timedelta(hours=1))
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.prove(claim, PASSWORD)


async def test_nobody_enters_an_account_that_is_being_erased(social: Social) -> None:
    user, _ = await social.signed_up()
    await social.identity.delete(await social.identity.get(user))
    with refused("USER_DELETING"):
        await social.come(NORA)
    other = Account("9", "Nora elsewhere", NORA.email)
    with refused("USER_DELETING"):
        await social.come(other)


# Pre-hijacking --------------------------------------------------------------------------------------------------------


async def test_who_began_to_register_with_anothers_address_has_nothing_when_its_owner_comes(social: Social) -> None:
    """The attacker asks for a link to the victim's address, and for one by their own Facebook account; then the victim
    comes by Google. Even with the mailed links in hand nothing of the attacker's leads in (S24)."""
    by_mail = await social.identity.link(NORA.email)
    attacker = (await social.come(VERA, provider="facebook")).address_needed.secret
    await social.give_address(attacker, NORA.email)
    by_facebook = await social.identity.token(NORA.email)
    user, _ = await social.signed_up()
    with refused("LINK_INVALID"):
        await social.identity.stub.CompleteRegistration(complete(by_mail))
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.confirm(attacker, by_facebook)
    with refused("SIGN_IN_FAILED"):
        await social.identity.sign_in(NORA.email)
    assert (await social.come(VERA, provider="facebook")).HasField("address_needed")
    assert [one.provider for one in (await social.links(user)).external_identities] == ["google"]


async def test_an_address_that_is_merely_claimed_leads_into_nobody_s_account(social: Social) -> None:
    ada = await social.identity.create(ADA)
    came = await social.come(ADA_THERE)  # Google was told the address, and is not its mailbox
    assert came.HasField("address_needed")
    claim = came.address_needed.secret
    await social.give_address(claim, ADA)
    notice = (await social.identity.mails(ADA))[-1]
    assert notice.template == "social_address_known"
    assert "#token" not in notice.text
    with refused("LINK_INVALID"):
        await social.confirm(claim, "anything")
    assert list((await social.links(ada.name)).external_identities) == []


# By an address that is proven by a link -------------------------------------------------------------------------------


async def test_who_has_no_address_there_says_one_and_proves_it_by_a_mailed_link(social: Social) -> None:
    came = await social.come(OMAR, provider="facebook")
    assert (came.address_needed.account_name, came.address_needed.email) == (OMAR.name, "")
    assert await social.identity.stated(UserCreated) == []
    claim = came.address_needed.secret
    await social.give_address(claim, " Omar@Example.org ")
    token = await social.identity.token("omar@example.org")
    with refused("LINK_INVALID"):
        await social.confirm(claim, "another token")
    made = await social.confirm(claim, token)
    assert made.is_new
    me = await social.identity.get(owner_of(made))
    assert (me.email, me.display_name, me.has_photo) == ("omar@example.org", OMAR.name, True)
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.confirm(claim, token)
    assert owner_of((await social.come(OMAR, provider="facebook")).signed_in) == me.name


async def test_a_mailed_link_does_nothing_in_the_browser_of_somebody_else(social: Social) -> None:
    attacker = (await social.come(VERA, provider="facebook")).address_needed.secret
    await social.give_address(attacker, EVE)
    token = await social.identity.token(EVE)
    victim = (await social.come(OMAR, provider="facebook")).address_needed.secret
    with refused("LINK_INVALID"):
        await social.confirm(victim, token)
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.confirm("no browser at all", token)
    assert await social.identity.stated(UserCreated) == []


async def test_the_last_address_that_was_given_is_the_one_that_counts(social: Social) -> None:
    claim = (await social.come(OMAR, provider="facebook")).address_needed.secret
    await social.give_address(claim, "first@example.org")
    first = await social.identity.token("first@example.org")
    await social.give_address(claim, "second@example.org")
    with refused("LINK_INVALID"):
        await social.confirm(claim, first)
    made = await social.confirm(claim, await social.identity.token("second@example.org"))
    assert (await social.identity.get(owner_of(made))).email == "second@example.org"


async def test_of_fifty_who_confirm_one_link_at_once_one_makes_the_account(social: Social) -> None:
    claim = (await social.come(VERA, provider="facebook")).address_needed.secret
    await social.give_address(claim, VERA.email)
    token = await social.identity.token(VERA.email)
    made = await asyncio.gather(*(social.confirm(claim, token) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(one, pb.SocialSession) for one in made) == 1
    assert len(await social.identity.stated(UserCreated)) == 1


async def test_an_address_that_was_registered_meanwhile_is_its_owner_s(social: Social) -> None:
    claim = (await social.come(VERA, provider="facebook")).address_needed.secret
    await social.give_address(claim, VERA.email)
    token = await social.identity.token(VERA.email)
    await social.identity.create(VERA.email)
    with refused("EMAIL_TAKEN"):
        await social.confirm(claim, token)
    assert await count(social, ExternalIdentity) == 0


async def test_nobody_s_mailbox_is_filled_by_it(social: Social) -> None:
    claim = (await social.come(OMAR, provider="facebook")).address_needed.secret
    for _ in range(5):
        await social.give_address(claim, EVE)
    with refused("QUOTA_EXCEEDED"):
        await social.give_address(claim, EVE)
    other = (await social.come(VERA, provider="facebook")).address_needed.secret
    await social.give_address(other, EVE)  # answered alike, and mailed to nobody
    assert len(await social.identity.mails(EVE)) == 5
    with refused("EMAIL_MALFORMED"):
        await social.give_address(other, "eve at example.org")
