"""What happened to accounts, and by whom."""

import orjson
from rapport.identity.v1 import audit_pb2 as pb
from rapport.identity.v1.audit_pb2_grpc import AuditServiceServicer

from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import timestamp
from services.identity import audit
from services.identity.models import AuditEntry


class Audit(AuditServiceServicer):
    """The audit log, as its owner and the store's administrators read it."""

    def __init__(self, sessions: Sessions, pages: Pages) -> None:
        self.sessions, self.pages = sessions, pages

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        after = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            rows = await audit.of(session, user, after=after, limit=page.reach)
        shown, token = page.cut(rows, lambda entry: (entry.id,))
        told = [entry_message(one, request.parent) for one in shown]
        return pb.ListAuditEntriesResponse(audit_entries=told, next_page_token=token)

    async def VerifyAuditLog(self, request: pb.VerifyAuditLogRequest, context: Context) -> pb.VerifyAuditLogResponse:
        async with self.sessions() as session:
            found = await audit.verify(session)
        return pb.VerifyAuditLogResponse(
            whole=not found.first_broken,
            entries=found.entries,
            waiting=found.waiting,
            first_broken=found.first_broken,
            root=found.root.hex(),
            last=found.last,
        )


def entry_message(entry: AuditEntry, user: str) -> pb.AuditEntry:
    return pb.AuditEntry(
        name=f"{user}/auditEntries/{entry.id}",
        fact=entry.fact,
        details=orjson.loads(entry.details),
        actor=pb.AuditEntry.Actor.Value(entry.actor),
        program=entry.program,
        create_time=timestamp(entry.create_time),
        number=entry.number or 0,
    )
