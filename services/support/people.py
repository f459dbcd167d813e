"""What people are called: asked of identity, never kept but beside their words."""

from uuid import UUID

import grpc
import structlog
from rapport.identity.v1.identity_pb2 import GetUserRequest
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

PATIENCE = 2.0  # seconds; nobody's words wait longer for a name

log = structlog.get_logger()


class People:
    """Asks identity over `channel`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.identity = IdentityServiceStub(channel)

    async def name(self, user: UUID) -> str:
        """What the user is called: "" where there is no such user (any more)."""
        try:
            found = await self.identity.GetUser(GetUserRequest(name=f"users/{user}"), timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return ""
            raise
        return found.display_name

    async def name_if_known(self, user: UUID) -> str | None:
        """As `name`, or None while identity cannot say: then a job asks later."""
        try:
            return await self.name(user)
        except grpc.aio.AioRpcError as error:
            log.warning("author_name_unknown", code=error.code().name)
            return None
