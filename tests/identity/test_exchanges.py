"""Programs that were called for a person call on for them, with a token of their own (RFC 8693)."""

from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from rapport.identity.v1 import audit_pb2, identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import ClientRevoked

from chassis.client import as_person
from services.identity.oauth.exchanges import ACCESS_TOKEN, GRANT, MOST
from tests.identity.keys import OTHER_P256, P256, proof
from tests.identity.oauth import Provider, Said
from tests.identity.people import ADA
from tests.identity.test_audit import entries
from tests.identity.test_impersonation import staff
from tests.world import refused

TOKEN = "/oauth/token"
REACH = ["profile", "points", "profile.write"]
SERVICE: dict[str, Any] = {"redirect_uris": [], "scopes": ["stock.read"], "first_party": False}
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


async def service(provider: Provider, name: str = "advice", **said: Any) -> Provider:
    """A program that acts for itself, and may call on for people."""
    made = Provider(provider.identity, client=name)
    await made.register(pb.Client.SERVICE, **SERVICE | {"token_exchange_scopes": REACH} | said)
    return made


@pytest.fixture
async def advice(provider: Provider) -> Provider:
    await provider.register(scopes=["openid", "profile", "points", "sessions", "profile.write"])
    return await service(provider)


async def exchanged(client: Provider, token: str, **said: str) -> tuple[int, Said]:
    usual = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    return await client.token(**usual | said)


async def token_of(provider: Provider, scope: str = "openid profile points") -> str:
    """A person's, of a client."""
    return str((await provider.tokens(scope=scope))["access_token"])


async def given(client: Provider, token: str, **said: str) -> str:
    status, told = await exchanged(client, token, **said)
    assert status == 200, told
    return str(told["access_token"])


def claims(provider: Provider, token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, provider.identity.key, algorithms=["Ed25519"]).claims)


async def introspected(client: Provider, token: str) -> Said:
    said = {"client_id": client.client, "client_secret": client.secret, "token": token}
    return (await client.call(pb.CallEndpointRequest.INTROSPECTION, **said))[1]


async def see(provider: Provider, token: str, user: str) -> identity_pb2.User:
    asked = identity_pb2.GetUserRequest(name=user)
    return await provider.identity.stub.GetUser(asked, metadata=as_person(token))


# What is given --------------------------------------------------------------------------------------------------------


async def test_a_program_gets_a_token_for_the_person_that_says_who_acts(provider: Provider, advice: Provider) -> None:
    theirs = await token_of(provider)
    before = claims(provider, theirs)
    provider.identity.clock.advance(timedelta(minutes=1))
    status, told = await exchanged(advice, theirs)
    assert (status, told["issued_token_type"], told["token_type"]) == (200, ACCESS_TOKEN, "Bearer")
    assert told.keys() == {
        "access_token",
        "issued_token_type",
        "token_type",
        "expires_in",
        "scope",
    }  # nothing renews it
    said = claims(provider, told["access_token"])
    assert (said["sub"], said["client_id"], said["act"]) == (before["sub"], "advice", {"sub": "clients/advice"})
    assert (said["scope"], told["scope"], said["roles"]) == ("profile points", "profile points", [])
    assert (said["exp"], told["expires_in"]) == (before["exp"], 240)  # no longer than the one it was got for
    assert said["authorization"] == before["authorization"]
    assert (await see(provider, told["access_token"], f"users/{said['sub']}")).email == ADA


@pytest.mark.parametrize(
    ("theirs", "asked", "got"),
    [
        ("openid profile points", "points", "points"),
        ("openid profile points", "", "profile points"),
        ("openid points", "", "points"),
        ("openid points", "points points", "points"),
        ("openid points", "profile", None),  # the person's token does not reach it
        ("openid points", "points profile", None),
        ("openid sessions points", "sessions", None),  # the program may not
        ("openid sessions", "", None),
        ("openid points", "openid", None),
    ],
)
async def test_it_reaches_what_both_do_and_was_asked_for(
    provider: Provider, advice: Provider, theirs: str, asked: str, got: str | None
) -> None:
    status, told = await exchanged(advice, await token_of(provider, theirs), scope=asked)
    if got is None:
        assert (status, told["error"]) == (400, "invalid_scope")
    else:
        assert (status, told["scope"], claims(provider, told["access_token"])["scope"]) == (200, got, got)


