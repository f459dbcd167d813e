"""The route table, read from the `google.api.http` options of the contracts. No route is written twice.

routes = Routes(read(identity_pb2.DESCRIPTOR, support_pb2.DESCRIPTOR))
match routes.find("GET", "/v1/users/7.../tickets/3..."):
    case Found(route, captured): ...
    case Wrong(allowed): ...   # the path is ours, the method is not
    case None: ...
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from google.api.annotations_pb2 import http as http_option
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

VERBS = ("get", "post", "patch", "delete", "put")
VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]+))?\}")


@dataclass(frozen=True)
class Route:
    """One way to call one method over HTTP."""

    verb: str  # GET
    template: str  # /v1/{name=users/*/tickets/*}:solve
    method: MethodDescriptor
    body: str  # "*", a field of the request, or "" for none
    parts: tuple[str, ...] = field(repr=False)  # literals, and "*" for one segment of any text
    variables: tuple["Variable", ...] = field(repr=False)
    custom: str  # "solve"

    @property
    def path(self) -> str:
        """/rapport.support.v1.SupportService/SolveTicket"""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


class Variable(NamedTuple):
    """The field that the segments from `start` to `end` are the value of."""

    field: str
    start: int
    end: int


class Found(NamedTuple):
    route: Route
    captured: dict[str, str]


class Wrong(NamedTuple):
    allowed: list[str]


@dataclass
class Node:
    """A place in the tree of segments."""

    literal: dict[str, "Node"] = field(default_factory=dict)
    any: "Node | None" = None
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)  # by (verb, custom verb)


class Routes:
    """Finds the route of a request: a literal segment before a variable one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all: Sequence[Route] = list(routes)
        self.root = Node()
        for route in self.all:
            node = self.root
            for part in route.parts:
                if part == "*":
                    node.any = node.any or Node()
                    node = node.any
                else:
                    node = node.literal.setdefault(part, Node())
            if (taken := node.routes.setdefault((route.verb, route.custom), route)) is not route:
                raise ValueError(f"{route.method.full_name} and {taken.method.full_name} have one route.")

    def find(self, verb: str, path: str) -> Found | Wrong | None:
        """The route of `path` (still percent-encoded), or what else the path takes, or nothing."""
        segments = path.split("/")[1:]
        allowed: set[str] = set()
        for node, custom, parts in candidates(self.root, segments):
            if (route := node.routes.get((verb, custom))) is not None:
                return Found(route, {one.field: "/".join(parts[one.start : one.end]) for one in route.variables})
            allowed.update(known for known, its_custom in node.routes if its_custom == custom)
        return Wrong(sorted(allowed)) if allowed else None


def candidates(root: Node, segments: list[str]) -> Iterator[tuple[Node, str, list[str]]]:
    last, colon, custom = segments[-1].rpartition(":")
    if colon:
        yield from (
            (node, custom, [*map(unquote, segments[:-1]), unquote(last)]) for node in walk(root, [*segments[:-1], last])
        )
    yield from ((node, "", [unquote(segment) for segment in segments]) for node in walk(root, segments))


def walk(node: Node, segments: list[str], depth: int = 0) -> Iterator[Node]:
    if depth == len(segments):
        yield node
        return
    if (literal := node.literal.get(segments[depth])) is not None:
        yield from walk(literal, segments, depth + 1)
    # A slash inside a segment would let one name pass for another.
    if node.any is not None and segments[depth] and "%2f" not in segments[depth].lower():
        yield from walk(node.any, segments, depth + 1)


def read(*contracts: FileDescriptor) -> Iterator[Route]:
    """Every route that the contracts state."""
    for contract in contracts:
        for service in contract.services_by_name.values():
            for method in service.methods:
                rule: HttpRule = method.GetOptions().Extensions[http_option]  # type: ignore[index]
                if rule.WhichOneof("pattern"):
                    yield route_of(method, rule)


def route_of(method: MethodDescriptor, rule: HttpRule) -> Route:
    verb = rule.WhichOneof("pattern")
    if verb not in VERBS or rule.additional_bindings:
        raise ValueError(f"{method.full_name}: one get, post, patch, delete or put, and no more, is understood here.")
    template = getattr(rule, verb)
    pattern, _, custom = template.rpartition(":") if re.search(r":\w+$", template) else (template, "", "")
    parts, variables = parse(pattern)
    return Route(verb.upper(), template, method, rule.body, parts, variables, custom)


def parse(pattern: str) -> tuple[tuple[str, ...], tuple[Variable, ...]]:
    parts: list[str] = []
    variables: list[Variable] = []
    position = 0
    for match in VARIABLE.finditer(pattern):
        parts += [part for part in pattern[position : match.start()].split("/") if part]
        inner = (match[2] or "*").split("/")
        variables.append(Variable(match[1], len(parts), len(parts) + len(inner)))
        parts += inner
        position = match.end()
    parts += [part for part in pattern[position:].split("/") if part]
    return tuple(parts), tuple(variables)
