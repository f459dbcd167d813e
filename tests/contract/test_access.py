"""Every method as every kind of caller, held against what its contract says: read naively here, and on purpose not by
the code that enforces it."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import grpc
import pytest
from google.api.annotations_pb2 import http as http_option
from google.protobuf.message_factory import GetMessageClass
from rapport.annotations.v1.access_pb2 import Access
from rapport.annotations.v1.access_pb2 import access as access_option

from chassis.access import MEMBERS, ROLES, SERVICES
from chassis.client import Metadata, as_person
from chassis.refusal import refused
from tests import tokens
from tests.contract.conftest import METHODS, Method
from tests.world import Hands, as_service

OWNER, OTHER = UUID(int=0xADA, version=4), UUID(int=0xE0E, version=4)
BUSINESS = UUID(int=0xB0B, version=4)
REFUSALS = {"SIGN_IN_NEEDED", "TOKEN_INVALID", "FORBIDDEN", "SCOPE_MISSING", "SIGN_IN_TOO_OLD"}


class Kind(NamedTuple):
    """One kind of caller, and what it is refused for by a method with this policy: "" for nothing."""

    name: str
    metadata: Metadata
    expected: str


def kinds(method: Method, said: Access, now: Any) -> Iterator[Kind]:
    is_own = bool(said.owner)
    people = bool(said.signed_in or said.roles or said.owner)
    unknown = "" if said.public else "SIGN_IN_NEEDED"
    yield Kind("nobody", (), unknown)

    def person(roles: tuple[str, ...], owns: bool) -> str:
        admitted = said.public or said.signed_in or bool(set(roles) & set(said.roles)) or (owns and is_own)
        return "" if admitted else "FORBIDDEN"

    def user(id: UUID, *roles: str, **how: Any) -> Metadata:
        owns = {"memberships": [[str(BUSINESS), str(uuid4()), "owner"]]} if said.member and id == OWNER else {}
        return tokens.as_user(id, *roles, now=now, **owns | how)

    yield Kind("owner", user(OWNER), person((), True))
    yield Kind("other owner", user(OTHER), person((), False))
    for place, role in enumerate(MEMBERS):
        reaches = bool(said.member) and place >= MEMBERS.index(said.member)
        yield Kind(
            f"{role} of a business", user(OTHER, memberships=[[str(BUSINESS), str(uuid4()), role]]), person((), reaches)
        )
        elsewhere = user(OTHER, memberships=[[str(uuid4()), str(uuid4()), role]])
        yield Kind(f"{role} of another business", elsewhere, person((), False))
    for role in sorted(ROLES):
        yield Kind(role, user(OTHER, role), person((role,), False))
    # A method that names no scope is for the store's own front end alone.
    scoped = "" if said.public else person(tuple(said.roles), True) or "SCOPE_MISSING"
    yield Kind("another client, no scope", user(OWNER, *said.roles, client="app"), scoped)
    full = user(OWNER, *said.roles, client="app", scope=said.scope)
    yield Kind("another client, with the scope", full, person(tuple(said.roles), True) if said.scope else scoped)
    old = user(OWNER, *said.roles, signed_in=now - timedelta(seconds=301))
    fresh = "SIGN_IN_TOO_OLD" if said.fresh.seconds and person(tuple(said.roles), True) == "" else ""
    closed = "FORBIDDEN" if not said.programs else ""
    yield Kind("program", tokens.as_program("robot", now=now), "" if said.public else closed or "SCOPE_MISSING")
    able = tokens.as_program("robot", now=now, scope=f"{said.scope} profile points")
    yield Kind("program, with the scope", able, "" if said.public else closed)
    # What a token says of roles and people, where a program has it.
    odd = tokens.as_program(
        "robot", now=now, scope=said.scope, roles=[*said.roles], sid=str(uuid4()), auth_time=int(now.timestamp())
    )
    yield Kind("program that says it has roles", odd, "" if said.public else closed)
    lying = tokens.as_program("robot", now=now, scope=said.scope, sub=str(OWNER))
    yield Kind("program that says it is the owner", lying, "TOKEN_INVALID")
    yield Kind("stale sign-in", old, person(tuple(said.roles), True) or fresh)
    # One of the store's people in the owner's place: reads what the scope lets a client read, and does nothing.
    reads: str = method.descriptor.GetOptions().Extensions[http_option].get  # type: ignore[index]
    reach = person((), not said.member) or ("" if said.scope else "SCOPE_MISSING")
    seen = "" if said.public else reach or ("SIGN_IN_TOO_OLD" if said.fresh.seconds else "")
    yield Kind("who looks in the owner's place", looking(said.scope, now), seen if reads else "FORBIDDEN")
    yield Kind("ended token", tokens.as_user(OWNER, *said.roles, now=now - timedelta(minutes=6)), "TOKEN_INVALID")
    yield Kind("forged token", (("authorization", "Bearer e30.e30.AAAA"),), "TOKEN_INVALID")
    for service in sorted(SERVICES):
        admitted = said.public or service in said.services
        yield Kind(f"service {service}", as_service(service), "" if admitted else refusal_of_peer(people))
    yield Kind("unknown service", (("x-rapport-service", "made up"),), "TOKEN_INVALID")


def looking(scope: str, now: Any) -> Metadata:
    said = {"sub": str(OWNER), "client_id": "impersonation", "impersonation": str(uuid4()), "roles": [], "scope": scope}
    return as_person(tokens.signed({**said, "act": {"sub": f"users/{OTHER}"}}, now))


def refusal_of_peer(people: bool) -> str:
    return "SIGN_IN_NEEDED" if people else "FORBIDDEN"


def request_of(method: Method, said: Access) -> Any:
    """A request that names the owner where the contract looks for it, and nothing else: what is let in is then refused
    for its fields, or finds nothing."""
    request = GetMessageClass(method.descriptor.input_type)()
    if said.owner:
        *way, last = said.owner.split(".")
        holder: Any = request
        for one in way:
            holder = getattr(holder, one)
        owner = f"businesses/{BUSINESS}" if said.member else f"users/{OWNER}"
        setattr(holder, last, f"{owner}/x/{uuid4()}" if way or last == "name" else owner)
    return request


async def outcome(channel: grpc.aio.Channel, method: Method, request: Any, metadata: Metadata) -> str:
    """What the call was refused for, where it was for who asked."""
    said: dict[str, Any] = {"metadata": metadata, "timeout": 10}
    try:
        if method.descriptor.server_streaming:
            stream: Any = channel.unary_stream(method.path, request_serializer=type(request).SerializeToString)
            async for _ in stream(request, **said):
                break
        else:
            unary: Any = channel.unary_unary(method.path, request_serializer=type(request).SerializeToString)
            await unary(request, **said)
    except grpc.aio.AioRpcError as error:
        reason = refused(error).reason
        return "INTERNAL" if error.code() is grpc.StatusCode.INTERNAL else reason if reason in REFUSALS else ""
    return ""


async def test_every_method_admits_whom_its_contract_admits_and_nobody_else(
    channels: dict[str, grpc.aio.Channel], clock: Hands, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: Counter[str] = Counter()
    wrong = []
    for method in METHODS:
        said: Access = method.descriptor.GetOptions().Extensions[access_option]
        for kind in kinds(method, said, clock()):
            found = await outcome(channels[method.service], method, request_of(method, said), kind.metadata)
            tried[found or "let in"] += 1
            if found != kind.expected:
                wrong.append(f"{method} as {kind.name}: {found or 'let in'}, not {kind.expected or 'let in'}")
    with capsys.disabled():
        print(f"\n  access: {len(METHODS)} methods, {sum(tried.values())} calls: {dict(tried.most_common())}")
    assert not wrong, "\n".join(wrong)
    assert set(tried) == {*REFUSALS, "let in"}
