"""OpenAPI 3.1 from the contracts: routes, schemas, limits, access, and what each method may be refused with.

The comments of the contracts are its texts, so there is nothing else to keep up to date. Only what is no method of a
service, a browser's session and its stream of events, is described here by hand.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from google.api.field_behavior_pb2 import REQUIRED
from google.protobuf.descriptor import Descriptor
from rapport.annotations.v1.access_pb2 import access as access_option
from rapport.identity.v1.factors_pb2 import ProveAgainRequest, ProveFactorRequest, SignInByPasskeyRequest
from rapport.identity.v1.identity_pb2 import CreateSessionRequest, SecondFactor

from chassis.masking import leads
from gateway.binding import behavior, body_of, is_text, maskable
from gateway.contracts import PLATFORM, comment, reasons
from gateway.routes import ANY, Rule
from gateway.schemas import Schema, Schemas, reference
from gateway.sessions import COOKIE

JSON, PROBLEM_JSON = "application/json", "application/problem+json"
PROBLEM = "Problem"
PERSON = "BrowserSession"
PEOPLE: list[dict[str, list[str]]] = [{"session": []}, {"bearer": []}]


def document(rules: Iterable[Rule], server: str) -> dict[str, Any]:
    """The whole description, in the order of paths."""
    rules, schemas = list(rules), Schemas()
    paths: dict[str, dict[str, Any]] = {"/events": {"get": events()}} | session(schemas)
    for rule in sorted(rules, key=lambda one: (one.template.text, one.verb)):
        paths.setdefault(path_of(rule), {})[rule.verb.lower()] = operation(rule, schemas)
    schemas.named |= {PROBLEM: problem(), PERSON: person()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rapport", "version": "1", "description": "The customer side of the store."},
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in sorted({tag(rule) for rule in rules} | {"browser"})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.named.items())),
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "From POST /session. Whatever is not a GET carries the header X-Rapport-Client too.",
                },
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "service": {"type": "apiKey", "in": "header", "name": "X-Rapport-Service"},
            },
        },
    }


# Methods of the services ---------------------------------------------------------------------------------------------


def operation(rule: Rule, schemas: Schemas) -> dict[str, Any]:
    method, said = rule.method, comment(rule.method.full_name)
    first, _, rest = said.partition(". ")
    told: dict[str, Any] = {
        "operationId": method.name[0].lower() + method.name[1:],
        "tags": [tag(rule)],
        "summary": first.rstrip("."),
        "parameters": [*path_parameters(rule), *query_parameters(rule, schemas), *header_parameters(rule)],
        "responses": {"200": success(rule, schemas), "default": refused(said, tag(rule))},
    }
    if rest:
        told["description"] = said
    if rule.body:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": body_schema(rule, schemas)}}}
    return told | access(rule)


def tag(rule: Rule) -> str:
    return str(rule.method.containing_service.file.package.split(".")[1])


def path_of(rule: Rule) -> str:
    """/v1/users/{user}/tickets/{ticket}:solve: a parameter for each segment that varies."""
    found = list(rule.template.parts)
    for name, position in parameters_of(rule):
        found[position] = f"{{{name}}}"
    return "/" + "/".join(found) + (f":{rule.template.custom}" if rule.template.custom else "")


def parameters_of(rule: Rule) -> Iterator[tuple[str, int]]:
    parts = rule.template.parts
    for position, part in enumerate(parts):
        if part == ANY:
            yield re.sub(r"ies$", "y", parts[position - 1]).removesuffix("s"), position


def path_parameters(rule: Rule) -> list[dict[str, Any]]:
    text = {"type": "string"}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name, _ in parameters_of(rule)]


def query_parameters(rule: Rule, schemas: Schemas) -> Iterator[dict[str, Any]]:
    """Fields that neither the path nor the body holds."""
    if rule.body == "*":
        return
    held = {variable.field.partition(".")[0] for variable in rule.template.variables} | {rule.body, "request_id"}
    for field in rule.method.input_type.fields:
        if field.name in held or not is_text(field):
            continue
        schema = schemas.of_field(field)
        told: dict[str, Any] = {"name": field.json_name, "in": "query", "schema": schema}
        if REQUIRED in behavior(field):
            told["required"] = True
        if "description" in schema:
            told["description"] = schema.pop("description")
        yield told


def header_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    takes = rule.method.input_type
    if (field := takes.fields_by_name.get("request_id")) is not None:
        said = "A UUID of your choice: sent again, the request is done once."
        yield header("Idempotency-Key", said) | ({"required": True} if REQUIRED in behavior(field) else {})
    is_new = rule.verb == "POST" and not rule.template.custom
    if (
        rule.verb != "GET"
        and not is_new
        and any("etag" in one.fields_by_name for one in (takes, body_of(rule) or takes))
    ):
        yield header("If-Match", "The ETag you read: refused with 412 when somebody changed it since.")


def header(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": said}


def body_schema(rule: Rule, schemas: Schemas) -> Schema:
    """What the body may say: what the path says is not in it, and a change of some fields needs no others."""
    message = body_of(rule)
    if message is None:
        raise ValueError(f"{rule.method.full_name} takes no body.")
    if rule.body == "*":
        held = {variable.field for variable in rule.template.variables} | {"request_id"}
        return schemas.object_of(message, without=held)
    is_partial = bool(maskable(rule, rule.body))
    return schemas.patch_of(message) if is_partial else schemas.of(message)


def success(rule: Rule, schemas: Schemas) -> dict[str, Any]:
    message = rule.method.output_type
    if message.full_name == "google.api.HttpBody":
        return {"description": "The content itself.", "content": {"*/*": {"schema": {"type": "string"}}}}
    told: dict[str, Any] = {"description": "Done.", "content": {JSON: {"schema": schemas.of(message)}}}
    headers = {}
    if "etag" in message.fields_by_name:
        headers["ETag"] = "For If-Match and If-None-Match."
    if leads(rule.method.input_type):
        headers["Rapport-Masked"] = "The fields in which a card number was hidden but for its last four digits."
    if headers:
        told["headers"] = {name: {"schema": {"type": "string"}, "description": text} for name, text in headers.items()}
    return told


def refused(said: str, package: str) -> dict[str, Any]:
    """The problem, with the reasons that the method's own comment names."""
    known = {reason for its, reason in reasons() if its in (package, PLATFORM)}
    named = [word for word in dict.fromkeys(re.findall(r"\b[A-Z][A-Z_]{3,}\b", said)) if word in known]
    text = f"Refused: {', '.join(named)}, or for a reason every route has." if named else "Refused."
    return {"description": text, "content": {PROBLEM_JSON: {"schema": reference(PROBLEM)}}}


