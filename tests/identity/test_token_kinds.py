"""A token is good for one thing, in one place, and only as we signed it."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import oauth_pb2 as pb

from chassis.client import as_person
from chassis.refusal import refused as read_refusal
from chassis.tokens import AUDIENCE
from tests.identity.conformance.party import SCOPES, Party, party
from tests.identity.oauth import Provider
from tests.journeys.people import eventually
from tests.store import Store
from tests.world import refused

over_http = pytest.mark.xdist_group("store")
# A route of each service, that the person's own token of these scopes may ask.
REACH = ["profile", "tickets", "privacy", "points"]
ROUTES = ["/v1/{user}", "/v1/{user}/tickets", "/v1/{user}/consents", "/v1/{user}/pointsAccount/movements"]


@pytest.fixture
async def wide(store: Store) -> AsyncIterator[Party]:
    """A client that may ask every service."""
    async with party(store, store.register("ada"), scopes=[*SCOPES, *REACH[1:]]) as made:
        yield made


def routes(rp: Party) -> list[str]:
    return [one.replace("{user}", rp.person.user) for one in ROUTES]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@over_http
async def test_a_token_in_an_address_is_none(wide: Party) -> None:
    token = (await wide.tokens(scope=" ".join(["openid", *REACH])))["access_token"]
    for path in [*routes(wide), "/oauth/userinfo"]:
        good = await wide.http.get(path, headers=bearer(token))
        assert good.status_code == 200, good.text
        for query in ({"access_token": token}, {"accessToken": token}, {"token": token}, {"authorization": token}):
            answer = await wide.http.get(path, params=query)
            assert answer.status_code in (400, 401), f"{path} {answer.text}"
            assert token not in answer.text


@over_http
async def test_an_id_token_opens_no_service(wide: Party) -> None:
    tokens = await wide.tokens(scope=" ".join(["openid", *REACH]))
    for path in [*routes(wide), "/oauth/userinfo"]:
        assert (await wide.http.get(path, headers=bearer(tokens["id_token"]))).status_code == 401
        assert (await wide.http.get(path, headers=bearer(tokens["refresh_token"]))).status_code == 401


@over_http
async def test_who_is_deleted_is_refused_by_every_service_within_five_seconds(wide: Party) -> None:
    tokens = await wide.tokens(scope=" ".join(["openid", "offline_access", *REACH]))
    header = wide.store.bearer(wide.person.user)
    assert (await wide.http.delete(f"/v1/{wide.person.user}", headers=header)).status_code == 200

    async def are_refused() -> bool:
        paths = [*routes(wide), "/oauth/userinfo"]
        answers = [await wide.http.get(path, headers=bearer(tokens["access_token"])) for path in paths]
        return all(one.status_code == 401 for one in answers)

    await eventually(are_refused, "the end everywhere", patience=5.0)
    again = await wide.call_token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


@over_http
async def test_a_token_of_ten_megabytes_is_not_read(store: Store) -> None:
    async with store.http() as http:
        try:
            answer = await http.get("/v1/users/-", headers=bearer("x" * (10 << 20)))
            assert answer.status_code in (400, 401, 413, 431)
        except httpx.TransportError:
            pass  # it hung up in the midst of it
        long = await http.post("/oauth/introspect", data={"token": "x" * (10 << 20)})
        assert long.status_code == 413
        assert (await http.get("/oauth/jwks")).status_code == 200


async def test_an_access_token_says_its_type_its_one_audience_and_its_reach(provider: Provider) -> None:
    token = (await provider.tokens(scope="openid points"))["access_token"]
    found = jwt.decode(token, provider.identity.key, algorithms=["Ed25519"])
    assert found.header["typ"] == "at+jwt"
    assert (found.claims["aud"], found.claims["scope"]) == (AUDIENCE, "openid points")


async def test_an_id_token_is_no_access_token_even_of_a_client_named_like_our_audience(provider: Provider) -> None:
    like = Provider(provider.identity, client=AUDIENCE, session=provider.session)
    await like.register(id_token_algorithm=pb.Client.ED25519)
    token = (await like.tokens())["id_token"]
    claims = jwt.decode(token, provider.identity.key, algorithms=["Ed25519"]).claims
    assert claims["aud"] == AUDIENCE
    with refused("TOKEN_INVALID"):
        asked = identity_pb2.GetUserRequest(name=f"users/{claims['sub']}")
        await provider.identity.stub.GetUser(asked, metadata=as_person(token))
    assert (await provider.userinfo(token))[0] == 401


# Forged ---------------------------------------------------------------------------------------------------------------


def coded(said: Any) -> str:
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def bare(key: OKPKey) -> Ed25519PrivateKey:
    assert isinstance(key.private_key, Ed25519PrivateKey)
    return key.private_key


def signed(header: dict[str, Any], claims: bytes, key: OKPKey) -> str:
    """A token with any header, signed by that key as Ed25519 does."""
    said = f"{coded(header)}.{coded(claims)}"
    return f"{said}.{coded(bare(key).sign(said.encode()))}"


def forgeries(token: str, ours: OKPKey) -> dict[str, str]:
    """What is not ours, made of a token that is."""
    _, claims, signature = token.split(".")
    said = base64.urlsafe_b64decode(f"{claims}==")
    theirs = OKPKey.generate_key("Ed25519")
    head = {"alg": "Ed25519", "typ": "at+jwt", "kid": ours.kid}
    public = {"jwk": theirs.as_dict(private=False), "kid": theirs.thumbprint()}
    raw = ours.public_key.public_bytes_raw()
    pretended = f"{coded(head | {'alg': 'HS256'})}.{claims}"
    unencoded = f"{coded(head | {'b64': False, 'crit': ['b64']})}"
    return {
        "none": f"{coded(head | {'alg': 'none'})}.{claims}.",
        "None": f"{coded(head | {'alg': 'None'})}.{claims}.",
        "no signature": f"{coded(head)}.{claims}.",
        "HS256 by our public key": f"{pretended}.{coded(hmac.digest(raw, pretended.encode(), hashlib.sha256))}",
        "another's key": signed(head, said, theirs),
        "a key of its own": signed(head | public, said, theirs),
        "jku": signed(head | {"jku": "https://evil.example/jwks"}, said, theirs),
        "x5u": signed(head | {"x5u": "https://evil.example/chain"}, said, theirs),
        "a critical word nobody knows": signed(head | {"crit": ["moon"], "moon": "full"}, said, ours),
        "b64=false": f"{unencoded}.{claims}.{coded(bare(ours).sign(f'{unencoded}.'.encode() + said))}",
        "b64=false, encoded": signed(head | {"b64": False, "crit": ["b64"]}, said, ours),
        "other claims": f"{coded(head)}.{coded(said.replace(b'roles', b'Roles'))}.{signature}",
        "another algorithm": signed(head | {"alg": "ES256"}, said, ours),
        "no kid": signed({"alg": "Ed25519", "typ": "at+jwt"}, said, ours),
        "no object": f"{coded(head)}.{coded(b'[]')}.{signature}",
        "no JSON": f"{coded(b'{')}.{claims}.{signature}",
    }


async def test_a_token_that_somebody_made_is_refused_in_every_place(provider: Provider) -> None:
    identity = provider.identity
    issued = await identity.issue(provider.session)
    asked = identity_pb2.GetUserRequest(name=issued.session.rsplit("/", 2)[0])
    ours = (await provider.tokens(scope="openid profile"))["access_token"]
    assert await identity.stub.GetUser(asked, metadata=as_person(issued.access_token))
    let_in = []
    for kind, token in forgeries(issued.access_token, identity.key).items():
        if await reason_of(identity.stub.GetUser(asked, metadata=as_person(token))) != "TOKEN_INVALID":
            let_in.append(kind)
    for kind, token in forgeries(ours, identity.key).items():
        if (await provider.userinfo(token))[0] != 401:
            let_in.append(f"userinfo: {kind}")
        answer = await provider.end_session(id_token_hint=token)
        if answer.WhichOneof("outcome") != "problem":
            let_in.append(f"hint: {kind}")
    assert let_in == []


async def reason_of(call: Awaitable[object]) -> str:
    """Why a call was refused; "" where it was not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return read_refusal(error).reason
    return ""
