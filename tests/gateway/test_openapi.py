"""The description of the API is whole, well formed, the same every time, and true."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.__main__ import CONTRACTS
from gateway.openapi import document
from gateway.routes import rules
from tests.store import Registered, Store

RULES = list(rules([file for files in CONTRACTS.values() for file in files]))
DOCUMENT = document(RULES, "http://localhost:8080")
OPERATIONS = [(path, verb, one) for path, verbs in DOCUMENT["paths"].items() for verb, one in verbs.items()]
KEYWORDS = {  # of JSON Schema 2020-12, those that are used here
    *("$ref", "type", "properties", "required", "additionalProperties", "items", "maxItems", "enum", "description"),
    *("format", "pattern", "maxLength", "minimum", "maximum", "contentEncoding", "readOnly", "examples"),
}
TYPES = {"string", "object", "array", "boolean", "integer", "number"}


def schemas(found: Any) -> Iterator[dict[str, Any]]:
    """Every schema in the document, however deep."""
    match found:
        case {"openapi": _}:
            for name, one in found["components"]["schemas"].items():
                assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
                yield from schemas({"schema": one})
            for _, _, operation in OPERATIONS:
                yield from schemas(operation)
        case {"schema": schema, **rest}:
            yield from inner(schema)
            yield from schemas(rest)
        case dict():
            for value in found.values():
                yield from schemas(value)
        case list():
            for value in found:
                yield from schemas(value)


def inner(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for one in schema.get("properties", {}).values():
        yield from inner(one)
    if "items" in schema:
        yield from inner(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        yield from inner(schema["additionalProperties"])


def test_every_route_is_in_it_once() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    by_hand = {"streamEvents", "showSession", "signIn", "signInByPasskey", "signOut", "proveFactor", "proveAgain"}
    ids = [one["operationId"] for _, _, one in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert set(ids) == by_hand | {rule.method.name[0].lower() + rule.method.name[1:] for rule in RULES}


def test_every_schema_is_one() -> None:
    names = set(DOCUMENT["components"]["schemas"])
    found = list(schemas(DOCUMENT))
    assert len(found) > 300
    for schema in found:
        assert set(schema) <= KEYWORDS, schema
        assert "$ref" in schema or "enum" in schema or schema["type"] in TYPES, schema
        if "$ref" in schema:
            assert schema["$ref"].removeprefix("#/components/schemas/") in names
        if "required" in schema:
            assert set(schema["required"]) <= set(schema["properties"])
        if "pattern" in schema:
            re.compile(schema["pattern"])


@pytest.mark.parametrize(("path", "verb", "operation"), OPERATIONS, ids=[one["operationId"] for *_, one in OPERATIONS])
def test_an_operation_says_all_that_a_caller_needs(path: str, verb: str, operation: dict[str, Any]) -> None:
    assert verb in ("get", "post", "patch", "delete")
    assert {"operationId", "tags", "summary", "parameters", "responses", "security", "x-access"} <= set(operation)
    assert operation["summary"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]
    for response in operation["responses"].values():
        assert response["description"]
    named = [(one["name"], one["in"]) for one in operation["parameters"]]
    assert len(set(named)) == len(named)
    assert {name for name, where in named if where == "path"} == set(re.findall(r"\{(\w+)\}", path))
    schemes = set(DOCUMENT["components"]["securitySchemes"])
    assert all(set(way) <= schemes for way in operation["security"])
    assert ("requestBody" in operation) == (verb in ("post", "patch"))


def test_it_is_the_same_to_the_byte_every_time() -> None:
    program = (
        "import sys, orjson; from tests.gateway.test_openapi import DOCUMENT; "
        "sys.stdout.buffer.write(orjson.dumps(DOCUMENT))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert made == {orjson.dumps(DOCUMENT)}


def test_what_the_path_or_a_header_says_is_not_asked_for_in_the_body() -> None:
    operations = {one["operationId"]: one for _, _, one in OPERATIONS}
    earn = operations["earnPoints"]["requestBody"]["content"]["application/json"]["schema"]
    assert earn["required"] == ["points"]
    assert ("Idempotency-Key", True) in [
        (one["name"], one.get("required")) for one in operations["earnPoints"]["parameters"]
    ]
    update = operations["updateUser"]["requestBody"]["content"]["application/json"]["schema"]
    assert "required" not in DOCUMENT["components"]["schemas"][update["$ref"].rpartition("/")[2]]


def test_where_people_write_the_header_is_told_by_which_they_hear_of_a_hidden_card_number() -> None:
    told = {
        one["operationId"]
        for _, _, one in OPERATIONS
        if "Rapport-Masked" in one["responses"].get("200", {}).get("headers", {})
    }
    assert {"createTicket", "createMessage", "searchArticles", "refuseBusiness"} <= told
    assert told.isdisjoint({"listTickets", "updateUser", "createPaymentMethod"})


@pytest.mark.xdist_group("store")
async def test_it_is_served_and_kept(http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["paths"] == DOCUMENT["paths"]
    again = await http.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


# What is answered is what is described -------------------------------------------------------------------------------


def fits(value: Any, schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """What is wrong with a value, by the rules of the keywords above."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds: dict[str, type] = {
        "string": str,
        "object": dict,
        "array": list,
        "boolean": bool,
        "integer": int,
        "number": float,
    }
    if not isinstance(value, kinds[schema["type"]]):
        yield f"{at} is no {schema['type']}"
    elif isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, one in value.items():
            if name in properties:
                yield from fits(one, properties[name], f"{at}/{name}")
            elif others is False:
                yield f"{at}/{name} is not described"
        yield from (f"{at}/{name} is missing" for name in schema.get("required", ()) if name not in value)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from fits(one, schema["items"], f"{at}/{place}")
    elif isinstance(value, str):
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at} is none of the values"
        if "pattern" in schema and value and not re.search(schema["pattern"], value):
            yield f"{at} does not match"


PUBLIC = [path for path, verb, one in OPERATIONS if verb == "get" and one["x-access"].get("public") and "{" not in path]


@pytest.mark.xdist_group("store")
@pytest.mark.parametrize("path", [path for path in PUBLIC if path != "/v1/articles:search"])
async def test_an_answer_is_as_it_is_described(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    described = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(fits(answer.json(), described)) == []


@pytest.mark.xdist_group("store")
async def test_a_persons_own_answers_are_as_they_are_described(
    store: Store, signed: httpx.AsyncClient, ada: Registered
) -> None:
    tried = 0
    for path, verb, operation in OPERATIONS:
        if verb != "get" or not path.startswith("/v1/users/{user}") or path.count("{") > 1 or "photo" in path:
            continue
        answer = await signed.get(path.replace("users/{user}", ada.user))
        described = operation["responses"]["200" if answer.is_success else "default"]["content"]
        schema = next(iter(described.values()))["schema"]
        assert list(fits(answer.json(), schema)) == [], path
        tried += 1
    assert tried >= 7
