"""The tables of identity, a module a noun. What must hold of them is stated there and judged by the database."""

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
from services.identity.models.oauth import Algorithm, Authorization, Client, Profile
from services.identity.models.people import (
    BillingAddress,
    Business,
    BusinessKind,
    Photo,
    PostalAddress,
    ShippingAddress,
    State,
    User,
)
from services.identity.models.sessions import Session
from services.identity.models.subjects import BusinessCustomer, SubjectAccess

__all__ = [
    "Algorithm",
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
    "Client",
    "Credential",
    "EmailChange",
    "MemberRole",
    "Photo",
    "PostalAddress",
    "Profile",
    "Recovery",
    "Registration",
    "Session",
    "ShippingAddress",
    "State",
    "SubjectAccess",
    "User",
]
