"""SCIM's addresses, below /scim/v2, and what is behind them once somebody knocks:

GET, POST /Users    POST /Users/.search, /.search    GET, PUT, PATCH, DELETE /Users/{id}
GET /ServiceProviderConfig, /ResourceTypes, /Schemas    which anybody may read
"""

import asyncio
from collections.abc import Iterator, Mapping, MutableMapping

from rapport.identity.v1.provisioning_pb2_grpc import ProvisioningServiceStub

from gateway.http import Answer, Handler, Request
from gateway.scim.credentials import Credentials

BASE = "/scim/v2"
ROUTES = (
    ("GET", "/Users"),
    ("POST", "/Users"),
    ("POST", "/Users/.search"),
    ("POST", "/.search"),
    ("GET", "/Users/{id}"),
    ("PUT", "/Users/{id}"),
    ("PATCH", "/Users/{id}"),
    ("DELETE", "/Users/{id}"),
    ("GET", "/ServiceProviderConfig"),
    ("GET", "/ResourceTypes"),
    ("GET", "/ResourceTypes/User"),
    ("GET", "/Schemas"),
    ("GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User"),
)
Handlers = Mapping[tuple[str, str], Handler]


class Door:
    """Leads to the face, which is loaded with its first request: scim2-models took a third of a gateway's start, and a
    gateway that was killed has to be back at once."""

    def __init__(self, stub: ProvisioningServiceStub, credentials: Credentials, origin: str) -> None:
        self.given = stub, credentials, origin
        self.loaded: Handlers = {}

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        for verb, path in ROUTES:
            yield verb, f"{BASE}{path}", self.leading(verb, path)

    def leading(self, verb: str, path: str) -> Handler:
        async def handler(request: Request, captured: MutableMapping[str, str]) -> Answer:
            self.loaded = self.loaded or await asyncio.to_thread(self.load)
            return await self.loaded[verb, path](request, captured)

        return handler

    def load(self) -> Handlers:
        from gateway.scim.face import Scim  # not before it is asked for

        return {(verb, path): handler for verb, path, handler in Scim(*self.given).endpoints()}
