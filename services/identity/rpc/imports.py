"""Users who had an account elsewhere, brought in by the thousand."""

from collections.abc import Iterator

from rapport.identity.v1 import imports_pb2 as pb
from rapport.identity.v1.imports_pb2_grpc import ImportsServiceServicer

from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Refusal, Violation
from chassis.rpc import Context
from chassis.time import Clock, moment, timestamp
from chassis.validation import check
from services.identity import addresses, foreign_hashes, imports, users
from services.identity.attempts import Marks
from services.identity.imports import Judged, Refused, Taken
from services.identity.models import Outcome, UserImport, UserImportRow
from services.identity.passwords import Passwords
from services.identity.refusals import EmailMalformed
from services.identity.rpc.identity import profile_of
from services.identity.users import Newcomer

IMPORT = "userImports/{user_import}"
READABLE = check(pb.UserRow.DESCRIPTOR)


class Imports(ImportsServiceServicer):
    """Users who had an account elsewhere, brought in by the thousand."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, passwords: Passwords, marks: Marks) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages
        self.passwords, self.marks = passwords, marks

    async def CreateUserImport(self, request: pb.CreateUserImportRequest, context: Context) -> pb.UserImport:
        said, now = request.user_import, self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                run = await imports.get(call.session, parse(IMPORT, call.name))
            else:
                run = await imports.begin(
                    call.session, validate_only=said.validate_only, source_digest=said.source_digest, now=now
                )
                call.name = run.name
            return import_message(run)

    async def ImportUsers(self, request: pb.ImportUsersRequest, context: Context) -> pb.ImportUsersResponse:
        which, numbers = parse(IMPORT, request.name), numbers_of(request)
        async with self.sessions() as session:
            run, untaken = await imports.untaken(session, which, numbers)
        rows = [row for row in request.rows if row.row_number in untaken]
        # Some hashes are hashed again, between two transactions and not in one: that may wait for its turn.
        judged = {row.row_number: await self.judged(row, dry=run.validate_only) for row in rows}
        emails = {row.row_number: email for row in request.rows if (email := readable(row.user.email))}
        async with self.sessions.begin() as session:
            taken = await imports.take(
                session,
                which,
                numbers,
                judged,
                emails=set(emails.values()),
                marks=self.marks,
                now=self.clock(),
            )
        results = (result_message(taken.rows[number], taken, emails.get(number, "")) for number in numbers)
        return pb.ImportUsersResponse(results=results)

    async def judged(self, row: pb.UserRow, *, dry: bool) -> Judged:
        """Whom a row makes, or why nobody; in a dry run, without the work that tells nothing."""
        try:
            READABLE(row)
            email, known = addresses.exact(row.user.email), None
            if row.password_hash and row.email_verified:
                hashed = foreign_hashes.read(row.password_hash)
                known = "" if dry else await self.passwords.keep(hashed)
            profile = {field: value for field, value in profile_of(row.user, users.FIELDS).items() if value is not None}
            since = moment(row.create_time) if row.HasField("create_time") else None
            if since is not None and since > self.clock():
                raise InvalidField("", violations=[Violation("create_time", "OUT_OF_RANGE", "This is yet to come.")])
            return Newcomer(email, known, profile, since)
        except Refusal as refusal:
            if refusal.retry_after is not None:
                raise
            where = next((one.field for one in refusal.violations), "")
            return Refused(refusal.reason, "user.email" if where == "email" else where)

    async def GetUserImport(self, request: pb.GetUserImportRequest, context: Context) -> pb.UserImport:
        async with self.sessions() as session:
            return import_message(await imports.get(session, parse(IMPORT, request.name)))

    async def ListUserImports(self, request: pb.ListUserImportsRequest, context: Context) -> pb.ListUserImportsResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await imports.newest(session, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda run: (run.create_time, run.id))
        return pb.ListUserImportsResponse(user_imports=map(import_message, shown), next_page_token=token)

    async def ListRefusedRows(self, request: pb.ListRefusedRowsRequest, context: Context) -> pb.ListRefusedRowsResponse:
        page, which = self.pages.of(request), parse(IMPORT, request.parent)
        after = page.cursor[0] if page.cursor else 0
        async with self.sessions() as session:
            rows = await imports.refused_rows(session, which, after=after, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row.number,))
        told = [pb.RefusedRow(row_number=row.number, reason=row.reason, field=row.field) for row in shown]
        return pb.ListRefusedRowsResponse(refused_rows=told, next_page_token=token)

    async def FinishUserImport(self, request: pb.FinishUserImportRequest, context: Context) -> pb.UserImport:
        async with self.sessions.begin() as session:
            return import_message(await imports.finish(session, parse(IMPORT, request.name), now=self.clock()))


# In and out -----------------------------------------------------------------------------------------------------------


def numbers_of(request: pb.ImportUsersRequest) -> list[int]:
    """The numbers of the rows, by which alone their answers are told apart: each once."""
    numbers = [row.row_number for row in request.rows]
    if wrong := list(violations_of(numbers)):
        raise InvalidField("Mend the fields listed.", violations=wrong[:20])
    return numbers


def violations_of(numbers: list[int]) -> Iterator[Violation]:
    seen = set[int]()
    for place, number in enumerate(numbers):
        where = f"rows[{place}].row_number"
        if not 1 <= number <= 1_000_000_000:
            yield Violation(where, "OUT_OF_RANGE", "This lies between 1 and 1000000000.")
        elif number in seen:
            yield Violation(where, "REPEATED", "Another row of this call has that number.")
        seen.add(number)


def readable(email: str) -> str:
    try:
        return addresses.exact(email)
    except EmailMalformed:
        return ""


def import_message(run: UserImport) -> pb.UserImport:
    return pb.UserImport(
        name=run.name,
        validate_only=run.validate_only,
        source_digest=run.source_digest,
        state=pb.UserImport.FINISHED if run.finish_time else pb.UserImport.RUNNING,
        created_count=run.created,
        existing_count=run.existing,
        refused_count=run.refused,
        without_password_count=run.without_password,
        last_row=run.last_row,
        create_time=timestamp(run.create_time),
        update_time=timestamp(run.update_time),
        finish_time=timestamp(run.finish_time) if run.finish_time else None,
    )


def result_message(row: UserImportRow, taken: Taken, email: str) -> pb.ImportUsersResponse.Result:
    owner = taken.owners.get(email) if row.outcome is not Outcome.REFUSED else None
    return pb.ImportUsersResponse.Result(
        row_number=row.number,
        outcome=pb.ImportUsersResponse.Outcome.Value(row.outcome),
        user=f"users/{owner}" if owner else "",
        reason=row.reason,
        field=row.field,
    )
