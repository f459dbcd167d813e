"""What is sealed is what was written."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from services.loyalty.ledger import rows
from services.loyalty.ledger.post import post
from services.loyalty.ledger.requests import Earn, Whose
from services.loyalty.models import Kind
from tests.loyalty.conftest import World


async def test_what_failed_in_a_savepoint_is_not_sealed_with_what_went_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def earn() -> Earn:
        return Earn(account=Whose(uuid4(), "points"), scope="request", key=str(uuid4()), kind=Kind.GOODWILL, points=5)

    async def broken(*_: Any) -> None:
        raise DBAPIError("COPY", None, Exception("no room"))

    async with world.sessions.begin() as session:

        async def within() -> None:
            async with session.begin_nested():
                await post(session, [earn()], now=world.clock())

        with monkeypatch.context() as while_broken:
            while_broken.setattr(rows, "insert", broken)
            with pytest.raises(DBAPIError):
                await within()
        await post(session, [earn()], now=world.clock())
    assert not (await world.books()).findings
