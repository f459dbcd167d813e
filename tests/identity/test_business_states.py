"""Every step from every state, in the module, over the service and in the database."""

from itertools import product

import pytest
from rapport.identity.v1 import businesses_pb2 as pb
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.identity.businesses.applications import FACTS
from services.identity.businesses.states import EDITABLE, STEPS, BusinessState, Step, after
from tests.identity.businesses import Trade, id_of
from tests.identity.people import ADA
from tests.world import refused, stated

# Written once more and by hand: what may become of an application. Whatever is not here cannot.
MAY = """
DRAFT       SUBMIT    SUBMITTED
NEEDS_INFO  SUBMIT    SUBMITTED
REFUSED     SUBMIT    SUBMITTED
SUBMITTED   WITHDRAW  DRAFT
NEEDS_INFO  WITHDRAW  DRAFT
APPROVED    CHANGE    SUBMITTED
SUBMITTED   APPROVE   APPROVED
SUBMITTED   ASK       NEEDS_INFO
SUBMITTED   REFUSE    REFUSED
NEEDS_INFO  REFUSE    REFUSED
APPROVED    SUSPEND   SUSPENDED
SUSPENDED   REINSTATE APPROVED
"""
TABLE = {(before, step): state for before, step, state in (line.split() for line in MAY.strip().splitlines())}
# How an application gets into each state.
WAYS: dict[str, list[str]] = {
    "DRAFT": [],
    "SUBMITTED": ["SUBMIT"],
    "NEEDS_INFO": ["SUBMIT", "ASK"],
    "APPROVED": ["SUBMIT", "APPROVE"],
    "REFUSED": ["SUBMIT", "REFUSE"],
    "SUSPENDED": ["SUBMIT", "APPROVE", "SUSPEND"],
}


def test_the_module_has_the_steps_of_the_table_and_no_other() -> None:
    for state, step in product(BusinessState, Step):
        assert after(state, step) == TABLE.get((state, step)), (state, step)
    assert len(STEPS) == len(TABLE)
    assert {one for one in BusinessState if one in EDITABLE} == {"DRAFT", "NEEDS_INFO", "REFUSED", "APPROVED"}


async def do(trade: Trade, business: pb.BusinessAccount, owner: object, step: str) -> None:
    """Take the step as whoever may, over the service."""
    name, stub = business.name, trade.stub
    mine = await trade.as_(owner)  # type: ignore[arg-type]
    match step:
        case "SUBMIT":
            await stub.SubmitBusiness(pb.SubmitBusinessRequest(name=name), metadata=mine)
        case "WITHDRAW":
            await stub.WithdrawBusiness(pb.WithdrawBusinessRequest(name=name), metadata=mine)
        case "APPROVE":
            await stub.ApproveBusiness(pb.ApproveBusinessRequest(name=name), metadata=trade.admin)
        case "ASK":
            await stub.RequestBusinessInfo(pb.RequestBusinessInfoRequest(name=name, text="?"), metadata=trade.admin)
        case "REFUSE":
            asked = pb.RefuseBusinessRequest(name=name, reasons=[pb.BusinessAccount.NOT_PROVEN])
            await stub.RefuseBusiness(asked, metadata=trade.admin)
        case "SUSPEND":
            await stub.SuspendBusiness(pb.SuspendBusinessRequest(name=name, text="!"), metadata=trade.admin)
        case "REINSTATE":
            await stub.ReinstateBusiness(pb.ReinstateBusinessRequest(name=name), metadata=trade.admin)


@pytest.mark.parametrize("state", WAYS)
async def test_from_every_state_the_service_takes_the_steps_of_the_table_and_no_other(trade: Trade, state: str) -> None:
    ada = await trade.identity.create(ADA)
    for step in set(Step) - {Step.CHANGE}:
        business = await trade.begin(ada)
        await trade.document(business, ada)
        for way in WAYS[state]:
            await do(trade, business, ada, way)
        fact = FACTS[step]
        before = await stated(trade.identity.sessions, fact)
        if expected := TABLE.get((state, step)):
            await do(trade, business, ada, step)
            assert pb.BusinessAccount.State.Name((await trade.get(business)).state) == expected, step
            [new] = (await stated(trade.identity.sessions, fact))[len(before) :]
            assert (new.business, new.user) == (business.name, ada.name)  # type: ignore[attr-defined]
        else:
            with refused("BUSINESS_STATE") as said:
                await do(trade, business, ada, step)
            assert said[0].metadata == {"state": state}
            assert pb.BusinessAccount.State.Name((await trade.get(business)).state) == state, step
            assert await stated(trade.identity.sessions, fact) == before
        asked = pb.DeleteBusinessRequest(name=business.name)
        await trade.stub.DeleteBusiness(asked, metadata=await trade.as_(ada))


def reasons(state: str) -> list[str]:
    return ["NOT_PROVEN"] if state == "REFUSED" else []


async def test_the_database_itself_takes_no_other_way(trade: Trade) -> None:
    ada = await trade.identity.create(ADA)
    ways = {(before, state) for (before, _), state in TABLE.items()}
    moved = text(
        "UPDATE business_account SET state_before = state, state = CAST(:state AS text), submit_time = now(),"
        " reasons = CAST(:reasons AS text[]) WHERE id = :id"
    )
    for before, state in product(BusinessState, BusinessState):
        business = await trade.begin(ada)
        await trade.document(business, ada)
        for way in WAYS[before]:
            await do(trade, business, ada, way)
        said = {"id": business.name.removeprefix("businesses/"), "state": str(state), "reasons": reasons(state)}
        async with trade.identity.sessions() as session:
            if (before, state) in ways:
                await session.execute(moved, said)
            else:
                with pytest.raises(IntegrityError, match="business_account_step_check"):
                    await session.execute(moved, said)
        asked = pb.DeleteBusinessRequest(name=business.name)
        await trade.stub.DeleteBusiness(asked, metadata=await trade.as_(ada))


@pytest.mark.parametrize("state", sorted(set(BusinessState) - {"DRAFT"}))
async def test_the_database_takes_no_business_that_begins_anywhere_but_as_a_draft(trade: Trade, state: str) -> None:
    ada = await trade.identity.create(ADA)
    made = text(
        "INSERT INTO business_account (id, owner_id, kind, company, website, region_code, tax_id, state, reasons,"
        " review_text, submit_time, version, create_time, update_time) VALUES (gen_random_uuid(), :owner, 'AFFILIATE',"
        " 'A', '', '', '', CAST(:state AS text), CAST(:reasons AS text[]), '', now(), 1, now(), now())"
    )
    async with trade.identity.sessions() as session:
        with pytest.raises(IntegrityError, match="business_account_step_check"):
            await session.execute(made, {"owner": str(id_of(ada)), "state": state, "reasons": reasons(state)})
