"""What Facebook tells by itself: deletions, and permissions that were taken back."""

from datetime import timedelta
from typing import Any

import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.events_pb2 import ExternalIdentityUnlinked, SessionRevoked, UserDeletionRequested
from sqlalchemy import func, select

from services.identity.models import ExternalIdentity, SocialClaim, SocialDeletion
from services.identity.social.signed_requests import forget_social_deletions
from tests.identity.people import ADA, GATEWAY, PASSWORD, PRIVACY
from tests.identity.social import NORA, OMAR, VERA, Social
from tests.identity.test_deletion import Order, order
from tests.world import refused

__all__ = ["order"]  # a fixture
DEAUTHORIZATION = pb.TakeSignedRequestRequest.DEAUTHORIZATION


async def linked(social: Social) -> str:
    """Ada, who has a password and has linked Vera's Facebook."""
    ada = await social.identity.create(ADA)
    await social.come(VERA, provider="facebook", session=(await social.identity.sign_in()).secret)
    return ada.name


async def test_a_deletion_ends_the_link_where_there_is_another_way_in(social: Social) -> None:
    name = await linked(social)
    code = await social.told(social.signed_request(VERA.sub))
    told = await social.status(code)
    assert (told.erasure, told.HasField("create_time")) == ("", True)
    [fact] = await social.identity.stated(ExternalIdentityUnlinked)
    assert (fact.user, fact.reason) == (name, ExternalIdentityUnlinked.PROVIDER)
    assert (await social.identity.mails(ADA))[-1].template == "external_identity_unlinked"
    assert (await social.identity.get(name)).state == identity_pb2.User.ACTIVE
    assert await social.identity.stated(UserDeletionRequested) == []
    assert (await social.come(VERA, provider="facebook")).HasField("address_needed")


async def test_a_deletion_erases_the_account_where_there_is_none(social: Social) -> None:
    user = await social.by_facebook()
    code = await social.told(social.signed_request(VERA.sub))
    [requested] = await social.identity.stated(UserDeletionRequested)
    assert (requested.user, (await social.status(code)).erasure) == (user, requested.erasure)
    assert (await social.identity.mails(VERA.email))[-1].template == "deletion_begun"
    again = await social.told(social.signed_request(VERA.sub))
    assert (await social.status(again)).erasure == requested.erasure
    assert len(await social.identity.stated(UserDeletionRequested)) == 1


async def test_a_deletion_of_who_is_not_known_is_answered_alike_and_ends_what_waits(social: Social) -> None:
    claim = (await social.come(OMAR, provider="facebook")).address_needed.secret
    code = await social.told(social.signed_request(OMAR.sub))
    assert (await social.status(code)).erasure == ""
    with refused("SOCIAL_CLAIM_INVALID"):
        await social.give_address(claim, ADA)
    assert (await social.status(await social.told(social.signed_request("a stranger")))).erasure == ""


async def test_a_status_is_told_by_its_code_alone_and_for_a_while(social: Social) -> None:
    code = await social.told(social.signed_request("a stranger"))
    with refused("LINK_INVALID"):
        await social.status("another code")
    now = social.identity.clock.advance(timedelta(days=90))
    assert await forget_social_deletions.work(social.identity.sessions, now) == 1
    with refused("LINK_INVALID"):
        await social.status(code)


SAID: list[dict[str, Any]] = [
    {"secret": "another secret"},
    {"algorithm": "none"},
    {"algorithm": "HMAC-SHA1"},
    {"user_id": ""},
    {"user_id": 5521},
    {"issued_at": None},
    {"issued_at": "now"},
]


@pytest.mark.parametrize("said", SAID)
async def test_what_facebook_did_not_sign_as_it_does_is_refused(social: Social, said: dict[str, Any]) -> None:
    await linked(social)
    for kind in (pb.TakeSignedRequestRequest.DELETION, DEAUTHORIZATION):
        with refused("SIGNED_REQUEST_INVALID"):
            await social.told(social.signed_request(VERA.sub, **said), kind)
    assert await social.identity.stated(ExternalIdentityUnlinked) == []


@pytest.mark.parametrize("text", ["x", "a.b", ".", "=.=", "ä.ä", "e30.e30", "x" * 4000])
async def test_nonsense_is_no_signed_request(social: Social, text: str) -> None:
    with refused("SIGNED_REQUEST_INVALID"):
        await social.told(text)


async def test_a_payload_that_was_changed_or_is_old_is_refused(social: Social) -> None:
    await linked(social)
    good, other = social.signed_request(VERA.sub), social.signed_request(OMAR.sub)
    with refused("SIGNED_REQUEST_INVALID"):
        await social.told(f"{good.partition('.')[0]}.{other.partition('.')[2]}")
    social.identity.clock.advance(timedelta(hours=1, seconds=1))
    with refused("SIGNED_REQUEST_INVALID"):
        await social.told(good)
    assert await social.identity.stated(ExternalIdentityUnlinked) == []


async def test_only_facebook_tells_by_itself(social: Social) -> None:
    asked = pb.TakeSignedRequestRequest(
        provider="google", kind=pb.TakeSignedRequestRequest.DELETION, signed_request=social.signed_request(NORA.sub)
    )
    with refused("SOCIAL_PROVIDER_UNKNOWN"):
        await social.stub.TakeSignedRequest(asked, metadata=GATEWAY)


async def test_a_permission_taken_back_ends_sessions_and_the_link_that_is_not_needed(social: Social) -> None:
    await linked(social)
    await social.told(social.signed_request(VERA.sub), DEAUTHORIZATION)
    assert len(await social.identity.stated(SessionRevoked)) == 1
    assert len(await social.identity.stated(ExternalIdentityUnlinked)) == 1
    assert (await social.identity.sign_in(ADA, PASSWORD)).secret


async def test_a_permission_taken_back_leaves_the_only_way_in_to_come_back_by(social: Social) -> None:
    user = await social.by_facebook()
    await social.told(social.signed_request(VERA.sub), DEAUTHORIZATION)
    assert len(await social.identity.stated(SessionRevoked)) == 1
    assert await social.identity.stated(ExternalIdentityUnlinked) == []
    came = (await social.come(VERA, provider="facebook")).signed_in
    assert came.session.name.startswith(user)


async def test_an_erased_user_s_accounts_elsewhere_are_nowhere(social: Social, order: Order) -> None:
    user, _ = await social.signed_up()
    await social.come(OMAR, provider="facebook")  # waits, and is nobody yet
    second = (await social.come(VERA, provider="facebook")).address_needed.secret
    gone = await social.identity.delete(await social.identity.get(user))
    await social.give_address(second, NORA.email)  # under another id, but with the address of the erased
    await order(gone)
    stub = HolderServiceStub(social.identity.channel)
    told = await stub.ScanSubject(holder.ScanSubjectRequest(subject=user), metadata=PRIVACY)
    assert (told.erased, list(told.remaining)) == (True, [])
    async with social.identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(ExternalIdentity)) == 0
        addresses = (await session.scalars(select(SocialClaim.email))).all()
        assert await session.scalar(select(func.count()).select_from(SocialDeletion)) == 0
    assert NORA.email not in addresses


async def test_an_export_has_the_accounts_elsewhere(social: Social) -> None:
    user, _ = await social.signed_up()
    stub = HolderServiceStub(social.identity.channel)
    rows = [row async for row in stub.ExportSubject(holder.ExportSubjectRequest(subject=user), metadata=PRIVACY)]
    [mine] = [row.row_json for row in rows if row.table == "external_identity"]
    assert NORA.sub in str(mine)
    assert NORA.name in str(mine)
