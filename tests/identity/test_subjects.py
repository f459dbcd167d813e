"""People without an account: a business's customers see what is held of them, and have it erased."""

import asyncio
import json
import re
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import businesses_pb2
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1 import subjects_pb2 as pb
from rapport.identity.v1.events_pb2 import BusinessCustomerErased
from rapport.identity.v1.subjects_pb2_grpc import SubjectServiceStub
from sqlalchemy import func, select

from chassis.refusal import refused as read_refusal
from services.identity.models import BusinessCustomer, SubjectAccess
from services.identity.registrations import MAILS_AN_HOUR
from services.identity.subjects import LINK_LASTS, forget_subject_links
from tests.identity.businesses import Trade
from tests.identity.people import ADA, EVE, PRIVACY
from tests.world import refused

CARLA = "carla@example.org"
HOME = people.Address(
    recipient="Carla Canary", lines=["7 Perch Row"], postal_code="10115", city="Berlin", region_code="DE"
)


@pytest.fixture
async def ada(trade: Trade) -> people.User:
    return await trade.identity.create(ADA)


@pytest.fixture
def stub(trade: Trade) -> SubjectServiceStub:
    return SubjectServiceStub(trade.identity.channel)


async def approved(
    trade: Trade, owner: people.User, company: str = "Ada's Bolts GmbH"
) -> businesses_pb2.BusinessAccount:
    return await trade.approve(await trade.submitted(owner, company=company))


async def keep(
    trade: Trade, business: businesses_pb2.BusinessAccount, by: people.User, email: str = CARLA, request_id: str = ""
) -> pb.BusinessCustomer:
    asked = pb.CreateBusinessCustomerRequest(
        parent=business.name, customer=pb.BusinessCustomer(email=email, address=HOME), request_id=request_id
    )
    stub = SubjectServiceStub(trade.identity.channel)
    return await stub.CreateBusinessCustomer(asked, metadata=await trade.as_(by))


async def link(trade: Trade, email: str = CARLA) -> str:
    """The token of a link that was just mailed."""
    stub = SubjectServiceStub(trade.identity.channel)
    await stub.BeginSubjectAccess(pb.BeginSubjectAccessRequest(email=email))
    found = re.search(r"/my-data#token=(\S+)", (await trade.identity.mails(email))[-1].text)
    assert found
    return found[1]


async def listed(trade: Trade, business: businesses_pb2.BusinessAccount, by: people.User) -> list[str]:
    stub = SubjectServiceStub(trade.identity.channel)
    asked = pb.ListBusinessCustomersRequest(parent=business.name)
    return [one.email for one in (await stub.ListBusinessCustomers(asked, metadata=await trade.as_(by))).customers]


async def test_an_approved_business_keeps_its_customers(
    trade: Trade, ada: people.User, stub: SubjectServiceStub
) -> None:
    business = await approved(trade, ada)
    key = str(uuid4())
    kept = await keep(trade, business, ada, " Carla@Example.org ", key)
    assert (kept.email, kept.address) == (CARLA, HOME)
    assert await keep(trade, business, ada, " Carla@Example.org ", key) == kept
    assert await keep(trade, business, ada) == kept
    assert await listed(trade, business, ada) == [CARLA]
    mine = await trade.as_(ada)
    for _ in range(2):  # again changes nothing
        await stub.DeleteBusinessCustomer(pb.DeleteBusinessCustomerRequest(name=kept.name), metadata=mine)
    assert await listed(trade, business, ada) == []
    with refused("PERSON_ERASED"):  # asked once more, it does not bring them back
        await keep(trade, business, ada, " Carla@Example.org ", key)


async def test_a_business_that_nobody_approved_keeps_none(trade: Trade, ada: people.User) -> None:
    with refused("BUSINESS_STATE"):
        await keep(trade, await trade.begin(ada), ada)


async def test_viewers_and_reviewers_see_no_customers(trade: Trade, ada: people.User, stub: SubjectServiceStub) -> None:
    business = await approved(trade, ada)
    eve = await trade.join(business, ada, EVE, businesses_pb2.BusinessMember.VIEWER)
    asked = pb.ListBusinessCustomersRequest(parent=business.name)
    for metadata in (await trade.as_(eve), trade.admin):
        with refused("FORBIDDEN"):
            await stub.ListBusinessCustomers(asked, metadata=metadata)


async def test_who_reads_at_the_address_sees_what_every_business_told(
    trade: Trade, ada: people.User, stub: SubjectServiceStub
) -> None:
    eve = await trade.identity.create(EVE)
    first, second = await approved(trade, ada), await approved(trade, eve, "Eve's Eels")
    one, other = await keep(trade, first, ada), await keep(trade, second, eve)
    await keep(trade, second, eve, "somebody.else@example.org")
    assert one.subject == other.subject
    told = await stub.ReadSubject(pb.ReadSubjectRequest(token=await link(trade)))
    assert told.subject == one.subject
    found = {record.company: record.customer for record in told.records}
    assert found == {"Ada's Bolts GmbH": one, "Eve's Eels": other}


