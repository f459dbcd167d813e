"""The tables of identity, a module a noun. What must hold of them is stated there and judged by the database."""

from services.identity.models.acting import Impersonation, ImpersonationReason, ImpersonationStaff
from services.identity.models.attempts import Attempts
from services.identity.models.audit import Actor, AuditAccount, AuditEntry
from services.identity.models.base import Base
from services.identity.models.businesses import (
    BusinessAccount,
    BusinessContact,
    BusinessDocument,
    BusinessDocumentPiece,
    BusinessInvitation,
    BusinessMember,
    BusinessStep,
    MemberRole,
)
from services.identity.models.credentials import Credential, EmailChange, Recovery, Registration
from services.identity.models.device_codes import DeviceCode
from services.identity.models.factors import (
    Challenge,
    Device,
    Guess,
    Passkey,
    RecoveryCode,
    Totp,
)
from services.identity.models.imports import Outcome, UserImport, UserImportAddress, UserImportRow
from services.identity.models.oauth import Algorithm, Authorization, Client, Profile, SignOutNotice
from services.identity.models.once import PushedRequest, Spent
from services.identity.models.payment_methods import CardBrand, PaymentKind, PaymentMethod
from services.identity.models.people import (
    BillingAddress,
    Business,
    BusinessKind,
    ContactDoubt,
    Photo,
    PostalAddress,
    ShippingAddress,
    State,
    User,
)
from services.identity.models.provisioning import ProvisionedUser
from services.identity.models.sessions import Session
from services.identity.models.social import ClaimKind, ExternalIdentity, SocialClaim, SocialDeletion, SocialFlow
from services.identity.models.subjects import BusinessCustomer, SubjectAccess

__all__ = [
    "Actor",
    "Algorithm",
    "Attempts",
    "AuditAccount",
    "AuditEntry",
    "Authorization",
    "Base",
    "BillingAddress",
    "Business",
    "BusinessAccount",
    "BusinessContact",
    "BusinessCustomer",
    "BusinessDocument",
    "BusinessDocumentPiece",
    "BusinessInvitation",
    "BusinessKind",
    "BusinessMember",
    "BusinessStep",
    "CardBrand",
    "Challenge",
    "ClaimKind",
    "Client",
    "ContactDoubt",
    "Credential",
    "Device",
    "DeviceCode",
    "EmailChange",
    "ExternalIdentity",
    "Guess",
    "Impersonation",
    "ImpersonationReason",
    "ImpersonationStaff",
    "MemberRole",
    "Outcome",
    "Passkey",
    "PaymentKind",
    "PaymentMethod",
    "Photo",
    "PostalAddress",
    "Profile",
    "ProvisionedUser",
    "PushedRequest",
    "Recovery",
    "RecoveryCode",
    "Registration",
    "Session",
    "ShippingAddress",
    "SignOutNotice",
    "SocialClaim",
    "SocialDeletion",
    "SocialFlow",
    "Spent",
    "State",
    "SubjectAccess",
    "Totp",
    "User",
    "UserImport",
    "UserImportAddress",
    "UserImportRow",
]
