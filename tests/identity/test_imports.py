"""Users who had an account elsewhere, brought in by the thousand."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import audit_pb2
from rapport.identity.v1 import identity_pb2 as people
from rapport.identity.v1 import imports_pb2 as pb
from rapport.identity.v1.audit_pb2_grpc import AuditServiceStub
from rapport.identity.v1.events_pb2 import UserCreated
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from sqlalchemy import text

from chassis.client import Channel
from chassis.consumer import Arrival
from chassis.database import Sessions, chassis_metadata
from chassis.service import whole
from chassis.time import moment, timestamp
from deploy.local import user_imports
from deploy.local.terminal import LocalError
from services.identity.__main__ import service
from services.identity.imports import forget_user_imports
from services.identity.models import Base, UserImport, UserImportAddress, UserImportRow
from services.identity.settings import Settings
from tests.identity.imports import CREATED, EXISTS, HASH, REFUSED, Import, row
from tests.identity.people import ADA, EVE, OPERATOR, PASSWORD, PRIVACY, Identity
from tests.identity.test_users import BOLTS, HOME
from tests.world import Hands, refused, token_of

# What says something of people: the tables of identity, and those of the chassis that it fills.
TABLES = (*Base.metadata.tables, "outbox", "mail", "idempotency")


async def count(sessions: Sessions, *tables: str) -> list[int]:
    """How many rows each table has."""
    async with sessions() as session:
        return [await session.scalar(text(f'SELECT count(*) FROM "{name}"')) for name in tables]  # noqa: S608


# Rows -----------------------------------------------------------------------------------------------------------------


async def test_a_row_becomes_a_user_with_a_whole_profile(identity: Identity) -> None:
    since = datetime(2019, 3, 1, tzinfo=UTC)
    run = await Import.begin(identity)
    whole_profile = {"display_name": " Ada ", "billing_address": HOME, "shipping_address": HOME, "business": BOLTS}
    [told] = await run.send({"email": " ADA@example.org", "since": since, "hashed": HASH, **whole_profile})
    assert (told.outcome, told.row_number, told.reason, told.field) == (CREATED, 1, "", "")
    ada = await identity.get(told.user)
    assert (ada.email, ada.display_name, ada.state) == (ADA, "Ada", people.User.ACTIVE)
    assert (ada.billing_address, ada.shipping_address, ada.business) == (HOME, HOME, BOLTS)
    assert (moment(ada.create_time), moment(ada.update_time)) == (since, identity.clock())
    [made] = await identity.stated(UserCreated)
    assert (made.user, moment(made.event_time)) == (ada.name, identity.clock())


async def test_only_what_a_row_may_say_is_taken_of_its_user(identity: Identity) -> None:
    run = await Import.begin(identity)
    [told] = await run.send({"email": ADA, "roles": ["admin"], "state": people.User.DELETING, "has_photo": True})
    ada = await identity.get(told.user)
    assert (list(ada.roles), ada.state, ada.has_photo) == ([], people.User.ACTIVE, False)


async def test_who_exists_is_never_changed(identity: Identity) -> None:
    ada = await identity.create(ADA, display_name="Ada")
    run = await Import.begin(identity)
    [told] = await run.send({"email": "Ada@Example.org", "hashed": "md5$$88a434c88cca4e900f7874cd98123f43"})
    assert (told.outcome, told.user) == (EXISTS, ada.name)
    assert await identity.get(ada.name) == ada
    assert (await identity.sign_in()).secret
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(password="lètmein")


async def test_a_password_set_for_an_address_that_nobody_proved_opens_nothing(
    identity: Identity, sessions: Sessions
) -> None:
    """Whoever registered elsewhere with the address of others knows it; who reads there does not."""
    run = await Import.begin(identity)
    await run.send({"email": ADA, "hashed": "md5$$88a434c88cca4e900f7874cd98123f43", "verified": False}, {"email": EVE})
    assert await count(sessions, "user", "credential") == [2, 0]
    assert (await run.get()).without_password_count == 2
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(password="lètmein")
    await identity.stub.BeginRecovery(people.BeginRecoveryRequest(email=ADA))
    done = people.CompleteRecoveryRequest(token=await identity.token(ADA), password=PASSWORD)
    await identity.stub.CompleteRecovery(done)
    assert (await identity.sign_in()).secret


SOME_OF_EACH: list[dict[str, Any]] = [
    {"email": ADA, "hashed": HASH},
    {"email": "ADA@EXAMPLE.ORG"},  # the one above
    {"email": "there@example.org"},
    {"email": "no address"},
    {"email": "a@example.org", "hashed": "no hash"},
    {"email": "b@example.org", "hashed": HASH.replace("$10$", "$31$")},
    {"email": "c@example.org", "display_name": "C" * 101},
    {"email": "d@example.org", "billing_address": people.Address(region_code="Germany")},
    {"email": "e@example.org", "business": people.Business(company="E")},
    {"email": "f@example.org", "since": datetime(2026, 7, 6, 12, 0, 1, tzinfo=UTC)},
    {"email": ""},
    {"email": "g@example.org", "display_name": "\0"},
    {"email": "g@example.org", "hashed": "no hash", "verified": False},
    {"email": "h@bücher.example"},
    {"email": "h@xn--bcher-kva.example"},  # the one above
]
OF_EACH = [
    *((CREATED, "", ""), (EXISTS, "", ""), (EXISTS, "", "")),
    (REFUSED, "EMAIL_MALFORMED", "user.email"),
    (REFUSED, "HASH_UNKNOWN", "password_hash"),
    (REFUSED, "HASH_TOO_DEAR", "password_hash"),
    (REFUSED, "INVALID_FIELD", "user.display_name"),
    (REFUSED, "INVALID_FIELD", "user.billing_address.region_code"),
    (REFUSED, "INVALID_FIELD", "user.business.kind"),
    (REFUSED, "INVALID_FIELD", "create_time"),
    (REFUSED, "INVALID_FIELD", "user.email"),
    (REFUSED, "INVALID_FIELD", "user.display_name"),
    *((CREATED, "", ""), (CREATED, "", ""), (EXISTS, "", "")),
]


async def test_a_bad_row_stops_no_other_and_says_why(identity: Identity, sessions: Sessions) -> None:
    await identity.create("there@example.org")
    run = await Import.begin(identity)
    told = await run.send(*SOME_OF_EACH)
    assert [(one.outcome, one.reason, one.field) for one in told] == OF_EACH
    assert await count(sessions, "user") == [1 + 3]
    found = await run.get()
    assert (found.created_count, found.existing_count, found.refused_count) == (3, 3, 9)
    assert (found.without_password_count, found.last_row, found.state) == (2, 15, pb.UserImport.RUNNING)
    first = await run.refused(page_size=4)
    rest = await run.refused(page_size=200, page_token=first.next_page_token)
    assert rest.next_page_token == ""
    listed = [(one.row_number, one.reason, one.field) for one in (*first.refused_rows, *rest.refused_rows)]
    assert listed == [(one.row_number, one.reason, one.field) for one in told if one.outcome == REFUSED]


async def test_a_dry_run_changes_nothing_and_tells_what_the_import_will(identity: Identity, sessions: Sessions) -> None:
    await identity.create("there@example.org")
    ours = [UserImport.__tablename__, UserImportRow.__tablename__, UserImportAddress.__tablename__]
    others = [one for one in TABLES if one not in ours]
    before = await count(sessions, *others)
    told = []
    for dry in (True, False):
        run = await Import.begin(identity, dry=dry)
        of_each = await run.send(*SOME_OF_EACH)
        again = await run.send({"email": "Ada@example.org"}, {"email": "i@example.org"})  # in another batch
        told.append([(one.outcome, one.reason, one.field) for one in (*of_each, *again)])
        found = await run.finish()
        counted = (found.created_count, found.existing_count, found.refused_count, found.without_password_count)
        assert counted == (4, 4, 9, 3)
        if dry:
            assert await count(sessions, *others) == before
    assert told[0] == told[1] == [*OF_EACH, (EXISTS, "", ""), (CREATED, "", "")]
    assert await count(sessions, UserImportAddress.__tablename__) == [0]


async def test_what_a_row_held_is_kept_nowhere_but_with_its_user(identity: Identity, sessions: Sessions) -> None:
    said = ["wanda@example.org", "Wanda Who", HASH[-20:], "not.an.address.of.wanda", "no.hash.of.wanda"]
    for dry in (True, False):
        run = await Import.begin(identity, dry=dry)
        await run.send(
            {"email": said[0], "display_name": said[1], "hashed": HASH},
            {"email": said[3], "hashed": HASH},
            {"email": "other@example.org", "hashed": said[4]},
        )
    tables = [one for metadata in (Base.metadata, chassis_metadata) for one in metadata.tables]
    held = dict[str, str]()
    async with sessions() as session:
        for table in tables:
            held[table] = str((await session.execute(text(f'SELECT t::text FROM "{table}" AS t'))).all())  # noqa: S608
    found = {(table, one) for table, rows in held.items() for one in said if one in rows}
    assert found == {("user", said[0]), ("user", said[1]), ("credential", said[2])}


# Again, and at once ---------------------------------------------------------------------------------------------------


async def test_a_batch_that_is_sent_again_is_answered_as_the_first_time(identity: Identity, sessions: Sessions) -> None:
    run = await Import.begin(identity)
    rows = run.rows({"email": ADA}, {"email": "no address"}, {"email": EVE})
    first, before = await run.take(rows), await count(sessions, *TABLES)
    counted = await run.get()
    assert await run.take(rows) == first
    assert await count(sessions, *TABLES) == before
    assert (await run.take([*rows[1:], row(4, "i@example.org")]))[:2] == first[1:]
    assert (await run.get()).created_count == counted.created_count + 1 == 3
    assert await count(sessions, "user") == [3]


async def test_of_many_at_once_a_row_is_taken_once(identity: Identity, sessions: Sessions) -> None:
    run = await Import.begin(identity)
    rows = run.rows(*({"email": f"p{number}@example.org"} for number in range(40)))
    told = await asyncio.gather(*(run.take(rows) for _ in range(6)))
    assert all(list(one) == list(told[0]) for one in told)
    assert {one.outcome for one in told[0]} == {CREATED}
    assert (await run.get()).created_count == 40
    assert await count(sessions, "user", "user_import_row") == [40, 40]
    assert len(await identity.stated(UserCreated)) == 40


async def test_of_imports_at_once_one_makes_the_user(identity: Identity, sessions: Sessions) -> None:
    """In either order, so that each has what the other waits for."""
    emails = [f"p{number}@example.org" for number in range(60)]
    runs = [await Import.begin(identity) for _ in range(6)]
    batches = [
        run.rows(*({"email": one} for one in emails[:: 1 if place % 2 else -1])) for place, run in enumerate(runs)
    ]
    registering = [identity.create(email) for email in emails[:5]]
    taking = asyncio.gather(*(run.take(rows) for run, rows in zip(runs, batches, strict=True)))
    done, registered = await asyncio.gather(taking, asyncio.gather(*registering, return_exceptions=True))
    wrong = [one for one in registered if isinstance(one, BaseException)]
    assert all(isinstance(e, grpc.aio.AioRpcError) and e.code() is grpc.StatusCode.ALREADY_EXISTS for e in wrong)
    made = sum(one.outcome == CREATED for told in done for one in told)
    assert made + len(registering) - len(wrong) == len(emails)
    assert await count(sessions, "user") == [len(emails)]


async def test_five_thousand_rows_are_in_within_a_minute(identity: Identity, sessions: Sessions) -> None:
    run, began = await Import.begin(identity), time.perf_counter()
    for first in range(0, 5_000, 500):
        await run.send(*({"email": f"p{first + place}@example.org", "hashed": HASH} for place in range(500)))
    assert time.perf_counter() - began < 60
    assert (await run.finish()).created_count == 5_000
    assert await count(sessions, "user", "credential", "audit_entry") == [5_000] * 3
    assert len(await identity.stated(UserCreated)) == 5_000


async def test_a_number_stands_for_one_row_of_a_call(identity: Identity, sessions: Sessions) -> None:
    run = await Import.begin(identity)
    for numbers in ((1, 1), (0, 2), (-1, 2), (1_000_000_001, 2)):
        with refused("INVALID_FIELD") as said:
            await run.take([row(number, f"p{place}@example.org") for place, number in enumerate(numbers)])
        assert said[0].violations[0].field.endswith(".row_number")
    with refused("INVALID_FIELD"):
        await run.take([row(number, f"p{number}@example.org") for number in range(1, 502)])
    assert await count(sessions, "user", "user_import_row") == [0, 0]


# Imports --------------------------------------------------------------------------------------------------------------


async def test_an_import_is_begun_once_for_its_request(identity: Identity) -> None:
    run = await Import.begin(identity)
    asked = pb.CreateUserImportRequest(user_import=pb.UserImport(source_digest="ab" * 32), request_id=str(uuid4()))
    made = [await run.stub.CreateUserImport(asked, metadata=OPERATOR) for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0].source_digest, made[0].validate_only, made[0].state) == ("ab" * 32, False, pb.UserImport.RUNNING)
    listed = await run.stub.ListUserImports(pb.ListUserImportsRequest(), metadata=OPERATOR)
    assert {one.name for one in listed.user_imports} == {run.name, made[0].name}
    with refused("INVALID_FIELD"):
        await Import.begin(identity, source_digest="none")


async def test_a_finished_import_takes_no_rows(identity: Identity) -> None:
    run = await Import.begin(identity)
    finished = await run.finish()
    identity.clock.advance(timedelta(hours=1))
    assert await run.finish() == finished == await run.get()
    assert finished.state == pb.UserImport.FINISHED
    with refused("USER_IMPORT_FINISHED"):
        await run.send({"email": ADA})


async def test_there_has_to_be_such_an_import(identity: Identity) -> None:
    run = await Import.begin(identity)
    nowhere = Import(run.stub, f"userImports/{uuid4()}", run.numbers, OPERATOR)
    for call in (nowhere.get, nowhere.finish, nowhere.refused):
        with refused("USER_IMPORT_NOT_FOUND"):
            await call()
    with refused("USER_IMPORT_NOT_FOUND"):
        await nowhere.send({"email": ADA})


async def test_imports_are_forgotten_a_month_after_the_last_that_happened(
    identity: Identity, sessions: Sessions
) -> None:
    for dry in (True, False):
        await (await Import.begin(identity, dry=dry)).send({"email": ADA}, {"email": "no address"})
    tables = ("user_import", "user_import_row", "user_import_address")
    await forget_user_imports.work(sessions, identity.clock.advance(timedelta(days=29)))
    assert await count(sessions, *tables) == [2, 4, 1]
    await forget_user_imports.work(sessions, identity.clock.advance(timedelta(days=1)))
    assert await count(sessions, *tables, "user") == [0, 0, 0, 1]


async def test_the_audit_log_says_who_brought_somebody_in(identity: Identity) -> None:
    alma = await identity.create(EVE, "admin")
    run = await Import.begin(identity, who=identity.as_(alma, "admin"))
    [ada] = await run.send({"email": ADA})
    [bo] = await (await Import.begin(identity)).send({"email": "bo@example.org"})
    stub, said = AuditServiceStub(identity.channel), []
    for told in (ada, bo):
        asked = audit_pb2.ListAuditEntriesRequest(parent=told.user)
        [entry] = (await stub.ListAuditEntries(asked, metadata=identity.as_(told.user))).audit_entries
        said.append((entry.fact, entry.actor, entry.program))
    assert said == [
        ("UserCreated", audit_pb2.AuditEntry.STAFF, ""),
        ("UserCreated", audit_pb2.AuditEntry.PROGRAM, "services/operator"),
    ]


async def test_who_was_brought_in_is_exported_and_erased_and_may_come_again(
    identity: Identity, settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    run = await Import.begin(identity)
    [told] = await run.send({"email": ADA, "display_name": "Ada", "billing_address": HOME, "hashed": HASH})
    asked = holder.ExportSubjectRequest(subject=told.user)
    pieces = [one async for one in HolderServiceStub(identity.channel).ExportSubject(asked, metadata=PRIVACY)]
    exported = "".join(one.row_json for one in pieces)
    assert all(word in exported for word in (ADA, "1 Kettle Lane"))
    assert HASH[-20:] not in exported
    deleting = await identity.delete(await identity.get(told.user))
    [again] = await run.send({"email": ADA})
    assert (again.outcome, again.user) == (EXISTS, told.user)
    complete = await whole(service(settings, sessions, clock), settings)
    [order] = [one for one in complete.consumers if one.event_type is ErasureOrdered]
    event = ErasureOrdered(
        user=told.user, erasure=deleting.erasure, holders=["holders/identity"], event_time=timestamp(clock())
    )
    async with sessions.begin() as session:
        await order.function(session, event, Arrival(uuid4(), clock(), deleting.erasure, 1, clock()))
    assert await count(sessions, "user", "credential", "billing_address", "audit_account") == [0, 0, 0, 0]
    [back] = await run.send({"email": ADA})
    assert back.outcome == CREATED
    assert back.user != told.user


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def operator(identity: Identity) -> grpc.aio.Channel:
    """A channel that speaks as the operator, as the command has one."""
    return Channel(identity.channel, token_of("operator"))


CSV = """\ufeffemail,email_verified,display_name,password_hash,billing_lines,billing_city,business_kind,create_time
ada@example.org,true,Ada,md5$$88a434c88cca4e900f7874cd98123f43,"1 Kettle Lane
Backyard",Brassby,,2019-03-01T00:00:00Z
bo@example.org,yes,Bo,no hash,,,,
cy@example.org,maybe,Cy,,,,,
di@example.org,no,Di,,,,WHOLESALER,
ed@example.org,,Ed,,,,BARTER,
fi@example.org,,Fi
gil@example.org,,Gil,,,,,someday
,,,,,,,
"""
LINES = """
{"user": {"email": "ada@example.org", "displayName": "Ada"}, "emailVerified": true}

