"""Documents: what shows that a business is one.

They come in pieces and are kept as they were given: what proves something is not changed, and nothing here opens it.
They leave as a download only, of a type that their first bytes told.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.refusal import InvalidField, Violation
from services.identity.businesses import accounts, states
from services.identity.models import BusinessAccount, BusinessDocument, BusinessDocumentPiece
from services.identity.refusals import BusinessFull, DocumentNotFound, DocumentOutOfStep, DocumentUnreadable

MOST = 5  # of one business
LEAST_BYTES = 64 << 10  # of a piece: a document has few
COMES_WITHIN = timedelta(hours=24)
BATCH = 1_000
TYPES = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
)


async def announce(
    session: AsyncSession, business: UUID, *, title: str, size_bytes: int, now: datetime
) -> BusinessDocument:
    """Make room for a document that is to come, or refuse because there are as many as there can be."""
    held = await accounts.hold(session, business)
    accounts.check_editable(held)
    count = select(func.count()).select_from(BusinessDocument).where(BusinessDocument.business_id == business)
    if (await session.scalar(count) or 0) >= MOST:
        raise BusinessFull("There are as many documents as there can be.", most=str(MOST))
    coming = BusinessDocument(
        business_id=business, owner_id=held.owner_id, title=title, size_bytes=size_bytes, create_time=now
    )
    session.add(coming)
    await session.flush()
    return coming


async def append(
    session: AsyncSession, business: UUID, id: UUID, *, offset_bytes: int, content: bytes
) -> BusinessDocument:
    """Keep the next piece. One that came before, answered or not, changes nothing."""
    held = await accounts.hold(session, business)
    document = await get(session, business, id)
    if offset_bytes < document.received_bytes and await has(session, id, offset_bytes, content):
        return document
    accounts.check_editable(held)
    if offset_bytes != document.received_bytes:
        received = str(document.received_bytes)
        raise DocumentOutOfStep("Another piece comes next.", received_bytes=received)
    if offset_bytes + len(content) > document.size_bytes:
        raise unfit("TOO_LONG", "This is more than was announced.")
    if len(content) < LEAST_BYTES and offset_bytes + len(content) < document.size_bytes:
        raise unfit("TOO_SHORT", f"A piece has {LEAST_BYTES} bytes at least, but for the last.")
    if offset_bytes == 0:
        document.content_type = type_of(content)
    session.add(
        BusinessDocumentPiece(document_id=id, offset_bytes=offset_bytes, owner_id=document.owner_id, content=content)
    )
    document.received_bytes += len(content)
    await session.flush()
    return document


def unfit(reason: str, description: str) -> InvalidField:
    return InvalidField("Mend the fields listed.", violations=[Violation("content", reason, description)])


async def has(session: AsyncSession, id: UUID, offset_bytes: int, content: bytes) -> bool:
    piece = await session.get(BusinessDocumentPiece, (id, offset_bytes))
    return piece is not None and piece.content == content


def type_of(content: bytes) -> str:
    """What the first bytes say it is: what a file is called proves nothing."""
    for mark, media_type in TYPES:
        if content.startswith(mark):
            return media_type
    violation = Violation("content", "DOCUMENT_UNREADABLE", "This takes a PDF, JPEG or PNG.")
    raise DocumentUnreadable("That is no document we can read.", violations=[violation])


async def get(session: AsyncSession, business: UUID, id: UUID) -> BusinessDocument:
    """Return the document, or refuse because the business has none of that name."""
    found = await session.get(BusinessDocument, id, populate_existing=True)
    if found is None or found.business_id != business:
        raise DocumentNotFound("There is no such document.")
    return found


async def of(
    session: AsyncSession, business: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[BusinessDocument]:
    """The documents of a business, oldest first."""
    query = select(BusinessDocument).where(BusinessDocument.business_id == business).limit(limit)
    if after is not None:
        query = query.where(tuple_(BusinessDocument.create_time, BusinessDocument.id) > after)
    return (await session.scalars(query.order_by(BusinessDocument.create_time, BusinessDocument.id))).all()


async def whole(session: AsyncSession, business: UUID, id: UUID) -> BusinessDocument:
    """Return a document of which everything has come, or refuse."""
    document = await get(session, business, id)
    if document.received_bytes < document.size_bytes:
        raise DocumentNotFound("That document has not come whole.")
    return document


async def piece(session: AsyncSession, id: UUID, offset_bytes: int) -> bytes:
    """The piece of a document that begins there, or refuse because it is gone."""
    found = await session.get(BusinessDocumentPiece, (id, offset_bytes))
    if found is None:
        raise DocumentNotFound("That document is gone.")
    return found.content


async def remove(session: AsyncSession, business: UUID, id: UUID) -> None:
    """Remove a document, or refuse because an approval stands on it or a reviewer looks at it."""
    held = await accounts.hold(session, business)
    found = await session.get(BusinessDocument, id)
    if found is None or found.business_id != business:
        return
    if held.state not in states.REMOVABLE:
        raise accounts.in_state_refused(held)
    await forget(session, [id])


async def forget(session: AsyncSession, ids: Sequence[UUID]) -> int:
    await session.execute(delete(BusinessDocumentPiece).where(BusinessDocumentPiece.document_id.in_(ids)))
    gone = delete(BusinessDocument).where(BusinessDocument.id.in_(ids)).returning(BusinessDocument.id)
    return len((await session.execute(gone)).all())


@job(every=timedelta(hours=1))
async def forget_unfinished_documents(sessions: Sessions, now: datetime) -> int:
    """What did not come whole within a day goes."""
    async with sessions.begin() as session:
        is_unfinished = BusinessDocument.received_bytes < BusinessDocument.size_bytes
        old = select(BusinessDocument.id, BusinessDocument.business_id).where(
            is_unfinished, BusinessDocument.create_time <= now - COMES_WITHIN
        )
        found = (await session.execute(old.limit(BATCH))).all()
        # Held, so that no piece comes in between.
        held = select(BusinessAccount.id).where(BusinessAccount.id.in_({one.business_id for one in found}))
        await session.execute(held.order_by(BusinessAccount.id).with_for_update())
        still = select(BusinessDocument.id).where(BusinessDocument.id.in_([one.id for one in found]), is_unfinished)
        return await forget(session, (await session.scalars(still)).all())
