"""Facts of identity: told to whoever listens and noted in the audit log, in the transaction that makes them true."""

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish
from services.identity import audit


async def state(session: AsyncSession, fact: Message) -> None:
    """Say a fact about a person."""
    await publish(session, fact)
    await audit.note(session, fact)
