"""A deletion that can be taken back: what happens at once, what waits, and who wins."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest
from rapport.identity.v1 import audit_pb2
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.audit_pb2_grpc import AuditServiceStub
from rapport.identity.v1.events_pb2 import (
    AuthorizationRevoked,
    SessionRevoked,
    UserDeletionRequested,
    UserDeletionScheduled,
    UserUndeleted,
)
from sqlalchemy import select

from chassis.database import Sessions
from chassis.names import parse
from chassis.refusal import refused as read_refusal
from chassis.settings import SettingsError
from chassis.time import moment
from services.identity import deletions
from services.identity.deletions import purge_users
from services.identity.models import User
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, PASSWORD, Identity
from tests.world import Hands, refused, until_waiting

WEEK = timedelta(days=7)


async def delete(identity: Identity, user: pb.User, etag: str = "") -> pb.User:
    return await identity.stub.DeleteUser(pb.DeleteUserRequest(name=user.name, etag=etag), metadata=identity.as_(user))


async def undelete(identity: Identity, user: pb.User, etag: str = "") -> pb.User:
    asked = pb.UndeleteUserRequest(name=user.name, etag=etag)
    return await identity.stub.UndeleteUser(asked, metadata=identity.as_(user))


async def purge(identity: Identity, after: timedelta) -> int:
    """Do what is due then. The clock stands still: the service's own job is not to be the first."""
    return await purge_users.work(identity.sessions, identity.clock() + after)


async def test_a_deletion_waits_a_week_and_says_until_when_it_can_be_taken_back(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    leaving = await delete(identity, ada, ada.etag)
    assert (leaving.state, leaving.erasure) == (pb.User.PENDING_DELETION, "")
    assert moment(leaving.purge_time) == identity.clock() + WEEK
    [scheduled] = await identity.stated(UserDeletionScheduled)
    assert (scheduled.user, scheduled.purge_time) == (ada.name, leaving.purge_time)
    assert [one.session for one in await identity.stated(SessionRevoked)] == [begun.session.name]
    with refused("SESSION_ENDED"):
        await identity.issue(begun.secret)
    mail = (await identity.mails())[-1]
    assert mail.template == "deletion_scheduled"
    assert "July 13, 2026, at 12:00 UTC" in mail.text
    assert "Keep my account" in mail.text
    assert await identity.stated(UserDeletionRequested) == []


async def test_what_a_deletion_would_do_is_told_and_not_done(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    asked = pb.DeleteUserRequest(name=ada.name, etag=ada.etag, validate_only=True)
    told = await identity.stub.DeleteUser(asked, metadata=identity.as_(ada))
    assert (told.state, moment(told.purge_time)) == (pb.User.PENDING_DELETION, identity.clock() + WEEK)
    assert await identity.get(ada.name) == ada
    assert await identity.issue(begun.secret)
    assert await identity.stated(UserDeletionScheduled) == await identity.mails() == []


async def test_what_programs_were_let_do_ends_with_the_wish_to_go(provider: Provider) -> None:
    await provider.tokens(scope="openid offline_access")
    user = (await provider.identity.issue(provider.session)).session.rsplit("/", 2)[0]
    await delete(provider.identity, await provider.identity.get(user))
    assert len(await provider.identity.stated(AuthorizationRevoked)) == 1


async def test_deleting_again_does_not_move_the_day(identity: Identity) -> None:
    ada = await identity.create(ADA)
    first = await delete(identity, ada, ada.etag)
    identity.clock.advance(timedelta(days=1))
    assert await delete(identity, ada, ada.etag) == first
    assert len(await identity.stated(UserDeletionScheduled)) == len(await identity.mails()) == 1


async def test_until_the_day_the_account_is_as_usable_as_ever(identity: Identity) -> None:
    ada = await delete(identity, await identity.create(ADA))
    assert (await identity.sign_in()).session.name.startswith(ada.name)
    asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, display_name="Ada"))
    changed = await identity.stub.UpdateUser(asked, metadata=identity.as_(ada))
    assert (changed.display_name, changed.state) == ("Ada", pb.User.PENDING_DELETION)


async def test_who_thinks_better_of_it_keeps_the_account(identity: Identity) -> None:
    leaving = await delete(identity, await identity.create(ADA))
    identity.clock.advance(WEEK - timedelta(seconds=1))
    kept = await undelete(identity, leaving, leaving.etag)
    assert (kept.state, kept.HasField("purge_time")) == (pb.User.ACTIVE, False)
    assert kept.etag != leaving.etag
    [undeleted] = await identity.stated(UserUndeleted)
    assert undeleted.user == kept.name
    assert [one.template for one in await identity.mails()] == ["deletion_scheduled", "deletion_undone"]
    assert await purge(identity, WEEK) == 0
    assert (await identity.get(kept.name)).state == pb.User.ACTIVE


async def test_keeping_an_account_that_stays_changes_nothing(identity: Identity) -> None:
    """A second click, or a retry after a lost answer."""
    ada = await identity.create(ADA)
    assert await undelete(identity, ada) == ada
    await delete(identity, ada)
    first = await undelete(identity, ada)
    assert await undelete(identity, ada) == first
    assert len(await identity.stated(UserUndeleted)) == 1


async def test_an_undelete_that_saw_something_else_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await delete(identity, ada)
    with refused("ETAG_MISMATCH"):
        await undelete(identity, ada, ada.etag)


async def test_nobody_keeps_anybody_elses_account(identity: Identity) -> None:
    ada, eve = await delete(identity, await identity.create(ADA)), await identity.create(EVE)
    with refused("FORBIDDEN"):
        await identity.stub.UndeleteUser(pb.UndeleteUserRequest(name=ada.name), metadata=identity.as_(eve, "admin"))


