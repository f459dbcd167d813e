"""What a service will not do, in a form a caller can act on; and the same read back from the wire.

    class EmailTaken(Refusal):  # in a service's refusals.py, one for each ErrorReason of its contract
        code, reason = StatusCode.ALREADY_EXISTS, ErrorReason.Name(EMAIL_TAKEN)

    raise EmailTaken("That email already belongs to a user.")

Neither the message nor the metadata may hold personal data: both reach logs and error pages. Names and ids may.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from rapport.annotations.v1 import errors_pb2 as platform
from rapport.annotations.v1.errors_pb2 import ErrorReason

PLATFORM_DOMAIN = "rapport.example"
CODES = {code.value[0]: code for code in StatusCode}


class Violation(NamedTuple):
    """One field of the request that has to be mended: `user.email`, `items[2].quantity`."""

    field: str
    reason: str
    description: str


class Refusal(Exception):  # noqa: N818 - refusing is no error of ours
    """Something a service will not do. One class for each ErrorReason; the reason is the contract, the text is not."""

    code: ClassVar[StatusCode]
    reason: ClassVar[str]
    domain: ClassVar[str] = ""  # the service's own, unless it says otherwise

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message, self.violations, self.retry_after, self.metadata = message, violations, retry_after, metadata

    def status(self, domain: str) -> Status:
        """The refusal as it travels; `domain` is that of the service that refuses."""
        status = Status(code=self.code.value[0], message=self.message)
        info = ErrorInfo(reason=self.reason, domain=self.domain or domain, metadata=self.metadata)
        status.details.add().Pack(info)
        if self.violations:
            fields = [
                BadRequest.FieldViolation(field=one.field, reason=one.reason, description=one.description)
                for one in self.violations
            ]
            status.details.add().Pack(BadRequest(field_violations=fields))
        if self.retry_after is not None:
            delay = Duration()
            delay.FromTimedelta(self.retry_after)
            status.details.add().Pack(RetryInfo(retry_delay=delay))
        return status


# What any service may refuse with ----------------------------------------------------------------------------------


class PlatformRefusal(Refusal):
    """A refusal of rapport.annotations.v1.ErrorReason: it means the same in every service and in the gateway."""

    domain = PLATFORM_DOMAIN


class SignInNeeded(PlatformRefusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(platform.SIGN_IN_NEEDED)


class TokenInvalid(PlatformRefusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(platform.TOKEN_INVALID)


class Forbidden(PlatformRefusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(platform.FORBIDDEN)


class ScopeMissing(PlatformRefusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(platform.SCOPE_MISSING)


class SignInTooOld(PlatformRefusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(platform.SIGN_IN_TOO_OLD)


class InvalidField(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(platform.INVALID_FIELD)


class MalformedName(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(platform.MALFORMED_NAME)


class CardNumber(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(platform.CARD_NUMBER)


class PageTokenInvalid(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(platform.PAGE_TOKEN_INVALID)


class EtagMismatch(PlatformRefusal):
    code, reason = StatusCode.ABORTED, ErrorReason.Name(platform.ETAG_MISMATCH)


class RequestIdReused(PlatformRefusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(platform.REQUEST_ID_REUSED)


class RequestInFlight(PlatformRefusal):
    code, reason = StatusCode.ABORTED, ErrorReason.Name(platform.REQUEST_IN_FLIGHT)


class DeadlineTooShort(PlatformRefusal):
    code, reason = StatusCode.DEADLINE_EXCEEDED, ErrorReason.Name(platform.DEADLINE_TOO_SHORT)


class TryAgain(PlatformRefusal):
    code, reason = StatusCode.UNAVAILABLE, ErrorReason.Name(platform.TRY_AGAIN)


class Internal(PlatformRefusal):
    """What a caller sees of a fault of ours: nothing. What went wrong is in the log, by request id."""

    code, reason = StatusCode.INTERNAL, ErrorReason.Name(platform.INTERNAL)


class QuotaExceeded(PlatformRefusal):
    code, reason = StatusCode.RESOURCE_EXHAUSTED, ErrorReason.Name(platform.QUOTA_EXCEEDED)


class PersonErased(PlatformRefusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(platform.PERSON_ERASED)


class PersonRestricted(PlatformRefusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(platform.PERSON_RESTRICTED)


# The way back --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """What another service said: `reason` is "" when it gave none (it was never reached, say)."""

    code: StatusCode
    reason: str
    domain: str
    message: str
    metadata: Mapping[str, str]
    violations: Sequence[Violation]
    retry_after: timedelta | None


def refused(error: grpc.aio.AioRpcError) -> Refused:
    """Read what the peer refused with. Its message is for people of ours: show it to a caller only with a reason."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = Status.FromString(details if isinstance(details, bytes) else b"")
    if not status.code:
        status = Status(code=error.code().value[0], message=error.details() or "")
    return read(status)


def read(status: Status) -> Refused:
    info, fields, retry = ErrorInfo(), BadRequest(), RetryInfo()
    has_retry = False
    for detail in status.details:
        _ = detail.Unpack(info) or detail.Unpack(fields)
        has_retry |= detail.Unpack(retry)
    return Refused(
        code=CODES.get(status.code, StatusCode.UNKNOWN),
        reason=info.reason,
        domain=info.domain,
        message=status.message,
        metadata=dict(info.metadata),
        violations=[Violation(one.field, one.reason, one.description) for one in fields.field_violations],
        retry_after=retry.retry_delay.ToTimedelta() if has_retry else None,
    )


def repeated(status: Status) -> Refusal:
    """A refusal that was kept as a status, to be raised again."""
    said = read(status)
    kind = type("Repeated", (Refusal,), {"code": said.code, "reason": said.reason, "domain": said.domain})
    refusal: Refusal = kind(said.message, violations=said.violations, retry_after=said.retry_after, **said.metadata)
    return refusal
