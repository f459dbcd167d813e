import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import SessionCreated, SessionRevoked
from sqlalchemy import func, select, update

from chassis.client import as_person
from chassis.names import parse
from chassis.time import moment
from services.identity.models import Credential, Session, User
from services.identity.sessions import IDLE, LIFE, MOST, forget_sessions
from tests.identity.people import ADA, EVE, GATEWAY, PASSWORD, Identity
from tests.world import refused, until_waiting

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"


async def listed(identity: Identity, user: pb.User, **said: Any) -> pb.ListSessionsResponse:
    asked = pb.ListSessionsRequest(parent=user.name, **said)
    return await identity.stub.ListSessions(asked, metadata=identity.as_(user))


async def end(identity: Identity, user: pb.User, name: str) -> None:
    await identity.stub.DeleteSession(pb.DeleteSessionRequest(name=name), metadata=identity.as_(user))


async def test_a_sign_in_begins_a_session(identity: Identity) -> None:
    ada = await identity.create(ADA)
    begun = await identity.sign_in(agent=FIREFOX)
    session, now = begun.session, identity.clock()
    assert session.name.startswith(f"{ada.name}/sessions/")
    assert (session.device, session.acr) == ("Firefox on Linux", "pwd")
    assert [moment(time) for time in (session.create_time, session.auth_time, session.last_use_time)] == [now] * 3
    assert moment(session.expire_time) == now + IDLE
    assert list((await listed(identity, ada)).sessions) == [session]
    [created] = await identity.stated(SessionCreated)
    assert (created.user, created.session) == (ada.name, session.name)


async def test_a_secret_is_kept_as_a_hash_and_never_twice_the_same(identity: Identity) -> None:
    await identity.create(ADA)
    secrets = [(await identity.sign_in()).secret for _ in range(2)]
    assert secrets[0] != secrets[1]
    assert len(secrets[0]) >= 43  # 256 bits
    async with identity.sessions() as session:
        kept = (await session.scalars(select(Session.secret_hash))).all()
    assert not {one.encode() for one in secrets} & set(kept)


