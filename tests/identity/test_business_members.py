"""Who acts for a business: invited by mail, in a role, and never without an owner."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1.events_pb2 import MembershipBegan, MembershipEnded
from sqlalchemy import func, select

from chassis.client import as_person
from chassis.refusal import refused as read
from services.identity.businesses.invitations import LINK_LASTS, MOST_A_DAY, forget_invitations
from services.identity.businesses.members import MOST_EACH
from services.identity.models import BusinessInvitation
from services.identity.registrations import MAILS_AN_HOUR
from tests.identity.businesses import Trade, member_name
from tests.identity.people import ADA, EVE
from tests.world import refused

VIEWER, MANAGER, OWNER = pb.BusinessMember.VIEWER, pb.BusinessMember.MANAGER, pb.BusinessMember.OWNER
BEN = "ben@example.org"


@pytest.fixture
async def ada(trade: Trade) -> people.User:
    return await trade.identity.create(ADA)


@pytest.fixture
async def business(trade: Trade, ada: people.User) -> pb.BusinessAccount:
    return await trade.begin(ada)


async def accept(trade: Trade, token: str, by: people.User) -> pb.BusinessAccount:
    asked = pb.AcceptBusinessInvitationRequest(token=token)
    return await trade.stub.AcceptBusinessInvitation(asked, metadata=trade.identity.as_(by))


async def set_role(
    trade: Trade,
    business: pb.BusinessAccount,
    who: people.User,
    role: "pb.BusinessMember.Role.ValueType",
    by: people.User,
) -> pb.BusinessMember:
    asked = pb.SetBusinessMemberRoleRequest(name=member_name(business, who), role=role)
    return await trade.stub.SetBusinessMemberRole(asked, metadata=await trade.as_(by))


async def remove(trade: Trade, business: pb.BusinessAccount, who: people.User, by: people.User) -> None:
    asked = pb.DeleteBusinessMemberRequest(name=member_name(business, who))
    await trade.stub.DeleteBusinessMember(asked, metadata=await trade.as_(by))


async def leave(trade: Trade, business: pb.BusinessAccount, who: people.User) -> None:
    await trade.stub.LeaveBusiness(pb.LeaveBusinessRequest(name=business.name), metadata=await trade.as_(who))


# Invitations ---------------------------------------------------------------------------------------------------------


async def test_whoever_opens_the_link_signed_in_is_a_member(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.identity.create(EVE)
    await trade.invite(business, ada, " Eve@Example.org ", MANAGER)
    [mail] = await trade.identity.mails(EVE)
    assert business.company not in mail.text  # nobody has looked at that name yet
    joined = await accept(trade, await trade.identity.token(EVE), eve)
    assert (joined.name, joined.role) == (business.name, MANAGER)
    assert await trade.members(business) == {ADA: "OWNER", EVE: "MANAGER"}
    assert [one.user for one in await trade.identity.stated(MembershipBegan)] == [ada.name, eve.name]


async def test_an_approved_business_invites_by_its_name(trade: Trade, ada: people.User) -> None:
    business = await trade.approve(await trade.submitted(ada))
    await trade.invite(business, ada, EVE, VIEWER)
    assert business.company in (await trade.identity.mails(EVE))[-1].text


async def test_the_answer_does_not_tell_whether_an_address_has_an_account(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.identity.create(EVE)
    for email in (EVE, "nobody@example.org"):
        await trade.invite(business, ada, email, VIEWER)
    known, unknown = [(await trade.identity.mails(one))[-1] for one in (EVE, "nobody@example.org")]
    assert known.template == unknown.template
    assert len(known.text) == len(unknown.text)
    assert (f"users/{known.person_id}" == eve.name, f"users/{unknown.person_id}" == eve.name) == (True, False)
    asked = pb.ListBusinessInvitationsRequest(parent=business.name)
    told = await trade.stub.ListBusinessInvitations(asked, metadata=await trade.as_(ada))
    assert {one.email for one in told.invitations} == {EVE, "nobody@example.org"}


async def test_a_link_is_good_once_and_for_a_day(trade: Trade, business: pb.BusinessAccount, ada: people.User) -> None:
    eve, ben = await trade.identity.create(EVE), await trade.identity.create(BEN)
    await trade.invite(business, ada, EVE, VIEWER)
    token = await trade.identity.token(EVE)
    await accept(trade, token, eve)
    with refused("LINK_INVALID"):
        await accept(trade, token, ben)
    await trade.invite(business, ada, BEN, VIEWER)
    token = await trade.identity.token(BEN)
    trade.identity.clock.advance(LINK_LASTS)
    with refused("LINK_INVALID"):
        await accept(trade, token, ben)
    with refused("LINK_INVALID"):
        await accept(trade, "none of ours", ben)


async def test_of_fifty_who_open_a_link_at_once_one_is_a_member(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    friends = [await trade.identity.create(f"friend{number}@example.org") for number in range(50)]
    await trade.invite(business, ada, EVE, VIEWER)
    token = await trade.identity.token(EVE)

    async def told(friend: people.User) -> str:
        try:
            await accept(trade, token, friend)
        except grpc.aio.AioRpcError as error:
            return read(error).reason
        return "joined"

    assert Counter(await asyncio.gather(*map(told, friends))) == {"joined": 1, "LINK_INVALID": 49}
    assert len(await trade.members(business)) == 2


async def test_an_invitation_is_taken_back(trade: Trade, business: pb.BusinessAccount, ada: people.User) -> None:
    eve = await trade.identity.create(EVE)
    await trade.invite(business, ada, EVE, VIEWER)
    mine = await trade.as_(ada)
    asked = pb.ListBusinessInvitationsRequest(parent=business.name)
    [waits] = (await trade.stub.ListBusinessInvitations(asked, metadata=mine)).invitations
    for _ in range(2):  # again changes nothing
        await trade.stub.DeleteBusinessInvitation(pb.DeleteBusinessInvitationRequest(name=waits.name), metadata=mine)
    with refused("LINK_INVALID"):
        await accept(trade, await trade.identity.token(EVE), eve)
    assert not (await trade.stub.ListBusinessInvitations(asked, metadata=mine)).invitations


async def test_nobodys_mailbox_is_filled_by_inviting_them(trade: Trade, ada: people.User) -> None:
    for number in range(MAILS_AN_HOUR + 2):
        if number % 2 == 0:
            business = await trade.begin(ada)
        await trade.invite(business, ada, EVE, VIEWER)
    assert len(await trade.identity.mails(EVE)) == MAILS_AN_HOUR
    trade.identity.clock.advance(timedelta(hours=1))
    await trade.invite(business, ada, EVE, VIEWER)
    assert len(await trade.identity.mails(EVE)) == MAILS_AN_HOUR + 1


async def test_a_business_invites_so_many_in_a_day(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    for number in range(MOST_A_DAY):
        await trade.invite(business, ada, f"friend{number}@example.org", VIEWER)
    with refused("BUSINESS_FULL"):
        await trade.invite(business, ada, EVE, VIEWER)
    trade.identity.clock.advance(LINK_LASTS)
    assert await forget_invitations.work(trade.identity.sessions, trade.identity.clock()) == MOST_A_DAY
    async with trade.identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(BusinessInvitation)) == 0
    await trade.invite(business, ada, EVE, VIEWER)


async def test_an_invitation_to_a_lower_role_takes_nothing(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.join(business, ada, EVE, MANAGER)
    for role, after in ((VIEWER, "MANAGER"), (OWNER, "OWNER")):
        await trade.invite(business, ada, EVE, role)
        await accept(trade, await trade.identity.token(EVE), eve)
        assert (await trade.members(business))[EVE] == after


async def test_who_is_in_as_many_as_can_be_joins_no_other(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.identity.create(EVE)
    for _ in range(MOST_EACH):
        await trade.begin(eve)
    await trade.invite(business, ada, EVE, VIEWER)
    with refused("BUSINESS_FULL"):
        await accept(trade, await trade.identity.token(EVE), eve)


# Roles ---------------------------------------------------------------------------------------------------------------


async def test_each_role_reaches_as_far_as_it_says(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.join(business, ada, EVE, VIEWER)
    seen = pb.GetBusinessRequest(name=business.name)
    for role, may_correct in ((VIEWER, False), (MANAGER, True)):
        await set_role(trade, business, eve, role, ada)
        hers = await trade.as_(eve)
        assert (await trade.stub.GetBusiness(seen, metadata=hers)).role == role
        if may_correct:
            assert await trade.update(business, eve, website="https://new.example.org")
        else:
            with refused("FORBIDDEN"):
                await trade.update(business, eve, website="https://new.example.org")
        with refused("FORBIDDEN"):
            await trade.submit(business, eve)
        with refused("FORBIDDEN"):
            await trade.invite(business, eve, BEN, OWNER)
    await set_role(trade, business, eve, OWNER, ada)
    await trade.invite(business, eve, BEN, OWNER)


async def test_another_role_is_another_membership_and_tokens_of_the_one_before_end(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.join(business, ada, EVE, MANAGER)
    before = [one.membership for one in await trade.identity.stated(MembershipBegan)][-1]
    await set_role(trade, business, eve, VIEWER, ada)
    await set_role(trade, business, eve, VIEWER, ada)  # as it is
    assert [one.membership for one in await trade.identity.stated(MembershipEnded)] == [before]
    after = [one.membership for one in await trade.identity.stated(MembershipBegan)]
    assert len(after) == 3
    assert after[-1] != before


async def test_the_token_of_a_session_says_what_its_person_is_a_member_of(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    secret = (await trade.identity.sign_in(ADA)).secret
    mine = as_person((await trade.identity.issue(secret)).access_token)
    asked = pb.GetBusinessRequest(name=business.name)
    assert (await trade.stub.GetBusiness(asked, metadata=mine)).role == OWNER
    await trade.join(business, ada, EVE, OWNER)
    await leave(trade, business, ada)
    later = as_person((await trade.identity.issue(secret)).access_token)
    with refused("FORBIDDEN"):
        await trade.stub.GetBusiness(asked, metadata=later)


async def test_there_is_always_an_owner(trade: Trade, business: pb.BusinessAccount, ada: people.User) -> None:
    with refused("LAST_OWNER"):
        await leave(trade, business, ada)
    with refused("LAST_OWNER"):
        await remove(trade, business, ada, ada)
    with refused("LAST_OWNER"):
        await set_role(trade, business, ada, VIEWER, ada)
    eve = await trade.join(business, ada, EVE, OWNER)
    await set_role(trade, business, ada, VIEWER, ada)
    with refused("LAST_OWNER"):
        await leave(trade, business, eve)
    assert await trade.members(business) == {ADA: "VIEWER", EVE: "OWNER"}


async def test_an_owner_who_is_being_erased_is_none_to_leave_a_business_to(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.join(business, ada, EVE, OWNER)
    await trade.identity.delete(eve)
    with refused("LAST_OWNER"):
        await leave(trade, business, ada)


async def test_of_two_owners_who_leave_at_once_one_stays(trade: Trade, ada: people.User) -> None:
    for number in range(5):
        business = await trade.begin(ada)
        other = await trade.join(business, ada, f"other{number}@example.org", OWNER)
        told = await asyncio.gather(leave(trade, business, ada), leave(trade, business, other), return_exceptions=True)
        [wrong] = [one for one in told if one is not None]
        assert isinstance(wrong, grpc.aio.AioRpcError)
        assert read(wrong).reason == "LAST_OWNER"
        assert len(await trade.members(business)) == 1


async def test_who_is_removed_is_out_and_who_is_no_member_is_so_already(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    eve = await trade.join(business, ada, EVE, VIEWER)
    for _ in range(2):
        await remove(trade, business, eve, ada)
    assert await trade.members(business) == {ADA: "OWNER"}
    with refused("MEMBER_NOT_FOUND"):
        await set_role(trade, business, eve, OWNER, ada)


async def test_who_invites_has_just_signed_in(trade: Trade, business: pb.BusinessAccount, ada: people.User) -> None:
    secret = (await trade.identity.sign_in(ADA)).secret
    trade.identity.clock.advance(timedelta(minutes=6))
    mine = as_person((await trade.identity.issue(secret)).access_token)
    asked = pb.InviteBusinessMemberRequest(parent=business.name, email=EVE, role=OWNER)
    with refused("SIGN_IN_TOO_OLD"):
        await trade.stub.InviteBusinessMember(asked, metadata=mine)


async def test_an_invitation_that_is_asked_for_twice_is_one_mail(
    trade: Trade, business: pb.BusinessAccount, ada: people.User
) -> None:
    asked = pb.InviteBusinessMemberRequest(parent=business.name, email=EVE, role=VIEWER, request_id=str(uuid4()))
    for _ in range(2):
        await trade.stub.InviteBusinessMember(asked, metadata=await trade.as_(ada))
    assert len(await trade.identity.mails(EVE)) == 1
