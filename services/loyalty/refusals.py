from grpc import StatusCode
from rapport.loyalty.v1.errors_pb2 import (
    ACCOUNT_CLOSED,
    EMAIL_MALFORMED,
    LINK_INVALID,
    PROGRAMME_NOT_SET,
    SUBSCRIPTION_NOT_FOUND,
    ErrorReason,
)

from chassis.refusal import Refusal


class LinkInvalid(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(LINK_INVALID)


class EmailMalformed(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(EMAIL_MALFORMED)


class SubscriptionNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(SUBSCRIPTION_NOT_FOUND)


class AccountClosed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(ACCOUNT_CLOSED)


class ProgrammeNotSet(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(PROGRAMME_NOT_SET)
