"""What privacy does about what others state."""

from google.protobuf.json_format import MessageToDict
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.identity.v1.events_pb2 import UserDeletionRequested
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, on
from chassis.names import parse
from services.privacy import erasures, holders


@on(UserDeletionRequested)
async def order_erasure(session: AsyncSession, event: UserDeletionRequested, about: Arrival) -> None:
    """Every holder is ordered to forget who asked for it."""
    await erasures.order(
        session,
        id=parse("erasures/{erasure}", event.erasure),
        user=parse("users/{user}", event.user),
        holders=holders.expected(),
        now=about.now,
    )


@on(ErasureDone)
async def note_answer(session: AsyncSession, event: ErasureDone, about: Arrival) -> None:
    """A holder has forgotten them."""
    await erasures.note(
        session,
        id=parse("erasures/{erasure}", event.erasure),
        holder=parse("holders/{holder:id}", event.holder),
        outcomes=[MessageToDict(one, preserving_proto_field_name=True) for one in event.outcomes],
        now=about.now,
    )


HANDLERS = (order_erasure, note_answer)
