"""Documents of businesses: in pieces, told by their first bytes, and out as a download."""

from datetime import timedelta
from uuid import uuid4

import pytest
from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from sqlalchemy import func, select

from services.identity.businesses.documents import COMES_WITHIN, LEAST_BYTES, MOST, forget_unfinished_documents
from services.identity.models import BusinessDocument, BusinessDocumentPiece
from tests.identity.businesses import PDF, Trade
from tests.identity.people import ADA, EVE, PNG
from tests.world import refused

PIECE = 512 << 10
LONG = PDF + bytes(2 * PIECE)


@pytest.fixture
async def ada(trade: Trade) -> people.User:
    return await trade.identity.create(ADA)


async def announce(trade: Trade, business: pb.BusinessAccount, by: people.User, size: int) -> pb.BusinessDocument:
    told = pb.BusinessDocument(title="Register entry", size_bytes=size)
    asked = pb.CreateBusinessDocumentRequest(parent=business.name, document=told)
    return await trade.stub.CreateBusinessDocument(asked, metadata=await trade.as_(by))


async def append(trade: Trade, name: str, by: people.User, at: int, content: bytes) -> pb.BusinessDocument:
    asked = pb.AppendBusinessDocumentRequest(name=name, offset_bytes=at, content=content)
    return await trade.stub.AppendBusinessDocument(asked, metadata=await trade.as_(by))


async def download(trade: Trade, name: str, metadata: object) -> tuple[set[str], bytes]:
    asked = pb.DownloadBusinessDocumentRequest(name=name)
    call = trade.stub.DownloadBusinessDocument(asked, metadata=metadata)  # type: ignore[arg-type]
    parts = [part async for part in call]
    return {one.content_type for one in parts}, b"".join(one.data for one in parts)


async def test_a_document_comes_in_pieces_and_leaves_as_it_was_given(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    made = await announce(trade, business, ada, len(LONG))
    with refused("DOCUMENT_NOT_FOUND"):
        await download(trade, made.name, trade.admin)
    for at in range(0, len(LONG), PIECE):
        told = await append(trade, made.name, ada, at, LONG[at : at + PIECE])
    assert (told.received_bytes, told.content_type) == (len(LONG), "application/pdf")
    for metadata in (trade.admin, await trade.as_(ada)):
        assert await download(trade, made.name, metadata) == ({"application/pdf"}, LONG)
    asked = pb.ListBusinessDocumentsRequest(parent=business.name)
    assert list((await trade.stub.ListBusinessDocuments(asked, metadata=trade.admin)).documents) == [told]


async def test_a_piece_that_comes_again_changes_nothing_and_another_is_out_of_step(
    trade: Trade, ada: people.User
) -> None:
    made = await announce(trade, await trade.begin(ada), ada, len(LONG))
    for _ in range(2):
        assert (await append(trade, made.name, ada, 0, LONG[:PIECE])).received_bytes == PIECE
    for at, content in ((0, PDF + bytes(PIECE - len(PDF) - 1)), (1, LONG[:PIECE]), (2 * PIECE, LONG[:PIECE])):
        with refused("DOCUMENT_OUT_OF_STEP") as said:
            await append(trade, made.name, ada, at, content)
        assert said[0].metadata == {"received_bytes": str(PIECE)}


async def test_no_more_comes_than_was_announced_and_no_crumbs(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    made = await announce(trade, business, ada, len(PDF))
    with refused("INVALID_FIELD"):
        await append(trade, made.name, ada, 0, PDF + b"!")
    longer = await announce(trade, business, ada, len(LONG))
    with refused("INVALID_FIELD"):
        await append(trade, longer.name, ada, 0, LONG[: LEAST_BYTES - 1])
    for size in (0, (2 << 20) + 1):
        with refused("INVALID_FIELD"):
            await announce(trade, business, ada, size)


@pytest.mark.parametrize("content", [b"<html>", b"GIF89a", b" %PDF-1.7", b"PK\x03\x04", b"\x89PNG"])
async def test_what_a_file_is_called_proves_nothing(trade: Trade, ada: people.User, content: bytes) -> None:
    made = await announce(trade, await trade.begin(ada), ada, len(content))
    with refused("DOCUMENT_UNREADABLE"):
        await append(trade, made.name, ada, 0, content)


@pytest.mark.parametrize(
    ("content", "kind"), [(PDF, "application/pdf"), (PNG, "image/png"), (b"\xff\xd8\xff\xe0 a photo", "image/jpeg")]
)
async def test_what_it_is_its_first_bytes_tell(trade: Trade, ada: people.User, content: bytes, kind: str) -> None:
    assert (await trade.document(await trade.begin(ada), ada, content)).content_type == kind


async def test_there_are_a_few_and_one_that_is_removed_makes_room(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    for _ in range(MOST):
        last = await trade.document(business, ada)
    with refused("BUSINESS_FULL"):
        await announce(trade, business, ada, 1)
    asked = pb.DeleteBusinessDocumentRequest(name=last.name)
    for _ in range(2):  # again changes nothing
        await trade.stub.DeleteBusinessDocument(asked, metadata=await trade.as_(ada))
    assert await announce(trade, business, ada, 1)


async def test_what_an_approval_stands_on_stays(trade: Trade, ada: people.User) -> None:
    draft = await trade.begin(ada)
    document = await trade.document(draft, ada)
    await trade.submit(draft, ada)
    asked = pb.DeleteBusinessDocumentRequest(name=document.name)
    for _ in range(2):
        with refused("BUSINESS_STATE"):
            await trade.stub.DeleteBusinessDocument(asked, metadata=await trade.as_(ada))
        if (await trade.get(draft)).state == pb.BusinessAccount.SUBMITTED:
            await trade.approve(draft)


async def test_a_document_of_another_business_is_none_of_this_one(trade: Trade, ada: people.User) -> None:
    theirs = await trade.document(await trade.begin(ada), ada)
    eve = await trade.identity.create(EVE)
    mine = await trade.begin(eve)
    name = f"{mine.name}/documents/{theirs.name.rpartition('/')[2]}"
    with refused("DOCUMENT_NOT_FOUND"):
        await download(trade, name, await trade.as_(eve))
    with refused("DOCUMENT_NOT_FOUND"):
        await append(trade, f"{mine.name}/documents/{uuid4()}", eve, 0, PDF)
    with refused("FORBIDDEN"):
        await download(trade, theirs.name, await trade.as_(eve))
    await trade.stub.DeleteBusinessDocument(pb.DeleteBusinessDocumentRequest(name=name), metadata=await trade.as_(eve))
    assert (await download(trade, theirs.name, trade.admin))[1] == PDF


async def test_what_did_not_come_whole_goes_after_a_day(trade: Trade, ada: people.User) -> None:
    business = await trade.begin(ada)
    made = await announce(trade, business, ada, len(LONG))
    await append(trade, made.name, ada, 0, LONG[:PIECE])
    await trade.document(business, ada)
    sessions, clock = trade.identity.sessions, trade.identity.clock
    clock.advance(COMES_WITHIN - timedelta(seconds=1))
    assert await forget_unfinished_documents.work(sessions, clock()) == 0
    clock.advance(timedelta(seconds=1))
    assert await forget_unfinished_documents.work(sessions, clock()) == 1
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(BusinessDocument)) == 1
        assert await session.scalar(select(func.count()).select_from(BusinessDocumentPiece)) == 1
