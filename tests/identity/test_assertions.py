"""Clients that prove themselves by a key: private_key_jwt within FAPI 2.0."""

import asyncio
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import JWSRegistry
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import ClientRevoked

from services.identity.once import forget_spent
from tests.identity import keys
from tests.identity.keys import ED25519, OTHER_P256, P256, RSA, asserted, assertion, registered
from tests.identity.oauth import CALLBACK, Provider, Said
from tests.identity.people import OPERATOR
from tests.tokens import ISSUER
from tests.world import refused

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def robot(provider: Provider) -> Provider:
    """A client that acts for itself, with a key of every kind and no secret."""
    robot = Provider(provider.identity, client="robot", session=provider.session)
    await register(robot, P256, ED25519, RSA)
    return robot


async def register(robot: Provider, *with_keys: keys.Key) -> pb.Client:
    return await put(robot, keys=[registered(one) for one in with_keys])


async def put(robot: Provider, **said: Any) -> pb.Client:
    wanted: dict[str, Any] = {
        "name": "clients/robot",
        "title": "Robot",
        "profile": pb.Client.SERVICE,
        "scopes": ["stock.read"],
    }
    asked = pb.UpdateClientRequest(client=pb.Client(**wanted | said))
    return await robot.stub.UpdateClient(asked, metadata=OPERATOR)


async def shown(robot: Provider, token: str, **said: str) -> tuple[int, Said]:
    return await robot.call(pb.CallEndpointRequest.TOKEN, **GRANT | asserted(token) | said)


@pytest.mark.parametrize("key", [P256, ED25519, RSA], ids=["ES256", "Ed25519", "PS256"])
async def test_a_client_proves_itself_by_each_kind_of_key(robot: Provider, key: keys.Key) -> None:
    for said in ({}, {"client_id": "robot"}):
        status, told = await shown(robot, assertion("robot", now=robot.identity.clock(), key=key), **said)
        assert (status, told.get("token_type")) == (200, "Bearer"), told


async def test_ed25519_may_go_by_its_older_name(robot: Provider) -> None:
    token = assertion("robot", now=robot.identity.clock(), key=ED25519, header={"alg": "EdDSA"})
    assert (await shown(robot, token))[0] == 200


async def test_of_one_key_no_kid_need_be_said_and_of_many_it_must_be(robot: Provider) -> None:
    def nameless() -> str:
        return assertion("robot", now=robot.identity.clock(), header={"kid": None})

    assert (await shown(robot, nameless()))[0] == 401
    await register(robot, P256)
    assert (await shown(robot, nameless()))[0] == 200


