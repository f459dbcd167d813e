"""The services that hold people, and what privacy asks of each of them."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TypeVar
from uuid import UUID

import grpc
from google.protobuf.descriptor import FileDescriptor
from rapport.annotations.v1.personal_data_pb2 import personal as personal_option
from rapport.commerce.v1 import commerce_pb2
from rapport.commerce.v1 import events_pb2 as commerce_events
from rapport.holder.v1 import holder_pb2 as holder_pb
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import identity_pb2
from rapport.loyalty.v1 import finance_pb2, loyalty_pb2, rewards_pb2
from rapport.privacy.v1 import privacy_pb2
from rapport.support.v1 import support_pb2

from services.privacy.refusals import HolderUnavailable

# Every contract of the platform: a package that declares a personal field is a holder.
CONTRACTS: Sequence[FileDescriptor] = (
    commerce_pb2.DESCRIPTOR,
    commerce_events.DESCRIPTOR,
    identity_pb2.DESCRIPTOR,
    loyalty_pb2.DESCRIPTOR,
    finance_pb2.DESCRIPTOR,
    rewards_pb2.DESCRIPTOR,
    privacy_pb2.DESCRIPTOR,
    support_pb2.DESCRIPTOR,
)
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
Reply = TypeVar("Reply")


@cache
def expected() -> tuple[str, ...]:
    """The services whose contracts hold a personal field, and privacy itself: it knows who decided and asked what."""
    found = {file.package.split(".")[1] for file in CONTRACTS if holds_people(file)}
    return tuple(sorted(found | {"privacy"}))


def holds_people(file: FileDescriptor) -> bool:
    return any(
        field.GetOptions().HasExtension(personal_option)
        for message in file.message_types_by_name.values()
        for field in message.fields
    )


class Holders:
    """Every expected holder, each over its own channel."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        if missing := set(expected()) - channels.keys():
            raise ValueError(f"No way to ask {', '.join(sorted(missing))}.")
        self.stubs: dict[str, HolderServiceStub] = {name: HolderServiceStub(channels[name]) for name in expected()}

    async def describe(self) -> Mapping[str, Sequence[holder_pb.Holding]]:
        """What each holds, in words; refuses when one does not answer, because the rest would look like all."""
        found = {}
        for name, stub in self.stubs.items():
            reply = await answered(name, stub.DescribeHoldings(holder_pb.DescribeHoldingsRequest()))
            found[name] = reply.holdings
        return found

    async def export(self, holder: str, person: UUID) -> AsyncIterator[holder_pb.ExportedRow]:
        """Every row of one holder about `person`."""
        with translated(holder):
            async for row in self.stubs[holder].ExportSubject(
                holder_pb.ExportSubjectRequest(subject=f"users/{person}")
            ):
                yield row

    async def scan(self, holder: str, person: UUID) -> holder_pb.ScanSubjectResponse:
        request = holder_pb.ScanSubjectRequest(subject=f"users/{person}")
        return await answered(holder, self.stubs[holder].ScanSubject(request))

    async def restrict(self, person: UUID, restricted: bool) -> holder_pb.RestrictSubjectResponse:
        """Restrict at every holder, or lift it. Repeating it after a failure half-way is safe, and needed."""
        request = holder_pb.RestrictSubjectRequest(subject=f"users/{person}", restricted=restricted)
        replies = [await answered(name, stub.RestrictSubject(request)) for name, stub in self.stubs.items()]
        return replies[-1]


async def answered(holder: str, call: Awaitable[Reply]) -> Reply:
    with translated(holder):
        return await call


@contextmanager
def translated(holder: str) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() not in AWAY:
            raise
        advice = timedelta(seconds=5)
        raise HolderUnavailable("A service does not answer just now.", retry_after=advice, holder=holder) from error
