"""The identity service's process."""

from rapport.identity.v1 import events_pb2, factors_pb2, identity_pb2, oauth_pb2
from rapport.identity.v1.factors_pb2_grpc import add_FactorsServiceServicer_to_server
from rapport.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from rapport.identity.v1.oauth_pb2_grpc import add_OAuthServiceServicer_to_server

from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.identity import deletions, models
from services.identity.blocklists import Mounted
from services.identity.ceremonies import Ceremonies
from services.identity.challenges import forget_challenges
from services.identity.email_changes import forget_email_changes
from services.identity.guesses import forget_guesses
from services.identity.known_devices import forget_devices
from services.identity.oauth.authorizations import forget_authorizations
from services.identity.oauth.codes import Codes
from services.identity.passkeys import forget_spent_challenges
from services.identity.passwords import Passwords
from services.identity.recoveries import forget_recoveries
from services.identity.registrations import forget_registrations
from services.identity.rpc.factors import Factors
from services.identity.rpc.identity import Identity
from services.identity.rpc.oauth import OAuth
from services.identity.sealing import Sealer
from services.identity.sessions import forget_sessions
from services.identity.settings import Settings
from services.identity.tokens import Signer
from services.identity.totp import forget_begun_totp


def service(settings: Settings, sessions: Sessions, clock: Clock) -> Service:
    passwords = Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        lanes=settings.password_lanes,
        at_once=settings.hashing_at_once,
        waiting=settings.hashing_waiting,
        shortest=settings.password_shortest,
        breached=Mounted(settings.breached_passwords),
    )
    pages = Pages(settings.page_key.value.encode())
    signer = Signer(settings.signing_key.value, settings.id_token_key.value, issuer=settings.issuer)
    codes = Codes(settings.oauth_key.value)
    public_url, sealer = settings.public_url.rstrip("/"), Sealer(settings.factor_key.value)
    identity = Identity(sessions, clock, pages, passwords, signer, public_url)
    asks = Ceremonies(settings.factor_key.value, public_url)
    factors = Factors(sessions, clock, pages, passwords, sealer, asks, public_url)
    return Service(
        name="identity",
        package="rapport.identity.v1",
        contracts=[identity_pb2.DESCRIPTOR, factors_pb2.DESCRIPTOR, oauth_pb2.DESCRIPTOR, events_pb2.DESCRIPTOR],
        servicers=[
            (add_IdentityServiceServicer_to_server, identity),
            (add_FactorsServiceServicer_to_server, factors),
            (add_OAuthServiceServicer_to_server, OAuth(sessions, clock, pages, signer, codes)),
        ],
        jobs=[
            forget_registrations,
            forget_recoveries,
            forget_email_changes,
            forget_challenges,
            forget_guesses,
            forget_devices,
            forget_begun_totp,
            forget_spent_challenges,
            forget_sessions,
            forget_authorizations,
        ],
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        keys=identity.keys,
        before_erasure=deletions.finish,
    )


if __name__ == "__main__":
    main(Settings, service)
