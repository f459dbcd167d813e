"""Who may call what: read from the contracts, decided before the servicer sees the call.

    caller().user  # in a servicer or in the domain: the UUID of the person who asks, None for a service

A method that does not say who may call it does not start; a method of no listed contract lets in nobody. Whether a
thing is somebody's own is read from its name, before anything is looked up: who may not see it does not learn
whether it exists.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from google.api.annotations_pb2 import http as http_option
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from rapport.annotations.v1.access_pb2 import Access
from rapport.annotations.v1.access_pb2 import access as access_option

from chassis.names import is_name
from chassis.refusal import Forbidden, ScopeMissing, SignInNeeded, SignInTooOld, TokenInvalid
from chassis.settings import SettingsError
from chassis.time import Clock

if TYPE_CHECKING:
    from chassis.tokens import Tokens

ROLES = frozenset({"agent", "privacy_officer", "admin"})
SERVICES = frozenset({"identity", "support", "privacy", "loyalty", "gateway", "shop", "operator"})
MEMBERS = ("viewer", "manager", "owner")  # of a business: each may do what those before may
SHA256 = re.compile("[0-9a-f]{64}")
GATEWAY = "services/gateway"
STORE = "store"  # the client_id of the store's own front end, whose tokens need no scope
# What infrastructure asks of every process.
ALWAYS_OPEN = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)


class Membership(NamedTuple):
    """What somebody may do for a business, as long as they have the role they have."""

    business: str  # businesses/{business}
    name: str  # businesses/{business}/memberships/{membership}
    role: str  # one of MEMBERS


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    kind: Literal["person", "program", "service", "anonymous"]
    name: str = ""  # users/{user}, clients/{client}, services/{service}, or "" for nobody in particular
    roles: frozenset[str] = frozenset()
    # users/{user}/sessions/{session}, users/{user}/authorizations/{authorization} of a client, or
    # users/{user}/impersonations/{impersonation}; of a program, clients/{client}/credentials/{credential}
    session: str = ""
    scopes: frozenset[str] = frozenset()
    auth_time: datetime | None = None
    client: str = ""
    # clients/{client}/tokens/{token} of a program, which may end one by itself; of a program that acts for a person,
    # clients/{client}/credentials/{credential}
    token: str = ""
    is_bound: bool = False  # to a key: it is good only where the gateway saw that its holder has the key (RFC 9449)
    memberships: tuple[Membership, ...] = ()
    actor: str = ""  # who acts for the person: users/{user} of the store's people, or clients/{client}

    @property
    def is_impersonating(self) -> bool:
        """Whether it is one of the store's people who asks, in the place of the person."""
        return self.actor.startswith("users/")

    @property
    def user(self) -> UUID | None:
        return UUID(self.name.removeprefix("users/")) if self.kind == "person" else None


ANYBODY = Caller("anonymous")
present: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)


def caller() -> Caller:
    """Who makes the call at hand: whose token is shown, a person's or a program's; else the service that calls, else
    nobody."""
    return present.get()


class Gate:
    """Lets in whom the contract lets in."""

    def __init__(self, policies: "Mapping[str, Policy]", tokens: "Tokens", peers: "Peers", clock: Clock) -> None:
        self.policies, self.tokens, self.peers, self.clock = policies, tokens, peers, clock

    async def admit(self, method: str, request: Any, metadata: Mapping[str, str | bytes]) -> Caller:
        """Find out who asks, or refuse: for what they show, or for what the method's contract asks of them."""
        holder = peer = None
        shown = metadata.get("authorization")
        if isinstance(shown, str):
            holder = self.tokens.known(shown) or await self.tokens.check(shown)
        proof = metadata.get("x-rapport-service")
        if isinstance(proof, str):
            peer = self.peers.prove(proof)
        if holder is not None and holder.is_bound and (peer is None or peer.name != GATEWAY):
            raise TokenInvalid("That token is bound to a key, which was not shown.")
        who = holder or peer or ANYBODY
        present.set(who)
        policy = self.policies.get(method)
        if policy is not None:
            policy.decide(holder, peer, request, self.clock)
        elif method not in ALWAYS_OPEN:
            raise Forbidden("That is nobody's to call.")
        return who


