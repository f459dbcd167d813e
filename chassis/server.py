"""The gRPC server of a service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1.health import aio as health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from chassis.access import Gate, Peers, policies
from chassis.client import channel
from chassis.masking import Known, hiding, nothing_known
from chassis.rpc import Road
from chassis.settings import ServiceSettings, SettingsError
from chassis.time import Clock
from chassis.tokens import Keys, Tokens, keys_of_identity
from chassis.validation import checks

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),  # a second process on the port fails, instead of taking half the calls
    ("grpc.max_connection_age_ms", 300_000),  # so that clients find new instances; gRPC varies it by a tenth
    ("grpc.max_connection_age_grace_ms", 30_000),  # and no stream goes on for longer than both
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_concurrent_streams", 256),
)
MOST_CALLS = 1_000  # under way at once
GRACE = 20.0  # seconds for the calls under way when it stops

Servicers = Sequence[tuple[Callable[[Any, Any], None], Any]]


class ByName:
    """The server, as generated code sees it: methods are found by their names. For those that it knows beforehand,
    grpc.aio keeps a task each and at every call waits for all of them, which costs with their number."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """Nothing: they are among the generic handlers too."""


@asynccontextmanager
async def listening(
    name: str,
    contracts: Sequence[FileDescriptor],
    servicers: Servicers,
    settings: ServiceSettings,
    *,
    clock: Clock,
    keys: Keys | None,
    revoked: Container[str],
    known_numbers: Known = nothing_known,
) -> AsyncIterator[int]:
    """Serve until the block is left, then say so, wait to be believed, and finish the calls. Gives the port."""
    async with AsyncExitStack() as stack:
        if keys is None:
            if not settings.identity_target:
                raise SettingsError("RAPPORT_IDENTITY_TARGET is not set; tokens are checked with identity's keys.")
            token = settings.service_token.value
            identity = await stack.enter_async_context(
                channel(settings.identity_target, service_token=token, name=name)
            )
            keys = keys_of_identity(identity)
        gate = Gate(
            policies(*contracts),
            Tokens(keys, clock, revoked, issuer=settings.issuer),
            Peers.read(settings.peers),
            clock,
        )
        hidden = hiding(*contracts, known=known_numbers)
        road = Road(f"{name}.rapport.example", gate, checks(*contracts), hidden)
        server = grpc.aio.server(interceptors=[road], options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        state = health.HealthServicer()
        named: Any = ByName(server)
        for add, servicer in (*servicers, (add_HealthServicer_to_server, state)):
            add(servicer, named)
        services = [one.full_name for file in contracts for one in file.services_by_name.values()]
        reflection.enable_server_reflection([*services, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
        try:
            port = server.add_insecure_port(settings.listen)
        except RuntimeError:
            raise SettingsError(f"RAPPORT_LISTEN: {settings.listen} is taken, or not ours to listen on.") from None
        await server.start()
        try:
            yield port
        finally:
            await state.enter_graceful_shutdown()
            await asyncio.sleep(settings.drain_seconds)
            await server.stop(GRACE)