{"user": {"email": "bo@example.org"}, "emailVerified": "maybe"}
{"user": {"mail": "cy@example.org"}}
["di@example.org"]
no JSON
{"user": {"email": "ed@example.org", "business": {"kind": "WHOLESALER"}}, "createTime": "2019-03-01T00:00:00Z"}
"""


async def send(
    operator: grpc.aio.Channel, file: Path, *, dry: bool = False, far: user_imports.Far = lambda *_: None
) -> user_imports.Report:
    return await user_imports.send(operator, file, dry=dry, say=lambda _: None, far=far)


async def test_a_file_of_cells_is_brought_in_and_each_bad_line_is_told(
    identity: Identity, operator: grpc.aio.Channel, tmp_path: Path
) -> None:
    file = tmp_path / "users.csv"
    file.write_text(CSV, encoding="utf-8")
    for dry in (True, False):
        told = await send(operator, file, dry=dry)
        assert (told.created, told.without_password, told.existing) == (2, 1, 0)
        assert list(map(str, told.refused)) == [
            "line 4: HASH_UNKNOWN (password_hash)",
            "line 5: UNREADABLE (email_verified)",
            "line 7: UNREADABLE (business_kind)",
            "line 8: UNREADABLE",
            "line 9: UNREADABLE (create_time)",
            "line 10: INVALID_FIELD (user.email)",
        ]
    ada = await identity.sign_in(ADA, "lètmein")
    found = await identity.get(ada.session.name.partition("/sessions")[0])
    assert (list(found.billing_address.lines), found.billing_address.city) == (["1 Kettle Lane", "Backyard"], "Brassby")
    assert moment(found.create_time) == datetime(2019, 3, 1, tzinfo=UTC)


async def test_a_file_of_json_lines_is_brought_in(
    identity: Identity, operator: grpc.aio.Channel, tmp_path: Path
) -> None:
    file = tmp_path / "users.jsonl"
    file.write_text(LINES, encoding="utf-8")
    told = await send(operator, file)
    assert (told.created, [(one.line, one.reason) for one in told.refused]) == (
        2,
        [(4, "UNREADABLE"), (5, "UNREADABLE"), (6, "UNREADABLE"), (7, "UNREADABLE")],
    )


async def test_a_run_that_broke_off_between_two_batches_goes_on_and_nobody_is_lost_or_twice(
    identity: Identity, operator: grpc.aio.Channel, tmp_path: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_imports, "PIECE", 10)
    file = tmp_path / "users.csv"
    file.write_text("email\n" + "".join(f"p{number}@example.org\n" for number in range(95)) + "no address\n")

    def breaks_off(done: int, _: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await send(operator, file, far=breaks_off)
    assert await count(sessions, "user") == [40]
    told = await send(operator, file)
    assert (told.created, told.existing, [one.line for one in told.refused]) == (95, 0, [97])
    assert await count(sessions, "user", "user_import") == [95, 1]
    again = await send(operator, file)  # from the start
    assert (again.created, again.existing, again.name == told.name) == (0, 95, False)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"name\nAda\n", "no column email"), (b"email,shoe\n", "column shoe"), (b"email\n\xff", "UTF-8")],
)
async def test_what_is_no_such_file_is_said(
    operator: grpc.aio.Channel, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(content)
    with pytest.raises(LocalError, match=why):
        await send(operator, file)
    with pytest.raises(LocalError, match="cannot be read"):
        await send(operator, tmp_path / "none.csv")


def test_progress_is_a_line_that_counts_on_a_terminal_and_few_lines_elsewhere() -> None:
    shown, plain = list[str](), list[str]()
    on_terminal = user_imports.Progress(shown.append, is_terminal=True)
    elsewhere = user_imports.Progress(plain.append, is_terminal=False)
    for done in range(1, 101):
        on_terminal(done, 100)
        elsewhere(done, 100)
    assert len(shown) == 100
    assert all(one.startswith("\r") for one in shown)
    assert [one.endswith("\n") for one in shown] == [False] * 99 + [True]
    assert len(plain) == 1
    assert plain[0].startswith("100 of 100 rows, ")
    assert plain[0].endswith("0 s left\n")
