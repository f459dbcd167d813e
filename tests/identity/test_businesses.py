"""Applications: begun, corrected, handed in and decided."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1.events_pb2 import (
    BusinessApproved,
    BusinessClosed,
    BusinessRefused,
    BusinessSubmitted,
    BusinessUpdated,
    MembershipBegan,
    MembershipEnded,
)

from chassis.refusal import refused as read
from services.identity.businesses.members import MOST_EACH
from tests.identity.businesses import PROOF, Trade, id_of
from tests.identity.people import ADA, EVE
from tests.tokens import as_user
from tests.world import as_service, refused

State = pb.BusinessAccount.State
NOBODY = f"businesses/{uuid4()}"


@pytest.fixture
async def ada(trade: Trade) -> people.User:
    return await trade.identity.create(ADA, display_name="Ada")


# The application -----------------------------------------------------------------------------------------------------


async def test_who_begins_an_application_owns_it(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada, company="  Ada's Bolts GmbH ")
    assert (business.state, business.role) == (State.DRAFT, pb.BusinessMember.OWNER)
    assert (business.company, list(business.contacts)) == ("Ada's Bolts GmbH", [PROOF])
    assert await trade.members(business) == {ADA: "OWNER"}
    asked = pb.GetBusinessRequest(name=business.name)
    assert await trade.stub.GetBusiness(asked, metadata=await trade.as_(ada)) == business
    [began] = await trade.identity.stated(MembershipBegan)
    assert (began.user, began.membership.startswith(f"{business.name}/memberships/")) == (ada.name, True)


async def test_an_application_that_is_begun_twice_is_one(trade: Trade, ada: people.User) -> None:
    asked = pb.CreateBusinessRequest(
        business=pb.BusinessAccount(kind=people.Business.AFFILIATE, company="A"), request_id=str(uuid4())
    )
    first, second = [await trade.stub.CreateBusiness(asked, metadata=trade.identity.as_(ada)) for _ in range(2)]
    assert first == second


async def test_a_user_is_in_a_few_businesses(trade: Trade, ada: people.User) -> None:
    for _ in range(MOST_EACH):
        await trade.begin(ada)
    with refused("BUSINESS_FULL") as said:
        await trade.begin(ada)
    assert said[0].metadata == {"most": str(MOST_EACH)}


async def test_ones_own_businesses_are_listed_a_page_at_a_time(trade: Trade, ada: people.User) -> None:
    made = []
    for number in range(3):
        trade.identity.clock.advance(timedelta(seconds=number))
        made.append((await trade.begin(ada, company=f"No. {number}")).name)
    await trade.begin(await trade.identity.create(EVE))
    found, token = [], ""
    for _ in range(2):
        asked = pb.ListUserBusinessesRequest(parent=ada.name, page_size=2, page_token=token)
        page = await trade.stub.ListUserBusinesses(asked, metadata=trade.identity.as_(ada))
        found += [(one.name, one.role) for one in page.businesses]
        token = page.next_page_token
    assert found == [(name, pb.BusinessMember.OWNER) for name in reversed(made)]
    assert not token


async def test_an_address_of_a_contact_has_to_be_one(trade: Trade, ada: people.User) -> None:
    with refused("EMAIL_MALFORMED") as said:
        await trade.begin(ada, contacts=[pb.BusinessContact(name="C", email="nobody")])
    assert said[0].violations[0].field == "business.contacts"


async def test_a_correction_is_stated_by_its_fields(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    contacts = [pb.BusinessContact(name="Dora"), PROOF]
    after = await trade.update(
        business, ada, website="https://other.example.org", contacts=contacts, etag=business.etag
    )
    assert (after.website, list(after.contacts)) == ("https://other.example.org", contacts)
    assert after.etag != business.etag
    [updated] = await trade.identity.stated(BusinessUpdated)
    assert set(updated.paths) == {"website", "contacts"}
    fewer = await trade.update(after, ada, contacts=[PROOF])
    assert list(fewer.contacts) == [PROOF]
    again = await trade.update(fewer, ada, contacts=[PROOF])
    assert again.etag == fewer.etag
    with refused("ETAG_MISMATCH"):
        await trade.update(business, ada, website="", etag=business.etag)
    with refused("INVALID_FIELD"):
        await trade.update(business, ada, state=State.APPROVED)


@pytest.mark.parametrize("missing", ["website", "region_code", "tax_id", "contacts"])
async def test_what_a_reviewer_needs_has_to_be_there(trade: Trade, ada: people.User, missing: str) -> None:
    draft = await trade.begin(ada, **{missing: [] if missing == "contacts" else ""})
    await trade.document(draft, ada)
    with refused("BUSINESS_INCOMPLETE") as said:
        await trade.submit(draft, ada)
    assert [one.field for one in said[0].violations] == [missing]


async def test_a_wholesaler_brings_a_document_and_an_affiliate_need_not(trade: Trade, ada: people.User) -> None:
    with refused("BUSINESS_INCOMPLETE") as said:
        await trade.submit(await trade.begin(ada), ada)
    assert [one.field for one in said[0].violations] == ["documents"]
    affiliate = await trade.begin(ada, kind=people.Business.AFFILIATE, tax_id="")
    assert (await trade.submit(affiliate, ada)).state == State.SUBMITTED


async def test_what_a_reviewer_looks_at_does_not_change(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    with refused("BUSINESS_STATE"):
        await trade.update(business, ada, website="https://other.example.org")
    with refused("BUSINESS_STATE"):
        await trade.document(business, ada)


@pytest.mark.parametrize(
    "change",
    [{"company": "Eve's Bolts"}, {"tax_id": "1"}, {"region_code": "FR"}, {"kind": people.Business.DROPSHIPPER}],
)
async def test_another_legal_name_or_tax_id_is_reviewed_again(
    trade: Trade, ada: people.User, change: dict[str, object]
) -> None:
    business = await trade.approve(await trade.submitted(ada))
    trade.identity.clock.advance(timedelta(days=1))
    after = await trade.update(business, ada, **change)
    assert after.state == State.SUBMITTED
    assert after.submit_time.ToDatetime() > business.submit_time.ToDatetime()
    assert len(await trade.identity.stated(BusinessSubmitted)) == 2


async def test_another_website_is_not_and_nothing_needed_is_taken_away(trade: Trade, ada: people.User) -> None:
    business = await trade.approve(await trade.submitted(ada))
    after = await trade.update(business, ada, website="https://other.example.org")
    assert after.state == State.APPROVED
    with refused("BUSINESS_INCOMPLETE"):
        await trade.update(business, ada, tax_id="")


async def test_an_owner_closes_a_business_for_good(trade: Trade, ada: people.User) -> None:
    business = await trade.approve(await trade.submitted(ada))
    mine = await trade.as_(ada)
    await trade.stub.DeleteBusiness(pb.DeleteBusinessRequest(name=business.name), metadata=mine)
    with refused("BUSINESS_NOT_FOUND"):
        await trade.get(business)
    [closed] = await trade.identity.stated(BusinessClosed)
    assert (closed.business, closed.user) == (business.name, ada.name)
    assert len(await trade.identity.stated(MembershipEnded)) == 1


# Reviews -------------------------------------------------------------------------------------------------------------


async def test_the_queue_has_who_waits_longest_first(trade: Trade, ada: people.User) -> None:
    early, late = await trade.begin(ada), await trade.begin(ada)
    for one in (late, early):
        trade.identity.clock.advance(timedelta(minutes=1))
        await trade.document(one, ada)
        await trade.submit(one, ada)
    await trade.begin(ada)  # waits for nobody
    found, token = [], ""
    for _ in range(2):
        asked = pb.ListBusinessesRequest(page_size=1, page_token=token)
        page = await trade.stub.ListBusinesses(asked, metadata=trade.admin)
        found += [one.name for one in page.businesses]
        token = page.next_page_token
    assert (found, token) == ([late.name, early.name], "")
    drafts = await trade.stub.ListBusinesses(pb.ListBusinessesRequest(state=State.DRAFT), metadata=trade.admin)
    assert len(drafts.businesses) == 1


async def test_the_owners_are_told_what_was_decided_and_why(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    await trade.join(business, ada, EVE, pb.BusinessMember.VIEWER)
    name = business.name
    ask = pb.RequestBusinessInfoRequest(name=name, text="Send the\n\nregister entry of this year.")
    assert (await trade.stub.RequestBusinessInfo(ask, metadata=trade.admin)).review_text == ask.text
    await trade.submit(business, ada)
    refusal = pb.RefuseBusinessRequest(
        name=name, reasons=[pb.BusinessAccount.DOES_NOT_MATCH, pb.BusinessAccount.DOES_NOT_MATCH], text="Other tax id."
    )
    told = await trade.stub.RefuseBusiness(refusal, metadata=trade.admin)
    assert (list(told.reasons), told.review_text) == ([pb.BusinessAccount.DOES_NOT_MATCH], "Other tax id.")
    again = await trade.submit(business, ada)
    assert (list(again.reasons), again.review_text) == ([], "Other tax id.")
    await trade.approve(business)
    suspend = pb.SuspendBusinessRequest(name=name, text="Look at your website.")
    await trade.stub.SuspendBusiness(suspend, metadata=trade.admin)
    await trade.stub.ReinstateBusiness(pb.ReinstateBusinessRequest(name=name), metadata=trade.admin)
    mails = await trade.identity.mails(ADA)
    assert [one.template for one in mails] == [
        "business_ask", "business_refuse", "business_approve", "business_suspend", "business_reinstate",
    ]  # fmt: skip
    assert "register entry of this year." in mails[0].text
    assert "do not belong together" in mails[1].text
    assert "Other tax id." in mails[1].text
    assert "Look at your website." in mails[3].text
    assert all("https://store.example.org/trade" in one.text for one in mails)
    assert [one.template for one in await trade.identity.mails(EVE)] == ["business_invitation"]


async def test_what_became_of_an_application_is_kept_with_who_did_it(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    trade.identity.clock.advance(timedelta(minutes=1))
    await trade.approve(business)
    asked = pb.ListBusinessStepsRequest(parent=business.name)
    steps = (await trade.stub.ListBusinessSteps(asked, metadata=trade.admin)).steps
    assert [(one.state_before, one.state, one.actor) for one in steps] == [
        (State.SUBMITTED, State.APPROVED, trade.alma.name),
        (State.DRAFT, State.SUBMITTED, ada.name),
    ]


async def test_nobody_decides_about_their_own_business(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    own = trade.identity.as_(ada, "admin")
    with refused("REVIEWER_IS_MEMBER"):
        await trade.stub.ApproveBusiness(pb.ApproveBusinessRequest(name=business.name), metadata=own)
    assert (await trade.get(business)).state == State.SUBMITTED


async def test_a_decision_is_about_what_the_reviewer_saw(trade: Trade, ada: people.User) -> None:
    seen = await trade.submitted(ada)
    mine = await trade.as_(ada)
    await trade.stub.WithdrawBusiness(pb.WithdrawBusinessRequest(name=seen.name), metadata=mine)
    await trade.update(seen, ada, company="Somebody Else Ltd")
    await trade.submit(seen, ada)
    with refused("ETAG_MISMATCH"):
        await trade.approve(seen, seen.etag)


async def test_a_refusal_names_a_reason(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    for reasons in ([], [pb.BusinessAccount.REASON_UNSPECIFIED]):
        with refused("INVALID_FIELD"):
            asked = pb.RefuseBusinessRequest(name=business.name, reasons=reasons)
            await trade.stub.RefuseBusiness(asked, metadata=trade.admin)


async def test_of_fifty_decisions_at_once_one_is_taken(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)

    async def decide(number: int) -> str:
        try:
            if number % 2:
                await trade.approve(business)
                return "approved"
            asked = pb.RefuseBusinessRequest(name=business.name, reasons=[pb.BusinessAccount.NOT_PROVEN])
            await trade.stub.RefuseBusiness(asked, metadata=trade.admin)
        except grpc.aio.AioRpcError as error:
            return read(error).reason
        return "refused"

    told = Counter(await asyncio.gather(*map(decide, range(50))))
    assert told["BUSINESS_STATE"] == 49, told
    state = (await trade.get(business)).state
    assert told[{State.APPROVED: "approved", State.REFUSED: "refused"}[state]] == 1
    facts = [await trade.identity.stated(one) for one in (BusinessApproved, BusinessRefused)]
    assert sum(map(len, facts)) == 1
    decided = [one for one in await trade.identity.mails(ADA) if one.template.startswith("business_")]
    assert len(decided) == 1


async def test_no_event_says_what_a_business_is_called(trade: Trade, ada: people.User) -> None:
    business = await trade.approve(await trade.submitted(ada))
    await trade.update(business, ada, company="Canary Works")
    facts = [*await trade.identity.stated(BusinessSubmitted), *await trade.identity.stated(BusinessUpdated)]
    assert len(facts) == 3
    assert "Canary" not in str(facts)
    assert "Bolts" not in str(facts)


# Whose it is ---------------------------------------------------------------------------------------------------------


async def test_a_business_is_seen_by_members_reviewers_and_the_shop_alone(trade: Trade, ada: people.User) -> None:
    business, eve = await trade.begin(ada), await trade.identity.create(EVE)
    asked = pb.GetBusinessRequest(name=business.name)
    told = await trade.stub.GetBusiness(asked, metadata=as_service("shop"))
    assert (told.company, told.state) == (business.company, State.DRAFT)
    assert (told.tax_id, len(told.contacts), told.review_text) == ("", 0, "")  # which is none of the shop's business
    for metadata in (await trade.as_(eve), trade.identity.as_(eve, "agent")):
        with refused("FORBIDDEN"):
            await trade.stub.GetBusiness(asked, metadata=metadata)
    with refused("FORBIDDEN"):
        await trade.stub.ListUserBusinesses(
            pb.ListUserBusinessesRequest(parent=ada.name), metadata=trade.identity.as_(eve, "admin")
        )


async def test_a_business_that_is_not_there_is_not_found(trade: Trade, ada: people.User) -> None:
    with refused("BUSINESS_NOT_FOUND"):
        await trade.stub.GetBusiness(pb.GetBusinessRequest(name=NOBODY), metadata=trade.admin)
    with refused("BUSINESS_NOT_FOUND"):
        await trade.stub.ApproveBusiness(pb.ApproveBusinessRequest(name=NOBODY), metadata=trade.admin)


async def test_a_client_of_somebody_elses_acts_for_no_business(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    said = [[business.name.removeprefix("businesses/"), str(uuid4()), "owner"]]
    client = as_user(
        id_of(ada), now=trade.identity.clock(), key=trade.identity.key, client="app", scope="profile", memberships=said
    )
    with refused("SCOPE_MISSING"):
        await trade.stub.GetBusiness(pb.GetBusinessRequest(name=business.name), metadata=client)
