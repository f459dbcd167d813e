"""Facts of identity: told to whoever listens and, where they are about a person, noted in the audit log, in the
transaction that makes them true."""

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from chassis.subjects import grammar
from services.identity import audit


async def state(session: AsyncSession, fact: Message) -> None:
    """Say a fact."""
    await publish(session, fact)
    if grammar(fact.DESCRIPTOR).owner:
        await audit.note(session, fact)
