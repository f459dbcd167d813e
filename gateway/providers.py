"""Where people have accounts that they may come by, as identity says, for the pages that offer it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import grpc
import structlog
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.social_pb2_grpc import SocialServiceStub

from chassis.refusal import refused

KEPT = 60.0  # seconds: they change when identity is started anew
PATIENCE = 1.0  # a page waits no longer for its buttons
log = structlog.get_logger()


class Offered(NamedTuple):
    """One of them, as a page needs it."""

    provider: str
    title: str
    origin: str  # where its form leads on to


class Providers:
    """Asks now and then. While identity does not answer, pages offer what was there, or nothing: they are whole
    without."""

    def __init__(self, social: SocialServiceStub) -> None:
        self.social = social
        self.known: Sequence[Offered] = ()
        self.until = 0.0

    async def offered(self) -> Sequence[Offered]:
        if time.monotonic() >= self.until:
            try:
                found = await self.social.GetSocialProviders(pb.GetSocialProvidersRequest(), timeout=PATIENCE)
                self.known = [Offered(one.provider, one.title, one.origin) for one in found.providers]
            except grpc.aio.AioRpcError as error:
                log.warning("providers_unknown", code=error.code().name, reason=refused(error).reason)
            self.until = time.monotonic() + KEPT
        return self.known


def origins(offered: Sequence[Offered]) -> str:
    """What a page's forms may lead on to: without it, browsers stop the way at the redirect."""
    return " ".join(dict.fromkeys(one.origin for one in offered))
