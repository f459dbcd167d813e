"""The oracle as a process of its own: python -m tests.chassis.oracle_process"""

import os

from sqlalchemy import MetaData

from chassis.database import Sessions
from chassis.rpc import Context
from chassis.service import Service, main
from chassis.settings import ServiceSettings
from chassis.time import Clock
from tests import tokens
from tests.chassis.oracle import FILE, servicer


async def who(question: object, context: Context) -> str:
    return str(os.getpid())


def service(settings: ServiceSettings, sessions: Sessions, clock: Clock) -> Service:
    """The oracle, which tells its number."""
    return Service(
        name="oracle",
        package="rapport.oracle.v1",
        contracts=[FILE],
        servicers=[(servicer, who)],
        sessions=sessions,
        metadata=MetaData(),
        clock=clock,
        holder=False,
        keys=tokens.keys,
    )


if __name__ == "__main__":
    main(ServiceSettings, service)
