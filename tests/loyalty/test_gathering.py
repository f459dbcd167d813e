"""How the writer gathers: among many it waits for who comes again, alone it waits for nobody."""

import asyncio
from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import pytest

from chassis.database import Sessions
from chassis.time import system_clock
from services.loyalty.ledger import writer
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.requests import Catch, Request
from services.loyalty.ledger.writer import Writer

ANYTHING = [Catch(account=uuid4())]


class Gathering(Writer):
    """Counts what it would have posted, which takes less than it takes everybody to ask again."""

    def __init__(self) -> None:
        super().__init__(cast(Sessions, None), system_clock)
        self.sizes: list[int] = []

    async def posted(self, requests: Sequence[Request]) -> list[Result]:
        self.sizes.append(len(requests))
        await asyncio.sleep(0.001)
        return cast(list[Result], [None] * len(requests))


async def call(gathering: Writer, seconds: float, times: int) -> None:
    for _ in range(times):
        await gathering.post_all(ANYTHING)
        await asyncio.sleep(seconds)


async def batches_of_many() -> int:
    gathering = Gathering()
    await asyncio.gather(*(call(gathering, number * 0.0002, 30) for number in range(20)))
    assert sum(gathering.sizes) == 600
    return len(gathering.sizes)


async def test_among_many_a_batch_waits_for_who_was_just_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = await batches_of_many()
    monkeypatch.setattr(writer, "BREATH", 0.0)
    assert waiting < 0.7 * await batches_of_many()


@pytest.mark.parametrize("callers", [1, 2])
async def test_who_is_alone_or_with_one_other_waits_for_nobody(monkeypatch: pytest.MonkeyPatch, callers: int) -> None:
    monkeypatch.setattr(writer, "BREATH", 60.0)
    gathering = Gathering()
    async with asyncio.timeout(20):
        await asyncio.gather(*(call(gathering, 0.003, 10) for _ in range(callers)))
    assert sum(gathering.sizes) == 10 * callers
