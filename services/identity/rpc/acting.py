"""Who acts for somebody else."""

from rapport.identity.v1 import acting_pb2 as pb
from rapport.identity.v1.acting_pb2_grpc import ActingServiceServicer

from chassis.access import caller
from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import impersonations, users
from services.identity.models import Impersonation, ImpersonationReason
from services.identity.tokens import Signer

USER, SESSION = "users/{user}", "users/{user}/sessions/{session}"
IMPERSONATION = "users/{user}/impersonations/{impersonation}"


class Acting(ActingServiceServicer):
    """The store's people, who look at customers' accounts."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, signer: Signer, public_url: str) -> None:
        self.sessions, self.clock, self.pages, self.signer, self.public_url = sessions, clock, pages, signer, public_url

    async def ImpersonateUser(self, request: pb.ImpersonateUserRequest, context: Context) -> pb.ImpersonateUserResponse:
        who, now, (staff, session_id) = parse(USER, request.name), self.clock(), parse(SESSION, caller().session)
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                begun = await impersonations.live(call.session, *parse(IMPERSONATION, call.name), now=now)
            else:
                begun = await impersonations.begin(
                    call.session,
                    await users.hold_active(call.session, who),
                    staff=staff,
                    session_id=session_id,
                    reason=ImpersonationReason(pb.Impersonation.Reason.Name(request.reason)),
                    note=request.note.strip(),
                    public_url=self.public_url,
                    now=now,
                )
                call.name = begun.name
            told = self.message(begun)
        token = self.signer.issue_to_staff(begun, now=now)
        return pb.ImpersonateUserResponse(access_token=token, expire_time=told.expire_time, impersonation=told)

    async def ListImpersonations(
        self, request: pb.ListImpersonationsRequest, context: Context
    ) -> pb.ListImpersonationsResponse:
        page, user = self.pages.of(request), parse(USER, request.parent)
        async with self.sessions() as session:
            rows = await impersonations.of(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListImpersonationsResponse(impersonations=map(self.message, shown), next_page_token=token)

    async def EndImpersonation(self, request: pb.EndImpersonationRequest, context: Context) -> pb.Impersonation:
        user, one = parse(IMPERSONATION, request.name)
        async with self.sessions.begin() as session:
            return self.message(await impersonations.end(session, user, one, now=self.clock()))

    def message(self, one: Impersonation) -> pb.Impersonation:
        """As whoever asks may read it: who it was is for the store's own people."""
        is_own = caller().user == one.user_id
        is_live = one.is_live(self.clock())
        return pb.Impersonation(
            name=one.name,
            reason=pb.Impersonation.Reason.Value(one.reason),
            note=one.note,
            staff="" if is_own else one.staff,
            staff_role="admin",
            state=pb.Impersonation.ACTIVE if is_live else pb.Impersonation.ENDED,
            create_time=timestamp(one.create_time),
            expire_time=timestamp(one.expire_time),
            end_time=timestamp(one.end_time) if one.end_time else None,
        )