async def test_on_the_day_the_erasure_starts_and_nothing_brings_the_account_back(identity: Identity) -> None:
    leaving = await delete(identity, await identity.create(ADA))
    identity.clock.advance(timedelta(days=1))
    begun = await identity.sign_in()
    assert await purge(identity, timedelta(days=6) - timedelta(seconds=1)) == 0
    assert await purge(identity, timedelta(days=6)) == 1
    gone = await identity.get(leaving.name)
    assert (gone.state, gone.HasField("purge_time")) == (pb.User.DELETING, False)
    [requested] = await identity.stated(UserDeletionRequested)
    assert (requested.user, requested.erasure) == (gone.name, gone.erasure)
    assert begun.session.name in {one.session for one in await identity.stated(SessionRevoked)}
    assert (await identity.mails())[-1].template == "deletion_begun"
    with refused("USER_DELETING"):
        await undelete(identity, leaving)
    assert await purge(identity, WEEK) == 0


async def test_who_does_not_want_to_wait_is_erased_at_once(identity: Identity) -> None:
    leaving = await delete(identity, await identity.create(ADA))
    gone = await identity.delete(leaving, leaving.etag)
    assert (gone.state, gone.HasField("purge_time")) == (pb.User.DELETING, False)
    assert len(await identity.stated(UserDeletionRequested)) == 1
    assert await purge(identity, WEEK) == 0


async def test_a_store_may_do_without_a_wait(settings: Settings, sessions: Sessions, clock: Hands) -> None:
    async with served(replace(settings, deletion_cooling_off_days=0), sessions, clock) as identity:
        assert (await delete(identity, await identity.create(ADA))).state == pb.User.DELETING


@pytest.mark.parametrize("days", [-1, 22])
async def test_a_wait_that_leaves_no_time_to_erase_is_refused(settings: Settings, days: int) -> None:
    with pytest.raises(SettingsError, match="RAPPORT_DELETION_COOLING_OFF_DAYS"):
        replace(settings, deletion_cooling_off_days=days)


async def test_registering_meanwhile_tells_the_owner_alone_how_to_keep_the_account(identity: Identity) -> None:
    await delete(identity, await identity.create(ADA))
    await identity.begin(ADA)
    mail = (await identity.mails())[-1]
    assert mail.template == "already_registered"
    assert "It is to be deleted on July 13, 2026" in mail.text
    assert "Keep my account" in mail.text
    assert "token=" not in mail.text


async def test_a_forgotten_password_does_not_stand_between_an_owner_and_the_way_back(identity: Identity) -> None:
    """Somebody else, who has the password, deleted the account: the owner takes both back by mail."""
    leaving = await delete(identity, await identity.create(ADA))
    await identity.stub.BeginRecovery(pb.BeginRecoveryRequest(email=ADA))
    asked = pb.CompleteRecoveryRequest(token=await identity.token(), password="another kettle at dusk")
    await identity.stub.CompleteRecovery(asked)
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(password=PASSWORD)
    await identity.sign_in(password="another kettle at dusk")
    assert (await undelete(identity, leaving)).state == pb.User.ACTIVE


async def test_the_owner_reads_of_it_in_the_audit_log(identity: Identity) -> None:
    leaving = await delete(identity, await identity.create(ADA))
    await undelete(identity, leaving)
    asked = audit_pb2.ListAuditEntriesRequest(parent=leaving.name)
    told = await AuditServiceStub(identity.channel).ListAuditEntries(asked, metadata=identity.as_(leaving))
    facts = [(one.fact, dict(one.details)) for one in told.audit_entries]
    assert ("UserUndeleted", {}) in facts
    assert ("UserDeletionScheduled", {"purge_time": "2026-07-13T12:00:00+00:00"}) in facts


async def test_who_asked_anew_while_the_work_was_under_way_has_a_whole_week(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await delete(identity, ada)
    await undelete(identity, ada)
    identity.clock.advance(WEEK)
    await delete(identity, ada)
    who = parse("users/{user}", ada.name)
    assert not await deletions.purge(identity.sessions, who, identity.clock())  # as it was due when it was looked for
    assert (await identity.get(ada.name)).state == pb.User.PENDING_DELETION


@pytest.mark.parametrize("first", ["undelete", "purge"])
async def test_of_keeping_and_erasing_at_once_exactly_one_wins(
    settings: Settings, sessions: Sessions, clock: Hands, first: str
) -> None:
    async with served(settings, sessions, clock) as one, served(settings, sessions, clock) as other:
        leaving = await delete(one, await one.create(ADA))
        work: dict[str, Awaitable[object]] = {
            "undelete": undelete(one, leaving),
            "purge": purge(other, WEEK),
        }
        async with sessions.begin() as session:
            await session.execute(select(User.id).with_for_update())
            under_way = [asyncio.ensure_future(work.pop(first))]
            await until_waiting(sessions, 1)
            under_way += [asyncio.ensure_future(left) for left in work.values()]
            await until_waiting(sessions, 2)
        done = await asyncio.gather(*under_way, return_exceptions=True)
        kept, erased = await one.stated(UserUndeleted), await one.stated(UserDeletionRequested)
        assert len(kept) + len(erased) == 1
        refusals = [read_refusal(error).reason for error in done if isinstance(error, grpc.aio.AioRpcError)]
        assert refusals == (["USER_DELETING"] if erased else [])
        assert (await one.get(leaving.name)).state == (pb.User.DELETING if erased else pb.User.ACTIVE)
