"""Facts of identity: told to whoever listens and, where they are about a person, noted in the audit log, in the
transaction that makes them true."""

from collections.abc import Sequence

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import publish_all
from chassis.subjects import grammar
from services.identity import audit


async def state(session: AsyncSession, fact: Message) -> None:
    """Say a fact."""
    await state_all(session, [fact])


async def state_all(session: AsyncSession, facts: Sequence[Message]) -> None:
    """Say facts, in their order."""
    await publish_all(session, facts)
    await audit.note_all(session, [fact for fact in facts if grammar(fact.DESCRIPTOR).owner])