async def test_a_token_of_the_store_s_own_front_end_is_narrowed_to_what_the_program_may(
    provider: Provider, advice: Provider
) -> None:
    issued = await provider.identity.issue(provider.session)
    token = await given(advice, issued.access_token)
    assert claims(provider, token)["scope"].split() == REACH
    user = issued.session.partition("/sessions/")[0]
    assert (await see(provider, token, user)).email == ADA
    with refused("SCOPE_MISSING"):
        listed = identity_pb2.ListSessionsRequest(parent=user)
        await provider.identity.stub.ListSessions(listed, metadata=as_person(token))


async def test_who_passes_it_on_is_said_of_each(provider: Provider, advice: Provider) -> None:
    other = await service(provider, "letters")
    token = await given(other, await given(advice, await token_of(provider)))
    said = claims(provider, token)
    assert (said["client_id"], said["act"]) == ("letters", {"sub": "clients/letters", "act": {"sub": "clients/advice"}})
    for _ in range(MOST - 2):
        token = await given(other, token)
    status, told = await exchanged(other, token)
    assert (status, told["error"]) == (400, "invalid_request")


async def test_what_it_does_for_the_person_is_noted_as_done_by_the_program(
    provider: Provider, advice: Provider
) -> None:
    token = await given(advice, await token_of(provider, "openid profile.write"))
    user = f"users/{claims(provider, token)['sub']}"
    asked = identity_pb2.UpdateUserRequest(user=identity_pb2.User(name=user, display_name="Ada L."))
    await provider.identity.stub.UpdateUser(asked, metadata=as_person(token))
    last = (await entries(provider.identity, identity_pb2.User(name=user)))[-1]
    assert (last.fact, last.actor, last.program) == ("UserUpdated", audit_pb2.AuditEntry.PROGRAM, "clients/advice")


async def test_a_program_that_acts_for_who_looks_reads_alone(provider: Provider, advice: Provider) -> None:
    alma = await staff(provider.identity, "alma@example.org")
    ada = identity_pb2.User(name=(await provider.identity.issue(provider.session)).session.partition("/sessions/")[0])
    looked = await alma.look(ada)
    token = await given(advice, looked.access_token, scope="profile")
    said = claims(provider, token)
    assert said["act"] == {"sub": "clients/advice", "act": {"sub": alma.user.name}}
    assert (await see(provider, token, ada.name)).email == ADA
    with refused("FORBIDDEN"):
        asked = identity_pb2.UpdateUserRequest(user=identity_pb2.User(name=ada.name, display_name="Eve"))
        await provider.identity.stub.UpdateUser(asked, metadata=as_person(token))
    provider.identity.clock.advance(timedelta(minutes=5))
    assert (await exchanged(advice, looked.access_token))[1]["error"] == "invalid_request"


# Who gets nothing -----------------------------------------------------------------------------------------------------


async def test_only_a_client_that_is_registered_for_it_exchanges(provider: Provider) -> None:
    token = await token_of(provider)
    for client in (provider, await service(provider, "stock", token_exchange_scopes=[])):
        status, told = await exchanged(client, token)
        assert (status, told["error"]) == (400, "unauthorized_client")
    stranger = Provider(provider.identity, client="advice", secret="guessed")
    assert (await exchanged(stranger, token))[1]["error"] == "invalid_client"


async def test_what_makes_no_sense_is_not_registered(provider: Provider) -> None:
    web = Provider(provider.identity, client="site")
    with refused("CLIENT_UNSAFE"):
        await web.register(pb.Client.WEB, token_exchange_scopes=["points"])
    for scope in ("openid", "offline_access"):
        with refused("CLIENT_UNSAFE"):
            await service(provider, "odd", token_exchange_scopes=[scope])


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token": "x.y.z"}, "invalid_request"),
        ({"subject_token_type": ""}, "invalid_request"),
        ({"subject_token_type": ID_TOKEN}, "invalid_request"),
        ({"requested_token_type": ID_TOKEN}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"audience": "elsewhere"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
    ],
)
async def test_what_is_no_exchange_is_refused(
    provider: Provider, advice: Provider, said: dict[str, str], error: str
) -> None:
    token = await token_of(provider)
    status, told = await exchanged(advice, token, **said)
    assert (status, told["error"]) == (400, error)
    usual = {"audience": "rapport", "requested_token_type": ACCESS_TOKEN}
    assert (await exchanged(advice, token, **usual))[0] == 200


async def test_other_tokens_are_none_of_a_person(provider: Provider, advice: Provider) -> None:
    tokens = await provider.tokens(scope="openid profile points")
    own = (await advice.token(grant_type="client_credentials"))[1]["access_token"]
    for shown in (tokens["id_token"], tokens["refresh_token"], own, provider.session):
        assert (await exchanged(advice, shown))[1]["error"] == "invalid_request"


