"""The description of the API as a page shows it."""

from collections.abc import Mapping
from typing import Any

import orjson


def grouped(description: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The operations of the description by tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, verbs in description["paths"].items():
        for verb, operation in verbs.items():
            found.setdefault(operation["tags"][0], []).append(
                {
                    "id": operation["operationId"],
                    "verb": verb.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "description": operation.get("description", ""),
                    "access": spoken(operation["x-access"]),
                    "parameters": operation["parameters"],
                    "body": example(operation.get("requestBody", {}), description),
                    "answer": example(next(iter(operation["responses"].values())), description),
                }
            )
    return sorted(found.items())


def spoken(access: Mapping[str, Any]) -> str:
    if access.get("public"):
        return "anybody"
    ways = [
        *(["anybody signed in"] if access.get("signedIn") else []),
        *(["the owner"] if access.get("owner") and not access.get("member") else []),
        *([f"a member of the business: {access['member']} or more"] if access.get("member") else []),
        *(f"role {role}" for role in access.get("roles", ())),
        *(f"service {service}" for service in access.get("services", ())),
        *([f"a program with the scope {access['scope']}"] if access.get("programs") else []),
    ]
    narrowed = f", signed in within {access['freshSeconds']} s" if access.get("freshSeconds") else ""
    return " or ".join(ways) + narrowed


def example(content: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return ""
    return orjson.dumps(sample(schema, description, 0), option=orjson.OPT_INDENT_2).decode()


def sample(schema: Mapping[str, Any], description: Mapping[str, Any], depth: int) -> Any:
    """A value of the schema's shape, to look at."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return sample(description["components"]["schemas"][name], description, depth + 1) if depth < 5 else {}
    if schema.get("enum"):
        return schema["enum"][min(1, len(schema["enum"]) - 1)]
    match schema.get("type"):
        case "object":
            return {name: sample(one, description, depth) for name, one in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema["items"], description, depth)]
        case "boolean":
            return True
        case "integer" | "number":
            return 1
    if schema.get("format") == "date-time":
        return "2026-11-23T20:15:00Z"
    return "1" if schema.get("pattern") == "^-?[0-9]+$" else "…"
