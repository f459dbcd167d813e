"""A service, and how it runs: from composition root to an orderly end.

def service(settings: Settings, sessions: Sessions, clock: Clock) -> Service:
    return Service(
        name="identity",
        package="rapport.identity.v1",
        contracts=[identity_pb2.DESCRIPTOR],
        servicers=[(add_IdentityServiceServicer_to_server, Identity(sessions, clock))],
        consumers=consumers.HANDLERS,
        jobs=[expire_sessions],
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
    )
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from sqlalchemy import MetaData

from chassis.access import Gate, Peers, policies
from chassis.client import channel
from chassis.rpc import Road
from chassis.settings import ServiceSettings
from chassis.time import Clock
from chassis.tokens import Keys, Revocations, Tokens, keys_of_identity
from chassis.validation import checks

if TYPE_CHECKING:
    from chassis.consumer import Handler
    from chassis.database import Sessions
    from chassis.jobs import Job

SERVER: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),  # a second process on the port fails, instead of taking half the calls
    ("grpc.max_connection_age_ms", 300_000),  # so that clients find new instances; gRPC varies it by a tenth
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_concurrent_streams", 256),
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What makes one service different from another."""

    name: str  # "identity"
    package: str  # "rapport.identity.v1"
    contracts: Sequence[FileDescriptor]
    servicers: Sequence[tuple[Callable[[Any, grpc.aio.Server], None], Any]]
    consumers: "Sequence[Handler]" = ()
    jobs: "Sequence[Job]" = ()
    sessions: "Sessions"
    metadata: MetaData  # the service's own tables; the chassis adds its own
    clock: Clock
    holder: bool = True  # answers for the people it holds: HolderService, and erasure when it is ordered
    keys: Keys | None = None  # where the public keys of tokens come from, for the service that need not ask identity


@dataclass(frozen=True)
class Served:
    """A service that runs."""

    port: int
    settle: "Callable[[], Any]"


@asynccontextmanager
async def serving(service: Service, settings: ServiceSettings) -> AsyncIterator[Served]:
    """The service in this process, until the block is left."""
    async with listening(service, settings) as (port, _):

        async def settle() -> int:
            return 0

        yield Served(port, settle)


@asynccontextmanager
async def listening(service: Service, settings: ServiceSettings) -> AsyncIterator[tuple[int, health.HealthServicer]]:
    """The gRPC server and its health, until the block is left."""
    revoked = Revocations(service.clock)
    keys = service.keys or keys_of_identity(
        channel(settings.identity_target, service_token=settings.service_token.value, name=service.name)
    )
    tokens = Tokens(keys, service.clock, revoked)
    gate = Gate(policies(*service.contracts), tokens, Peers.read(settings.peers), service.clock)
    server = grpc.aio.server(
        interceptors=[Road(f"{service.name}.rapport.example", gate, checks(*service.contracts))], options=SERVER
    )
    for add, servicer in service.servicers:
        add(servicer, server)
    state = health.HealthServicer()
    add_HealthServicer_to_server(state, server)
    names = [one.full_name for file in service.contracts for one in file.services_by_name.values()]
    reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
    port = server.add_insecure_port(settings.listen)
    await server.start()
    try:
        yield port, state
    finally:
        await state.enter_graceful_shutdown()
        await server.stop(25)