async def test_an_assertion_is_taken_at_every_endpoint(robot: Provider) -> None:
    def fresh() -> dict[str, str]:
        return asserted(assertion("robot", now=robot.identity.clock()))

    token = (await shown(robot, assertion("robot", now=robot.identity.clock())))[1]["access_token"]
    endpoint = pb.CallEndpointRequest
    assert (await robot.call(endpoint.INTROSPECTION, token=token, **fresh()))[1]["active"]
    assert (await robot.call(endpoint.REVOCATION, token=token, **fresh()))[0] == 200
    assert not (await robot.call(endpoint.INTROSPECTION, token=token, **fresh()))[1]["active"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": f"{ISSUER}/oauth/token"},
        {"aud": f"{ISSUER}/oauth/par"},
        {"aud": [ISSUER]},
        {"aud": f"{ISSUER}/"},
        {"aud": None},
        {"iss": "app"},
        {"iss": None},
        {"sub": "app"},
        {"sub": None},
        {"sub": 7},
        {"sub": "ro\0bot"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 257},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": 1e300},
        {"nbf": "now"},
        {"iat": [1]},
    ],
)
async def test_an_assertion_that_says_something_else_proves_nothing(robot: Provider, claims: dict[str, Any]) -> None:
    status, told = await shown(robot, assertion("robot", now=robot.identity.clock(), **claims))
    assert (status, told["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("name", "seconds", "status"),
    [
        ("exp", 1, 200),
        ("exp", 0, 401),
        ("exp", -60, 401),
        ("exp", 3_600, 200),
        ("exp", 3_700, 401),
        ("iat", 8, 200),
        ("iat", 61, 401),
        ("iat", -3_600, 200),
        ("nbf", 8, 200),
        ("nbf", 61, 401),
    ],
)
async def test_clocks_may_differ_by_seconds(robot: Provider, name: str, seconds: int, status: int) -> None:
    now = robot.identity.clock()
    said: dict[str, Any] = {name: int((now + timedelta(seconds=seconds)).timestamp())}
    token = assertion("robot", now=now, **said)
    assert (await shown(robot, token))[0] == status


async def test_only_what_the_key_is_for_is_taken(robot: Provider) -> None:
    now = robot.identity.clock()
    unsigned = [b'{"alg":"none","kid":"p256"}', orjson.dumps({"sub": "robot", "iss": "robot", "aud": ISSUER})]
    by_public_key = OctKey.import_key(orjson.dumps(keys.public(RSA)))
    for token in (
        assertion("robot", now=now, key=RSA, header={"alg": "RS256"}),
        assertion("robot", now=now, key=RSA, header={"alg": "PS512"}),
        assertion("robot", now=now, key=OTHER_P256),
        assertion("robot", now=now, key=OTHER_P256, header={"kid": "p256"}),
        assertion("robot", now=now, key=OTHER_P256, header={"kid": "p256", "jwk": keys.public(OTHER_P256)}),
        assertion("robot", now=now, header={"kid": "rsa"}),
        critical(now),
        assertion("robot", now=now, key=by_public_key, header={"alg": "HS256", "kid": "rsa"}),  # type: ignore[arg-type]
        ".".join(map(coded, unsigned)) + ".",
        "",
        "x",
        "x" * 8_000,
        assertion("robot", now=now)[:-4],
    ):
        status, told = await shown(robot, token)
        assert (status, told["error"]) == (401, "invalid_client"), token


def critical(now: datetime) -> str:
    """An assertion whose header names something that we have to understand, and do not."""
    head = {"alg": "ES256", "kid": "p256", "crit": ["rule"], "rule": 1}
    text = ".".join([coded(orjson.dumps(head)), assertion("robot", now=now).split(".")[1]])
    return f"{text}.{coded(JWSRegistry.algorithms['ES256'].sign(text.encode(), P256))}"


def coded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


async def test_who_has_keys_has_no_other_way_in(robot: Provider) -> None:
    now = robot.identity.clock()
    assert (await robot.token(**GRANT, client_secret="x"))[1]["error"] == "invalid_client"
    assert (await robot.token(**GRANT))[1]["error"] == "invalid_client"
    asked = pb.ResetClientSecretRequest(name="clients/robot")
    with refused("CLIENT_UNSAFE"):
        await robot.stub.ResetClientSecret(asked, metadata=OPERATOR)
    for said in ({"client_secret": "x"}, {"client_assertion_type": "x"}):
        assert (await shown(robot, assertion("robot", now=now), **said))[1]["error"] == "invalid_request"
    both = asserted(assertion("robot", now=now)) | GRANT
    _, told = await robot.call(pb.CallEndpointRequest.TOKEN, "Basic cm9ib3Q6eA==", **both)
    assert told["error"] == "invalid_request"
    assert (await shown(robot, assertion("robot", now=now), client_id="app"))[1]["error"] == "invalid_client"
    assert (await shown(robot, assertion("nobody", now=now)))[1]["error"] == "invalid_client"
    assert (await shown(robot, assertion("app", now=now)))[1]["error"] == "invalid_client"  # which has no keys


async def test_a_client_that_gets_keys_loses_its_secret(robot: Provider) -> None:
    await put(robot)
    reset = pb.ResetClientSecretRequest(name="clients/robot")
    robot.secret = (await robot.stub.ResetClientSecret(reset, metadata=OPERATOR)).client_secret
    assert (await robot.token(**GRANT))[0] == 200
    assert not (await register(robot, P256)).has_secret
    assert (await robot.token(**GRANT))[0] == 401
    await put(robot)
    assert (await robot.token(**GRANT))[0] == 401


async def test_a_key_that_is_taken_away_proves_nothing_and_its_tokens_end(robot: Provider) -> None:
    assert (await shown(robot, assertion("robot", now=robot.identity.clock())))[0] == 200
    await register(robot, P256, ED25519, RSA, OTHER_P256)
    assert await robot.identity.stated(ClientRevoked) == []
    await register(robot, ED25519, RSA, OTHER_P256)
    assert (await shown(robot, assertion("robot", now=robot.identity.clock())))[0] == 401
    [ended] = await robot.identity.stated(ClientRevoked)
    assert ended.reason == ClientRevoked.CLIENT_NARROWED


async def test_an_assertion_is_good_once(robot: Provider) -> None:
    token = assertion("robot", now=robot.identity.clock())
    statuses = [(await shown(robot, token))[0] for _ in range(2)]
    assert statuses == [200, 401]


async def test_an_assertion_that_came_with_a_mistake_is_used_all_the_same(robot: Provider) -> None:
    token = assertion("robot", now=robot.identity.clock())
    assert (await shown(robot, token, scope="points"))[1]["error"] == "invalid_scope"
    assert (await shown(robot, token))[1]["error"] == "invalid_client"


async def test_a_jti_is_its_client_s_own(robot: Provider) -> None:
    other = Provider(robot.identity, client="other")
    await put(other, name="clients/other", keys=[registered(P256)])
    for name, client in (("robot", robot), ("other", other)):
        assert (await shown(client, assertion(name, now=robot.identity.clock(), jti="one")))[0] == 200


async def test_of_fifty_who_show_one_assertion_at_once_one_wins(robot: Provider) -> None:
    token = assertion("robot", now=robot.identity.clock())
    answers = await asyncio.gather(*(shown(robot, token) for _ in range(50)))
    assert sorted(status for status, _ in answers) == [200, *([401] * 49)]


async def test_that_it_was_shown_is_known_until_it_ends(robot: Provider) -> None:
    now = robot.identity.clock()
    assert (await shown(robot, assertion("robot", now=now)))[0] == 200
    assert await forget_spent.work(robot.identity.sessions, now + timedelta(seconds=59)) == 0
    assert await forget_spent.work(robot.identity.sessions, now + timedelta(seconds=60)) == 1


@pytest.mark.parametrize(
    "key",
    [
        registered(OTHER_P256, kid=""),
        registered(OTHER_P256, alg="ES384"),
        registered(RSA, alg="RS256"),
        registered(RSA, use="enc"),
        registered(OTHER_P256, crv="P-384"),
        registered(OTHER_P256, x="AAAA"),
        registered(OTHER_P256, y=""),
        registered(OTHER_P256, kty="oct"),
        registered(ECKey.generate_key("P-384", {"kid": "p384"})),
        registered(RSA, n=urlsafe_b64encode(b"\xff" * 128).decode().rstrip("=")),
        registered(RSA, n="x"),
    ],
    ids=["no kid", "ES384", "RS256", "enc", "crv", "x", "y", "oct", "P-384", "1024", "n"],
)
async def test_a_key_that_we_do_not_take_is_not_registered(robot: Provider, key: Any) -> None:
    with refused("CLIENT_UNSAFE") as said:
        await put(robot, keys=[registered(P256), key])
    assert [one.field for one in said[0].violations] == ["client.keys[1]"]


async def test_two_keys_have_two_names_and_a_public_client_has_none(robot: Provider) -> None:
    with refused("CLIENT_UNSAFE"):
        await put(robot, keys=[registered(P256), registered(OTHER_P256, kid="p256")])
    with refused("CLIENT_UNSAFE"):
        await put(robot, profile=pb.Client.PUBLIC, redirect_uris=[CALLBACK], keys=[registered(P256)])


async def test_a_client_s_keys_are_shown_as_they_were_given(robot: Provider) -> None:
    found = await robot.stub.GetClient(pb.GetClientRequest(name="clients/robot"), metadata=OPERATOR)
    assert list(found.keys) == [registered(one) for one in (P256, ED25519, RSA)]
