"""What finance asks for and signs."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.finance_pb2_grpc import FinanceServiceServicer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import caller
from chassis.idempotency import once
from chassis.names import parse, parse_parent
from chassis.pages import Pages
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.time import moment, timestamp
from services.loyalty import adjustments, imports, liability, points, programme, statements
from services.loyalty.ledger.decide import Result
from services.loyalty.ledger.post import open_account, rehearse
from services.loyalty.ledger.requests import Request, Whose
from services.loyalty.models import AdjustmentState, Chain, Checkpoint, Statement
from services.loyalty.people import People
from services.loyalty.refusals import AccountClosed
from services.loyalty.rpc import finance_messages as told
from services.loyalty.rpc.counter import ACCOUNT, Counter, not_restricted

ADJUSTMENT = "users/{user}/pointsAccount/adjustments/{adjustment}"
STATEMENT = "users/{user}/pointsAccount/statements/{statement}"
CSV = "text/csv; charset=utf-8"
STATEMENTS = 50  # of a page: each is summed
AT_ONCE = 500  # lines of a piece of a download


class Finance(FinanceServiceServicer):
    """Corrections, statements, reports, imports, the head of the chain."""

    def __init__(self, counter: Counter, pages: Pages, people: People, adjustment_limit: int) -> None:
        self.counter, self.pages, self.people, self.limit = counter, pages, people, adjustment_limit
        self.sessions, self.clock = counter.sessions, counter.clock

    # Corrections ----------------------------------------------------------------------------------------------------

    async def CreateAdjustment(self, request: pb.CreateAdjustmentRequest, context: Context) -> pb.Adjustment:
        user, by = parse(ACCOUNT, request.parent), person()
        async with self.sessions.begin() as session:
            await not_restricted(session, user)
            asked, refusal = await adjustments.ask(
                session, id=UUID(request.request_id), user=user, points=request.points, reason=request.reason, by=by,
                currency=await programme.code_of(session, request.currency), limit=self.limit, now=self.clock(),
            )  # fmt: skip
        if refusal is not None:  # it is written down by now
            raise refusal
        return told.adjustment_message(asked)

    async def ApproveAdjustment(self, request: pb.ApproveAdjustmentRequest, context: Context) -> pb.Adjustment:
        user, which = parse(ADJUSTMENT, request.name)
        async with once(self.sessions, request, now=self.clock()) as call:
            await not_restricted(call.session, user)
            if call.is_repeat:
                asked = await adjustments.get(call.session, which)
            else:
                asked = await adjustments.approve(call.session, user, which, by=person(), now=self.clock())
                call.name = request.name
        return told.adjustment_message(asked)

    async def RefuseAdjustment(self, request: pb.RefuseAdjustmentRequest, context: Context) -> pb.Adjustment:
        user, which = parse(ADJUSTMENT, request.name)
        async with once(self.sessions, request, now=self.clock()) as call:
            await not_restricted(call.session, user)
            if call.is_repeat:
                asked = await adjustments.get(call.session, which)
            else:
                asked = await adjustments.refuse(call.session, user, which, by=person(), now=self.clock())
                call.name = request.name
        return told.adjustment_message(asked)

    async def ListAdjustments(self, request: pb.ListAdjustmentsRequest, context: Context) -> pb.ListAdjustmentsResponse:
        page, user = self.pages.of(request), parse_parent(ACCOUNT, request.parent)
        state = AdjustmentState(pb.Adjustment.State.Name(request.state)) if request.state else None
        async with self.sessions() as session:
            if user is not None:
                await not_restricted(session, user)
            rows = await adjustments.page(session, user, state=state, before=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListAdjustmentsResponse(
            adjustments=[told.adjustment_message(one) for one in shown], next_page_token=token
        )

    # Statements -----------------------------------------------------------------------------------------------------

    async def CreateStatement(self, request: pb.CreateStatementRequest, context: Context) -> pb.Statement:
        user, (start, end) = parse(ACCOUNT, request.parent), period(request)
        async with once(self.sessions, request, now=self.clock()) as call:
            await not_restricted(call.session, user)
            code = await programme.code_of(call.session, request.currency)
            if call.is_repeat:
                _, which = parse(STATEMENT, call.name)
                kept, _ = await statements.get(call.session, user, which)
            else:
                account = await self.account(call.session, user, code)
                kept = await statements.state(call.session, account, start, end, now=self.clock())
                call.name = f"{request.parent}/statements/{kept.id}"
            return await self.statement(call.session, user, kept, code)

    async def PreviewStatement(self, request: pb.PreviewStatementRequest, context: Context) -> pb.Statement:
        user, (start, end), now = parse(ACCOUNT, request.parent), period(request), self.clock()
        async with self.sessions.begin() as session:
            await not_restricted(session, user)
            code = await programme.code_of(session, request.currency)
            account = await points.account_id(session, user, code)
            if account is None:
                return told.nothing_message(start, end, now, await programme.word_of(session, code))
            known = await statements.known_now(session, account, now=now)
            about = statements.Scope(account, start, end, known, known)
            sums, word = await statements.sums(session, about), await programme.word_of(session, code)
        return told.statement_message("", about, sums, now, word)

    async def GetStatement(self, request: pb.GetStatementRequest, context: Context) -> pb.Statement:
        user, which = parse(STATEMENT, request.name)
        async with self.sessions() as session:
            await not_restricted(session, user)
            kept, code = await statements.get(session, user, which)
            return await self.statement(session, user, kept, code)

    async def ListStatements(self, request: pb.ListStatementsRequest, context: Context) -> pb.ListStatementsResponse:
        page, user = self.pages.of(request, default=12, most=STATEMENTS), parse(ACCOUNT, request.parent)
        before = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            await not_restricted(session, user)
            code = await programme.code_of(session, request.currency)
            account = await points.account_id(session, user, code)
            rows = await statements.page(session, account, before=before, limit=page.reach) if account else []
            shown, token = page.cut(rows, lambda one: (one.start_time,))
            found = [await self.statement(session, user, one, code) for one in shown]
        return pb.ListStatementsResponse(statements=found, next_page_token=token)

    async def ListStatementLines(
        self, request: pb.ListStatementLinesRequest, context: Context
    ) -> pb.ListStatementLinesResponse:
        page, (user, which) = self.pages.of(request), parse(STATEMENT, request.parent)
        async with self.sessions() as session:
            await not_restricted(session, user)
            kept, _ = await statements.get(session, user, which)
            about = statements.Scope.of(kept)
            after = (page.cursor[0], page.cursor[1]) if page.cursor else None
            balance = page.cursor[2] if page.cursor else await statements.opening(session, about)
            rows = await statements.lines(session, about, balance=balance, after=after, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.effective_time, one.seq, int(one.balance)))
        return pb.ListStatementLinesResponse(
            lines=[told.line_message(user, one) for one in shown], next_page_token=token
        )

    async def DownloadStatement(
        self, request: pb.DownloadStatementRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        user, which = parse(STATEMENT, request.name)
        async with self.sessions() as session:
            await not_restricted(session, user)
            kept, code = await statements.get(session, user, which)
            about, whole = statements.Scope.of(kept), await self.statement(session, user, kept, code)
            yield piece(told.statement_head(whole))
            after, balance = None, whole.opening.total
            while rows := await statements.lines(session, about, balance=balance, after=after, limit=AT_ONCE):
                yield piece([told.line_row(one) for one in rows])
                after, balance = (rows[-1].effective_time, rows[-1].seq), int(rows[-1].balance)
            yield piece(told.statement_foot(whole))

    async def statement(self, session: AsyncSession, user: UUID, kept: Statement, code: str) -> pb.Statement:
        about = statements.Scope.of(kept)
        name = f"users/{user}/pointsAccount/statements/{kept.id}"
        word = await programme.word_of(session, code)
        return told.statement_message(name, about, await statements.sums(session, about), kept.create_time, word)

    async def account(self, session: AsyncSession, user: UUID, code: str) -> UUID:
        account = await points.account_id(session, user, code)
        if account is None and await open_account(session, Whose(user, code), now=self.clock()):
            account = await points.account_id(session, user, code)
        if account is None:
            raise AccountClosed("The person of this account was erased.")
        return account

    # Reports, imports, the head -------------------------------------------------------------------------------------

    async def GetLiabilityReport(self, request: pb.GetLiabilityReportRequest, context: Context) -> pb.LiabilityReport:
        return await self.liability(request)

    async def DownloadLiabilityReport(
        self, request: pb.DownloadLiabilityReportRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        yield piece(told.liability_rows(await self.liability(request)))

    async def liability(
        self, request: pb.GetLiabilityReportRequest | pb.DownloadLiabilityReportRequest
    ) -> pb.LiabilityReport:
        start, end = period(request)
        async with self.sessions() as session:
            code = await programme.code_of(session, request.currency)
            word = await programme.word_of(session, code)
        async with self.sessions() as session:
            found = await liability.report(session, code, start, end)
        return told.report_message(found, start, end, word)

    async def ImportBalances(self, request: pb.ImportBalancesRequest, context: Context) -> pb.ImportBalancesResponse:
        outcome = await imports.bring_in(
            request.file_hash, request.first_line, request.lines,
            known=self.is_known, post=self.rehearse if request.validate_only else self.counter.writer.post_all,
            now=self.clock(),
        )  # fmt: skip
        problems = [pb.ImportBalancesResponse.Problem(line=line, description=why) for line, why in outcome.problems]
        return pb.ImportBalancesResponse(
            imported=outcome.imported, points=outcome.points, replayed=outcome.replayed, problems=problems
        )

    async def is_known(self, user: UUID) -> bool:
        return await self.people.address_of(user) is not None

    async def rehearse(self, requests: Sequence[Request]) -> list[Result]:
        async with self.sessions() as session:
            results = await rehearse(session, requests, now=self.clock())
            await session.rollback()
        return results

    async def GetLedgerHead(self, request: pb.GetLedgerHeadRequest, context: Context) -> pb.LedgerHead:
        async with self.sessions() as session:
            head = (await session.scalars(select(Chain))).one()
            mark = (await session.scalars(select(Checkpoint))).one()
        return pb.LedgerHead(
            number=head.number, root=head.root.hex(), verified_number=mark.number,
            full_check_time=timestamp(mark.full_time) if mark.full_time else None,
        )  # fmt: skip


def person() -> UUID:
    """Who decides: the contract lets in nobody else than people."""
    found = caller().user
    if found is None:
        raise RuntimeError("a correction that no person asked for")
    return found


def period(
    request: pb.CreateStatementRequest | pb.PreviewStatementRequest
    | pb.GetLiabilityReportRequest | pb.DownloadLiabilityReportRequest,
) -> tuple[datetime, datetime]:  # fmt: skip
    start, end = moment(request.start_time), moment(request.end_time)
    if start >= end:
        raise InvalidField(
            "A period ends after it begins.", violations=[Violation("end_time", "TOO_EARLY", "Later than start_time.")]
        )
    return start, end


def piece(rows: Sequence[bytes]) -> HttpBody:
    return HttpBody(content_type=CSV, data=b"".join(rows))