def access(rule: Rule) -> dict[str, Any]:
    """Who may call, as the contract says it."""
    said = rule.method.GetOptions().Extensions[access_option]
    ways: list[dict[str, list[str]]] = []
    if said.public:
        ways.append({})
    if said.signed_in or said.roles or said.owner:
        ways += [{"session": []}, {"bearer": [said.scope] if said.scope else []}]
    elif said.programs:
        ways.append({"bearer": [said.scope]})
    if said.services:
        ways.append({"service": []})
    policy = {
        "public": said.public,
        "signedIn": said.signed_in,
        "owner": said.owner,
        "member": said.member,
        "roles": list(said.roles),
        "services": list(said.services),
        "scope": said.scope,
        "freshSeconds": said.fresh.seconds,
        "programs": said.programs,
    }
    return {"security": ways, "x-access": {name: value for name, value in policy.items() if value}}


# What is no method of a service --------------------------------------------------------------------------------------


def session(schemas: Schemas) -> dict[str, dict[str, Any]]:
    shown = {"description": "Who is signed in.", "content": {JSON: {"schema": reference(PERSON)}}}
    waits = {"description": "What is missing: go on with it.", "content": {JSON: {"schema": second_factor(schemas)}}}
    client = header("X-Rapport-Client", "Any text: it proves that a script of our own page calls.") | {"required": True}
    anybody: dict[str, Any] = {"security": [{}], "x-access": {"public": True}}
    person: dict[str, Any] = {"security": [{"session": []}], "x-access": {"signedIn": True}}

    def posted(message: Descriptor, *without: str) -> dict[str, Any]:
        schema = schemas.object_of(message, without=set(without))
        return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}

    signs_in = "Signs in, and sets the cookie; 202 where a second factor is missing. Refused: SIGN_IN_FAILED"
    goes_on = "Goes on with a sign-in. Refused: CHALLENGE_ENDED, CODE_WRONG, QUOTA_EXCEEDED"
    passes = "Signs in by a passkey, and sets the cookie. Refused: PASSKEY_REFUSED"
    proves = "Has who is signed in prove again that it is them. Refused: FACTOR_NEEDED, CODE_WRONG, SIGN_IN_FAILED"
    return {
        "/session": {
            "get": by_hand("showSession", "Tells who is signed in", {"200": shown}) | person,
            "post": by_hand("signIn", signs_in, {"200": shown, "202": waits}, client)
            | posted(CreateSessionRequest.DESCRIPTOR, "user_agent", "device_secret")
            | anybody,
            "delete": by_hand("signOut", "Signs out, and clears the cookie", {"204": {"description": "Done."}}, client)
            | anybody,
        },
        "/session/factor": {
            "post": by_hand("proveFactor", goes_on, {"200": shown}, client)
            | posted(ProveFactorRequest.DESCRIPTOR, "device_secret")
            | anybody
        },
        "/session/passkey": {
            "post": by_hand("signInByPasskey", passes, {"200": shown}, client)
            | posted(SignInByPasskeyRequest.DESCRIPTOR, "user_agent")
            | anybody
        },
        "/session/proof": {
            "post": by_hand("proveAgain", proves, {"200": shown}, client)
            | posted(ProveAgainRequest.DESCRIPTOR, "session_secret")
            | person
        },
    }


