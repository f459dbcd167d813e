"""python -m services.loyalty"""

from chassis import collector

if __name__ == "__main__":
    collector.rest()

import grpc
from rapport.loyalty.v1 import finance_pb2, ledger_pb2, loyalty_pb2, programme_pb2, rewards_pb2
from rapport.loyalty.v1.finance_pb2_grpc import add_FinanceServiceServicer_to_server
from rapport.loyalty.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from rapport.loyalty.v1.loyalty_pb2_grpc import add_LoyaltyServiceServicer_to_server
from rapport.loyalty.v1.programme_pb2_grpc import add_ProgrammeServiceServicer_to_server
from rapport.loyalty.v1.rewards_pb2_grpc import add_RewardsServiceServicer_to_server

from chassis.client import channel
from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.loyalty import consumers, models
from services.loyalty.erasure import settling
from services.loyalty.jobs import JOBS
from services.loyalty.keys import Keys
from services.loyalty.ledger.writer import Writer
from services.loyalty.people import People
from services.loyalty.rpc.counter import Counter
from services.loyalty.rpc.finance import Finance
from services.loyalty.rpc.ledger import Ledger
from services.loyalty.rpc.loyalty import Loyalty
from services.loyalty.rpc.programme import Programmes
from services.loyalty.rpc.rewards import Rewards
from services.loyalty.settings import Settings


def service(settings: Settings, sessions: Sessions, clock: Clock, identity: grpc.aio.Channel | None = None) -> Service:
    """The loyalty service, which asks identity over its channel."""
    keys = Keys.read(settings.bonus_key.value)
    to_identity = identity or channel_of(settings)
    people = People(to_identity)
    pages = Pages(settings.page_key.value.encode())
    counter = Counter(sessions, clock, Writer(sessions, clock))
    return Service(
        name="loyalty",
        package="rapport.loyalty.v1",
        contracts=[
            loyalty_pb2.DESCRIPTOR,
            ledger_pb2.DESCRIPTOR,
            programme_pb2.DESCRIPTOR,
            finance_pb2.DESCRIPTOR,
            rewards_pb2.DESCRIPTOR,
        ],
        servicers=[
            (
                add_LoyaltyServiceServicer_to_server,
                Loyalty(sessions, clock, pages, people, keys, settings.public_url, counter),
            ),
            (add_LedgerServiceServicer_to_server, Ledger(counter, pages)),
            (add_ProgrammeServiceServicer_to_server, Programmes(sessions, clock, pages)),
            (
                add_FinanceServiceServicer_to_server,
                Finance(counter, pages, people, settings.adjustment_limit),
            ),
            (add_RewardsServiceServicer_to_server, Rewards(sessions, clock, pages, people, keys)),
        ],
        consumers=consumers.handlers(people, keys),
        jobs=JOBS,
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        channels=[to_identity],
        before_erasure=settling(people),
    )


def channel_of(settings: Settings) -> grpc.aio.Channel:
    return channel(settings.identity_target, service_token=settings.service_token.value, name="loyalty")


if __name__ == "__main__":
    main(Settings, service)
