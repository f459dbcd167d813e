"""Who may say and hear what on NATS: one user for each process, with rights that follow from the contracts.

A service publishes its own packages and its own answers as a holder; it takes from its own consumers. Nobody but the
operator makes streams or consumers: who makes one could have its messages sent to any subject.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from google.protobuf.descriptor import FileDescriptor
from rapport.privacy.v1.events_pb2 import ErasureOrdered

from chassis.consumer import Handler
from chassis.revocations import ENDS
from chassis.streams import HOLDER, Durable, Party
from chassis.subjects import filter_of, grammar, stream_of


class Service(Protocol):
    """What of a service matters here."""

    @property
    def name(self) -> str: ...
    @property
    def contracts(self) -> Sequence[FileDescriptor]: ...
    @property
    def consumers(self) -> Sequence[Handler]: ...
    @property
    def holder(self) -> bool: ...


def party_of(service: Service) -> Party:
    """A service states the events of the packages it serves, and hears with its handlers."""
    packages = sorted({file.package for file in service.contracts} - {HOLDER})
    durables = [Durable(one.durable(service.name), one.stream, one.filter) for one in service.consumers]
    if service.holder:
        stream = grammar(ErasureOrdered.DESCRIPTOR).stream
        durables.append(Durable(f"{service.name}-forget", stream, filter_of(ErasureOrdered)))
    return Party(service.name, packages, durables, [filter_of(one) for one in ENDS], service.holder)


def user(party: Party, password: str) -> dict[str, Any]:
    """The party as a user in the server's configuration, which may be written as JSON."""
    return {"user": party.name, "password": password, "permissions": rights(party)}


def rights(party: Party) -> dict[str, Any]:
    """What the party may publish and subscribe; everything else is denied."""
    says = [f"{package}.>" for package in party.packages]
    if party.holder:
        says.append(f"{HOLDER}.*.*.*.*.{party.name}")  # entity, verb, partition, owner; the key is the holder
    for one in party.durables:
        place = f"{one.stream}.{one.name}"
        says += [f"$JS.API.CONSUMER.MSG.NEXT.{place}", f"$JS.API.CONSUMER.INFO.{place}"]
        says += [f"$JS.ACK.{place}.>", f"$JS.ACK.*.*.{place}.>"]  # servers have two forms
        if one.stream.startswith("INGRESS_"):
            says.append(f"$JS.API.DIRECT.GET.{one.stream}")  # a dead letter of an outsider's is read again there
    says += sorted({f"$JS.API.DIRECT.GET.{stream_read(one)}" for one in party.reads})
    return permissions(says, [f"_INBOX_{party.name}.>", *party.reads])


def stream_read(filter: str) -> str:
    return stream_of(".".join(filter.split(".")[:3]))


def permissions(says: Sequence[str], hears: Sequence[str]) -> dict[str, Any]:
    # An empty list of what is allowed allows everything.
    publish = {"allow": sorted(set(says))} if says else {"deny": [">"]}
    return {"publish": publish, "subscribe": {"allow": sorted(set(hears))}}


def operator(name: str = "operator") -> dict[str, Any]:
    """Rights to lay out streams and consumers, and to look; not to speak for anybody."""
    return permissions(["$JS.API.>", "$JS.ACK.>"], [f"_INBOX_{name}.>", "rapport.>", "ingress.>"])


def outsider(name: str, subject: str) -> dict[str, Any]:
    """Rights of the shop's own systems: to state what happened, on `subject` ("ingress.commerce.>")."""
    return permissions([subject], [f"_INBOX_{name}.>"])
