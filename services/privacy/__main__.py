"""python -m services.privacy"""

from chassis import collector

if __name__ == "__main__":
    collector.rest()

from collections.abc import Mapping

import grpc
from rapport.privacy.v1 import privacy_pb2
from rapport.privacy.v1.privacy_pb2_grpc import add_PrivacyServiceServicer_to_server

from chassis.client import channel
from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.privacy import consumers, models
from services.privacy.holders import Holders, expected
from services.privacy.jobs import jobs_of
from services.privacy.rpc import Privacy
from services.privacy.settings import Settings


def service(
    settings: Settings, sessions: Sessions, clock: Clock, channels: Mapping[str, grpc.aio.Channel] | None = None
) -> Service:
    """The privacy service, which asks every holder, itself too, over its channel."""
    to_holders = channels or channels_of(settings)
    holders = Holders(to_holders)
    return Service(
        name="privacy",
        package="rapport.privacy.v1",
        contracts=[privacy_pb2.DESCRIPTOR],
        servicers=[
            (
                add_PrivacyServiceServicer_to_server,
                Privacy(sessions, clock, Pages(settings.page_key.value.encode()), holders),
            )
        ],
        consumers=consumers.HANDLERS,
        jobs=jobs_of(holders, settings.scan_every),
        channels=list(to_holders.values()),
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
    )


def channels_of(settings: Settings) -> Mapping[str, grpc.aio.Channel]:
    token = settings.service_token.value
    return {
        name: channel(getattr(settings, f"{name}_target"), service_token=token, name="privacy") for name in expected()
    }


if __name__ == "__main__":
    main(Settings, service)
