"""What is refused, as RFC 9457 has it: one shape for every refusal, the services' and the gateway's own.

{"type": "/problems#support.TICKET_NOT_FOUND", "title": "Ticket not found", "status": 404, "detail": "There is ...",
 "reason": "TICKET_NOT_FOUND", "domain": "support.rapport.example", "requestId": "...", "traceId": "...",
 "help": "What the contract says to do.", "retryable": false, "metadata": {...}, "errors": [{"pointer": "/title", ...}]}
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import orjson
import rapport
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc import StatusCode
from starlette.responses import Response

from chassis.refusal import Refusal, Refused, Violation, read

# HTTP's own words, where they are finer than gRPC's; the rest follow the code.
BY_REASON = {
    "ETAG_MISMATCH": 412,
    "REQUEST_ID_REUSED": 422,
    "REQUEST_IN_FLIGHT": 409,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "DEADLINE_TOO_SHORT": 504,
    "PERSON_ERASED": 410,
}
BY_CODE = {
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 409,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
}
RETRYABLE = {409, 429, 503, 504}
FINAL = {"REQUEST_ID_REUSED", "EMAIL_TAKEN"}
PLATFORM = "rapport.example"


@dataclass(frozen=True)
class Ids:
    """What a person quotes to us, and what we look up."""

    request_id: str
    trace_id: str


def refusal_problem(refusal: Refusal, ids: Ids, errors: Sequence[Mapping[str, str]] = ()) -> Response:
    """The gateway's own refusal."""
    return problem(read(refusal.status(PLATFORM)), ids, errors or [body_error(one) for one in refusal.violations])


def problem(said: Refused, ids: Ids, errors: Sequence[Mapping[str, str]] = ()) -> Response:
    """What a service refused, or why it could not be asked. A peer that gave no reason is not quoted."""
    said = said if said.reason else unreasoned(said)
    status = BY_REASON.get(said.reason) or BY_CODE.get(said.code, 500)
    package = said.domain.removesuffix(PLATFORM).rstrip(".") or "platform"
    body: dict[str, Any] = {
        "type": f"/problems#{package}.{said.reason}",
        "title": said.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": said.message,
        "reason": said.reason,
        "domain": said.domain,
        "requestId": ids.request_id,
        "traceId": ids.trace_id,
        "retryable": status in RETRYABLE and said.retry_after is not None,
        "metadata": dict(said.metadata),
        "errors": list(errors),
    }
    if advice := helps().get((package, said.reason)):
        body["help"] = advice
    headers = {"cache-control": "no-store"}
    if said.retry_after is not None:
        headers["retry-after"] = str(ceil(said.retry_after.total_seconds()))
    if status == 401:
        headers["www-authenticate"] = "Bearer" if said.reason == "SIGN_IN_NEEDED" else 'Bearer error="invalid_token"'
    if status == 405:
        headers["allow"] = said.metadata.get("allow", "")
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


def unreasoned(said: Refused) -> Refused:
    """gRPC's own failures, in our words: the text of a library is for the log."""
    reason, message, code = {
        StatusCode.UNAVAILABLE: ("TRY_AGAIN", "The service does not answer just now.", said.code),
        StatusCode.RESOURCE_EXHAUSTED: ("TRY_AGAIN", "The service is busy just now.", StatusCode.UNAVAILABLE),
        StatusCode.DEADLINE_EXCEEDED: ("DEADLINE_TOO_SHORT", "The service did not answer in time.", said.code),
    }.get(said.code, ("INTERNAL", "Something failed on our side.", StatusCode.INTERNAL))
    return Refused(code, reason, PLATFORM, message, {}, (), said.retry_after)


def body_error(violation: Violation) -> dict[str, str]:
    """One thing to mend in the body, by its JSON Pointer (RFC 6901)."""
    pointer = "/" + re.sub(r"\[(\d+)\]", r".\1", violation.field).replace(".", "/")
    return {"pointer": pointer, "reason": violation.reason, "detail": violation.description}


@cache
def helps() -> Mapping[tuple[str, str], str]:
    """What the contracts say a caller should do, by (package, reason): the comments of every ErrorReason."""
    found: dict[tuple[str, str], str] = {}
    for file in contracts().file:
        parts = file.package.split(".")
        if parts[0] != "rapport" or not file.name.endswith("/errors.proto"):
            continue
        package = "platform" if parts[1] == "annotations" else parts[1]
        comments = {tuple(one.path): one.leading_comments for one in file.source_code_info.location}
        for number, value in enumerate(file.enum_type[0].value):
            if said := comments.get((5, 0, 2, number)):
                found[package, value.name] = " ".join(said.split())
    return found


@cache
def contracts() -> FileDescriptorSet:
    """The contracts with their comments, as they were generated."""
    return FileDescriptorSet.FromString((Path(next(iter(rapport.__path__))).parent / "rapport.binpb").read_bytes())


def reasons() -> Iterable[tuple[str, str, str]]:
    """(package, reason, what to do) of everything that can be refused, for the page that explains them."""
    for file in contracts().file:
        parts = file.package.split(".")
        if parts[0] == "rapport" and file.name.endswith("/errors.proto"):
            package = "platform" if parts[1] == "annotations" else parts[1]
            for value in file.enum_type[0].value[1:]:
                yield package, value.name, helps().get((package, value.name), "")
