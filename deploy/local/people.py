"""The people to try the store with, made over identity's public interface."""

from dataclasses import dataclass
from typing import Any

import grpc
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub

from chassis.client import channel
from deploy.local.credentials import target
from deploy.local.plan import Plan
from deploy.local.state import readable_password

DEADLINE = 20.0


@dataclass(frozen=True)
class Person:
    name: str
    role: str
    holds: tuple[str, ...] = ()
    business: pb.Business | None = None

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"


PEOPLE = (
    Person("ada", "customer"),
    Person(
        "bo",
        "business",
        business=pb.Business(kind=pb.Business.WHOLESALER, company="Bo's Bolts", website="https://bolts.example.org"),
    ),
    Person("ravi", "agent", ("agent",)),
    Person("pia", "privacy officer", ("privacy_officer",)),
    Person("alma", "admin", ("admin",)),
)


def password(plan: Plan) -> str:
    return plan.state.secret("sample-password", readable_password).read_text()


async def make(plan: Plan) -> list[dict[str, Any]]:
    """Make those who are not there yet. Everyone; they share a password."""
    token = plan.state.secret("token-operator").read_text()
    async with channel(target(plan, "identity"), service_token=token, name="operator") as to_identity:
        identity = IdentityServiceStub(to_identity)
        for person in PEOPLE:
            user = pb.User(email=person.email, display_name=person.name.capitalize(), business=person.business)
            asked = pb.CreateUserRequest(user=user, password=password(plan))
            try:
                made = await identity.CreateUser(asked, timeout=DEADLINE)
            except grpc.aio.AioRpcError as refused:
                if refused.code() == grpc.StatusCode.ALREADY_EXISTS:
                    continue
                raise
            await identity.SetUserRoles(pb.SetUserRolesRequest(name=made.name, roles=person.holds), timeout=DEADLINE)
    return [{"name": one.name, "role": one.role, "email": one.email} for one in PEOPLE]
