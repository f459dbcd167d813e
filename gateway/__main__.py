"""python -m gateway"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from google.protobuf.descriptor import Descriptor, FileDescriptor
from rapport.annotations.v1.event_pb2 import event as event_option
from rapport.commerce.v1 import commerce_pb2
from rapport.commerce.v1 import events_pb2 as commerce_events
from rapport.identity.v1 import events_pb2 as identity_events
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.loyalty.v1 import events_pb2 as loyalty_events
from rapport.loyalty.v1 import loyalty_pb2
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.privacy.v1 import events_pb2 as privacy_events
from rapport.privacy.v1 import privacy_pb2
from rapport.support.v1 import events_pb2 as support_events
from rapport.support.v1 import support_pb2
from rapport.support.v1.support_pb2_grpc import SupportServiceStub
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis import bus
from chassis.client import channel
from chassis.time import clock_from
from gateway.app import application, ids
from gateway.browser import Browser
from gateway.codec import Codec
from gateway.openapi import document
from gateway.pages import Pages
from gateway.serving import run
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.stream import Facts
from gateway.transcoder import Backend, Transcoder, guarded

EVENTS = (commerce_events, identity_events, loyalty_events, privacy_events, support_events)
CONTRACTS: Mapping[str, tuple[FileDescriptor, ...]] = {
    "identity": (identity_pb2.DESCRIPTOR,),
    "support": (support_pb2.DESCRIPTOR, commerce_pb2.DESCRIPTOR),
    "privacy": (privacy_pb2.DESCRIPTOR,),
    "loyalty": (loyalty_pb2.DESCRIPTOR,),
}


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[ASGIApp, bus.Bus]]:
    """The application, with its channels and its line to NATS, until the block is left."""
    targets = {name: getattr(settings, f"{name}_target") for name in CONTRACTS}
    token = settings.service_token.value
    channels: dict[str, grpc.aio.Channel] = {
        name: channel(target, service_token=token, name="gateway", contracts=CONTRACTS[name])
        for name, target in targets.items()
    }
    identity = IdentityServiceStub(channels["identity"])
    sessions = Sessions(identity, clock_from(settings), settings.origins)
    transcoder = Transcoder([Backend(CONTRACTS[name], channels[name]) for name in CONTRACTS], sessions)
    codec = Codec()
    pages = Pages(
        SupportServiceStub(channels["support"]),
        LoyaltyServiceStub(channels["loyalty"]),
        document(transcoder.routes.all, settings.public_url),
        store=settings.store,
        mailbox=settings.mailbox_url,
    )
    async with bus.connected(settings) as line:
        facts = Facts(line, sessions, codec, events())
        stream = Route("/events", lambda request: guarded(request, ids(), facts.serve), methods=["GET"])
        routes = [*Browser(identity, sessions, codec).routes(), stream, *pages.routes()]
        yield application(transcoder, routes, settings.origins), line
    await asyncio.gather(*(one.close() for one in channels.values()))


def events() -> dict[str, Descriptor]:
    """Every event that may be about a person, by its type."""
    return {
        message.full_name: message
        for module in EVENTS
        for message in module.DESCRIPTOR.message_types_by_name.values()
        if message.GetOptions().HasExtension(event_option)
    }


if __name__ == "__main__":
    run(gateway)
