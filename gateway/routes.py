"""Which way a request goes: by the path templates of google.api.http, those of the contracts and a few of our own.

routes = Routes()
routes.add("POST", "/v1/{name=users/*/tickets/*}:solve", handler)
match routes.find("POST", "/v1/users/7/tickets/3:solve"):
    case Found(handler, captured): ...  # captured["name"] == "users/7/tickets/3"
    case Wrong(allowed): ...  # the path is ours, the method is not
    case None: ...
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from google.api.annotations_pb2 import http as http_option
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

VERBS = ("get", "post", "patch", "delete")
VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]+))?\}")
CUSTOM = re.compile(r":(\w+)$")
ANY = "*"
T = TypeVar("T")


class Variable(NamedTuple):
    """The field that the segments from `start` to `end` are the value of."""

    field: str
    start: int
    end: int


@dataclass(frozen=True)
class Template:
    """A path, parted: "/v1/{name=users/*}:solve"."""

    text: str
    parts: tuple[str, ...]  # literals, and ANY for one segment of any text
    variables: tuple[Variable, ...]
    custom: str  # "solve"

    @classmethod
    def read(cls, text: str) -> "Template":
        custom = CUSTOM.search(text)
        rest = text[: custom.start()] if custom else text
        parts: list[str] = []
        variables: list[Variable] = []
        position = 0
        for match in VARIABLE.finditer(rest):
            parts += [part for part in rest[position : match.start()].split("/") if part]
            inner = (match[2] or ANY).split("/")
            variables.append(Variable(match[1], len(parts), len(parts) + len(inner)))
            parts += inner
            position = match.end()
        parts += [part for part in rest[position:].split("/") if part]
        return cls(text, tuple(parts), tuple(variables), custom[1] if custom else "")

    @cached_property
    def literals(self) -> tuple[tuple[int, str], ...]:
        return tuple((place, part) for place, part in enumerate(self.parts) if part != ANY)

    def fits(self, segments: Sequence[str]) -> bool:
        """Whether these segments, as many as there are parts, are of this template."""
        for place, part in self.literals:  # noqa: SIM110 - at half the cost of all(), on every request
            if segments[place] != part:
                return False
        return True

    def captured(self, segments: Sequence[str]) -> dict[str, str]:
        return {one.field: "/".join(segments[one.start : one.end]) for one in self.variables}


class Found(NamedTuple, Generic[T]):
    target: T
    captured: dict[str, str]


class Wrong(NamedTuple):
    allowed: list[str]


@dataclass
class Place(Generic[T]):
    """Where paths of one form lead, by verb; each verb's template may call the segments differently."""

    form: Template
    verbs: dict[str, tuple[Template, T]] = field(default_factory=dict)


class Routes(Generic[T]):
    """Templates and what they lead to. A literal segment goes before a variable one."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, str], list[Place[T]]] = {}  # by how many parts, and custom verb

    def add(self, verb: str, text: str, target: T) -> None:
        template = Template.read(text)
        alike = self.places.setdefault((len(template.parts), template.custom), [])
        place = next((one for one in alike if one.form.parts == template.parts), None)
        if place is None:
            place = Place(template)
            alike.append(place)
            alike.sort(key=lambda one: [part == ANY for part in one.form.parts])
        if verb in place.verbs:
            raise ValueError(f"{verb} {text} is taken by {place.verbs[verb][0].text}.")
        place.verbs[verb] = template, target

    def find(self, verb: str, path: str) -> Found[T] | Wrong | None:
        """What `path` (still percent-encoded) leads to, or which verbs it takes, or nothing."""
        allowed: set[str] = set()
        segments, custom = parted(path)
        if "" in segments:
            return None
        for place in self.places.get((len(segments), custom), ()):
            if place.form.fits(segments):
                if verb in place.verbs:
                    template, target = place.verbs[verb]
                    return Found(target, template.captured(segments))
                allowed.update(place.verbs)
        return Wrong(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))) if allowed else None


def parted(path: str) -> tuple[list[str], str]:
    """The segments of a path and its custom verb: no id of ours has a colon."""
    rest, _, custom = path.rpartition(":") if ":" in path[path.rfind("/") :] else (path, "", "")
    segments = rest[1:].split("/") if rest != "/" else []
    if "%" in path:
        # A slash inside a segment would let one name pass for another.
        segments = ["" if "%2f" in one.lower() else unquote(one) for one in segments]
    return segments, custom


# What the contracts say ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """How one method is called over HTTP."""

    verb: str  # GET
    template: Template
    method: MethodDescriptor
    body: str  # "*", a field of the request, or "" for none

    @property
    def path(self) -> str:
        """/rapport.support.v1.SupportService/SolveTicket"""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def rules(contracts: Iterable[FileDescriptor]) -> Iterator[Rule]:
    """Every method of the contracts that may be called over HTTP."""
    for contract in contracts:
        for service in contract.services_by_name.values():
            for method in service.methods:
                said: HttpRule = method.GetOptions().Extensions[http_option]  # type: ignore[index]
                if said.WhichOneof("pattern"):
                    yield rule_of(method, said)


def rule_of(method: MethodDescriptor, said: HttpRule) -> Rule:
    verb = said.WhichOneof("pattern")
    if verb not in VERBS or said.additional_bindings:
        raise ValueError(f"{method.full_name}: one get, post, patch or delete, and no more, is understood here.")
    return Rule(verb.upper(), Template.read(getattr(said, verb)), method, said.body)
