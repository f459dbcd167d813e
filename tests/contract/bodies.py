"""What a body of each route has to say to be read at all, where another thing of the request is what is wrong."""

import base64
from typing import Any
from uuid import uuid4

from tests.identity.people import PNG

Bodies = dict[str, dict[str, Any]]
PERIOD = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}


def bodies(owner: str) -> Bodies:
    """By method: a body with nothing wrong in it by itself."""
    return identity() | businesses() | support(owner) | privacy() | loyalty() | commerce(owner)


def identity() -> Bodies:
    return {
        "BeginRegistration": {"email": "somebody@example.org"},
        "CompleteRegistration": {"token": "none of ours", "password": "brass kettle at dawn", "displayName": "Ada"},
        "BeginRecovery": {"email": "somebody@example.org"},
        "CompleteRecovery": {"token": "none of ours", "password": "brass kettle at dawn"},
        "ChangeEmail": {"email": f"{uuid4().hex}@example.org"},
        "ConfirmEmailChange": {"token": "none of ours"},
        "ChangePassword": {"password": "brass kettle at dusk"},
        "ImpersonateUser": {"reason": "SUPPORT_REQUEST"},
        "EndImpersonation": {},
        "CreateUser": {"user": {"email": f"{uuid4().hex}@example.org"}, "password": "brass kettle at dawn"},
        "UpdateUser": {"displayName": "Ada"},
        "UndeleteUser": {},
        "ConfirmContactData": {},
        "SetUserRoles": {"roles": []},
        "SetUserPhoto": {"photo": base64.b64encode(PNG).decode()},
        "UpdateClient": {"title": "A", "profile": "PUBLIC", "redirectUris": ["https://app.example.org/"]},
        "ResetClientSecret": {},
        "BeginTotp": {},
        "BeginPasskey": {},
        "AddPasskey": {"credential": "none of ours"},
        "BeginPasskeySignIn": {},
        "UpdateFactor": {"title": "A"},
        "ConfirmTotp": {"code": "000000"},
        "ReplaceRecoveryCodes": {},
        "CreatePaymentMethod": {
            "paymentMethod": {"provider": "paypal", "kind": "PAYPAL"},
            "providerToken": "B-9MN64552",
        },
        "FindUsers": {"role": "agent"},
        "CreateUserImport": {"userImport": {"validateOnly": True}},
        "ImportUsers": {"rows": [{"rowNumber": "1", "user": {"email": f"{uuid4().hex}@example.org"}}]},
        "FinishUserImport": {},
    }


def businesses() -> Bodies:
    return {
        "CreateBusiness": {"business": {"kind": "AFFILIATE", "company": "A"}},
        "UpdateBusiness": {"company": "A"},
        "SubmitBusiness": {},
        "WithdrawBusiness": {},
        "CreateBusinessDocument": {"document": {"title": "A", "sizeBytes": 8}},
        "AppendBusinessDocument": {"content": "iVBORw0KGgo="},
        "ApproveBusiness": {},
        "RequestBusinessInfo": {"text": "A"},
        "RefuseBusiness": {"reasons": ["NOT_PROVEN"]},
        "SuspendBusiness": {"text": "A"},
        "ReinstateBusiness": {},
        "SetBusinessMemberRole": {"role": "VIEWER"},
        "LeaveBusiness": {},
        "InviteBusinessMember": {"email": f"{uuid4().hex}@example.org", "role": "VIEWER"},
        "AcceptBusinessInvitation": {"token": "none of ours"},
        "CreateBusinessCustomer": {"customer": {"email": "somebody@example.org"}},
        "BeginSubjectAccess": {"email": "somebody@example.org"},
        "ReadSubject": {"token": "none of ours"},
        "EraseSubject": {"token": "none of ours"},
    }


def support(owner: str) -> Bodies:
    return {
        "UpdateCategory": {"title": "A"},
        "UpdateArticle": {"title": "A", "body": "B"},
        "CreateTicket": {"kind": "CLAIM", "title": "A", "body": "B", "order": f"{owner}/orders/R-1"},
        "SolveTicket": {},
        "CreateMessage": {"body": "A"},
        "UpdateServiceHours": {"reading": "eastern_shift", "timeZone": "America/New_York"},
    }


def privacy() -> Bodies:
    return {
        "PublishPolicy": {"body": "We keep what we need."},
        "CreateConsent": {"use": "NEWSLETTER", "policy": "policies/1"},
        "CreateExport": {},
        "SetRestriction": {"restricted": False},
    }


def loyalty() -> Bodies:
    return {
        "BeginSubscription": {"email": "somebody@example.org"},
        "ConfirmSubscription": {"token": "none of ours"},
        "EndSubscription": {"token": "none of ours"},
        "UpdateProgramme": {"currency": "R points", "newsletterBonus": "500", "pointsPerUnit": "1"},
        "EarnPoints": {"points": "1", "requestId": str(uuid4())},
        "RedeemPoints": {"points": "1", "requestId": str(uuid4())},
        "EarnFromCampaign": {"points": "1", "campaign": "thank-you", "requestId": str(uuid4())},
        "CreateHold": {"points": "1", "requestId": str(uuid4())},
        "CaptureHold": {"points": "1", "requestId": str(uuid4())},
        "ReleaseHold": {"requestId": str(uuid4())},
        "RefundPoints": {"points": "1", "requestId": str(uuid4())},
        "ReversePoints": {"points": "1", "policy": "UNLIMITED", "requestId": str(uuid4())},
        "TransferPoints": {
            "points": "1",
            "destination": f"users/{uuid4()}/pointsAccount",
            "requestId": str(uuid4()),
        },
        "CreateAdjustment": {"points": "1", "reason": "A", "requestId": str(uuid4())},
        "ApproveAdjustment": {"requestId": str(uuid4())},
        "RefuseAdjustment": {"requestId": str(uuid4())},
        "CreateStatement": PERIOD | {"requestId": str(uuid4())},
        "PreviewStatement": PERIOD,
        "UpdateVoucherOffer": {
            "title": "A",
            "points": "1",
            "value": {"currencyCode": "USD", "units": "1"},
            "daysValid": 1,
        },
        "CreateVoucher": {"voucherOffer": "voucherOffers/a", "requestId": str(uuid4())},
        "LookUpVoucher": {"code": "none of ours"},
        "UseVoucher": {"code": "none of ours", "requestId": str(uuid4())},
        "VoidVoucher": {"requestId": str(uuid4())},
        "ClaimReferral": {"code": "none of ours", "requestId": str(uuid4())},
        "ApproveReview": {"requestId": str(uuid4())},
        "RefuseReview": {"requestId": str(uuid4())},
        "UpdateRewardRules": {"referrals": {"claimDays": 1}, "newsletter": {"guestDays": 30, "markMonths": 24}},
    }


def commerce(owner: str) -> Bodies:
    order = {"user": owner, "order": f"{owner}/orders/R-1", "eventTime": "2026-07-06T12:00:00Z"}
    return {
        "StateOrderEvent": {
            "requestId": str(uuid4()),
            "placed": order | {"total": {"currencyCode": "USD", "units": "1"}},
        },
    }
