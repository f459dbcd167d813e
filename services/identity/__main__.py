"""The identity service's process."""

from rapport.identity.v1 import events_pb2, identity_pb2
from rapport.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server

from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.identity import deletions, models
from services.identity.passwords import Passwords
from services.identity.registrations import forget_registrations
from services.identity.rpc import Identity
from services.identity.sessions import forget_sessions
from services.identity.settings import Settings
from services.identity.tokens import Signer


def service(settings: Settings, sessions: Sessions, clock: Clock) -> Service:
    passwords = Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        lanes=settings.password_lanes,
        at_once=settings.hashing_at_once,
        waiting=settings.hashing_waiting,
    )
    pages, signer = Pages(settings.page_key.value.encode()), Signer(settings.signing_key.value)
    identity = Identity(sessions, clock, pages, passwords, signer, settings.public_url.rstrip("/"))
    return Service(
        name="identity",
        package="rapport.identity.v1",
        contracts=[identity_pb2.DESCRIPTOR, events_pb2.DESCRIPTOR],
        servicers=[(add_IdentityServiceServicer_to_server, identity)],
        jobs=[forget_registrations, forget_sessions],
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        keys=identity.keys,
        before_erasure=deletions.finish,
    )


if __name__ == "__main__":
    main(Settings, service)