class Peers:
    """The services that may call this one, each known by the SHA-256 of its token."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.callers = {digest: Caller("service", f"services/{name}") for name, digest in table.items()}

    @classmethod
    def read(cls, path: Path) -> "Peers":
        try:
            table = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            table = {"": ""}
        if not all(name in SERVICES and SHA256.fullmatch(digest) for name, digest in table.items()):
            raise SettingsError("RAPPORT_PEERS must name a file of JSON: each service and its token's SHA-256 in hex.")
        return cls(table)

    def prove(self, token: str) -> Caller:
        # Looking up a digest takes no longer for a token that is nearly right.
        who = self.callers.get(hashlib.sha256(token.encode()).hexdigest())
        if who is None:
            raise TokenInvalid("That service token is not ours.")
        return who


# What the contracts say ----------------------------------------------------------------------------------------------


class NoPolicy(Exception):  # noqa: N818 - names what is missing
    """A method that does not say who may call it, or says it wrongly."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One method's ways in, and what narrows them."""

    public: bool
    signed_in: bool
    roles: frozenset[str]
    owner: Callable[[Any], str] | None
    members: frozenset[str]  # the roles that let a member of the owning business in
    services: frozenset[str]  # services/{service}
    scope: str
    fresh_seconds: int
    programs: bool
    looks: bool  # it changes nothing: HTTP's GET

    def decide(self, holder: Caller | None, peer: Caller | None, request: Any, clock: Clock) -> None:
        """Return when one way in is open to who holds the token, or to the peer that calls; else raise what the caller
        can do about it."""
        if holder is not None and holder.is_impersonating and not self.looks:
            self.decide_on_end(holder, request)
            return
        if self.public or (peer is not None and peer.name in self.services):
            return
        if holder is None:
            if peer is None or self.is_for_people():
                raise SignInNeeded("Sign in first.")
            raise Forbidden("That is not yours to call.")
        if holder.kind == "program":
            self.decide_on_program(holder)
        else:
            self.decide_on_person(holder, request, clock)

    def decide_on_end(self, staff: Caller, request: Any) -> None:
        """Whoever looks at an account in its owner's place may do one thing besides: end just that."""
        if self.owner is None or self.owner(request) != staff.session:
            raise Forbidden("Who looks at an account changes nothing in it.")

    def decide_on_program(self, program: Caller) -> None:
        if not self.programs:
            raise Forbidden("That is for no program's own token.")
        if self.scope not in program.scopes:
            raise ScopeMissing("The token of this program does not reach that far.", scope=self.scope)

    def decide_on_person(self, person: Caller, request: Any, clock: Clock) -> None:
        if not (
            self.signed_in
            or not self.roles.isdisjoint(person.roles)
            or self.is_own(person, request)
            or self.is_shared(person, request)
        ):
            raise Forbidden("That is not yours.")
        if person.client != STORE and self.scope not in person.scopes:
            raise ScopeMissing("The token of this client does not reach that far.", scope=self.scope)
        if self.fresh_seconds:
            signed_in = person.auth_time
            if signed_in is None or (clock() - signed_in).total_seconds() > self.fresh_seconds:
                raise SignInTooOld("Sign in again first.", seconds=str(self.fresh_seconds))

    def is_for_people(self) -> bool:
        return self.signed_in or bool(self.roles) or self.owner is not None

    def is_own(self, person: Caller, request: Any) -> bool:
        # With the slash, because users/1 is no beginning of users/12.
        return self.owner is not None and f"{self.owner(request)}/".startswith(f"{person.name}/")

    def is_shared(self, person: Caller, request: Any) -> bool:
        """Whether it is a business's of which the person is a member, with a role that reaches as far."""
        if self.owner is None or not self.members:
            return False
        owned = f"{self.owner(request)}/"
        return any(one.role in self.members and owned.startswith(f"{one.business}/") for one in person.memberships)


def policies(*contracts: FileDescriptor) -> dict[str, Policy]:
    """Every method's policy by its path, or a refusal that lists every method without one."""
    found: dict[str, Policy] = {}
    problems: list[str] = []
    for path, method in methods(*contracts):
        try:
            found[path] = policy(method)
        except NoPolicy as problem:
            problems.append(f"{method.full_name} {problem}")
    if problems:
        raise NoPolicy("\n".join(problems))
    return found


def methods(*contracts: FileDescriptor) -> Iterator[tuple[str, MethodDescriptor]]:
    """Each method of the contracts with the path it is called by: /rapport.identity.v1.IdentityService/GetUser."""
    for file in contracts:
        for service in file.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


def policy(method: MethodDescriptor) -> Policy:
    said = method.GetOptions().Extensions[access_option]
    for wrong in mistakes(method, said):
        raise NoPolicy(wrong)
    http: HttpRule = method.GetOptions().Extensions[http_option]  # type: ignore[index]  # stubs of another protobuf
    return Policy(
        public=said.public,
        signed_in=said.signed_in,
        roles=frozenset(said.roles),
        owner=attrgetter(said.owner) if said.owner else None,
        members=frozenset(MEMBERS[MEMBERS.index(said.member) :]) if said.member else frozenset(),
        services=frozenset(f"services/{name}" for name in said.services),
        scope=said.scope,
        fresh_seconds=said.fresh.seconds,
        programs=said.programs,
        looks=http.WhichOneof("pattern") == "get",
    )


def mistakes(method: MethodDescriptor, said: Access) -> Iterator[str]:
    people = said.signed_in or said.roles or said.owner
    if not (said.public or people or said.services or said.programs):
        yield "says nobody may call it; give it option (rapport.annotations.v1.access)."
    if said.public and (people or said.services or said.programs):
        yield "is public, so what else it says is idle."
    if (said.HasField("fresh") or (said.scope and not said.programs)) and not people:
        yield "narrows a way in for people, and has none."
    if said.programs and not said.scope:
        yield "lets programs in, and names no scope that they need."
    if said.signed_in and (said.roles or said.owner):
        yield "lets in anyone signed in, so its roles and owner are idle."
    if strange := (set(said.roles) - ROLES) | (set(said.services) - SERVICES):
        yield f"speaks of {', '.join(sorted(strange))}, which is no role and no service here."
    if said.member and said.member not in MEMBERS:
        yield f"speaks of {said.member}, which is no role of a member."
    if said.member and not said.owner:
        yield "lets in members, and does not say whose it is: give it an owner."
    if said.owner and method.client_streaming:
        yield "streams its requests, so no one field is the owner's."
    if said.owner and not leads_to_name(method.input_type, said.owner):
        yield f"takes {said.owner} for the owner, which is no resource name in {method.input_type.name}."


def leads_to_name(message: Descriptor, path: str) -> bool:
    field: FieldDescriptor | None = None
    inner: Descriptor | None = message
    for step in path.split("."):
        field = inner.fields_by_name.get(step) if inner else None
        inner = field.message_type if field else None
    return field is not None and not field.is_repeated and is_name(field)
