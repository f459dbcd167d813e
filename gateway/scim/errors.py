"""What is refused, in SCIM's shape (RFC 7644, 3.12). No text of the caller's own is repeated: it may be a person's."""

import orjson

from chassis.telemetry import Span
from gateway import problems
from gateway.http import Headers, Response
from gateway.problems import Problem

KIND = (b"content-type", b"application/scim+json")
HEAD: Headers = [KIND, (b"cache-control", b"no-store")]
SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
# Where identity's reasons have a word of their own in SCIM.
TYPES = {
    "EMAIL_TAKEN": "uniqueness",
    "EMAIL_MALFORMED": "invalidValue",
    "ROLE_NOT_GRANTABLE": "invalidValue",
    "INVALID_FIELD": "invalidValue",
    "MALFORMED_JSON": "invalidSyntax",
}
STATUSES = {"MALFORMED_NAME": 404}  # an id that none of ours looks like is one that nobody has
FILTERS = "Filters compare userName, externalId, active or id by eq, each once, joined by and."
DETAILS = {
    "invalidFilter": FILTERS,
    "invalidPath": "A path is that of no attribute: /Schemas lists them.",
    "invalidSyntax": "The body is not what this takes (RFC 7644).",
    "invalidValue": "A value is missing, or is not what its attribute takes.",
    "mutability": "That attribute cannot be changed so.",
    "noTarget": "A path leads to nothing that is there.",
}


class Refused(Exception):  # noqa: N818 - refusing is no error of ours
    """A request that is no good SCIM."""

    def __init__(self, scim_type: str, detail: str = "", status: int = 400) -> None:
        super().__init__(scim_type)
        self.scim_type, self.status = scim_type, status
        self.detail = detail or DETAILS.get(scim_type, DETAILS["invalidValue"])


def answer(refused: Refused) -> Response:
    return Response(body_of(refused.status, refused.scim_type, refused.detail), refused.status, [*HEAD])


def of_problem(problem: Problem, now: Span) -> Response:
    """The problem that any other route would answer with, said as SCIM has it."""
    plain, said = problems.answer(problem, now), problem.said
    status = STATUSES.get(said.reason, plain.status)
    detail = " ".join(dict.fromkeys([said.message, *(one.description for one in said.violations)]))
    headers = [KIND, *((name, value) for name, value in plain.headers if name != b"content-type")]
    return Response(body_of(status, TYPES.get(said.reason, ""), detail), status, headers)


def body_of(status: int, scim_type: str, detail: str) -> bytes:
    told = {"schemas": [SCHEMA], "status": str(status), "detail": detail}
    return orjson.dumps(told | ({"scimType": scim_type} if scim_type else {}))
