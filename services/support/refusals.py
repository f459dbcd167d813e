"""What support will not do; and, for the shop's own systems, commerce."""

from grpc import StatusCode
from rapport.commerce.v1 import errors_pb2 as commerce
from rapport.support.v1 import errors_pb2 as errors

from chassis.refusal import Refusal

reason_of = errors.ErrorReason.Name


class CategoryNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, reason_of(errors.CATEGORY_NOT_FOUND)


class ArticleNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, reason_of(errors.ARTICLE_NOT_FOUND)


class ServiceHoursInvalid(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, reason_of(errors.SERVICE_HOURS_INVALID)


class ServiceHoursNotSet(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, reason_of(errors.SERVICE_HOURS_NOT_SET)


class OrderNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, reason_of(errors.ORDER_NOT_FOUND)


class TicketNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, reason_of(errors.TICKET_NOT_FOUND)


class TicketStateConflict(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, reason_of(errors.TICKET_STATE_CONFLICT)


class CommerceRefusal(Refusal):
    """A refusal of rapport.commerce.v1, which support speaks."""

    domain = "commerce.rapport.example"


class EventMissing(CommerceRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, commerce.ErrorReason.Name(commerce.EVENT_MISSING)


class OrderNotOfUser(CommerceRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, commerce.ErrorReason.Name(commerce.ORDER_NOT_OF_USER)


class AmountInvalid(CommerceRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, commerce.ErrorReason.Name(commerce.AMOUNT_INVALID)


class OrderUnknown(CommerceRefusal):
    code, reason = StatusCode.FAILED_PRECONDITION, commerce.ErrorReason.Name(commerce.ORDER_UNKNOWN)
