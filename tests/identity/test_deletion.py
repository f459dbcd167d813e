import asyncio
import json
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.events_pb2 import ErasureDone
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import audit_pb2
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.audit_pb2_grpc import AuditServiceStub
from rapport.identity.v1.events_pb2 import SessionRevoked, UserDeleted, UserDeletionRequested
from rapport.identity.v1.factors_pb2 import AddPasskeyRequest, BeginPasskeyRequest
from rapport.privacy.v1.events_pb2 import ErasureOrdered
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Arrival, Handler
from chassis.database import Sessions
from chassis.mail import mail
from chassis.service import whole
from chassis.time import timestamp
from services.identity.__main__ import service
from services.identity.audit import chain_audit_entries
from services.identity.models import AuditEntry, Base, Registration, SignOutNotice, Spent
from services.identity.settings import Settings
from tests.identity.authenticator import Authenticator
from tests.identity.factors import Owner
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, OPERATOR, PASSWORD, PNG, PRIVACY, Identity
from tests.identity.test_users import BOLTS, HOME
from tests.world import Hands, refused


@dataclass(frozen=True)
class Order:
    """Privacy's order to identity to forget a user."""

    handler: Handler
    sessions: Sessions
    clock: Hands

    async def __call__(self, user: pb.User) -> None:
        async with self.sessions.begin() as session:
            await self.within(session, user)

    async def within(self, session: AsyncSession, user: pb.User) -> None:
        now, holders = self.clock(), ["holders/identity"]
        event = ErasureOrdered(user=user.name, erasure=user.erasure, holders=holders, event_time=timestamp(now))
        await self.handler.function(session, event, Arrival(uuid4(), now, user.erasure, 1, now))


@pytest.fixture
async def order(settings: Settings, sessions: Sessions, clock: Hands) -> Order:
    complete = await whole(service(settings, sessions, clock), settings)
    [forget] = [one for one in complete.consumers if one.event_type is ErasureOrdered]
    return Order(forget, sessions, clock)


async def full(identity: Identity) -> pb.User:
    """Ada, with all that identity can hold of a person."""
    ada = await identity.create(ADA, display_name="Ada", billing_address=HOME, shipping_address=HOME, business=BOLTS)
    photo = pb.SetUserPhotoRequest(name=ada.name, photo=PNG)
    await identity.stub.SetUserPhoto(photo, metadata=identity.as_(ada))
    await identity.sign_in(agent="Firefox/141.0 Linux")
    await identity.begin(ADA)
    careful = Owner(identity, ada.name)
    begun = await careful.stub.BeginPasskey(BeginPasskeyRequest(parent=ada.name), metadata=careful.me)
    passkey = AddPasskeyRequest(parent=ada.name, credential=Authenticator().create(begun.options), title="My phone")
    await careful.stub.AddPasskey(passkey, metadata=careful.me)
    await careful.add()
    await careful.sign_in(trust_device=True)
    with refused("CODE_WRONG"):
        await careful.prove(await careful.challenge(), code=careful.wrong())
    return await identity.get(ada.name)


async def test_a_deletion_signs_out_everywhere_and_names_its_receipt(identity: Identity) -> None:
    ada = await identity.create(ADA)
    begun = [await identity.sign_in() for _ in range(3)]
    gone = await identity.delete(ada, ada.etag)
    assert gone.state == pb.User.DELETING
    assert UUID(gone.erasure.removeprefix("erasures/")).version == 4
    assert {one.session for one in await identity.stated(SessionRevoked)} == {one.session.name for one in begun}
    [requested] = await identity.stated(UserDeletionRequested)
    assert (requested.user, requested.erasure) == (ada.name, gone.erasure)
    assert await identity.stated(UserDeleted) == []
    with refused("SESSION_ENDED"):
        await identity.issue(begun[0].secret)
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in()
    goodbye = (await identity.mails())[-1]
    assert goodbye.template == "deletion_begun"
    assert gone.erasure in goodbye.text


async def test_deleting_again_gets_the_same_answer_and_does_nothing(identity: Identity) -> None:
    ada = await identity.create(ADA)
    first = await identity.delete(ada, ada.etag)
    assert await identity.delete(ada, ada.etag) == first
    assert await identity.delete(ada) == first
    assert len(await identity.stated(UserDeletionRequested)) == 1
    assert len(await identity.mails()) == 1


async def test_what_somebody_else_changed_is_not_deleted_unseen(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await identity.stub.SetUserRoles(pb.SetUserRolesRequest(name=ada.name, roles=["agent"]), metadata=OPERATOR)
    with refused("ETAG_MISMATCH"):
        await identity.delete(ada, ada.etag)


async def test_nothing_about_a_user_who_is_being_erased_can_be_changed(identity: Identity) -> None:
    ada = await identity.delete(await identity.create(ADA))
    me = identity.as_(ada, "admin")
    with refused("USER_DELETING"):
        asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, display_name="Ada"))
        await identity.stub.UpdateUser(asked, metadata=me)
    with refused("USER_DELETING"):
        await identity.stub.SetUserRoles(pb.SetUserRolesRequest(name=ada.name, roles=["agent"]), metadata=me)
    with refused("USER_DELETING"):
        await identity.stub.SetUserPhoto(pb.SetUserPhotoRequest(name=ada.name, photo=PNG), metadata=me)


