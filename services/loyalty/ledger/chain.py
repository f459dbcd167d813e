"""Whether what was booked is what was sealed: the chain made again from the rows, in one pass over each; all of it, or
from a link on that is known to be right."""

import hashlib
from collections import Counter, defaultdict
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty.ledger.seal import GENESIS, line

SEALS = text("""
SELECT number, batch, operations, digest, root FROM seal WHERE number > :after ORDER BY number
""")
HEAD = text("SELECT number, root FROM chain WHERE id = 1")
BOOKED = text("""
SELECT operation.*,
    (SELECT string_agg(lot_id || '>' || source || '>' || target || '>' || points, ';' ORDER BY position)
        FROM lot_move WHERE operation_id = operation.id) AS moves,
    (SELECT string_agg(lot.id || '=' || amount || ',' || origin || ',' || coalesce(parent_id::text, 'None')
            || ',' || priority || ','
            || (extract(epoch FROM available_time) * 1000000)::bigint || ','
            || coalesce((extract(epoch FROM expire_time) * 1000000)::bigint::text, ''), ';' ORDER BY lot.seq)
        FROM lot WHERE lot.id = operation.id
            OR (lot.operation_id = operation.id AND lot.id <> lot.operation_id)) AS lots
FROM operation WHERE operation.seq > :seq
    AND NOT EXISTS (SELECT FROM seal WHERE seal.batch = operation.batch AND seal.number <= :after)
ORDER BY operation.seq
""")


class Link(NamedTuple):
    """A seal up to which the chain is known to be right."""

    number: int = 0
    root: bytes = GENESIS
    seq: int = 0  # no operation of a later seal has one as low as this


BEGINNING = Link()


async def broken(session: AsyncSession, known: Link = BEGINNING) -> list[str]:
    """Where the chain and the rows part after a link, in words; empty where they agree. Without one, it reads all that
    was ever booked."""
    digests, counts = await digests_of(session, known)
    root, number, findings = known.root, known.number, list[str]()
    for seal in await session.execute(SEALS, {"after": known.number}):
        number += 1
        if seal.number != number:
            return [*findings, f"The chain has no seal {number}."]
        if (digests.pop(seal.batch, b""), counts[seal.batch]) != (seal.digest, seal.operations):
            findings.append(f"What seal {number} holds was changed since.")
        root = hashlib.sha256(root + seal.digest).digest()
        if root != seal.root:
            return [*findings, f"The chain is broken at seal {number}."]
    head = (await session.execute(HEAD)).one_or_none()
    if head is None or (head.number, head.root) != (number, root):
        findings.append("The head of the chain is not its last seal.")
    if digests:
        findings.append(f"{len(digests)} commits of the ledger are in no seal.")
    return findings


async def digests_of(session: AsyncSession, known: Link) -> tuple[dict[UUID, bytes], Counter[UUID]]:
    """The digest of what each transaction booked after a link, and how many operations that were."""
    made: dict[UUID, Any] = defaultdict(hashlib.sha256)
    counts: Counter[UUID] = Counter()
    async for row in await session.stream(BOOKED, {"seq": known.seq, "after": known.number}):
        made[row.batch].update(line(row, row.account_id, row.moves or "", row.lots or ""))
        counts[row.batch] += 1
    return {batch: one.digest() for batch, one in made.items()}, counts