async def test_what_is_erased_is_gone_and_the_businesses_are_told(
    trade: Trade, ada: people.User, stub: SubjectServiceStub
) -> None:
    business = await approved(trade, ada)
    kept = await keep(trade, business, ada)
    await keep(trade, business, ada, "somebody.else@example.org")
    token = await link(trade)
    assert (await stub.EraseSubject(pb.EraseSubjectRequest(token=token))).businesses == 1
    [erased] = await trade.identity.stated(BusinessCustomerErased)
    assert (erased.user, erased.business, erased.customer) == (ada.name, business.name, kept.name)
    assert await listed(trade, business, ada) == ["somebody.else@example.org"]
    for call in (
        stub.ReadSubject(pb.ReadSubjectRequest(token=token)),
        stub.EraseSubject(pb.EraseSubjectRequest(token=token)),
    ):
        with refused("LINK_INVALID"):
            await call
    asked = holder.ScanSubjectRequest(subject=kept.subject.replace("subjects/", "users/"))
    scan = await HolderServiceStub(trade.identity.channel).ScanSubject(asked, metadata=PRIVACY)
    assert scan.erased
    assert list(scan.remaining) == []
    again = await keep(trade, business, ada)  # who buys again is somebody new
    assert again.subject != kept.subject


async def test_of_fifty_who_erase_at_once_one_does(trade: Trade, ada: people.User, stub: SubjectServiceStub) -> None:
    await keep(trade, await approved(trade, ada), ada)
    token = await link(trade)

    async def told() -> str:
        try:
            await stub.EraseSubject(pb.EraseSubjectRequest(token=token))
        except grpc.aio.AioRpcError as error:
            return read_refusal(error).reason
        return "erased"

    assert Counter(await asyncio.gather(*(told() for _ in range(50)))) == {"erased": 1, "LINK_INVALID": 49}
    assert len(await trade.identity.stated(BusinessCustomerErased)) == 1


async def test_the_answer_does_not_tell_of_whom_something_is_held(
    trade: Trade, ada: people.User, stub: SubjectServiceStub
) -> None:
    await keep(trade, await approved(trade, ada), ada)
    for email in (CARLA, "nobody@example.org"):
        for _ in range(MAILS_AN_HOUR + 2):
            told: Any = await stub.BeginSubjectAccess(pb.BeginSubjectAccessRequest(email=email))
            assert told.ByteSize() == 0
    known, unknown = [await trade.identity.mails(one) for one in (CARLA, "nobody@example.org")]
    assert len(known) == len(unknown) == MAILS_AN_HOUR
    assert ("token=" in known[0].text, "token=" in unknown[0].text) == (True, False)
    with refused("EMAIL_MALFORMED"):
        await stub.BeginSubjectAccess(pb.BeginSubjectAccessRequest(email="nobody"))


async def test_a_link_lasts_an_hour_and_is_forgotten(trade: Trade, ada: people.User, stub: SubjectServiceStub) -> None:
    await keep(trade, await approved(trade, ada), ada)
    token = await link(trade)
    trade.identity.clock.advance(LINK_LASTS - timedelta(seconds=1))
    await stub.ReadSubject(pb.ReadSubjectRequest(token=token))
    trade.identity.clock.advance(timedelta(seconds=1))
    with refused("LINK_INVALID"):
        await stub.ReadSubject(pb.ReadSubjectRequest(token=token))
    sessions = trade.identity.sessions
    assert await forget_subject_links.work(sessions, trade.identity.clock()) == 1
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(SubjectAccess)) == 0


async def test_a_business_that_closes_takes_its_customers_along(trade: Trade, ada: people.User) -> None:
    business = await approved(trade, ada)
    await keep(trade, business, ada)
    asked = businesses_pb2.DeleteBusinessRequest(name=business.name)
    await trade.stub.DeleteBusiness(asked, metadata=await trade.as_(ada))
    async with trade.identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(BusinessCustomer)) == 0


async def test_no_fact_says_who_a_customer_is(trade: Trade, ada: people.User, stub: SubjectServiceStub) -> None:
    await keep(trade, await approved(trade, ada), ada)
    await stub.EraseSubject(pb.EraseSubjectRequest(token=await link(trade)))
    told = str(await trade.identity.stated(BusinessCustomerErased))
    assert "Canary" not in told
    assert "example.org" not in told


async def test_the_copy_of_an_owner_has_no_customers_in_it(trade: Trade, ada: people.User) -> None:
    await keep(trade, await approved(trade, ada), ada)
    asked = holder.ExportSubjectRequest(subject=ada.name)
    rows = [
        json.loads(row.row_json)
        async for row in HolderServiceStub(trade.identity.channel).ExportSubject(asked, metadata=PRIVACY)
    ]
    assert "Canary" not in json.dumps(rows)
