"""What happened to an account is written down, and cannot be changed unseen."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from rapport.identity.v1 import audit_pb2 as pb
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1.audit_pb2_grpc import AuditServiceStub
from sqlalchemy import select, text

from services.identity.audit import KEPT, chain_audit_entries, forget_audit_entries
from services.identity.models import AuditAccount, AuditEntry
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, OPERATOR, Identity
from tests.world import refused

OWNER, STAFF, PROGRAM = pb.AuditEntry.OWNER, pb.AuditEntry.STAFF, pb.AuditEntry.PROGRAM


async def entries(identity: Identity, user: identity_pb2.User, **said: object) -> list[pb.AuditEntry]:
    """What happened to an account, oldest first, as its owner reads it."""
    asked = pb.ListAuditEntriesRequest(parent=user.name, **said)  # type: ignore[arg-type]
    told = await AuditServiceStub(identity.channel).ListAuditEntries(asked, metadata=identity.as_(user))
    return list(reversed(told.audit_entries))


async def verify(identity: Identity) -> pb.VerifyAuditLogResponse:
    await chain_audit_entries.work(identity.sessions, identity.clock())
    return await AuditServiceStub(identity.channel).VerifyAuditLog(pb.VerifyAuditLogRequest(), metadata=OPERATOR)


async def change(identity: Identity, statement: str) -> None:
    async with identity.sessions.begin() as session:
        await session.execute(text(statement))


async def test_the_owner_reads_what_happened_and_by_whom(identity: Identity) -> None:
    ada = await identity.create(ADA)
    begun = await identity.sign_in()
    asked = identity_pb2.SetUserRolesRequest(name=ada.name, roles=["agent"])
    admin = await identity.create("alma@example.org", "admin")
    await identity.stub.SetUserRoles(asked, metadata=identity.as_(admin, "admin"))
    created, signed_in, given = await entries(identity, ada)
    assert (created.fact, created.actor, created.program) == ("UserCreated", PROGRAM, "services/operator")
    assert (signed_in.fact, signed_in.actor) == ("SessionCreated", OWNER)
    assert dict(signed_in.details) == {"session": begun.session.name.removeprefix(f"{ada.name}/")}
    assert (given.fact, given.actor, dict(given.details)) == ("UserUpdated", STAFF, {"paths": "roles"})
    assert admin.name not in str(given)  # who of the store's people it was is not the owner's to know


async def test_who_of_the_stores_people_it_was_is_written_down(identity: Identity) -> None:
    """Also where nothing was noted about them before."""
    ada, newcomer = await identity.create(ADA), uuid4()
    as_newcomer = identity.as_(identity_pb2.User(name=f"users/{newcomer}"), "admin")
    asked = identity_pb2.SetUserRolesRequest(name=ada.name, roles=["agent"])
    await identity.stub.SetUserRoles(asked, metadata=as_newcomer)
    query = select(AuditAccount.user_id).join(AuditEntry, AuditEntry.staff_id == AuditAccount.id)
    async with identity.sessions() as session:
        assert list(await session.scalars(query)) == [newcomer]


async def test_what_a_link_does_is_the_owners_and_what_is_due_is_the_clocks(identity: Identity) -> None:
    await identity.create(ADA)
    await identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=ADA))
    chosen = identity_pb2.CompleteRecoveryRequest(token=await identity.token(), password="copper kettle at dusk")
    await identity.stub.CompleteRecovery(chosen)
    async with identity.sessions() as session:
        newest = await session.scalar(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1))
    assert newest is not None
    assert (newest.fact, newest.actor, newest.details) == ("PasswordChanged", "OWNER", '{"way":"LINK"}')


async def test_what_clients_are_let_do_is_in_it(provider: Provider) -> None:
    identity = provider.identity
    await provider.tokens()
    async with identity.sessions() as session:
        facts = set(await session.scalars(select(AuditEntry.fact)))
    assert "AuthorizationCreated" in facts


async def test_an_administrator_reads_it_and_nobody_else(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    stub, asked = AuditServiceStub(identity.channel), pb.ListAuditEntriesRequest(parent=ada.name)
    assert (await stub.ListAuditEntries(asked, metadata=identity.as_(eve, "admin"))).audit_entries
    for nobody in (identity.as_(eve), identity.as_(eve, "agent")):
        with refused("FORBIDDEN"):
            await stub.ListAuditEntries(asked, metadata=nobody)


async def test_it_is_read_in_pages(identity: Identity) -> None:
    ada = await identity.create(ADA)
    for _ in range(4):
        await identity.sign_in()
    stub, seen, token = AuditServiceStub(identity.channel), [], ""
    while True:
        asked = pb.ListAuditEntriesRequest(parent=ada.name, page_size=2, page_token=token)
        page = await stub.ListAuditEntries(asked, metadata=identity.as_(ada))
        seen += [one.name for one in page.audit_entries]
        if not (token := page.next_page_token):
            break
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


async def test_a_chain_that_nobody_touched_is_whole(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await asyncio.gather(*(identity.sign_in() for _ in range(5)))
    told = await verify(identity)
    assert (told.whole, told.entries, told.waiting, told.last) == (True, 6, 0, 6)
    assert sorted(one.number for one in await entries(identity, ada)) == [1, 2, 3, 4, 5, 6]
    await identity.sign_in()
    assert (await verify(identity)).root != told.root


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit_entry SET fact = 'SessionRevoked' WHERE number = 2", 2),
        ("UPDATE audit_entry SET details = '{}' WHERE number = 2", 2),
        ("UPDATE audit_entry SET actor = 'CLOCK' WHERE number = 2", 2),
        ("UPDATE audit_entry SET create_time = create_time - interval '1 day' WHERE number = 2", 2),
        ("UPDATE audit_entry SET account_id = gen_random_uuid() WHERE number = 2", 2),
        ("UPDATE audit_entry SET root = sha256('x') WHERE number = 2", 2),
        ("DELETE FROM audit_entry WHERE number = 2", 3),
        ("DELETE FROM audit_entry WHERE number = 2; UPDATE audit_entry SET number = number - 1 WHERE number > 2", 2),
    ],
    ids=["fact", "details", "actor", "time", "account", "root", "taken", "taken and renumbered"],
)
async def test_what_is_done_to_an_entry_is_found(identity: Identity, statement: str, broken: int) -> None:
    await identity.create(ADA)
    for _ in range(3):
        await identity.sign_in()
    assert (await verify(identity)).whole
    for one in statement.split("; "):
        await change(identity, one)
    told = await verify(identity)
    assert (told.whole, told.first_broken) == (False, broken)


async def test_the_oldest_go_and_the_rest_stays_whole(identity: Identity) -> None:
    await identity.create(ADA)
    await verify(identity)
    identity.clock.advance(KEPT)
    await identity.sign_in()
    await verify(identity)
    await forget_audit_entries.work(identity.sessions, identity.clock())
    told = await verify(identity)
    assert (told.whole, told.entries, told.last) == (True, 1, 2)
    identity.clock.advance(KEPT + timedelta(days=1))
    await forget_audit_entries.work(identity.sessions, identity.clock())
    assert (await verify(identity)).entries == 1  # the last stays: the next follows from it
