"""What privacy will not do."""

from grpc import StatusCode
from rapport.privacy.v1 import errors_pb2 as errors
from rapport.privacy.v1.errors_pb2 import ErrorReason

from chassis.refusal import Refusal


class PolicyNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.POLICY_NOT_FOUND)


class ExportNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.EXPORT_NOT_FOUND)


class ExportEnded(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.EXPORT_ENDED)


class ErasureNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.ERASURE_NOT_FOUND)


class HolderUnavailable(Refusal):
    code, reason = StatusCode.UNAVAILABLE, ErrorReason.Name(errors.HOLDER_UNAVAILABLE)
