"""What was said on tickets, and by whom."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.support.models import Message

BATCH = 50


async def get(session: AsyncSession, id: UUID) -> Message:
    return await session.get_one(Message, id)


async def of(session: AsyncSession, ticket: UUID, *, after: tuple[int] | None, limit: int) -> Sequence[Message]:
    """What was said on a ticket, oldest first."""
    query = select(Message).where(Message.ticket_id == ticket).order_by(Message.number).limit(limit)
    if after:
        query = query.where(Message.number > after[0])
    return (await session.scalars(query)).all()


async def unnamed_authors(session: AsyncSession) -> Sequence[UUID]:
    """Some of those whose name identity could not say when they wrote."""
    unnamed = select(Message.author_id).where(Message.author_name.is_(None)).distinct().limit(BATCH)
    return [author for author in await session.scalars(unnamed) if author is not None]


async def rename_author(session: AsyncSession, author: UUID, name: str) -> int:
    """Show `name` beside all that `author` ever said, and return on how many messages that is news."""
    other = Message.author_name.is_distinct_from(name)
    renamed = update(Message).where(Message.author_id == author, other).values(author_name=name)
    return len((await session.execute(renamed.returning(Message.id))).all())
