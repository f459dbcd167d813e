"""The identity service's process."""

from chassis import collector

if __name__ == "__main__":
    collector.rest()

from datetime import timedelta

from rapport.identity.v1 import (
    acting_pb2,
    audit_pb2,
    businesses_pb2,
    device_codes_pb2,
    events_pb2,
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
from rapport.identity.v1.acting_pb2_grpc import add_ActingServiceServicer_to_server
from rapport.identity.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from rapport.identity.v1.businesses_pb2_grpc import add_BusinessServiceServicer_to_server
from rapport.identity.v1.device_codes_pb2_grpc import add_DeviceCodeServiceServicer_to_server
from rapport.identity.v1.factors_pb2_grpc import add_FactorsServiceServicer_to_server
from rapport.identity.v1.identity_pb2_grpc import add_IdentityServiceServicer_to_server
from rapport.identity.v1.imports_pb2_grpc import add_ImportsServiceServicer_to_server
from rapport.identity.v1.oauth_pb2_grpc import add_OAuthServiceServicer_to_server
from rapport.identity.v1.payment_methods_pb2_grpc import add_PaymentMethodsServiceServicer_to_server
from rapport.identity.v1.proofs_pb2_grpc import add_ProofServiceServicer_to_server
from rapport.identity.v1.provisioning_pb2_grpc import add_ProvisioningServiceServicer_to_server
from rapport.identity.v1.social_pb2_grpc import add_SocialServiceServicer_to_server
from rapport.identity.v1.subjects_pb2_grpc import add_SubjectServiceServicer_to_server

from chassis.database import Sessions
from chassis.pages import Pages
from chassis.sealing import Sealer
from chassis.service import Service, main
from chassis.time import Clock
from services.identity import contacts, deletions, models
from services.identity.attempts import Marks, forget_attempts
from services.identity.audit import chain_audit_entries, forget_audit_entries
from services.identity.blocklists import Mounted
from services.identity.businesses.documents import forget_unfinished_documents
from services.identity.businesses.invitations import forget_invitations
from services.identity.ceremonies import Ceremonies
from services.identity.challenges import forget_challenges
from services.identity.email_changes import forget_email_changes
from services.identity.guesses import forget_guesses
from services.identity.impersonations import forget_impersonations
from services.identity.imports import forget_user_imports
from services.identity.known_devices import forget_devices
from services.identity.oauth.authorizations import forget_authorizations
from services.identity.oauth.backchannel import telling
from services.identity.oauth.codes import Codes
from services.identity.oauth.device_codes import forget_device_codes
from services.identity.oauth.nonces import Nonces
from services.identity.oauth.pushed import forget_pushed_requests
from services.identity.once import forget_spent
from services.identity.passwords import Passwords
from services.identity.recoveries import forget_recoveries
from services.identity.registrations import forget_registrations
from services.identity.rpc.acting import Acting
from services.identity.rpc.audit import Audit
from services.identity.rpc.businesses import Businesses
from services.identity.rpc.device_codes import DeviceCodes
from services.identity.rpc.factors import Factors
from services.identity.rpc.identity import Identity
from services.identity.rpc.imports import Imports
from services.identity.rpc.oauth import OAuth
from services.identity.rpc.payment_methods import PaymentMethods
from services.identity.rpc.proofs import Proofs
from services.identity.rpc.provisioning import Provisioning
from services.identity.rpc.social import Social
from services.identity.rpc.subjects import Subjects
from services.identity.sessions import forget_sessions
from services.identity.settings import Settings
from services.identity.social import providers
from services.identity.social.asking import Asking
from services.identity.social.claims import forget_social_claims
from services.identity.social.flows import forget_social_flows
from services.identity.social.signed_requests import forget_social_deletions
from services.identity.social.wire import Wire
from services.identity.subjects import forget_subject_links
from services.identity.tokens import Signer
from services.identity.totp import forget_begun_totp

CONTRACTS = (
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
    events_pb2.DESCRIPTOR,
)
JOBS = (
    forget_registrations,
    forget_recoveries,
    forget_email_changes,
    forget_sessions,
    forget_authorizations,
    forget_attempts,
    chain_audit_entries,
    forget_audit_entries,
    forget_spent,
    forget_pushed_requests,
    forget_device_codes,
    forget_challenges,
    forget_guesses,
    forget_devices,
    forget_begun_totp,
    forget_social_flows,
    forget_social_claims,
    forget_social_deletions,
    forget_unfinished_documents,
    forget_invitations,
    forget_subject_links,
    deletions.purge_users,
    forget_impersonations,
    forget_user_imports,
)


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
    nonces = Nonces(codes.keys)
    marks, public_url = Marks(codes.keys[0]), settings.public_url.rstrip("/")
    sealer = Sealer(settings.factor_key.value, "RAPPORT_FACTOR_KEY_FILE")
    asks = Ceremonies(settings.factor_key.value, public_url)
    cooling_off = timedelta(days=settings.deletion_cooling_off_days)
    identity = Identity(sessions, clock, pages, passwords, signer, marks, public_url, cooling_off)
    factors = Factors(sessions, clock, pages, passwords, sealer, asks, public_url)
    payments = PaymentMethods(sessions, clock, pages, sealer, settings.payments_by, public_url)
    known = providers.read(settings.social_providers.value)
    social = Social(sessions, clock, pages, passwords, marks, Asking(Wire()), known, public_url)
    return Service(
        name="identity",
        package="rapport.identity.v1",
        contracts=CONTRACTS,
        servicers=[
            (add_IdentityServiceServicer_to_server, identity),
            (add_FactorsServiceServicer_to_server, factors),
            (add_OAuthServiceServicer_to_server, OAuth(sessions, clock, pages, signer, codes, nonces)),
            (add_AuditServiceServicer_to_server, Audit(sessions, pages)),
            (add_ProofServiceServicer_to_server, Proofs(sessions, clock, signer, nonces)),
            (add_DeviceCodeServiceServicer_to_server, DeviceCodes(sessions, clock)),
            (add_SocialServiceServicer_to_server, social),
            (add_BusinessServiceServicer_to_server, Businesses(sessions, clock, pages, public_url)),
            (add_ActingServiceServicer_to_server, Acting(sessions, clock, pages, signer, public_url)),
            (add_SubjectServiceServicer_to_server, Subjects(sessions, clock, pages, public_url)),
            (add_PaymentMethodsServiceServicer_to_server, payments),
            (add_ImportsServiceServicer_to_server, Imports(sessions, clock, pages, passwords, marks)),
            (add_ProvisioningServiceServicer_to_server, Provisioning(sessions, clock, pages, public_url)),
        ],
        jobs=[*JOBS, telling(signer), contacts.doubting(timedelta(days=settings.contact_check_days))],
        sessions=sessions,
        metadata=models.Base.metadata,
        clock=clock,
        keys=identity.keys,
        before_erasure=deletions.finish,
        mail_heard=contacts.hear,
    )


if __name__ == "__main__":
    main(Settings, service)
