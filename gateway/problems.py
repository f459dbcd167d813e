"""What is refused, as RFC 9457 has it: one shape for every refusal, the services' and the gateway's own.

{"type": "/problems#support.TICKET_NOT_FOUND", "title": "Ticket not found", "status": 404, "detail": "There is ...",
 "reason": "TICKET_NOT_FOUND", "domain": "support.rapport.example", "requestId": "...", "traceId": "...",
 "retryable": false, "metadata": {...}, "errors": [{"pointer": "/title", "reason": ..., "detail": ...}],
 "help": "What the contract says to do."}

An error in the body stands at a JSON Pointer (RFC 6901); one elsewhere at a `parameter` "in" path, query or header.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, TypeAlias

import grpc
import orjson
from google.protobuf.descriptor import Descriptor
from grpc import StatusCode

from chassis.refusal import PLATFORM_DOMAIN, Refusal, Refused, read, refused
from chassis.telemetry import Span
from gateway.contracts import PLATFORM, reasons
from gateway.http import Headers, Response

# HTTP's own words, where they are finer than gRPC's; the rest follow the code.
BY_REASON = {
    "ETAG_MISMATCH": 412,
    "REQUEST_ID_REUSED": 422,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "PERSON_ERASED": 410,
}
BY_CODE = {
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
    StatusCode.UNAVAILABLE: 503,
}
CHALLENGES = {  # of HTTP, where it is not the token that is wrong
    "SIGN_IN_NEEDED": b"Bearer",
    "PROOF_INVALID": b'DPoP error="invalid_dpop_proof", algs="ES256 PS256 Ed25519 EdDSA"',
    "PROOF_NONCE_NEEDED": b'DPoP error="use_dpop_nonce", algs="ES256 PS256 Ed25519 EdDSA"',
}
SOON = timedelta(seconds=2)  # to come again in, where who refuses does not say
STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")
HEAD: Headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
Error: TypeAlias = dict[str, str]


class Problem(Exception):  # noqa: N818 - refusing is no error of ours
    """A refusal, and the things to mend where the caller finds them."""

    def __init__(self, said: Refused, errors: Sequence[Error] = ()) -> None:
        super().__init__(said.reason)
        self.said, self.errors = said if said.reason else unreasoned(said), errors


def own(refusal: Refusal, errors: Sequence[Error] = ()) -> Problem:
    """A refusal of the gateway's own."""
    return Problem(read(refusal.status(PLATFORM_DOMAIN)), errors)


def of_body(error: grpc.aio.AioRpcError, message: Descriptor) -> Problem:
    """What a service refused of a request that was all in the body, as `message`."""
    said = refused(error)
    errors = [in_body(json_names(message, one.field), one.reason, one.description) for one in said.violations]
    return Problem(said, errors)


def unreasoned(said: Refused) -> Refused:
    """gRPC's own failures, in our words: the text of a library is for the log."""
    reason, message, code = {
        StatusCode.UNAVAILABLE: ("TRY_AGAIN", "The service does not answer just now.", said.code),
        StatusCode.RESOURCE_EXHAUSTED: ("TRY_AGAIN", "The service is busy just now.", StatusCode.UNAVAILABLE),
        StatusCode.DEADLINE_EXCEEDED: ("DEADLINE_TOO_SHORT", "The service did not answer in time.", said.code),
    }.get(said.code, ("INTERNAL", "Something failed on our side.", StatusCode.INTERNAL))
    return Refused(code, reason, PLATFORM_DOMAIN, message, {}, (), said.retry_after)


# Where things are to be mended ---------------------------------------------------------------------------------------


def in_body(names: Iterable[str], reason: str, detail: str) -> Error:
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    return {"pointer": pointer, "reason": reason, "detail": detail}


def elsewhere(where: str, parameter: str, reason: str, detail: str) -> Error:
    return {"parameter": parameter, "in": where, "reason": reason, "detail": detail}


def json_names(message: Descriptor | None, path: str) -> list[str]:
    """The steps of a field's path as JSON has them: "lines[2].unit_price" is lines, 2, unitPrice."""
    names: list[str] = []
    for step in path.split(".") if path else ():
        match = STEP.fullmatch(step)
        name, position = (match[1], match[2]) if match else (step, None)
        field = message.fields_by_name.get(name) if message else None
        names += [field.json_name if field else name, *([position] if position else [])]
        message = field.message_type if field else None
    return names


# What goes back ------------------------------------------------------------------------------------------------------


def answer(problem: Problem, ids: Span) -> Response:
    """The problem, to whom asked."""
    said = problem.said
    status = BY_REASON.get(said.reason) or BY_CODE.get(said.code, 500)
    again = said.retry_after or (SOON if status in (429, 503) else None)
    package = said.domain.removesuffix(PLATFORM_DOMAIN).rstrip(".") or PLATFORM
    body: dict[str, Any] = {
        "type": f"/problems#{package}.{said.reason}",
        "title": said.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": said.message,
        "reason": said.reason,
        "domain": said.domain,
        "requestId": ids.request_id,
        "traceId": ids.trace_id,
        "retryable": again is not None,
        "metadata": dict(said.metadata),
        "errors": list(problem.errors),
    }
    if advice := reasons().get((package, said.reason)):
        body["help"] = advice
    headers = list(HEAD)
    if again is not None:
        headers.append((b"retry-after", b"%d" % ceil(again.total_seconds())))
    if status == 401:
        headers.append((b"www-authenticate", CHALLENGES.get(said.reason, b'Bearer error="invalid_token"')))
    if status == 405:
        headers.append((b"allow", said.metadata.get("allow", "").encode()))
    return Response(orjson.dumps(body), status, headers)
