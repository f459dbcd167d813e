"""python -m services.support"""

from chassis import collector

if __name__ == "__main__":
    collector.rest()

import grpc
from rapport.commerce.v1 import commerce_pb2
from rapport.commerce.v1.commerce_pb2_grpc import add_CommerceServiceServicer_to_server
from rapport.support.v1 import support_pb2
from rapport.support.v1.support_pb2_grpc import add_SupportServiceServicer_to_server

from chassis.client import channel
from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.support import consumers, jobs, models
from services.support.people import People
from services.support.rpc import Commerce, Support
from services.support.settings import Settings


def service(settings: Settings, sessions: Sessions, clock: Clock, identity: grpc.aio.Channel | None = None) -> Service:
    """The support service, which asks identity over its channel what people are called."""
    to_identity = identity or channel_of(settings)
    people = People(to_identity)
    servicer = Support(sessions, clock, Pages(settings.page_key.value.encode()), people)
    return Service(
        name="support",
        package="rapport.support.v1",
        contracts=[support_pb2.DESCRIPTOR, commerce_pb2.DESCRIPTOR],
        servicers=[
            (add_SupportServiceServicer_to_server, servicer),
            (add_CommerceServiceServicer_to_server, Commerce(sessions, clock)),
        ],
        consumers=consumers.handlers(people),
        jobs=jobs.jobs_of(people),
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        channels=[to_identity],
        known_numbers=servicer.known_numbers,
    )


def channel_of(settings: Settings) -> grpc.aio.Channel:
    return channel(settings.identity_target, service_token=settings.service_token.value, name="support")


if __name__ == "__main__":
    main(Settings, service)
