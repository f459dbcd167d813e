"""What is true of every service when it ends."""

from pathlib import Path

import grpc
import pytest

from chassis.client import Channel
from tests.contract.conftest import running
from tests.world import Hands


async def test_what_a_service_opens_to_others_ends_with_it(
    postgres: str, clock: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, open_one = [], Channel.__init__

    def noted(self: Channel, inner: grpc.aio.Channel, service_token: str) -> None:
        open_one(self, inner, service_token)
        opened.append(self)

    monkeypatch.setattr(Channel, "__init__", noted)
    async with running(postgres, clock, tmp_path):
        assert len(opened) == 6  # support and loyalty ask identity, privacy all four
    assert {one.get_state() for one in opened} == {grpc.ChannelConnectivity.SHUTDOWN}