async def test_every_way_of_failing_gets_one_answer(identity: Identity) -> None:
    await identity.create(ADA)
    await identity.delete(await identity.create("bo@example.org"))
    said = set()
    for email, password in [
        (ADA, "not her password"),
        (EVE, PASSWORD),
        ("bo@example.org", PASSWORD),
        ("no address", PASSWORD),
        (ADA, PASSWORD.upper()),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await identity.sign_in(email, password)
        said.add((caught.value.code(), caught.value.details(), str(caught.value.trailing_metadata())))
    assert len(said) == 1
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(EVE)


async def test_who_signs_in_by_a_password_that_is_changed_meanwhile_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    async with identity.sessions.begin() as session:
        await session.execute(select(User.id).with_for_update(key_share=True))  # as who changes a password does
        signing_in = asyncio.create_task(identity.sign_in())
        await until_waiting(identity.sessions, 1)
        await session.execute(update(Credential).values(password_hash="of another one"))
    with refused("SIGN_IN_FAILED"):
        await signing_in
    assert not (await listed(identity, ada)).sessions


async def test_an_address_is_known_however_it_is_typed(identity: Identity) -> None:
    await identity.create(ADA)
    assert (await identity.sign_in(" ADA@Example.org ")).secret


async def test_only_the_gateway_signs_people_in(identity: Identity) -> None:
    ada = await identity.create(ADA)
    with refused("FORBIDDEN"):
        await identity.stub.CreateSession(
            pb.CreateSessionRequest(email=ADA, password=PASSWORD), metadata=identity.as_(ada)
        )


async def test_a_session_lasts_as_long_as_it_is_used(identity: Identity) -> None:
    await identity.create(ADA)
    begun, began = await identity.sign_in(), identity.clock()
    while identity.clock() + IDLE - timedelta(minutes=1) < began + LIFE:
        identity.clock.advance(IDLE - timedelta(minutes=1))
        await identity.issue(begun.secret)
    identity.clock.now = began + LIFE
    with refused("SESSION_ENDED"):
        await identity.issue(begun.secret)


async def test_a_session_nobody_uses_ends(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    identity.clock.advance(IDLE)
    with refused("SESSION_ENDED"):
        await identity.issue(begun.secret)
    assert list((await listed(identity, ada)).sessions) == []


async def test_use_is_noted_once_a_minute(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    began = identity.clock()
    for seconds, noted in [(59, 0), (1, 60), (30, 60), (30, 120)]:
        identity.clock.advance(timedelta(seconds=seconds))
        await identity.issue(begun.secret)
        [session] = (await listed(identity, ada)).sessions
        assert moment(session.last_use_time) == began + timedelta(seconds=noted)


async def test_sessions_are_listed_newest_first_a_page_at_a_time(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), list[str]()
    for _ in range(5):
        identity.clock.advance(timedelta(seconds=1))
        begun.insert(0, (await identity.sign_in()).session.name)
    first = await listed(identity, ada, page_size=3)
    rest = await listed(identity, ada, page_size=3, page_token=first.next_page_token)
    assert [one.name for one in [*first.sessions, *rest.sessions]] == begun
    assert rest.next_page_token == ""


async def test_nobody_sees_the_sessions_of_others(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    with refused("FORBIDDEN"):
        asked = pb.ListSessionsRequest(parent=ada.name)
        await identity.stub.ListSessions(asked, metadata=identity.as_(eve, "admin"))


async def test_a_session_that_is_ended_is_ended_for_good(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    other = await identity.sign_in()
    for _ in range(2):  # again changes nothing
        await end(identity, ada, begun.session.name)
    with refused("SESSION_ENDED"):
        await identity.issue(begun.secret)
    assert [one.name for one in (await listed(identity, ada)).sessions] == [other.session.name]
    [revoked] = await identity.stated(SessionRevoked)
    assert (revoked.user, revoked.session) == (ada.name, begun.session.name)


async def test_ending_a_session_many_times_at_once_is_one_fact(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    await asyncio.gather(*(end(identity, ada, begun.session.name) for _ in range(6)))
    assert len(await identity.stated(SessionRevoked)) == 1


async def test_a_session_of_no_such_name_is_not_found(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    begun = await identity.sign_in(EVE)
    _, eves = parse("users/{user}/sessions/{session}", begun.session.name)
    for name in (f"{ada.name}/sessions/{uuid4()}", f"{ada.name}/sessions/{eves}"):
        with refused("SESSION_NOT_FOUND"):
            await end(identity, ada, name)
    with refused("FORBIDDEN"):
        await end(identity, ada, begun.session.name)
    assert len((await listed(identity, eve)).sessions) == 1


async def test_a_secret_that_is_not_ours_is_refused(identity: Identity) -> None:
    with refused("SESSION_ENDED"):
        await identity.issue("not one of ours")


async def test_of_too_many_sessions_the_oldest_ends(identity: Identity) -> None:
    ada = await identity.create(ADA)
    begun = []
    for _ in range(MOST + 2):
        identity.clock.advance(timedelta(seconds=1))
        begun.append((await identity.sign_in()).session.name)
    assert [one.session for one in await identity.stated(SessionRevoked)] == begun[:2]
    assert len((await listed(identity, ada, page_size=200)).sessions) == MOST


async def test_a_sign_in_waits_for_no_other_session_of_its_user(identity: Identity) -> None:
    await identity.create(ADA)
    await identity.sign_in()
    async with identity.sessions.begin() as session:
        await session.execute(select(Session.id).with_for_update())  # as who uses it does
        assert (await identity.sign_in()).secret


async def test_sessions_whose_time_is_over_are_forgotten(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    await end(identity, ada, begun.session.name)
    await forget_sessions.work(identity.sessions, identity.clock())
    assert await rows(identity) == 1  # so that ending it again is no error
    identity.clock.advance(IDLE)
    await forget_sessions.work(identity.sessions, identity.clock())
    assert await rows(identity) == 0


async def rows(identity: Identity) -> int:
    async with identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Session)) or 0


async def test_a_session_tells_who_calls(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    token = (await identity.issue(begun.secret)).access_token
    assert await identity.stub.GetUser(pb.GetUserRequest(name=ada.name), metadata=as_person(token)) == ada


async def test_what_deletes_asks_for_a_recent_sign_in(identity: Identity) -> None:
    ada, begun = await identity.create(ADA), await identity.sign_in()
    identity.clock.advance(timedelta(minutes=6))
    old = (await identity.issue(begun.secret)).access_token
    with refused("SIGN_IN_TOO_OLD"):
        await identity.stub.DeleteUser(pb.DeleteUserRequest(name=ada.name), metadata=as_person(old))
    fresh = (await identity.issue((await identity.sign_in()).secret)).access_token
    gone = await identity.stub.DeleteUser(pb.DeleteUserRequest(name=ada.name), metadata=as_person(fresh))
    assert gone.state == pb.User.PENDING_DELETION


MOZILLA, WEBKIT = "Mozilla/5.0", "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (f"{MOZILLA} (Windows NT 10.0) {WEBKIT} Chrome/139.0 Safari/537.36 Edg/139.0", "Edge on Windows"),
        (f"{MOZILLA} (Linux; Android 15; SM-S921B) {WEBKIT} Chrome/139.0 Safari/537.36", "Chrome on Android"),
        (f"{MOZILLA} (iPhone; CPU iPhone OS 18_5 like Mac OS X) {WEBKIT} Safari/604.1", "Safari on iPhone"),
        (f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Safari/605.1.15", "Safari on macOS"),
        ("curl/8.5.0", "Unknown browser"),
        ("", "Unknown browser"),
        ("ada@example.org " * 50, "Unknown browser"),
    ],
)
async def test_a_device_is_a_browser_and_a_system_and_nothing_more(identity: Identity, agent: str, device: str) -> None:
    await identity.create(ADA)
    assert (await identity.sign_in(agent=agent)).session.device == device


async def test_a_gateway_without_its_token_signs_nobody_in(identity: Identity) -> None:
    await identity.create(ADA)
    with refused("TOKEN_INVALID"):
        asked = pb.CreateSessionRequest(email=ADA, password=PASSWORD)
        await identity.stub.CreateSession(asked, metadata=(("x-rapport-service", f"{GATEWAY[0][1]}x"),))


async def test_no_log_line_holds_a_person_or_a_secret(identity: Identity, capfd: pytest.CaptureFixture[str]) -> None:
    token = await identity.link()
    await identity.stub.CompleteRegistration(pb.CompleteRegistrationRequest(token=token, password=PASSWORD))
    begun = await identity.sign_in(agent=FIREFOX)
    issued = await identity.issue(begun.secret)
    for email in (ADA, EVE, "no address"):
        with refused("SIGN_IN_FAILED"):
            await identity.sign_in(email, "a guess of mine")
    said = "".join(capfd.readouterr())
    assert "IdentityService/CreateSession" in said
    for planted in (ADA, EVE, "no address", PASSWORD, "a guess", token, begun.secret, issued.access_token, "Firefox"):
        assert planted not in said
