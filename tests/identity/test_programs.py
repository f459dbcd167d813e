"""Programs that act for themselves: client credentials, and the end of what they got."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import ClientRevoked

from chassis.client import as_person
from chassis.tokens import AUDIENCE
from services.identity.once import forget_spent
from tests.identity.oauth import CALLBACK, Provider, Said, as_web
from tests.identity.people import OPERATOR
from tests.tokens import ISSUER
from tests.world import refused

SCOPES = ("commerce.write", "stock.read")


@pytest.fixture
async def robot(provider: Provider) -> Provider:
    """The same provider, with a client that acts for itself."""
    robot = Provider(provider.identity, client="robot", session=provider.session)
    await robot.register(pb.Client.SERVICE, redirect_uris=[], scopes=SCOPES, first_party=False)
    return robot


async def granted(robot: Provider, **said: str) -> Said:
    status, told = await robot.token(grant_type="client_credentials", **said)
    assert status == 200, told
    return told


async def introspected(client: Provider, token: str) -> Said:
    said = {"client_id": client.client, "client_secret": client.secret, "token": token}
    status, told = await client.call(pb.CallEndpointRequest.INTROSPECTION, **said)
    assert status == 200, told
    return told


async def revoked(client: Provider, token: str) -> None:
    said = {"client_id": client.client, "client_secret": client.secret, "token": token}
    assert (await client.call(pb.CallEndpointRequest.REVOCATION, **said))[0] == 200


def claims(robot: Provider, token: str) -> dict[str, Any]:
    found = jwt.decode(token, robot.identity.key, algorithms=["Ed25519"])
    assert found.header["typ"] == "at+jwt"
    return found.claims


async def ends(robot: Provider) -> list[tuple[str, str]]:
    """What was ended and why, oldest first."""
    stated = await robot.identity.stated(ClientRevoked)
    return [(one.revoked, ClientRevoked.Reason.Name(one.reason)) for one in stated]


def credential(robot: Provider, token: str) -> str:
    return f"clients/robot/credentials/{claims(robot, token)['credential']}"


# What it gets --------------------------------------------------------------------------------------------------------


async def test_a_program_gets_a_token_of_five_minutes_that_speaks_of_itself_and_of_no_person(robot: Provider) -> None:
    told = await granted(robot)
    said = claims(robot, told.pop("access_token"))
    assert told == {"token_type": "Bearer", "expires_in": 300, "scope": "commerce.write stock.read"}
    now = int(robot.identity.clock().timestamp())
    assert said.pop("jti") != claims(robot, (await granted(robot))["access_token"])["jti"]
    assert said.pop("credential")
    assert said == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "clients/robot",
        "client_id": "robot",
        "scope": "commerce.write stock.read",
        "iat": now,
        "exp": now + 300,
    }


async def test_a_program_gets_what_it_asks_for_of_what_it_is_registered_for(robot: Provider) -> None:
    told = await granted(robot, scope="stock.read stock.read")
    assert told["scope"] == claims(robot, told["access_token"])["scope"] == "stock.read"
    for scope in ("stock.write", "stock.read points", "openid"):
        assert (await robot.token(grant_type="client_credentials", scope=scope))[1]["error"] == "invalid_scope"
    await robot.register(pb.Client.SERVICE, redirect_uris=[], scopes=[])
    assert (await robot.token(grant_type="client_credentials"))[1]["error"] == "invalid_scope"


async def test_a_program_proves_itself_by_header_or_in_the_body(robot: Provider) -> None:
    basic = f"Basic {b64encode(f'robot:{robot.secret}'.encode()).decode()}"
    status, told = await robot.call(pb.CallEndpointRequest.TOKEN, basic, grant_type="client_credentials")
    assert (status, told["token_type"]) == (200, "Bearer")
    for secret in ("", "x", robot.secret[:-1]):
        status, told = await robot.token(grant_type="client_credentials", client_secret=secret)
        assert (status, told["error"]) == (401, "invalid_client")


async def test_only_a_program_that_acts_for_itself_gets_such_a_token(provider: Provider) -> None:
    for client in (provider, await as_web(provider)):
        status, told = await client.token(grant_type="client_credentials", scope="points")
        assert (status, told["error"]) == (400, "unauthorized_client")


async def test_a_program_that_acts_for_itself_gets_nothing_of_a_person(provider: Provider, robot: Provider) -> None:
    for uri in (CALLBACK, ""):
        assert (await robot.authorize(redirect_uri=uri)).problem.error == "invalid_request"
    tokens = await provider.tokens(scope="openid offline_access")
    assert (await robot.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await robot.redeem(await provider.code()))[1]["error"] == "invalid_grant"
    own = (await granted(robot))["access_token"]
    assert (await robot.userinfo(own))[0] == 401


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"redirect_uris": [CALLBACK]}, "client.redirect_uris"),
        ({"post_logout_redirect_uris": [CALLBACK]}, "client.redirect_uris"),
        ({"scopes": ["stock.read", "openid"]}, "client.scopes"),
        ({"scopes": ["offline_access"]}, "client.scopes"),
        ({"name": "clients/store"}, "client.name"),
    ],
)
async def test_a_program_that_would_be_taken_for_something_else_is_not_made(
    robot: Provider, said: dict[str, Any], field: str
) -> None:
    with refused("CLIENT_UNSAFE") as told:
        await robot.register(pb.Client.SERVICE, **{"redirect_uris": [], "scopes": [], **said})
    assert [one.field for one in told[0].violations] == [field]


async def test_nobody_s_program_is_the_store_s_own_front_end(provider: Provider) -> None:
    """A token of that name needs no scope anywhere."""
    with refused("CLIENT_UNSAFE"):
        await provider.register(name="clients/store")


async def test_a_program_is_let_in_nowhere_that_does_not_say_so(robot: Provider) -> None:
    token = as_person((await granted(robot))["access_token"])
    user = (await robot.identity.stub.ListUsers(identity_pb2.ListUsersRequest(), metadata=admin(robot))).users[0]
    with refused("FORBIDDEN"):
        await robot.identity.stub.GetUser(identity_pb2.GetUserRequest(name=user.name), metadata=token)
    with refused("FORBIDDEN"):
        await robot.stub.ListClients(pb.ListClientsRequest(), metadata=token)


def admin(robot: Provider) -> Any:
    return robot.identity.as_("users/8a3c9a5e-0c5f-4a56-9f0e-3f4d7c5b2a10", "admin")


# How it ends ---------------------------------------------------------------------------------------------------------


async def test_a_token_of_its_own_is_introspected_by_the_program_alone(provider: Provider, robot: Provider) -> None:
    token = (await granted(robot))["access_token"]
    told = await introspected(robot, token)
    said = claims(robot, token)
    shown = {name: said[name] for name in ("scope", "client_id", "sub", "aud", "iat", "exp", "jti", "iss")}
    assert told == {"active": True, "token_type": "Bearer", **shown}
    assert await introspected(await as_web(provider), token) == {"active": False}
    robot.identity.clock.advance(timedelta(minutes=5))
    assert await introspected(robot, token) == {"active": False}


async def test_a_token_that_its_program_gave_up_ends_and_no_other(provider: Provider, robot: Provider) -> None:
    given_up, kept = [(await granted(robot))["access_token"] for _ in range(2)]
    await revoked(await as_web(provider), given_up)
    assert (await introspected(robot, given_up))["active"]
    for _ in range(2):
        await revoked(robot, given_up)
    assert await introspected(robot, given_up) == {"active": False}
    assert (await introspected(robot, kept))["active"]
    told = [one for one in await ends(robot) if one[1] == "ASKED_FOR"]
    assert told == [(f"clients/robot/tokens/{claims(robot, given_up)['jti']}", "ASKED_FOR")]


async def test_another_secret_ends_the_tokens_of_the_one_before(robot: Provider) -> None:
    before = (await granted(robot))["access_token"]
    asked = pb.ResetClientSecretRequest(name="clients/robot")
    robot.secret = (await robot.stub.ResetClientSecret(asked, metadata=OPERATOR)).client_secret
    after = (await granted(robot))["access_token"]
    assert await introspected(robot, before) == {"active": False}
    assert (await introspected(robot, after))["active"]
    assert (await ends(robot))[-1] == (credential(robot, before), "SECRET_RESET")
    assert credential(robot, after) not in [one for one, _ in await ends(robot)]


@pytest.mark.parametrize(
    ("said", "is_ended"),
    [
        ({"scopes": ["stock.read"]}, True),
        ({"scopes": [*SCOPES, "points"]}, False),
        ({"title": "Another"}, False),
        ({"profile": pb.Client.WEB, "redirect_uris": [CALLBACK]}, True),
    ],
    ids=["a scope less", "a scope more", "another title", "another kind"],
)
async def test_a_program_that_is_narrowed_holds_no_wider_token(
    robot: Provider, said: dict[str, Any], is_ended: bool
) -> None:
    token = (await granted(robot))["access_token"]
    usual: dict[str, Any] = {"name": "clients/robot", "title": "A", "profile": pb.Client.SERVICE, "scopes": SCOPES}
    await robot.stub.UpdateClient(pb.UpdateClientRequest(client=pb.Client(**usual | said)), metadata=OPERATOR)
    assert (await introspected(robot, token))["active"] is not is_ended
    ended = [(credential(robot, token), "CLIENT_NARROWED")] if is_ended else []
    assert [one for one in await ends(robot) if one[1] == "CLIENT_NARROWED"] == ended


async def test_a_program_that_is_gone_leaves_no_token_and_one_of_its_name_has_none_of_it(robot: Provider) -> None:
    token = (await granted(robot))["access_token"]
    await robot.stub.DeleteClient(pb.DeleteClientRequest(name="clients/robot"), metadata=OPERATOR)
    assert (await ends(robot))[-1] == (credential(robot, token), "CLIENT_DELETED")
    await robot.register(pb.Client.SERVICE, redirect_uris=[], scopes=SCOPES)
    assert await introspected(robot, token) == {"active": False}


async def test_what_people_let_a_client_do_says_nothing_of_it(provider: Provider) -> None:
    web = await as_web(provider)
    await web.tokens()
    await web.stub.ResetClientSecret(pb.ResetClientSecretRequest(name="clients/site"), metadata=OPERATOR)
    assert await ends(web) == []


async def test_what_is_left_of_ended_tokens_goes_when_they_would_have_ended(robot: Provider) -> None:
    await revoked(robot, (await granted(robot))["access_token"])
    now = robot.identity.clock()
    assert await forget_spent.work(robot.identity.sessions, now + timedelta(seconds=299)) == 0
    assert await forget_spent.work(robot.identity.sessions, now + timedelta(seconds=300)) == 1
