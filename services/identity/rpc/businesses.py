"""Businesses that trade with the store: their applications, documents, reviews and members."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import businesses_pb2 as pb
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1.businesses_pb2_grpc import BusinessServiceServicer
from sqlalchemy.exc import DBAPIError

from chassis.access import caller
from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.personal_data.tombstone import refused_person
from chassis.refusal import InvalidField, SignInNeeded, Violation
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity.businesses import accounts, applications, documents, endings, invitations, members, reviews
from services.identity.businesses.accounts import Said
from services.identity.businesses.states import BusinessState, Step
from services.identity.models import (
    BusinessAccount,
    BusinessDocument,
    BusinessInvitation,
    BusinessKind,
    BusinessMember,
    BusinessStep,
    MemberRole,
    User,
)

BUSINESS, DOCUMENT = "businesses/{business}", "businesses/{business}/documents/{document}"
MEMBER, INVITATION = "businesses/{business}/members/{member}", "businesses/{business}/invitations/{invitation}"


class Businesses(BusinessServiceServicer):
    """Businesses that trade with the store: their applications, documents, reviews and members."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, public_url: str) -> None:
        self.sessions, self.clock, self.pages, self.public_url = sessions, clock, pages, public_url

    # Applications

    async def CreateBusiness(self, request: pb.CreateBusinessRequest, context: Context) -> pb.BusinessAccount:
        said, now = said_of(request.business, accounts.FIELDS), self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                business = await accounts.get(call.session, parse(BUSINESS, call.name))
            else:
                business = await accounts.create(call.session, asking(), said=said, now=now)
                call.name = business.name
            return business_message(business, MemberRole.OWNER)

    async def GetBusiness(self, request: pb.GetBusinessRequest, context: Context) -> pb.BusinessAccount:
        async with self.sessions() as session:
            business = await accounts.get(session, parse(BUSINESS, request.name))
        return business_message(business) if caller().user else short_message(business)

    async def ListUserBusinesses(
        self, request: pb.ListUserBusinessesRequest, context: Context
    ) -> pb.ListBusinessesResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await accounts.of_user(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[0].create_time, row[0].id))
        return pb.ListBusinessesResponse(businesses=[business_message(*row) for row in shown], next_page_token=token)

    async def ListBusinesses(self, request: pb.ListBusinessesRequest, context: Context) -> pb.ListBusinessesResponse:
        page = self.pages.of(request)
        state = BusinessState(pb.BusinessAccount.State.Name(request.state or pb.BusinessAccount.SUBMITTED))
        async with self.sessions() as session:
            rows = await accounts.in_state(session, state, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (accounts.waits_since(one), one.id))
        return pb.ListBusinessesResponse(businesses=map(business_message, shown), next_page_token=token)

    async def UpdateBusiness(self, request: pb.UpdateBusinessRequest, context: Context) -> pb.BusinessAccount:
        which, said = parse(BUSINESS, request.business.name), said_of(request.business, fields_of(request))
        async with self.sessions.begin() as session:
            business = await applications.correct(
                session, which, said=said, etag=request.business.etag, actor=asking(), now=self.clock()
            )
            return business_message(business)

    async def DeleteBusiness(self, request: pb.DeleteBusinessRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await endings.close(session, parse(BUSINESS, request.name), etag=request.etag, now=self.clock())
        return Empty()

    async def SubmitBusiness(self, request: pb.SubmitBusinessRequest, context: Context) -> pb.BusinessAccount:
        async with self.sessions.begin() as session:
            which = parse(BUSINESS, request.name)
            return business_message(await applications.submit(session, which, actor=asking(), now=self.clock()))

    async def WithdrawBusiness(self, request: pb.WithdrawBusinessRequest, context: Context) -> pb.BusinessAccount:
        async with self.sessions.begin() as session:
            which = parse(BUSINESS, request.name)
            return business_message(await applications.withdraw(session, which, actor=asking(), now=self.clock()))

    # Documents

    async def CreateBusinessDocument(
        self, request: pb.CreateBusinessDocumentRequest, context: Context
    ) -> pb.BusinessDocument:
        which, now = parse(BUSINESS, request.parent), self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                document = await documents.get(call.session, *parse(DOCUMENT, call.name))
            else:
                told = request.document
                document = await documents.announce(
                    call.session, which, title=told.title, size_bytes=told.size_bytes, now=now
                )
                call.name = document.name
            return document_message(document)

    async def AppendBusinessDocument(
        self, request: pb.AppendBusinessDocumentRequest, context: Context
    ) -> pb.BusinessDocument:
        which, one = parse(DOCUMENT, request.name)
        async with self.sessions.begin() as session:
            document = await documents.append(
                session, which, one, offset_bytes=request.offset_bytes, content=request.content
            )
            return document_message(document)

    async def ListBusinessDocuments(
        self, request: pb.ListBusinessDocumentsRequest, context: Context
    ) -> pb.ListBusinessDocumentsResponse:
        page, which = self.pages.of(request), parse(BUSINESS, request.parent)
        async with self.sessions() as session:
            rows = await documents.of(session, which, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListBusinessDocumentsResponse(documents=map(document_message, shown), next_page_token=token)

    async def DownloadBusinessDocument(
        self, request: pb.DownloadBusinessDocumentRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        which, one = parse(DOCUMENT, request.name)
        async with self.sessions() as session:
            document = await documents.whole(session, which, one)
        sent = 0
        while sent < document.size_bytes:  # each read by itself: who is slow to take it holds no connection
            async with self.sessions() as session:
                content = await documents.piece(session, one, sent)
            yield HttpBody(content_type=document.content_type, data=content)
            sent += len(content)

    async def DeleteBusinessDocument(self, request: pb.DeleteBusinessDocumentRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await documents.remove(session, *parse(DOCUMENT, request.name))
        return Empty()

    # Reviews

    async def ApproveBusiness(self, request: pb.ApproveBusinessRequest, context: Context) -> pb.BusinessAccount:
        return await self.decide(request, Step.APPROVE)

    async def RequestBusinessInfo(self, request: pb.RequestBusinessInfoRequest, context: Context) -> pb.BusinessAccount:
        return await self.decide(request, Step.ASK, text=request.text)

    async def RefuseBusiness(self, request: pb.RefuseBusinessRequest, context: Context) -> pb.BusinessAccount:
        if pb.BusinessAccount.REASON_UNSPECIFIED in request.reasons:
            violation = Violation("reasons", "UNKNOWN_VALUE", "Say which.")
            raise InvalidField("Mend the fields listed.", violations=[violation])
        reasons = [pb.BusinessAccount.Reason.Name(one) for one in request.reasons]
        return await self.decide(request, Step.REFUSE, reasons=reasons, text=request.text)

    async def SuspendBusiness(self, request: pb.SuspendBusinessRequest, context: Context) -> pb.BusinessAccount:
        return await self.decide(request, Step.SUSPEND, text=request.text)

    async def ReinstateBusiness(self, request: pb.ReinstateBusinessRequest, context: Context) -> pb.BusinessAccount:
        return await self.decide(request, Step.REINSTATE)

    async def decide(
        self, request: Any, step: Step, *, reasons: Sequence[str] = (), text: str = ""
    ) -> pb.BusinessAccount:
        async with self.sessions.begin() as session:
            business = await reviews.decide(
                session,
                parse(BUSINESS, request.name),
                step,
                reviewer=asking(),
                etag=request.etag,
                now=self.clock(),
                public_url=self.public_url,
                reasons=reasons,
                text=text.strip(),
            )
            return business_message(business)

    async def ListBusinessSteps(
        self, request: pb.ListBusinessStepsRequest, context: Context
    ) -> pb.ListBusinessStepsResponse:
        page, which = self.pages.of(request), parse(BUSINESS, request.parent)
        async with self.sessions() as session:
            rows = await applications.steps_of(session, which, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListBusinessStepsResponse(steps=map(step_message, shown), next_page_token=token)

    # Members

    async def ListBusinessMembers(
        self, request: pb.ListBusinessMembersRequest, context: Context
    ) -> pb.ListBusinessMembersResponse:
        page, which = self.pages.of(request), parse(BUSINESS, request.parent)
        async with self.sessions() as session:
            rows = await members.shown(session, which, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[0].create_time, row[0].user_id))
        return pb.ListBusinessMembersResponse(members=[member_message(*row) for row in shown], next_page_token=token)

    async def SetBusinessMemberRole(
        self, request: pb.SetBusinessMemberRoleRequest, context: Context
    ) -> pb.BusinessMember:
        which, user = parse(MEMBER, request.name)
        async with self.sessions.begin() as session:
            one = await endings.set_role(session, which, user, role_of(request.role), now=self.clock())
            return member_message(one, await session.get_one(User, user))

    async def DeleteBusinessMember(self, request: pb.DeleteBusinessMemberRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await endings.remove(session, *parse(MEMBER, request.name), now=self.clock())
        return Empty()

    async def LeaveBusiness(self, request: pb.LeaveBusinessRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await endings.remove(session, parse(BUSINESS, request.name), asking(), now=self.clock())
        return Empty()

    async def InviteBusinessMember(self, request: pb.InviteBusinessMemberRequest, context: Context) -> Empty:
        try:
            await self.invite(request)
        except DBAPIError as error:
            if refused_person(error) is None:
                raise
            # Their account went while we looked: now the address is like any other, and that is the answer.
            await self.invite(request)
        return Empty()

    async def invite(self, request: pb.InviteBusinessMemberRequest) -> None:
        now = self.clock()
        async with once(self.sessions, request, now=now) as call:
            if not call.is_repeat:
                await invitations.invite(
                    call.session,
                    parse(BUSINESS, request.parent),
                    email=request.email,
                    role=role_of(request.role),
                    public_url=self.public_url,
                    now=now,
                )

    async def ListBusinessInvitations(
        self, request: pb.ListBusinessInvitationsRequest, context: Context
    ) -> pb.ListBusinessInvitationsResponse:
        page, which = self.pages.of(request), parse(BUSINESS, request.parent)
        async with self.sessions() as session:
            rows = await invitations.of(session, which, after=page.cursor, limit=page.reach, now=self.clock())
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListBusinessInvitationsResponse(invitations=map(invitation_message, shown), next_page_token=token)

    async def DeleteBusinessInvitation(self, request: pb.DeleteBusinessInvitationRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await invitations.take_back(session, *parse(INVITATION, request.name), now=self.clock())
        return Empty()

    async def AcceptBusinessInvitation(
        self, request: pb.AcceptBusinessInvitationRequest, context: Context
    ) -> pb.BusinessAccount:
        async with self.sessions.begin() as session:
            return business_message(*await invitations.accept(session, request.token, asking(), now=self.clock()))


# In ------------------------------------------------------------------------------------------------------------------


def asking() -> UUID:
    """The user who asks; refuses for whoever is none."""
    user = caller().user
    if user is None:
        raise SignInNeeded("Sign in first.")
    return user


def fields_of(request: pb.UpdateBusinessRequest) -> Collection[str]:
    """The fields that an update names; without a mask, those it sets."""
    if not request.update_mask.paths:
        return [field.name for field, _ in request.business.ListFields() if field.name in accounts.FIELDS]
    if set(request.update_mask.paths) - set(accounts.FIELDS):
        can = f"The fields to change are {', '.join(accounts.FIELDS)}."
        raise InvalidField("Mend the fields listed.", violations=[Violation("update_mask", "UNKNOWN_PATH", can)])
    return list(dict.fromkeys(request.update_mask.paths))


def said_of(business: pb.BusinessAccount, fields: Collection[str]) -> Said:
    return {field: value_of(business, field) for field in fields}


def value_of(business: pb.BusinessAccount, field: str) -> Any:
    if field == "kind":
        return BusinessKind(people.Business.Kind.Name(business.kind))
    if field == "contacts":
        return [
            {"name": one.name.strip(), "email": one.email.strip(), "phone": one.phone.strip()}
            for one in business.contacts
        ]
    return str(getattr(business, field)).strip()


def role_of(role: "pb.BusinessMember.Role.ValueType") -> MemberRole:
    return MemberRole(pb.BusinessMember.Role.Name(role))


# Out -----------------------------------------------------------------------------------------------------------------


def business_message(business: BusinessAccount, role: MemberRole | None = None) -> pb.BusinessAccount:
    return pb.BusinessAccount(
        name=business.name,
        kind=people.Business.Kind.Value(business.kind),
        company=business.company,
        website=business.website,
        region_code=business.region_code,
        tax_id=business.tax_id,
        contacts=[pb.BusinessContact(name=one.name, email=one.email, phone=one.phone) for one in business.contacts],
        state=pb.BusinessAccount.State.Value(business.state),
        reasons=map(pb.BusinessAccount.Reason.Value, business.reasons),
        review_text=business.review_text,
        submit_time=timestamp(business.submit_time) if business.submit_time else None,
        create_time=timestamp(business.create_time),
        update_time=timestamp(business.update_time),
        etag=etag_of(business.version, business.id),
        role=pb.BusinessMember.Role.Value(role or role_of_caller(business.name)),
    )


def short_message(business: BusinessAccount) -> pb.BusinessAccount:
    """What our other systems need to know: whether it may trade, and as what."""
    return pb.BusinessAccount(
        name=business.name,
        kind=people.Business.Kind.Value(business.kind),
        company=business.company,
        region_code=business.region_code,
        state=pb.BusinessAccount.State.Value(business.state),
    )


def role_of_caller(business: str) -> str:
    """What the caller's token says they are in a business."""
    held = (one.role.upper() for one in caller().memberships if one.business == business)
    return next(held, "ROLE_UNSPECIFIED")


def document_message(document: BusinessDocument) -> pb.BusinessDocument:
    return pb.BusinessDocument(
        name=document.name,
        title=document.title,
        size_bytes=document.size_bytes,
        received_bytes=document.received_bytes,
        content_type=document.content_type,
        create_time=timestamp(document.create_time),
    )


def step_message(step: BusinessStep) -> pb.BusinessStep:
    return pb.BusinessStep(
        state_before=pb.BusinessAccount.State.Value(step.state_before),
        state=pb.BusinessAccount.State.Value(step.state),
        reasons=map(pb.BusinessAccount.Reason.Value, step.reasons),
        actor=f"users/{step.actor_id}" if step.actor_id else "",
        create_time=timestamp(step.create_time),
    )


def member_message(one: BusinessMember, user: User) -> pb.BusinessMember:
    return pb.BusinessMember(
        name=one.name,
        role=pb.BusinessMember.Role.Value(one.role),
        display_name=user.display_name,
        email=user.email,
        create_time=timestamp(one.create_time),
    )


def invitation_message(one: BusinessInvitation) -> pb.BusinessInvitation:
    return pb.BusinessInvitation(
        name=one.name,
        email=one.email,
        role=pb.BusinessMember.Role.Value(one.role),
        create_time=timestamp(one.create_time),
        expire_time=timestamp(one.expire_time),
    )
