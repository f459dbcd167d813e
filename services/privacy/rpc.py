"""Speaks rapport.privacy.v1; decides nothing."""

import json
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.holder.v1 import holder_pb2 as holder_pb
from rapport.privacy.v1 import privacy_pb2 as pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceServicer

from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.privacy import consents, erasures, exports, policies
from services.privacy.holders import Holders, expected
from services.privacy.models import Answer, Consent, Erasure, Export, Policy, Use

CHUNK = 64 * 1024  # bytes of an export sent at once


class Privacy(PrivacyServiceServicer):
    """What people agreed to, and what they may ask of us."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, holders: Holders) -> None:
        self.sessions, self.clock, self.pages, self.holders = sessions, clock, pages, holders

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.Policy:
        async with self.sessions() as session:
            return policy_message(await policies.get(session, parse("policies/{policy:id}", request.name)))

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Context) -> pb.ListPoliciesResponse:
        page = self.pages.of(request, default=20, most=50)
        before = page.cursor[0] if page.cursor else None
        async with self.sessions() as session:
            rows = await policies.newest(session, before=before, limit=page.reach)
        shown, token = page.cut(rows, lambda policy: (policy.version,))
        return pb.ListPoliciesResponse(policies=map(policy_message, shown), next_page_token=token)

    async def PublishPolicy(self, request: pb.PublishPolicyRequest, context: Context) -> pb.Policy:
        async with self.sessions.begin() as session:
            return policy_message(await policies.publish(session, body=request.policy.body, now=self.clock()))

    async def CreateConsent(self, request: pb.CreateConsentRequest, context: Context) -> pb.Consent:
        user = parse("users/{user}", request.parent)
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                consent = await consents.get(call.session, parse("users/{user}/consents/{consent}", call.name)[1])
            else:
                consent = await consents.decide(
                    call.session,
                    user=user,
                    use=Use(request.consent.use),
                    granted=request.consent.granted,
                    policy=parse("policies/{policy:id}", request.consent.policy),
                    now=self.clock(),
                )
                call.name = consent.name
        return consent_message(consent)

    async def ListConsents(self, request: pb.ListConsentsRequest, context: Context) -> pb.ListConsentsResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await consents.of(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda consent: (consent.create_time, consent.id))
        return pb.ListConsentsResponse(consents=map(consent_message, shown), next_page_token=token)

    async def CreateExport(self, request: pb.CreateExportRequest, context: Context) -> pb.Export:
        user = parse("users/{user}", request.parent)
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                export = await exports.get(call.session, user, parse("users/{user}/exports/{export}", call.name)[1])
            else:
                export = await exports.create(call.session, user=user, now=self.clock())
                call.name = export.name
        return export_message(export)

    async def ListExports(self, request: pb.ListExportsRequest, context: Context) -> pb.ListExportsResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await exports.of(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda export: (export.create_time, export.id))
        return pb.ListExportsResponse(exports=map(export_message, shown), next_page_token=token)

    async def DownloadExport(self, request: pb.DownloadExportRequest, context: Context) -> AsyncIterator[HttpBody]:
        user, which = parse("users/{user}/exports/{export}", request.name)
        async with self.sessions() as session:
            export = await exports.readable(session, user, which, now=self.clock())
        await self.holders.describe()  # a holder that is away is found out before anything is sent
        async for piece in chunks(self.document(export)):
            yield HttpBody(content_type="application/json", data=piece)

    async def document(self, export: Export) -> AsyncIterator[str]:
        """One JSON object; only a copy that ends in `"complete": true` is whole."""
        head = {"export": export.name, "subject": f"users/{export.user_id}", "as_of_time": self.clock().isoformat()}
        yield json.dumps(head)[:-1] + ', "holders": {'
        for position, holder in enumerate(expected()):
            yield f"{', ' if position else ''}{json.dumps(holder)}: {{"
            table = ""
            async for row in self.holders.export(holder, export.user_id):
                if row.table == table:
                    yield ", "
                else:
                    yield f"{'], ' if table else ''}{json.dumps(row.table)}: ["
                    table = row.table
                yield row.row_json
            yield "]}" if table else "}"
        yield '}, "complete": true}\n'

    async def GetErasure(self, request: pb.GetErasureRequest, context: Context) -> pb.Erasure:
        async with self.sessions() as session:
            erasure = await erasures.get(session, parse("erasures/{erasure}", request.name))
            answers = await erasures.answers(session, [erasure.id])
        return erasure_message(erasure, answers[erasure.id])

    async def ListErasures(self, request: pb.ListErasuresRequest, context: Context) -> pb.ListErasuresResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await erasures.newest(session, after=page.cursor, limit=page.reach)
            shown, token = page.cut(rows, lambda erasure: (erasure.create_time, erasure.id))
            answers = await erasures.answers(session, [erasure.id for erasure in shown])
        told = [erasure_message(erasure, answers[erasure.id]) for erasure in shown]
        return pb.ListErasuresResponse(erasures=told, next_page_token=token)

    async def SetRestriction(self, request: pb.SetRestrictionRequest, context: Context) -> pb.Restriction:
        user = parse("users/{user}/restriction", request.name)
        said = await self.holders.restrict(user, request.restricted)
        return pb.Restriction(name=request.name, restricted=said.restricted, update_time=said.update_time)

    async def GetDataMap(self, request: pb.GetDataMapRequest, context: Context) -> pb.DataMap:
        told = await self.holders.describe()
        return pb.DataMap(
            holders=[
                pb.DataMap.HolderHoldings(holder=f"holders/{name}", holdings=holdings)
                for name, holdings in told.items()
            ]
        )


async def chunks(parts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """The same text in pieces of a useful size."""
    waiting, size = [], 0
    async for part in parts:
        waiting.append(part.encode())
        size += len(waiting[-1])
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def policy_message(policy: Policy) -> pb.Policy:
    return pb.Policy(
        name=policy.name, body=policy.body, digest=policy.digest, publish_time=timestamp(policy.publish_time)
    )


def consent_message(consent: Consent) -> pb.Consent:
    return pb.Consent(
        name=consent.name,
        use=pb.Consent.Use.ValueType(consent.use.value),
        granted=consent.granted,
        policy=f"policies/{consent.policy_version}",
        create_time=timestamp(consent.create_time),
    )


def export_message(export: Export) -> pb.Export:
    return pb.Export(
        name=export.name,
        create_time=timestamp(export.create_time),
        expire_time=timestamp(export.expire_time),
        holders=[f"holders/{holder}" for holder in expected()],
    )


def erasure_message(erasure: Erasure, answers: Iterable[Answer]) -> pb.Erasure:
    return pb.Erasure(
        name=erasure.name,
        state=pb.Erasure.State.ValueType(erasure.state.value),
        create_time=timestamp(erasure.create_time),
        due_time=timestamp(erasure.due_time),
        complete_time=maybe(erasure.complete_time),
        answers=[
            pb.Erasure.Answer(
                holder=f"holders/{answer.holder}",
                done_time=maybe(answer.done_time),
                outcomes=map(count_message, answer.outcomes),
                verify_time=maybe(answer.verify_time),
                remaining=map(count_message, answer.remaining),
            )
            for answer in answers
        ],
    )


def count_message(count: dict[str, Any]) -> holder_pb.ColumnCount:
    return ParseDict(count, holder_pb.ColumnCount(), ignore_unknown_fields=True)


def maybe(moment: datetime | None) -> Timestamp | None:
    return None if moment is None else timestamp(moment)
