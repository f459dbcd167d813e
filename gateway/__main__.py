"""python -m gateway"""

from chassis import collector

if __name__ == "__main__":
    collector.rest()

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from google.protobuf.descriptor import Descriptor, FileDescriptor
from rapport.annotations.v1.event_pb2 import event as event_option
from rapport.commerce.v1 import commerce_pb2
from rapport.commerce.v1 import events_pb2 as commerce_events
from rapport.identity.v1 import (
    acting_pb2,
    audit_pb2,
    businesses_pb2,
    device_codes_pb2,
    factors_pb2,
    identity_pb2,
    imports_pb2,
    oauth_pb2,
    payment_methods_pb2,
    proofs_pb2,
    provisioning_pb2,
    social_pb2,
    subjects_pb2,
)
from rapport.identity.v1 import events_pb2 as identity_events
from rapport.identity.v1.device_codes_pb2_grpc import DeviceCodeServiceStub
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceStub
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceStub
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceStub
from rapport.identity.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from rapport.identity.v1.social_pb2_grpc import SocialServiceStub
from rapport.loyalty.v1 import events_pb2 as loyalty_events
from rapport.loyalty.v1 import finance_pb2, ledger_pb2, loyalty_pb2, programme_pb2, rewards_pb2
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.privacy.v1 import events_pb2 as privacy_events
from rapport.privacy.v1 import privacy_pb2
from rapport.support.v1 import events_pb2 as support_events
from rapport.support.v1 import support_pb2
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis import bus
from chassis.client import channel
from chassis.revocations import Revocations, follow
from chassis.time import clock_from
from gateway.app import App
from gateway.browser import Browser
from gateway.codec import Codec
from gateway.http import Headers
from gateway.oauth import OAuth
from gateway.openapi import document
from gateway.pages import Pages
from gateway.providers import Providers
from gateway.scim import errors as scim_errors
from gateway.scim.credentials import Credentials
from gateway.scim.door import BASE as SCIM
from gateway.scim.door import Door
from gateway.serving import Gateway, run
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.social import Social
from gateway.stream import Facts
from gateway.transcoder import Backend, ways
from gateway.visitors import Visitors

EVENTS = (commerce_events, identity_events, loyalty_events, privacy_events, support_events)
CONTRACTS: Mapping[str, tuple[FileDescriptor, ...]] = {
    "identity": (
        identity_pb2.DESCRIPTOR,
        factors_pb2.DESCRIPTOR,
        oauth_pb2.DESCRIPTOR,
        social_pb2.DESCRIPTOR,
        businesses_pb2.DESCRIPTOR,
        subjects_pb2.DESCRIPTOR,
        audit_pb2.DESCRIPTOR,
        proofs_pb2.DESCRIPTOR,
        device_codes_pb2.DESCRIPTOR,
        acting_pb2.DESCRIPTOR,
        payment_methods_pb2.DESCRIPTOR,
        imports_pb2.DESCRIPTOR,
        provisioning_pb2.DESCRIPTOR,
    ),
    "support": (support_pb2.DESCRIPTOR, commerce_pb2.DESCRIPTOR),
    "privacy": (privacy_pb2.DESCRIPTOR,),
    "loyalty": (
        loyalty_pb2.DESCRIPTOR,
        ledger_pb2.DESCRIPTOR,
        programme_pb2.DESCRIPTOR,
        finance_pb2.DESCRIPTOR,
        rewards_pb2.DESCRIPTOR,
    ),
}
SECURE: Headers = [(b"strict-transport-security", b"max-age=31536000")]


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """The gateway, with its channels and its line to NATS, until the block is left."""
    async with AsyncExitStack() as stack:
        channels = {name: open_channel(settings, name) for name in CONTRACTS}
        for one in channels.values():
            await stack.enter_async_context(one)
        line = await stack.enter_async_context(bus.connected(settings))
        clock = clock_from(settings)
        revoked = Revocations(clock)
        following = asyncio.create_task(follow(line, revoked), name="revocations")
        stack.push_async_callback(end, following)

        codec, identity = Codec(), IdentityServiceStub(channels["identity"])
        sessions = Sessions(identity, ProofServiceStub(channels["identity"]), clock, revoked, settings.origin)
        backends = [Backend(CONTRACTS[name], channels[name]) for name in CONTRACTS]
        carried = list(ways(backends, sessions, codec, settings.patience_seconds))
        visitors, factors = Visitors(settings.proxies), FactorsServiceStub(channels["identity"])
        browser = Browser(identity, factors, sessions, visitors, codec)
        facts = Facts(line, sessions, codec, events(), heartbeat=settings.heartbeat_seconds)
        providers = Providers(SocialServiceStub(channels["identity"]))
        pages = Pages(
            SupportServiceStub(channels["support"]),
            LoyaltyServiceStub(channels["loyalty"]),
            identity,
            providers,
            document([way.rule for way in carried], settings.origin),
            store=settings.store,
            mailbox=settings.mailbox_url,
        )
        oauth = OAuth(
            OAuthServiceStub(channels["identity"]),
            DeviceCodeServiceStub(channels["identity"]),
            identity,
            factors,
            sessions,
            visitors,
            pages,
            providers,
            settings.origin,
        )
        programs = Credentials(OAuthServiceStub(channels["identity"]), sessions)
        scim = Door(ProvisioningServiceStub(channels["identity"]), programs, settings.origin)
        social = Social(SocialServiceStub(channels["identity"]), providers, oauth, browser, sessions)
        endpoints = [
            *((way.rule.verb, way.rule.template.text, way.answer) for way in carried),
            ("POST", "/session", browser.sign_in),
            ("GET", "/session", browser.show),
            ("DELETE", "/session", browser.sign_out),
            ("POST", "/session/factor", browser.prove_factor),
            ("POST", "/session/passkey", browser.sign_in_by_passkey),
            ("POST", "/session/proof", browser.prove_again),
            ("GET", "/events", facts.serve),
            *oauth.endpoints(),
            *social.endpoints(),
            *scim.endpoints(),
            *pages.endpoints(),
        ]
        always = SECURE if settings.origin.startswith("https:") else []
        app = App(endpoints, settings.origins, always, {f"{SCIM}/": scim_errors.of_problem})
        yield Gateway(app, facts.ending, [line.ended, following])


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def open_channel(settings: Settings, name: str) -> grpc.aio.Channel:
    target: str = getattr(settings, f"{name}_target")
    return channel(target, service_token=settings.service_token.value, name="gateway", contracts=CONTRACTS[name])


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
