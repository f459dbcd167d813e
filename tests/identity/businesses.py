"""What tests of businesses do again and again: begin one, fill it in, hand it in, decide."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1.businesses_pb2_grpc import BusinessServiceStub
from sqlalchemy import select

from chassis.client import Metadata, as_person
from chassis.names import parse
from services.identity.models import BusinessMember
from tests.identity.people import Identity
from tests.tokens import mint

PDF = b"%PDF-1.7\n" + b"what proves that there is a business " * 10
PROOF = pb.BusinessContact(name="Carla Contact", email="carla@bolts.example.org", phone="+49 30 1234")
WHOLE: dict[str, Any] = {
    "kind": people.Business.WHOLESALER,
    "company": "Ada's Bolts GmbH",
    "website": "https://bolts.example.org",
    "region_code": "DE",
    "tax_id": "DE 123 456 789",
    "contacts": [PROOF],
}


@dataclass(frozen=True)
class Trade:
    """Businesses in front of a running identity, with Alma to review them."""

    identity: Identity
    stub: BusinessServiceStub
    alma: people.User

    @property
    def admin(self) -> Metadata:
        return self.identity.as_(self.alma, "admin")

    async def as_(self, user: people.User) -> Metadata:
        """The metadata of a call by a user, with the token that identity would give now."""
        async with self.identity.sessions() as session:
            held = await session.scalars(select(BusinessMember).where(BusinessMember.user_id == id_of(user)))
            said = [[str(one.business_id), str(one.membership_id), one.role.lower()] for one in held]
        return as_person(mint(id_of(user), now=self.identity.clock(), key=self.identity.key, memberships=said))

    async def begin(self, owner: people.User, **said: Any) -> pb.BusinessAccount:
        """A draft."""
        asked = pb.CreateBusinessRequest(business=pb.BusinessAccount(**WHOLE | said), request_id=str(uuid4()))
        return await self.stub.CreateBusiness(asked, metadata=self.identity.as_(owner))

    async def document(
        self, business: pb.BusinessAccount, owner: people.User, content: bytes = PDF
    ) -> pb.BusinessDocument:
        """One that has come whole."""
        told = pb.BusinessDocument(title="Register entry", size_bytes=len(content))
        asked = pb.CreateBusinessDocumentRequest(parent=business.name, document=told)
        made = await self.stub.CreateBusinessDocument(asked, metadata=await self.as_(owner))
        piece = pb.AppendBusinessDocumentRequest(name=made.name, content=content)
        return await self.stub.AppendBusinessDocument(piece, metadata=await self.as_(owner))

    async def submitted(self, owner: people.User, **said: Any) -> pb.BusinessAccount:
        """One that waits for a reviewer."""
        draft = await self.begin(owner, **said)
        await self.document(draft, owner)
        return await self.submit(draft, owner)

    async def submit(self, business: pb.BusinessAccount, owner: people.User) -> pb.BusinessAccount:
        asked = pb.SubmitBusinessRequest(name=business.name)
        return await self.stub.SubmitBusiness(asked, metadata=await self.as_(owner))

    async def approve(self, business: pb.BusinessAccount, etag: str = "") -> pb.BusinessAccount:
        asked = pb.ApproveBusinessRequest(name=business.name, etag=etag)
        return await self.stub.ApproveBusiness(asked, metadata=self.admin)

    async def get(self, business: pb.BusinessAccount) -> pb.BusinessAccount:
        return await self.stub.GetBusiness(pb.GetBusinessRequest(name=business.name), metadata=self.admin)

    async def update(self, business: pb.BusinessAccount, by: people.User, **said: Any) -> pb.BusinessAccount:
        asked = pb.UpdateBusinessRequest(business=pb.BusinessAccount(name=business.name, **said))
        asked.update_mask.paths.extend(name for name in said if name != "etag")
        return await self.stub.UpdateBusiness(asked, metadata=await self.as_(by))

    async def invite(
        self, business: pb.BusinessAccount, by: people.User, email: str, role: "pb.BusinessMember.Role.ValueType"
    ) -> None:
        asked = pb.InviteBusinessMemberRequest(parent=business.name, email=email, role=role)
        await self.stub.InviteBusinessMember(asked, metadata=await self.as_(by))

    async def join(
        self, business: pb.BusinessAccount, owner: people.User, email: str, role: "pb.BusinessMember.Role.ValueType"
    ) -> people.User:
        """Somebody new, who is a member in that role."""
        somebody = await self.identity.create(email)
        await self.invite(business, owner, email, role)
        asked = pb.AcceptBusinessInvitationRequest(token=await self.identity.token(email))
        await self.stub.AcceptBusinessInvitation(asked, metadata=self.identity.as_(somebody))
        return somebody

    async def members(self, business: pb.BusinessAccount) -> dict[str, str]:
        """Each member's address and role."""
        asked = pb.ListBusinessMembersRequest(parent=business.name)
        told = await self.stub.ListBusinessMembers(asked, metadata=self.admin)
        return {one.email: pb.BusinessMember.Role.Name(one.role) for one in told.members}


def id_of(user: people.User) -> Any:
    return parse("users/{user}", user.name)


def member_name(business: pb.BusinessAccount, user: people.User) -> str:
    return f"{business.name}/members/{id_of(user)}"


async def make(identity: Identity) -> Trade:
    alma = await identity.create("alma@example.org", "admin")
    return Trade(identity, BusinessServiceStub(identity.channel), alma)
