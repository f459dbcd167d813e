"""Requests of every route that are as they should be, but for one thing."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import orjson
from rapport.annotations.v1.access_pb2 import Access
from rapport.annotations.v1.access_pb2 import access as access_option

from gateway.__main__ import CONTRACTS
from gateway.contracts import reasons
from gateway.routes import ANY, Rule, rules
from tests.contract.bodies import bodies
from tests.store import Registered, Store, user

RULES = list(rules([file for files in CONTRACTS.values() for file in files]))
AT_ONCE = 8
LEAK = re.compile(r"Traceback|\w(Error|Exception)\b|\bat 0x|sqlalchemy|asyncpg|grpc\.|site-packages")
SLUGS = (
    "categories",
    "articles",
    "policies",
    "orders",
    "voucherOffers",
    "clients",
)  # whose ids are not ours, and no UUIDs
JSON = {"content-type": "application/json"}
BUSINESS = f"businesses/{uuid4()}"  # of which Ada is an owner, as her token has it
Place = tuple[str, str]  # ("pointer", "/title"), or ("query", "pageSize")


@dataclass(frozen=True)
class Try:
    """One bad request, what it is refused for, and where."""

    verb: str
    path: str
    reason: str
    status: int
    at: Place | None = None
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: bytes | None = None

    def wrong(self, answer: httpx.Response) -> str:
        """What is wrong with the answer; "" for nothing."""
        if answer.headers.get("content-type") != "application/problem+json":
            return f"{answer.status_code} and no problem: {answer.text[:200]}"
        told = answer.json()
        if (answer.status_code, told["reason"]) != (self.status, self.reason):
            return f"{answer.status_code} {told['reason']}: {told['detail']}"
        package = told["domain"].removesuffix("rapport.example").rstrip(".") or "platform"
        if (package, told["reason"]) not in reasons():
            return "the reason is in no contract"
        if not told["requestId"] or told["requestId"] != answer.headers["x-request-id"]:
            return "no request id"
        if LEAK.search(answer.text):
            return f"it says what went wrong inside: {answer.text[:200]}"
        places = {
            ("pointer", one["pointer"]) if "pointer" in one else (one["in"], one["parameter"]) for one in told["errors"]
        }
        return "" if self.at is None or self.at in places else f"not at {self.at}: {told['errors']}"


# Requests that are as they should be, but for one thing --------------------------------------------------------------


def access_of(rule: Rule) -> Access:
    said: Access = rule.method.GetOptions().Extensions[access_option]
    return said


def path_of(rule: Rule, owner: str, *, last: str = "", every: str = "") -> str:
    """A path of that route: under `owner`, with ids that nobody has; `last` for the last id, or `every` one."""
    parts = list(rule.template.parts)
    ids = [place for place, part in enumerate(parts) if part == ANY]
    for place in ids:
        kind = parts[place - 1]
        known = {"users": owner, "businesses": BUSINESS}.get(kind, "").rpartition("/")[2]
        parts[place] = known or ("a" if kind in SLUGS else str(uuid4()))
        if every or (last and place == ids[-1]):
            parts[place] = every or last
    return "/" + "/".join(parts) + (f":{rule.template.custom}" if rule.template.custom else "")


def member_of(business: str, role: str = "owner") -> dict[str, Any]:
    """What a token says of a member."""
    return {"memberships": [[business.removeprefix("businesses/"), str(uuid4()), role]]}


class Callers:
    """Who may call a method, and who may not."""

    def __init__(self, store: Store, ada: Registered) -> None:
        self.store, self.ada = store, ada

    def admitted(self, rule: Rule, *, rather_by_role: bool = False, path: str = f"/v1/{BUSINESS}") -> dict[str, str]:
        """Headers by which the method lets somebody in: an owner of the business in `path`, where that is asked."""
        said = access_of(rule)
        if said.public:
            return {}
        if said.roles and (rather_by_role or not said.owner):
            return self.store.bearer(user(), *said.roles)
        if said.member:
            business = "/".join(path.partition(":")[0].split("/")[2:4])
            return self.store.bearer(self.ada.user, **member_of(business))
        if said.owner or said.signed_in:
            return self.store.bearer(self.ada.user)
        return self.store.peer(said.services[0])


def body_for(rule: Rule) -> bytes | None:
    return b"{}" if rule.body else None


def valid(rule: Rule, owner: str) -> bytes | None:
    """A body with nothing wrong in it by itself."""
    return orjson.dumps(bodies(owner)[rule.method.name]) if rule.body else None


async def outcomes(store: Store, tries: Iterable[Try]) -> tuple[Counter[str], list[str]]:
    """How many were refused for what, and everything that was not as it should be."""
    refused, problems = Counter[str](), list[str]()
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(http: httpx.AsyncClient, bad: Try) -> None:
        url = bad.path + (f"?{bad.query}" if bad.query else "")
        async with turn:
            answer = await http.request(bad.verb, url, headers=bad.headers, content=bad.body)
        refused[bad.reason] += 1
        if problem := bad.wrong(answer):
            problems.append(f"{bad.verb} {url} {(bad.body or b'')[:80]!r}: not {bad.status} {bad.reason} but {problem}")

    async with store.http() as http:
        await asyncio.gather(*(one(http, bad) for bad in tries))
    return refused, problems
