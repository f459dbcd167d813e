"""What programs send us, as nobody would send it: it is refused in the protocol's words, and is no fault of ours."""

import random
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import grpc
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.proofs_pb2 import CheckProofRequest
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceStub

from chassis.refusal import refused
from services.identity.models import Client, Profile
from services.identity.oauth import asks, assertions, keys, proofs
from services.identity.oauth.asks import Refused
from services.identity.oauth.protocol import ProtocolError, single
from tests.identity.keys import P256, assertion, proof, public, signed
from tests.identity.oauth import CALLBACK, CHALLENGE, Provider
from tests.identity.people import GATEWAY, OPERATOR
from tests.tokens import ISSUER

often = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a machine that others use too
NOW = datetime(2026, 7, 6, 12, tzinfo=UTC)
ROBOT = Client(id="robot", profile=Profile.SERVICE, keys=[public(P256)], scopes=["stock.read"], redirect_uris=[])
APP = Client(id="app", profile=Profile.PUBLIC, keys=[], scopes=["openid"], redirect_uris=[CALLBACK])
ATOMS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    ATOMS, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3)
)


def part(said: Any) -> str:
    return urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")


def some(**usual: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Claims as they should be, but for some."""
    return st.fixed_dictionaries({}, optional={name: JSON | st.just(value) for name, value in usual.items()})


NUMBERS = int(NOW.timestamp())
CLAIMS = some(iss="robot", sub="robot", aud=ISSUER, jti="a", exp=NUMBERS + 60, iat=NUMBERS, nbf=NUMBERS)
PROVEN = some(htm="POST", htu=f"{ISSUER}/oauth/token", jti="a", iat=NUMBERS, ath="x", nonce="n")
HEADERS = some(typ="dpop+jwt", alg="ES256", kid="p256", jwk=public(P256), crit=["x"], b64=False)


@often
@given(CLAIMS)
def test_a_signed_assertion_of_any_claims_proves_or_proves_nothing(claims: dict[str, Any]) -> None:
    token = signed({"alg": "ES256", "kid": "p256"}, claims, P256)
    with suppress(assertions.Unproven):
        assertions.subject(token)
        jti, end = assertions.check(ROBOT, token, issuer=ISSUER, now=NOW)
        assert (claims["iss"], claims["sub"], claims["aud"], jti) == ("robot", "robot", ISSUER, claims["jti"])
        assert end > NOW


@often
@given(PROVEN)
def test_a_signed_proof_of_any_claims_is_one_or_is_none(claims: dict[str, Any]) -> None:
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": {n: v for n, v in public(P256).items() if n != "kid"}}
    with suppress(assertions.Unproven):
        found = proofs.read(signed(head, claims, P256), method="POST", url=f"{ISSUER}/oauth/token", now=NOW)
        assert (found.thumbprint, found.jti) == (P256.thumbprint(), claims["jti"])


@often
@given(HEADERS | JSON, JSON, st.binary(max_size=70) | st.none())
def test_no_header_makes_an_unsigned_text_a_proof(header: Any, claims: Any, signature: bytes | None) -> None:
    try:
        text = f"{part(header)}.{part(claims)}." + urlsafe_b64encode(signature or b"").decode().rstrip("=")
    except (TypeError, orjson.JSONEncodeError):  # a number that JSON does not have
        return
    with pytest.raises(assertions.Unproven):
        proofs.read(text, method="POST", url=f"{ISSUER}/oauth/token", now=NOW)
    with pytest.raises(assertions.Unproven):
        assertions.check(ROBOT, text, issuer=ISSUER, now=NOW)
    with suppress(assertions.Unproven):
        assertions.subject(text)


@often
@given(st.text(max_size=200))
def test_no_text_is_a_proof(text: str) -> None:
    for read in (
        lambda: proofs.read(text, method="POST", url=ISSUER, now=NOW),
        lambda: assertions.check(ROBOT, text, issuer=ISSUER, now=NOW),
        lambda: assertions.subject(text),
    ):
        with pytest.raises(assertions.Unproven):
            read()


@often
@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "kid", "alg"]), JSON))
def test_any_object_is_a_key_or_is_told_why_it_is_none(said: dict[str, Any]) -> None:
    for wanted in ({}, {"kty": "EC", "crv": "P-256"}, {"kty": "RSA"}, {"kty": "OKP", "crv": "Ed25519"}):
        with suppress(keys.Unfit):
            keys.read(said | wanted)


@often
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["redirect_uri", "response_type", "scope", "state", "dpop_jkt", "request", "prompt", "\0"])
            | st.text(max_size=10),
            st.text(max_size=50) | st.sampled_from([CALLBACK, "code", "openid", CHALLENGE]),
        ),
        max_size=12,
    )
)
def test_any_parameters_are_a_request_or_are_refused(given_: list[tuple[str, str]]) -> None:
    with suppress(ProtocolError, Refused):
        ask = asks.read(APP, single(given_), lambda _: None)
        assert (ask.client, ask.redirect_uri) == ("app", CALLBACK)


# Over the wire -------------------------------------------------------------------------------------------------------


def broken(chance: random.Random, text: str) -> str:
    """The text with a part of it changed, doubled, cut or put elsewhere."""
    place, other = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return chance.choice(
        [
            text[:place] + text[other:],
            text[:place] + chr(chance.choice([0, 9, 46, 65, 0x7F, 0xE9, 0x1F600])) + text[place:],
            text[:place] + text[place:other] * 2 + text[other:],
            text[other:] + text[:other],
            text[:place].swapcase() + text[place:],
        ]
    )


async def test_what_is_broken_on_its_way_is_refused_by_every_endpoint(provider: Provider) -> None:
    robot = pb.Client(name="clients/robot", title="A", profile=pb.Client.SERVICE, scopes=["stock.read"])
    robot.keys.add(**{name: value for name, value in public(P256).items() if name in ("kty", "crv", "x", "y", "kid")})
    await provider.stub.UpdateClient(pb.UpdateClientRequest(client=robot), metadata=OPERATOR)
    chance, now = random.Random(9449), provider.identity.clock()
    seen: set[int] = set()
    for endpoint in pb.CallEndpointRequest.Endpoint.values()[1:]:
        for _ in range(60):
            said = whole(chance, provider, now)
            name = chance.choice([*said])
            said[name] = broken(chance, said[name])
            status, told = await answered(provider, endpoint, said)
            seen.add(status)
            assert status in (200, 201, 400, 401, 403), (endpoint, said, told)
    assert {200, 400, 401} <= seen


def whole(chance: random.Random, provider: Provider, now: datetime) -> dict[str, str]:
    """A request with nothing wrong in it at one endpoint or another."""
    shown = assertion("robot", now=now)
    by_key = {"client_assertion_type": assertions.TYPE, "client_assertion": shown}
    asked = {"client_id": "app", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid"}
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "dpop_jkt": P256.thumbprint()}
    return chance.choice(
        [
            {"grant_type": "client_credentials", "proof": proof("/oauth/token", now=now), **by_key},
            {**asked, **challenge, "proof": proof("/oauth/par", now=now)},
            {"token": shown, **by_key},
            {"access_token": shown, "proof": proof("/oauth/userinfo", now=now)},
        ]
    )


async def answered(provider: Provider, endpoint: int, said: Mapping[str, str]) -> tuple[int, Any]:
    try:
        return await provider.call(endpoint, **said)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:  # which the gateway tells as a 400
            raise
        return 400, refused(error)


async def test_no_proof_is_a_fault_of_ours_at_the_gateway(provider: Provider) -> None:
    code = await provider.code()
    now, chance = provider.identity.clock(), random.Random(7)
    token = (await provider.redeem(code, proof=proof("/oauth/token", now=now)))[1]["access_token"]
    stub = ProofServiceStub(provider.identity.channel)
    for _ in range(100):
        said = {"proof": proof("/v1/x", now=now, method="GET", token=token), "path": "/v1/x", "access_token": token}
        name = chance.choice([*said])
        said[name] = broken(chance, said[name])
        try:
            await stub.CheckProof(CheckProofRequest(method="GET", **said), metadata=GATEWAY)
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("PROOF_INVALID", "INVALID_FIELD"):
                raise