async def test_a_token_that_is_good_no_more_is_exchanged_no_more(provider: Provider, advice: Provider) -> None:
    identity = provider.identity
    issued = await identity.issue(provider.session)
    user = issued.session.partition("/sessions/")[0]

    async def errors(*tokens: str) -> list[str]:
        return [(await exchanged(advice, one))[1].get("error", "") for one in tokens]

    first, second = await token_of(provider), await token_of(provider)
    assert await errors(first, second, issued.access_token) == ["", "", ""]
    authorization = f"{user}/authorizations/{claims(provider, first)['authorization']}"
    asked = pb.DeleteAuthorizationRequest(name=authorization)
    await provider.stub.DeleteAuthorization(asked, metadata=identity.as_(user))
    assert await errors(first, second, issued.access_token) == ["invalid_request", "", ""]
    ended = identity_pb2.DeleteSessionRequest(name=issued.session)
    await identity.stub.DeleteSession(ended, metadata=identity.as_(user))
    assert await errors(second, issued.access_token) == ["invalid_request", "invalid_request"]
    await provider.sign_in()
    old = await token_of(provider)
    identity.clock.advance(timedelta(minutes=5))
    assert await errors(old) == ["invalid_request"]
    last, own = await token_of(provider), (await identity.issue(provider.session)).access_token
    await identity.delete(identity_pb2.User(name=user))
    assert await errors(last, own) == ["invalid_request", "invalid_request"]


# Keys -----------------------------------------------------------------------------------------------------------------


async def test_a_bound_token_needs_its_key_and_so_does_what_comes_of_it(provider: Provider, advice: Provider) -> None:
    def signed(**said: Any) -> str:
        return proof(TOKEN, now=provider.identity.clock(), **said)

    theirs = (await provider.redeem(await provider.code(scope="openid points"), proof=signed()))[1]["access_token"]
    for shown in ("", signed(key=OTHER_P256)):
        assert (await exchanged(advice, theirs, proof=shown))[1]["error"] == "invalid_request"
    status, told = await exchanged(advice, theirs, proof=signed())
    assert (status, told["token_type"]) == (200, "DPoP")
    assert claims(provider, told["access_token"])["cnf"] == {"jkt": P256.thumbprint()}


async def test_a_program_may_bind_what_it_gets_to_its_own_key(provider: Provider, advice: Provider) -> None:
    shown = proof(TOKEN, now=provider.identity.clock(), key=OTHER_P256)
    told = (await exchanged(advice, await token_of(provider), proof=shown))[1]
    assert claims(provider, told["access_token"])["cnf"] == {"jkt": OTHER_P256.thumbprint()}
    bound = await service(provider, dpop_bound_access_tokens=True)
    assert (await exchanged(bound, await token_of(provider)))[1]["error"] == "invalid_dpop_proof"


# How it ends ----------------------------------------------------------------------------------------------------------


async def test_what_the_program_was_given_ends_with_its_credential(provider: Provider, advice: Provider) -> None:
    token = await given(advice, await token_of(provider))
    credential = f"clients/advice/credentials/{claims(provider, token)['actor_credential']}"
    await service(provider, token_exchange_scopes=["points"])  # it may less now
    ended = [(one.revoked, one.reason) for one in await provider.identity.stated(ClientRevoked)]
    assert (credential, ClientRevoked.CLIENT_NARROWED) in ended


async def test_the_program_is_told_of_its_token_and_nobody_else_is(provider: Provider, advice: Provider) -> None:
    token = await given(advice, await token_of(provider))
    said = await introspected(advice, token)
    assert said["active"] is True
    assert (said["client_id"], said["scope"], said["act"]) == ("advice", "profile points", {"sub": "clients/advice"})
    other = await service(provider, "letters")
    assert await introspected(other, token) == {"active": False}
    ended = identity_pb2.DeleteSessionRequest(name=(await provider.identity.issue(provider.session)).session)
    await provider.identity.stub.DeleteSession(ended, metadata=provider.identity.as_(f"users/{said['sub']}"))
    assert await introspected(advice, token) == {"active": False}


async def test_it_is_no_way_to_who_the_person_is(provider: Provider, advice: Provider) -> None:
    token = await given(advice, await token_of(provider))
    assert (await provider.userinfo(token))[0] == 401
    revoke = {"client_id": advice.client, "client_secret": advice.secret, "token": token}
    assert (await advice.call(pb.CallEndpointRequest.REVOCATION, **revoke))[0] == 200
    assert (await exchanged(advice, await token_of(provider)))[0] == 200  # the person's own was not touched
