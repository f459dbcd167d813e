"""What loyalty asks identity about a person: their address and since when they are there, and nothing it would keep."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import grpc
from rapport.identity.v1.identity_pb2 import GetUserRequest
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.time import moment

PATIENCE = 3.0  # seconds; some who ask hold a transaction open meanwhile


@dataclass(frozen=True)
class Known:
    email: str
    registered: datetime


class People:
    """Asks identity, in loyalty's own name."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.identity = IdentityServiceStub(channel)

    async def address_of(self, user: UUID) -> str | None:
        """The proven address of a user; None when identity knows no such user any more."""
        known = await self.known(user)
        return known.email if known else None

    async def known(self, user: UUID) -> Known | None:
        """What identity knows of a user with a proven address; None when there is none any more."""
        try:
            found = await self.identity.GetUser(GetUserRequest(name=f"users/{user}"), timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return Known(found.email, moment(found.create_time)) if found.email else None
