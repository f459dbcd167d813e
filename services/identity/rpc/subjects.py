"""People without an account of whom we hold something: the customers of businesses."""

from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1 import subjects_pb2 as pb
from rapport.identity.v1.subjects_pb2_grpc import SubjectServiceServicer
from sqlalchemy.exc import DBAPIError

from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.personal_data.tombstone import refused_person
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import subjects
from services.identity.models import BusinessCustomer

BUSINESS, CUSTOMER = "businesses/{business}", "businesses/{business}/customers/{customer}"


class Subjects(SubjectServiceServicer):
    """People without an account of whom we hold something: the customers of businesses."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, public_url: str) -> None:
        self.sessions, self.clock, self.pages, self.public_url = sessions, clock, pages, public_url

    async def CreateBusinessCustomer(
        self, request: pb.CreateBusinessCustomerRequest, context: Context
    ) -> pb.BusinessCustomer:
        which, now = parse(BUSINESS, request.parent), self.clock()
        told = request.customer.address
        address = {
            "recipient": told.recipient.strip(),
            "lines": list(told.lines),
            "postal_code": told.postal_code,
            "city": told.city,
            "region_code": told.region_code,
        }
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                kept = await subjects.get(call.session, *parse(CUSTOMER, call.name))
            else:
                kept = await subjects.keep(call.session, which, email=request.customer.email, address=address, now=now)
                call.name = kept.name
            return customer_message(kept)

    async def ListBusinessCustomers(
        self, request: pb.ListBusinessCustomersRequest, context: Context
    ) -> pb.ListBusinessCustomersResponse:
        page, which = self.pages.of(request), parse(BUSINESS, request.parent)
        async with self.sessions() as session:
            rows = await subjects.customers(session, which, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListBusinessCustomersResponse(customers=map(customer_message, shown), next_page_token=token)

    async def DeleteBusinessCustomer(self, request: pb.DeleteBusinessCustomerRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await subjects.forget(session, *parse(CUSTOMER, request.name))
        return Empty()

    async def BeginSubjectAccess(self, request: pb.BeginSubjectAccessRequest, context: Context) -> Empty:
        try:
            await self.begin(request)
        except DBAPIError as error:
            if refused_person(error) is None:
                raise
            # They were erased while we looked: now the address is like any other, and that is the answer.
            await self.begin(request)
        return Empty()

    async def begin(self, request: pb.BeginSubjectAccessRequest) -> None:
        now = self.clock()
        async with once(self.sessions, request, now=now) as call:
            if not call.is_repeat:
                await subjects.begin(call.session, email=request.email, public_url=self.public_url, now=now)

    async def ReadSubject(self, request: pb.ReadSubjectRequest, context: Context) -> pb.SubjectData:
        async with self.sessions() as session:
            who, held = await subjects.read(session, request.token, now=self.clock())
        return pb.SubjectData(
            subject=f"subjects/{who}",
            records=[pb.SubjectData.Record(company=company, customer=customer_message(one)) for company, one in held],
        )

    async def EraseSubject(self, request: pb.EraseSubjectRequest, context: Context) -> pb.EraseSubjectResponse:
        async with self.sessions.begin() as session:
            count = await subjects.erase_all(session, request.token, now=self.clock())
        return pb.EraseSubjectResponse(businesses=count)


def customer_message(one: BusinessCustomer) -> pb.BusinessCustomer:
    return pb.BusinessCustomer(
        name=one.name,
        subject=f"subjects/{one.subject_id}",
        email=one.email,
        address=people.Address(
            recipient=one.recipient,
            lines=one.lines,
            postal_code=one.postal_code,
            city=one.city,
            region_code=one.region_code,
        ),
        create_time=timestamp(one.create_time),
    )
