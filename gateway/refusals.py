"""What the gateway itself refuses, before any service is asked."""

from grpc import StatusCode
from rapport.annotations.v1 import errors_pb2 as errors
from rapport.annotations.v1.errors_pb2 import ErrorReason

from chassis.refusal import PlatformRefusal


class RouteNotFound(PlatformRefusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.ROUTE_NOT_FOUND)


class MethodNotAllowed(PlatformRefusal):
    code, reason = StatusCode.UNIMPLEMENTED, ErrorReason.Name(errors.METHOD_NOT_ALLOWED)


class MalformedJson(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.MALFORMED_JSON)


class BodyTooLarge(PlatformRefusal):
    code, reason = StatusCode.OUT_OF_RANGE, ErrorReason.Name(errors.BODY_TOO_LARGE)


class UnsupportedMediaType(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.UNSUPPORTED_MEDIA_TYPE)


class UnknownField(PlatformRefusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.UNKNOWN_FIELD)


class OriginRefused(PlatformRefusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(errors.ORIGIN_REFUSED)