async def test_nobody_deletes_anybody_else(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    with refused("FORBIDDEN"):
        await identity.stub.DeleteUser(pb.DeleteUserRequest(name=ada.name), metadata=identity.as_(eve, "admin"))


async def test_an_erased_user_is_nowhere(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await full(identity))
    before = await scanned(identity, gone)
    assert not before.erased
    held = {
        "totp.sealed",
        "recovery_code.code_hash",
        "challenge.device",
        "guess.user_id",
        "device.title",
        "passkey.title",
    }
    found = {one.column for one in before.remaining}
    assert {"user.email", "mail.recipient", "session.device"} | held <= found
    await order(gone)
    after = await scanned(identity, gone)
    assert after.erased
    assert list(after.remaining) == []
    async with identity.sessions() as session:
        nobodys = {AuditEntry.__table__, Spent.__table__}  # the latter gone in minutes
        for table in {*Base.metadata.sorted_tables, mail} - nobodys:
            assert await session.scalar(select(func.count()).select_from(table)) == 0, table.name


async def scanned(identity: Identity, user: pb.User) -> holder.ScanSubjectResponse:
    asked = holder.ScanSubjectRequest(subject=user.name)
    return await HolderServiceStub(identity.channel).ScanSubject(asked, metadata=PRIVACY)


async def test_the_end_is_stated_once_in_the_transaction_that_erases(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await full(identity))
    for _ in range(2):  # orders may come again
        await order(gone)
    [deleted] = await identity.stated(UserDeleted)
    assert (deleted.user, deleted.erasure) == (gone.name, gone.erasure)
    done = (await identity.stated(ErasureDone))[0]
    assert (done.holder, done.erasure) == ("holders/identity", gone.erasure)
    counts = {one.column: one.rows for one in done.outcomes}
    assert counts["user.email"] == counts["photo.content"] == counts["billing_address.city"] == 1


async def test_an_erased_user_can_neither_be_found_nor_sign_in(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await full(identity))
    await order(gone)
    with refused("USER_NOT_FOUND"):
        await identity.get(gone.name)
    with refused("USER_NOT_FOUND"):
        await identity.delete(gone)
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in()


async def test_an_erased_address_can_register_again_as_somebody_new(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await full(identity))
    await order(gone)
    asked = pb.CompleteRegistrationRequest(token=await identity.link(), password=PASSWORD)
    again = await identity.stub.CompleteRegistration(asked)
    assert again.email == ADA
    assert again.name != gone.name
    assert (await identity.sign_in()).session.name.startswith(again.name)


async def test_who_asks_for_an_account_while_theirs_goes_is_anybody(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await identity.create(ADA))
    async with identity.sessions.begin() as session:
        await session.execute(text("LOCK TABLE registration"))
        asking = asyncio.create_task(identity.begin(ADA))  # sees that she has an account, then waits
        while not await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            pass
        await order.within(session, gone)
    await asking
    [mail] = await identity.mails()
    assert mail.template == "registration_link"
    assert f"users/{mail.person_id}" != gone.name


async def test_a_link_under_another_id_goes_with_the_owner_of_its_address(identity: Identity, order: Order) -> None:
    await identity.begin(ADA)  # before she has an account, so under an id that she will not have
    gone = await identity.delete(await identity.create(ADA))
    await order(gone)
    async with identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Registration)) == 0


async def test_an_export_holds_everything_but_secrets(identity: Identity) -> None:
    ada = await full(identity)
    asked = holder.ExportSubjectRequest(subject=ada.name)
    rows = [row async for row in HolderServiceStub(identity.channel).ExportSubject(asked, metadata=PRIVACY)]
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        found.setdefault(row.table, []).append(json.loads(row.row_json))
    assert {"user", "billing_address", "shipping_address", "business", "photo", "session", "registration"} <= set(found)
    told = json.dumps(found)
    for planted in (ADA, '"Ada"', "1 Kettle Lane", "Ada's Bolts", "https://bolts.example.org", "Firefox on Linux"):
        assert planted in told, planted
    assert "$argon2id$" not in told


async def test_other_people_are_not_in_an_export(identity: Identity) -> None:
    ada = await full(identity)
    await identity.create(EVE, display_name="Eve")
    asked = holder.ExportSubjectRequest(subject=ada.name)
    rows = [row async for row in HolderServiceStub(identity.channel).ExportSubject(asked, metadata=PRIVACY)]
    assert EVE not in str(rows)


async def test_the_audit_log_stays_whole_and_speaks_of_nobody(identity: Identity, order: Order) -> None:
    gone = await identity.delete(await identity.create(ADA))
    await order(gone)
    await chain_audit_entries.work(identity.sessions, identity.clock())
    asked = audit_pb2.VerifyAuditLogRequest()
    told = await AuditServiceStub(identity.channel).VerifyAuditLog(asked, metadata=OPERATOR)
    assert (told.whole, told.entries) == (True, 3)
    async with identity.sessions() as session:
        rows = str((await session.execute(text("SELECT * FROM audit_entry"))).all())
        assert await session.scalar(text("SELECT count(*) FROM audit_account")) == 0
    assert "UserDeleted" in rows
    assert gone.name.removeprefix("users/") not in rows


async def test_a_sign_out_that_no_client_heard_of_yet_is_forgotten_with_its_person(
    identity: Identity, order: Order
) -> None:
    ada = await identity.create(ADA)
    provider = Provider(identity)
    await provider.register(backchannel_logout_uri="https://app.example.org/signed-out")
    await provider.sign_in()
    await provider.tokens()
    gone = await identity.delete(ada)
    async with identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(SignOutNotice)) == 1
    await order(gone)
    async with identity.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(SignOutNotice)) == 0
