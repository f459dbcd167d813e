"""Clients are told that somebody was signed out (OpenID Connect Back-Channel Logout 1.0)."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from sqlalchemy import func, select

from chassis.database import Sessions
from services.identity import outside
from services.identity.models import SignOutNotice
from services.identity.oauth import backchannel
from services.identity.oauth.backchannel import EVENT, RETRIES
from services.identity.settings import Settings
from services.identity.tokens import Signer
from tests.identity.conftest import served
from tests.identity.listener import Listener, listening
from tests.identity.oauth import Provider
from tests.identity.people import ADA, OPERATOR, PASSWORD, Identity
from tests.journeys.people import eventually
from tests.tokens import ISSUER
from tests.world import Hands, refused

SECOND = timedelta(seconds=1)


@pytest.fixture
async def identity(settings: Settings, sessions: Sessions, clock: Hands) -> AsyncIterator[Identity]:
    """The service, with the job that tells."""
    async with served(settings, sessions, clock, jobs={backchannel.NAME}) as identity:
        yield identity


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as made:
        yield made


@pytest.fixture
async def client(provider: Provider, listener: Listener) -> Provider:
    """One that wants to hear of sign-outs, and reads Ed25519."""
    made = Provider(provider.identity, client="told", session=provider.session)
    await made.register(backchannel_logout_uri=listener.uri, id_token_algorithm=pb.Client.ED25519)
    return made


async def end(client: Provider) -> None:
    issued = await client.identity.issue(client.session)
    me = client.identity.as_(issued.session.rsplit("/", 2)[0])
    await client.identity.stub.DeleteSession(identity_pb2.DeleteSessionRequest(name=issued.session), metadata=me)


def read(client: Provider, token: str) -> jwt.Token:
    return jwt.decode(token, client.identity.key, algorithms=["Ed25519"])


async def left(client: Provider) -> int:
    async with client.identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(SignOutNotice)) or 0


async def until_left(client: Provider, count: int) -> None:
    async def are_left() -> bool:
        return await left(client) == count

    await eventually(are_left, f"that {count} wait")


async def test_a_client_is_told_by_a_token_that_says_who_and_of_which_sign_in(
    client: Provider, listener: Listener
) -> None:
    tokens = await client.tokens(nonce="n-1")
    await end(client)
    now = client.identity.clock.advance(SECOND)
    told, hint = read(client, await listener.token()), read(client, tokens["id_token"]).claims
    assert told.header["typ"] == "logout+jwt"
    assert (told.claims["iss"], told.claims["aud"]) == (ISSUER, "told")
    assert (told.claims["sub"], told.claims["sid"]) == (hint["sub"], hint["sid"])
    assert told.claims["events"] == {EVENT: {}}
    assert told.claims["jti"]
    assert "nonce" not in told.claims
    assert told.claims["iat"] == int(now.timestamp())
    assert told.claims["exp"] - told.claims["iat"] <= 120
    await until_left(client, 0)


async def every_end(client: Provider, how: str) -> None:
    identity = client.identity
    issued = await identity.issue(client.session)
    user = issued.session.rsplit("/", 2)[0]
    match how:
        case "signing out by a client":
            hint = (await client.tokens())["id_token"]
            assert (await client.end_session(id_token_hint=hint)).WhichOneof("outcome") == "done"
        case "ending it from another browser":
            await end(client)
        case "losing a role":
            for roles in (["agent"], []):
                asked = identity_pb2.SetUserRolesRequest(name=user, roles=roles)
                await identity.stub.SetUserRoles(asked, metadata=OPERATOR)
        case "another password":
            await identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=ADA))
            asked_new = identity_pb2.CompleteRecoveryRequest(token=await identity.token(ADA), password=PASSWORD + "!")
            await identity.stub.CompleteRecovery(asked_new)
        case "deletion":
            await identity.delete(await identity.get(user))


@pytest.mark.parametrize(
    "how",
    [
        "signing out by a client",
        "ending it from another browser",
        "losing a role",
        "another password",
        "deletion",
    ],
)
async def test_every_end_of_a_sign_in_is_told(client: Provider, listener: Listener, how: str) -> None:
    sid = read(client, (await client.tokens())["id_token"]).claims["sid"]
    await every_end(client, how)
    client.identity.clock.advance(SECOND)
    assert read(client, await listener.token()).claims["sid"] == sid


async def test_a_client_that_was_to_live_on_is_told_and_lives_on(client: Provider, listener: Listener) -> None:
    tokens = await client.tokens(scope="openid offline_access")
    await end(client)
    client.identity.clock.advance(SECOND)
    assert read(client, await listener.token()).claims["sid"] == read(client, tokens["id_token"]).claims["sid"]
    assert (await client.refresh(tokens["refresh_token"]))[0] == 200


async def test_a_client_that_signed_nobody_in_by_it_is_told_nothing(client: Provider, provider: Provider) -> None:
    await client.code()  # which nobody redeemed
    await provider.tokens()  # by a client that wants to hear nothing
    await end(client)
    assert await left(client) == 0


async def test_however_often_somebody_signed_in_by_it_a_client_is_told_once(
    client: Provider, listener: Listener
) -> None:
    for _ in range(3):
        await client.tokens()
    await end(client)
    assert await left(client) == 1
    client.identity.clock.advance(SECOND)
    await listener.token()
    await until_left(client, 0)
    assert listener.asked.empty()


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_client_that_cannot_hear_now_is_told_later_with_another_token(
    client: Provider, listener: Listener, status: int
) -> None:
    listener.answers = [status, 200]
    await client.tokens()
    await end(client)
    client.identity.clock.advance(SECOND)
    first = read(client, await listener.token())
    client.identity.clock.advance(RETRIES[0])
    second = read(client, await listener.token())
    assert first.claims["jti"] != second.claims["jti"]
    assert first.claims["sid"] == second.claims["sid"]
    await until_left(client, 0)


async def test_a_client_that_never_hears_is_given_up(client: Provider, listener: Listener) -> None:
    listener.answers = [500] * 10
    await client.tokens()
    await end(client)
    client.identity.clock.advance(SECOND)
    await listener.token()
    for pause in RETRIES:
        client.identity.clock.advance(pause + SECOND)
        await listener.token()
    await until_left(client, 0)


@pytest.mark.parametrize("status", [302, 307, 400, 404])
async def test_a_client_that_refuses_or_leads_on_is_not_asked_again(
    client: Provider, listener: Listener, status: int
) -> None:
    listener.answers = [status]
    await client.tokens()
    await end(client)
    client.identity.clock.advance(SECOND)
    await listener.token()
    await until_left(client, 0)
    assert listener.asked.empty()


async def test_what_is_an_hour_old_is_told_to_nobody(client: Provider, listener: Listener) -> None:
    await client.tokens()
    await end(client)
    client.identity.clock.advance(timedelta(hours=1))
    await until_left(client, 0)
    assert listener.asked.empty()


async def test_for_a_client_that_does_not_listen_only_so_much_waits(
    client: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backchannel, "MOST", 2)
    for _ in range(4):
        await client.sign_in()
        await client.tokens()
        await end(client)
    assert await left(client) == 2


async def test_a_silent_client_holds_nobody_up(
    client: Provider, provider: Provider, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backchannel, "AT_ONCE", 2)
    async with listening() as silent:
        silent.answers = [500] * 100
        other = Provider(provider.identity, client="silent", session=client.session)
        await other.register(backchannel_logout_uri=silent.uri)
        for _ in range(5):
            other.session = await client.sign_in()
            await other.tokens()
            await end(other)
        await client.sign_in()
        await client.tokens()
        await end(client)
        client.identity.clock.advance(SECOND)
        await listener.token()


async def test_a_logout_token_is_no_id_token_and_an_id_token_of_no_use_as_one(
    client: Provider, listener: Listener
) -> None:
    await client.tokens()
    await end(client)
    client.identity.clock.advance(SECOND)
    token = await listener.token()
    await client.sign_in()
    assert (await client.end_session(id_token_hint=token)).problem.error == "invalid_request"
    assert (await client.told(id_token_hint=token))["error"] == "invalid_request"
    assert (await client.userinfo(token))[0] == 401


# Where it may go ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.org/signed-out",
        "https://app.example.org/#signed-out",
        "https://me@app.example.org/",
        "https://127.0.0.1/",
        "https://10.0.0.7/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.7]/",
        "http://[::ffff:10.0.0.7]/",
        "http://localhost/",
        "ftp://app.example.org/",
        "https://",
        "https://app.example.org:port/",
        "org.example.app:/signed-out",
    ],
)
async def test_a_client_is_not_told_at_an_address_that_leads_inside_or_can_be_listened_at(
    provider: Provider, uri: str
) -> None:
    with refused("CLIENT_UNSAFE") as said:
        await provider.register(backchannel_logout_uri=uri)
    assert said[0].violations[0].field == "client.backchannel_logout_uri"


@pytest.mark.parametrize(
    ("address", "is_fine"),
    [
        ("8.8.8.8", True),
        ("2a00:1450:4001:81b::200e", True),
        *((one, False) for one in ("10.1.2.3", "192.168.1.1", "172.16.0.1", "127.0.0.1", "0.0.0.1", "100.64.0.1")),
        *((one, False) for one in ("169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255")),
        *((one, False) for one in ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1")),
        *((one, False) for one in ("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::")),
    ],
)
def test_only_public_addresses_are_outside(address: str, is_fine: bool) -> None:
    assert outside.Guarded(loopback=False).allows(address) is is_fine


async def test_a_name_that_leads_inside_is_not_called(listener: Listener) -> None:
    with pytest.raises(outside.NotOutside):
        await outside.post(f"https://localhost:{listener.port}/", b"", headers={})
    assert listener.asked.empty()


async def test_a_client_whose_name_leads_inside_is_given_up_at_once(client: Provider, listener: Listener) -> None:
    await client.register(backchannel_logout_uri="https://localhost/", id_token_algorithm=pb.Client.ED25519)
    await client.tokens()
    await end(client)
    client.identity.clock.advance(SECOND)
    await until_left(client, 0)


async def test_a_client_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "SECONDS", 0.2)
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        over.set()

    async with await asyncio.start_server(silent, "127.0.0.1") as server:
        port, began = server.sockets[0].getsockname()[1], time.monotonic()
        with pytest.raises(TimeoutError):
            await outside.post(f"http://127.0.0.1:{port}/", b"", headers={})
        await over.wait()
    assert time.monotonic() - began < 5


async def test_no_transaction_is_open_while_a_client_is_called(
    client: Provider, settings: Settings, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_then: list[Any] = []

    async def post(*_: Any, **__: Any) -> int:
        async with client.identity.sessions() as session:
            query = select(SignOutNotice).with_for_update(nowait=True)  # refused, were a row of them held
            open_then.extend((await session.scalars(query)).all())
        return 200

    monkeypatch.setattr(outside, "post", post)
    await client.tokens()
    await end(client)
    signer = Signer(settings.signing_key.value, settings.id_token_key.value, issuer=ISSUER)
    assert await backchannel.tell(signer, client.identity.sessions, client.identity.clock()) == 1
    assert len(open_then) == 1
    assert await left(client) == 0
