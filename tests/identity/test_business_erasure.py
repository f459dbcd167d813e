"""What becomes of businesses when people are erased, and what they get of them before."""

import json

import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1.events_pb2 import BusinessClosed, MembershipEnded
from sqlalchemy import func, select

from chassis.database import Sessions
from services.identity.models import (
    BusinessAccount,
    BusinessDocument,
    BusinessDocumentPiece,
    BusinessInvitation,
    BusinessMember,
    BusinessStep,
)
from services.identity.settings import Settings
from tests.identity.businesses import PDF, Trade, id_of
from tests.identity.people import ADA, EVE, PRIVACY
from tests.identity.test_deletion import Order, order, scanned
from tests.world import Hands, refused

TABLES = (
    BusinessAccount,
    BusinessDocument,
    BusinessDocumentPiece,
    BusinessInvitation,
    BusinessMember,
    BusinessStep,
)
OWNER, VIEWER = pb.BusinessMember.OWNER, pb.BusinessMember.VIEWER
__all__ = ["order"]  # the fixture


@pytest.fixture
async def ada(trade: Trade) -> people.User:
    return await trade.identity.create(ADA)


async def erase(trade: Trade, order: Order, user: people.User) -> people.User:
    gone = await trade.identity.delete(user)
    await order(gone)
    after = await scanned(trade.identity, gone)
    assert after.erased
    assert list(after.remaining) == []
    return gone


async def rows(sessions: Sessions) -> dict[str, int]:
    async with sessions() as session:
        found = {one.__tablename__: await session.scalar(select(func.count()).select_from(one)) for one in TABLES}
    return {name: count for name, count in found.items() if count}


async def test_with_its_last_owner_a_business_is_closed_and_its_documents_go(
    trade: Trade, ada: people.User, order: Order
) -> None:
    business = await trade.approve(await trade.submitted(ada))
    await trade.join(business, ada, EVE, VIEWER)
    await trade.invite(business, ada, "nobody@example.org", VIEWER)
    await erase(trade, order, ada)
    [closed] = await trade.identity.stated(BusinessClosed)
    assert (closed.business, closed.user) == (business.name, ada.name)
    assert len(await trade.identity.stated(MembershipEnded)) == 2
    assert await rows(trade.identity.sessions) == {}
    counts = {one.column: one.rows for one in (await trade.identity.stated(ErasureDone))[0].outcomes}
    assert counts["business_account.tax_id"] == counts["business_contact.phone"] == 1
    assert counts["business_document_piece.content"] == 1
    with refused("BUSINESS_NOT_FOUND"):
        await trade.get(business)


async def test_another_owner_goes_on_with_all_there_is(trade: Trade, ada: people.User, order: Order) -> None:
    business = await trade.submitted(ada)
    eve = await trade.join(business, ada, EVE, OWNER)
    await erase(trade, order, ada)
    assert await trade.identity.stated(BusinessClosed) == []
    assert await trade.members(business) == {EVE: "OWNER"}
    told = await trade.get(business)
    assert (told.company, told.tax_id, len(told.contacts)) == (business.company, business.tax_id, 1)
    asked = pb.ListBusinessDocumentsRequest(parent=business.name)
    [document] = (await trade.stub.ListBusinessDocuments(asked, metadata=await trade.as_(eve))).documents
    call = trade.stub.DownloadBusinessDocument(
        pb.DownloadBusinessDocumentRequest(name=document.name), metadata=trade.admin
    )
    assert b"".join([part.data async for part in call]) == PDF
    steps = await trade.stub.ListBusinessSteps(pb.ListBusinessStepsRequest(parent=business.name), metadata=trade.admin)
    assert [one.actor for one in steps.steps] == [""]  # who handed it in is nobody any more
    await erase(trade, order, eve)
    assert await rows(trade.identity.sessions) == {}


async def test_an_owner_who_leaves_answers_for_nothing_any_more(trade: Trade, ada: people.User, order: Order) -> None:
    business = await trade.submitted(ada)
    eve = await trade.join(business, ada, EVE, OWNER)
    await trade.stub.LeaveBusiness(pb.LeaveBusinessRequest(name=business.name), metadata=await trade.as_(ada))
    await erase(trade, order, ada)
    assert (await trade.get(business)).company == business.company
    async with trade.identity.sessions() as session:
        held = await session.get_one(BusinessAccount, business.name.removeprefix("businesses/"))
        assert held.owner_id == id_of(eve)


async def test_a_member_who_is_erased_is_none_any_more(trade: Trade, ada: people.User, order: Order) -> None:
    business = await trade.submitted(ada)
    eve = await trade.join(business, ada, EVE, VIEWER)
    await erase(trade, order, eve)
    assert await trade.members(business) == {ADA: "OWNER"}
    assert await trade.identity.stated(BusinessClosed) == []


async def test_an_invitation_goes_with_whom_it_was_for(
    trade: Trade, ada: people.User, settings: Settings, sessions: Sessions, clock: Hands, order: Order
) -> None:
    business = await trade.begin(ada)
    await trade.invite(business, ada, EVE, VIEWER)  # before she has an account, so under an id that she will not have
    await erase(trade, order, await trade.identity.create(EVE))
    assert "business_invitation" not in await rows(sessions)


async def test_a_copy_of_ones_data_has_the_business_and_its_documents(trade: Trade, ada: people.User) -> None:
    await trade.submitted(ada)
    found = await exported(trade, ada)
    assert {"business_account", "business_contact", "business_document", "business_document_piece"} <= found.keys()
    told = json.dumps(found)
    for planted in ("Ada's Bolts GmbH", "DE 123 456 789", "Carla Contact", "Register entry"):
        assert planted in told, planted


async def test_a_member_gets_their_membership_and_nothing_of_the_business(trade: Trade, ada: people.User) -> None:
    business = await trade.submitted(ada)
    eve = await trade.join(business, ada, EVE, VIEWER)
    found = await exported(trade, eve)
    assert {one for one in found if one.startswith("business")} == {"business_member", "business_invitation"}
    assert "Bolts" not in json.dumps(found)


async def exported(trade: Trade, user: people.User) -> dict[str, list[object]]:
    asked = holder.ExportSubjectRequest(subject=user.name)
    found: dict[str, list[object]] = {}
    async for row in HolderServiceStub(trade.identity.channel).ExportSubject(asked, metadata=PRIVACY):
        found.setdefault(row.table, []).append(json.loads(row.row_json))
    return found
