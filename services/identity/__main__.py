"""The identity service's process."""

from rapport.identity.v1 import businesses_pb2, events_pb2, identity_pb2, oauth_pb2, subjects_pb2
from rapport.identity.v1.businesses_pb2_grpc import add_BusinessServiceServicer_to_server
from rapport.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from rapport.identity.v1.oauth_pb2_grpc import add_OAuthServiceServicer_to_server
from rapport.identity.v1.subjects_pb2_grpc import add_SubjectServiceServicer_to_server

from chassis.database import Sessions
from chassis.pages import Pages
from chassis.service import Service, main
from chassis.time import Clock
from services.identity import deletions, models
from services.identity.businesses.documents import forget_unfinished_documents
from services.identity.businesses.invitations import forget_invitations
from services.identity.email_changes import forget_email_changes
from services.identity.oauth.authorizations import forget_authorizations
from services.identity.oauth.codes import Codes
from services.identity.passwords import Passwords
from services.identity.recoveries import forget_recoveries
from services.identity.registrations import forget_registrations
from services.identity.rpc.businesses import Businesses
from services.identity.rpc.identity import Identity
from services.identity.rpc.oauth import OAuth
from services.identity.rpc.subjects import Subjects
from services.identity.sessions import forget_sessions
from services.identity.settings import Settings
from services.identity.subjects import forget_subject_links
from services.identity.tokens import Signer


def service(settings: Settings, sessions: Sessions, clock: Clock) -> Service:
    passwords = Passwords(
        memory_kib=settings.password_memory_kib,
        passes=settings.password_passes,
        lanes=settings.password_lanes,
        at_once=settings.hashing_at_once,
        waiting=settings.hashing_waiting,
    )
    pages = Pages(settings.page_key.value.encode())
    signer = Signer(settings.signing_key.value, settings.id_token_key.value, issuer=settings.issuer)
    codes = Codes(settings.oauth_key.value)
    public_url = settings.public_url.rstrip("/")
    identity = Identity(sessions, clock, pages, passwords, signer, public_url)
    return Service(
        name="identity",
        package="rapport.identity.v1",
        contracts=[
            identity_pb2.DESCRIPTOR,
            oauth_pb2.DESCRIPTOR,
            businesses_pb2.DESCRIPTOR,
            subjects_pb2.DESCRIPTOR,
            events_pb2.DESCRIPTOR,
        ],
        servicers=[
            (add_IdentityServiceServicer_to_server, identity),
            (add_OAuthServiceServicer_to_server, OAuth(sessions, clock, pages, signer, codes)),
            (add_BusinessServiceServicer_to_server, Businesses(sessions, clock, pages, public_url)),
            (add_SubjectServiceServicer_to_server, Subjects(sessions, clock, pages, public_url)),
        ],
        jobs=[
            forget_registrations,
            forget_recoveries,
            forget_email_changes,
            forget_sessions,
            forget_authorizations,
            forget_unfinished_documents,
            forget_invitations,
            forget_subject_links,
        ],
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        keys=identity.keys,
        before_erasure=deletions.finish,
    )


if __name__ == "__main__":
    main(Settings, service)
