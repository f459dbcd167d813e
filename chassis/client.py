"""Channels to other services: every call has a deadline, an id and a proof of who calls.

    identity = IdentityServiceStub(channel(settings.identity_target, service_token=settings.service_token.value))
    user = await identity.GetUser(GetUserRequest(name=name), metadata=as_person(token))

The channel wraps gRPC's own instead of intercepting it: an interceptor there costs a task for each call.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor

from chassis import deadline
from chassis.telemetry import outgoing

PATIENCE = 5.0  # seconds, for a call answered once, where the call it is made for leaves more
MARGIN = 0.02  # seconds kept back of our own deadline, to answer in
READS = ("Get", "List", "Search", "Lookup")  # methods that may be asked twice
Metadata = tuple[tuple[str, str], ...]

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # any number: who waits for an answer sends nothing meanwhile
    ("grpc.http2.ping_timeout_ms", 10_000),  # what ends a line that fell silent: a minute, where nobody says otherwise
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.enable_http_proxy", 0),
)


def channel(
    target: str, *, service_token: str, name: str = "", contracts: Sequence[FileDescriptor] = ()
) -> grpc.aio.Channel:
    """A channel to every instance behind `target`, on which `name` calls.

    Reads of the `contracts` named are repeated when an instance is gone. Name them in one place on the way of a call
    only, the first: repeating at every step multiplies.
    """
    options = [*OPTIONS, ("grpc.primary_user_agent", name), ("grpc.service_config", json.dumps(config(contracts)))]
    return Channel(grpc.aio.insecure_channel(target, options), service_token)


def as_person(token: str) -> Metadata:
    """Metadata for a call on behalf of the person whose access token this is."""
    return (("authorization", f"Bearer {token}"),)


def config(contracts: Iterable[FileDescriptor]) -> dict[str, Any]:
    reads = [
        {"service": service.full_name, "method": method.name}
        for contract in contracts
        for service in contract.services_by_name.values()
        for method in service.methods
        if method.name.startswith(READS) and not method.client_streaming
    ]
    again = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "methodConfig": [{"name": reads, "retryPolicy": again}] if reads else [],
    }


class Channel(grpc.aio.Channel):
    """gRPC's channel, and what we say on every call."""

    def __init__(self, inner: grpc.aio.Channel, service_token: str) -> None:
        self.inner = inner
        self.always: Metadata = (("x-rapport-service", service_token),) if service_token else ()

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.saying(self.inner.unary_unary(method, *arguments, **options), PATIENCE)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.saying(self.inner.stream_unary(method, *arguments, **options), PATIENCE)

    # A stream lasts as long as the call it is made for: only its caller knows how long that is.
    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.saying(self.inner.unary_stream(method, *arguments, **options), None)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.saying(self.inner.stream_stream(method, *arguments, **options), None)

    def saying(self, call: Callable[..., Any], patience: float | None) -> Callable[..., Any]:
        def begin(*request: Any, timeout: float | None = None, metadata: Any = (), **options: Any) -> Any:
            said = (*self.always, *outgoing(), *(metadata or ()))
            return call(*request, timeout=allowed(timeout or patience), metadata=said, **options)

        return begin

    async def close(self, grace: float | None = None) -> None:
        await self.inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self.inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.inner.channel_ready()

    async def __aenter__(self) -> "Channel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def allowed(seconds: float | None) -> float | None:
    """How long a call may take that asks for so many seconds: no longer than whom it is made for will wait."""
    left = deadline.left()
    if left is None:
        return seconds
    left = max(left - MARGIN, 0.001)
    return left if seconds is None else min(seconds, left)
