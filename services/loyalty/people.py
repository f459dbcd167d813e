"""What loyalty asks identity about a person: their address, and nothing it would keep."""

from uuid import UUID

import grpc
from rapport.identity.v1.identity_pb2 import GetUserRequest
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

PATIENCE = 3.0  # seconds; some who ask hold a transaction open meanwhile


class People:
    """Asks identity, in loyalty's own name."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.identity = IdentityServiceStub(channel)

    async def address_of(self, user: UUID) -> str | None:
        """The proven address of a user; None when identity knows no such user any more."""
        try:
            found = await self.identity.GetUser(GetUserRequest(name=f"users/{user}"), timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return found.email or None