def second_factor(schemas: Schemas) -> Schema:
    missing = schemas.of(SecondFactor.DESCRIPTOR)
    return {"type": "object", "properties": {"secondFactor": missing}, "required": ["secondFactor"]}


def events() -> dict[str, Any]:
    said = "Server-Sent Events: `fact`, with id, type, time and event. It goes on after the Last-Event-ID."
    told = {"description": said, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    last = header("Last-Event-ID", "The id of the last event that was had; browsers send it by themselves.")
    return by_hand("streamEvents", "Streams what happens to the person who is signed in", {"200": told}, last) | {
        "security": [{"session": []}],
        "x-access": {"signedIn": True},
    }


def by_hand(id: str, summary: str, responses: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": id,
        "tags": ["browser"],
        "summary": summary,
        "parameters": list(parameters),
        "responses": responses | {"default": refused("", "identity")},
    }


def person() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {"user": text, "session": text, "roles": {"type": "array", "items": text}},
        "required": ["user", "session", "roles"],
    }


def problem() -> Schema:
    text = {"type": "string"}
    where = {"pointer": text, "parameter": text, "in": {"enum": ["path", "query", "header"]}}
    error = {
        "type": "object",
        "description": "One thing to mend: in the body at a JSON Pointer, elsewhere at a parameter.",
        "properties": {**where, "reason": text, "detail": text},
        "required": ["reason", "detail"],
    }
    properties = {
        "type": text,
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "reason": text,
        "domain": text,
        "requestId": text,
        "traceId": text,
        "retryable": {"type": "boolean"},
        "metadata": {"type": "object", "additionalProperties": text},
        "errors": {"type": "array", "items": error},
    }
    return {
        "type": "object",
        "description": "RFC 9457. `reason` is one of those that /problems explains, and never changes its meaning.",
        "properties": {**properties, "help": text},
        "required": list(properties),
    }
