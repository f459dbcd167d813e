import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey
from rapport.identity.v1.identity_pb2 import GetJwksRequest, Jwk, Jwks
from structlog.testing import capture_logs

from chassis.access import Caller
from chassis.refusal import TokenInvalid, TryAgain
from chassis.revocations import Revocations
from chassis.time import TestClock, system_clock
from chassis.tokens import ALGORITHM, LIFE, SKEW, TYPE, Keyring, Keys, Tokens, keys_of_identity
from tests.chassis.oracle import Question, consulted
from tests.chassis.test_rpc import refusal_of
from tests.tokens import ISSUER, KEY, as_user, keys, mint, signed

ADA = UUID("8a3c9a5e-0c5f-4a56-9f0e-3f4d7c5b2a10")
OTHER_KEY = OKPKey.generate_key("Ed25519", {"kid": "tests"})
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock(tmp_path: Path) -> TestClock:
    return TestClock.create(tmp_path / "clock")


async def whose(tokens: Tokens, token: str) -> Caller:
    """As the gate asks."""
    return tokens.known(f"Bearer {token}") or await tokens.check(f"Bearer {token}")


def made(clock: TestClock, keys: Keys = keys, **how: Any) -> Tokens:
    return Tokens(keys, clock, Revocations(clock), issuer=ISSUER, **how)


def unsigned(claims: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "tests"}).encode()).decode().rstrip("=")
    return f"{header}.{claims}."


async def test_a_token_says_whose_it_is(clock: TestClock) -> None:
    who = await whose(made(clock), mint(ADA, "agent", now=clock()))
    assert (who.kind, who.name, who.user, who.client) == ("person", f"users/{ADA}", ADA, "store")
    assert who.roles == {"agent"}


async def test_a_token_says_what_its_person_is_a_member_of_until_that_ends(clock: TestClock) -> None:
    revoked = Revocations(clock)
    tokens = Tokens(keys, clock, revoked, issuer=ISSUER)
    business, one, other = uuid4(), uuid4(), uuid4()
    before, after = (
        mint(ADA, now=clock(), memberships=[[str(business), str(member), role]])
        for member, role in ((one, "owner"), (other, "viewer"))
    )
    [held] = (await whose(tokens, before)).memberships
    assert held == (f"businesses/{business}", f"businesses/{business}/memberships/{one}", "owner")
    revoked.add(held.name, clock())
    for _ in range(2):  # remembered or not
        with pytest.raises(TokenInvalid):
            await whose(tokens, before)
    assert [held.role for held in (await whose(tokens, after)).memberships] == ["viewer"]


async def test_a_token_is_checked_once(clock: TestClock) -> None:
    tokens, token = made(clock), mint(ADA, now=clock())
    assert tokens.known(f"Bearer {token}") is None
    assert await whose(tokens, token) is tokens.known(f"Bearer {token}")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "elsewhere"},
        {"aud": ["rapport"]},
        {"sub": "ada"},
        {"sid": "1"},
        {"sub": None},
        {"exp": "never"},
        {"exp": float("inf")},
        {"roles": 7},
        {"auth_time": "today"},
        {"auth_time": 10**20},
        {"scope": None, "client_id": None, "roles": None},
        {"memberships": 7},
        {"memberships": ["abc"]},
        {"memberships": [["acme", str(ADA), "owner"]]},
        {"memberships": [[str(ADA), str(ADA), "boss"]]},
        {"act": None},
        {"act": 7},
        {"act": {}},
        {"act": {"sub": f"users/{ADA}", "act": "x"}},
        {"actor_credential": "x"},
    ],
)
async def test_a_token_that_says_something_else_is_not_ours(clock: TestClock, claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        await whose(made(clock), mint(ADA, now=clock(), **claims))


@pytest.mark.parametrize(
    "missing", ["iss", "aud", "sub", "sid", "roles", "scope", "client_id", "auth_time", "iat", "exp"]
)
async def test_a_token_says_everything(clock: TestClock, missing: str) -> None:
    claims = jwt.decode(mint(ADA, now=clock()), KEY, algorithms=[ALGORITHM]).claims
    del claims[missing]
    token = jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": "tests"}, claims, KEY, algorithms=[ALGORITHM])
    with pytest.raises(TokenInvalid):
        await whose(made(clock), token)


ALMA = f"users/{UUID(int=0xA1, version=4)}"
PROGRAM, OTHER = "clients/advice", "clients/letters"


@pytest.mark.parametrize(
    ("act", "actor", "looks"),
    [
        (None, "", False),
        ({"sub": PROGRAM}, PROGRAM, False),
        ({"sub": OTHER, "act": {"sub": PROGRAM}}, OTHER, False),
        ({"sub": ALMA}, ALMA, True),
        ({"sub": OTHER, "act": {"sub": PROGRAM, "act": {"sub": ALMA}}}, ALMA, True),  # at whatever remove
    ],
)
async def test_who_acts_for_the_person_is_known(clock: TestClock, act: Any, actor: str, looks: bool) -> None:
    who = await whose(made(clock), mint(ADA, now=clock(), **({"act": act} if act else {})))
    assert (who.user, who.actor, who.is_impersonating) == (ADA, actor, looks)


def looking(now: datetime, **said: object) -> str:
    usual = {"sub": str(ADA), "client_id": "impersonation", "roles": [], "scope": "", "act": {"sub": ALMA}}
    return signed({**usual, "impersonation": str(uuid4()), **said}, now)


async def test_who_looks_has_signed_in_for_nothing_and_says_who_they_are(clock: TestClock) -> None:
    who = await whose(made(clock), looking(clock()))
    assert who.session.startswith(f"users/{ADA}/impersonations/")
    assert who.auth_time is None
    for act in ({"sub": PROGRAM}, {"sub": ""}):
        with pytest.raises(TokenInvalid):
            await whose(made(clock), looking(clock(), act=act))


@pytest.mark.parametrize("type", [None, "JWT", "logout+jwt", "dpop+jwt", "at+JWT"])
async def test_a_token_of_another_type_is_no_access_token(clock: TestClock, type: str | None) -> None:
    claims = jwt.decode(mint(ADA, now=clock()), KEY, algorithms=[ALGORITHM]).claims
    header = {"alg": ALGORITHM, "kid": "tests"} | ({"typ": type} if type else {})
    with pytest.raises(TokenInvalid):
        await whose(made(clock), jwt.encode(header, claims, KEY, algorithms=[ALGORITHM]))


async def test_a_forged_token_is_not_ours(clock: TestClock) -> None:
    genuine = mint(ADA, now=clock())
    head, claims, signature = genuine.split(".")
    _, others, _ = mint(uuid4(), now=clock()).split(".")
    secret = OctKey.import_key(await public_bytes())
    shared = jwt.encode({"alg": "HS256", "kid": "tests"}, {"sub": str(ADA)}, secret, algorithms=["HS256"])
    forged = [
        mint(ADA, now=clock(), key=OTHER_KEY),
        f"{head}.{others}.{signature}",
        f"{head}.{claims}.{'A' * len(signature)}",
        f"{head}.{claims}.",
        unsigned(claims),
        shared,
        "",
        "a.b.c",
        "....",
        f"{genuine}\u00e9",
        "x" * 9_000,
    ]
    tokens = made(clock)
    for token in forged:
        with pytest.raises(TokenInvalid):
            await whose(tokens, token)
    assert await whose(tokens, genuine)


async def public_bytes() -> bytes:
    [key] = await keys()
    return base64.urlsafe_b64decode(f"{key.x}=")


async def test_a_token_ends_though_it_was_checked_before(clock: TestClock) -> None:
    tokens, token = made(clock), mint(ADA, now=clock())
    await whose(tokens, token)
    clock.advance(LIFE)
    with pytest.raises(TokenInvalid):
        await whose(tokens, token)
    with pytest.raises(TokenInvalid):
        await whose(made(clock), token)


async def test_no_token_lives_longer_than_we_give(clock: TestClock) -> None:
    with pytest.raises(TokenInvalid):
        await whose(made(clock), mint(ADA, now=clock(), life=LIFE + SECOND))
    with pytest.raises(TokenInvalid):
        await whose(made(clock), mint(ADA, now=clock() + SKEW + 2 * SECOND))
    assert await whose(made(clock), mint(ADA, now=clock() + SKEW - 2 * SECOND))


async def test_only_so_many_checks_are_remembered(clock: TestClock) -> None:
    tokens, first = made(clock, most=3), mint(ADA, now=clock())
    await whose(tokens, first)
    for _ in range(3):
        await whose(tokens, mint(uuid4(), now=clock()))
        assert tokens.known(f"Bearer {first}")  # what is in use stays
    assert len(tokens.checked) == 3


# Revocation ----------------------------------------------------------------------------------------------------------


async def test_a_revoked_session_ends_its_tokens_though_they_were_checked_before(clock: TestClock) -> None:
    revoked, session = Revocations(clock), uuid4()
    tokens = Tokens(keys, clock, revoked, issuer=ISSUER)
    hers, other = mint(ADA, session=session, now=clock()), mint(ADA, now=clock())
    await whose(tokens, hers)
    revoked.add(f"users/{ADA}/sessions/{session}", clock())
    with pytest.raises(TokenInvalid, match="revoked"):
        await whose(tokens, hers)
    assert await whose(tokens, other)


async def test_a_deleted_user_has_no_tokens(clock: TestClock) -> None:
    revoked = Revocations(clock)
    tokens = Tokens(keys, clock, revoked, issuer=ISSUER)
    revoked.add(f"users/{ADA}", clock())
    with pytest.raises(TokenInvalid, match="revoked"):
        await whose(tokens, mint(ADA, now=clock()))
    assert await whose(tokens, mint(uuid4(), now=clock()))


async def test_a_revocation_is_remembered_as_long_as_a_token_could_live(clock: TestClock) -> None:
    revoked = Revocations(clock)
    revoked.add("users/1", clock())
    clock.advance(LIFE)
    revoked.add("users/2", clock())
    assert "users/1" in revoked
    clock.advance(SKEW)
    revoked.add("users/3", clock())
    assert "users/1" not in revoked
    assert "users/2" in revoked


async def test_what_was_revoked_long_ago_is_not_remembered(clock: TestClock) -> None:
    revoked = Revocations(clock)
    revoked.add("users/1", clock() - LIFE - SKEW)
    assert "users/1" not in revoked


async def test_an_event_that_names_nobody_revokes_nobody(clock: TestClock) -> None:
    revoked = Revocations(clock)
    tokens = Tokens(keys, clock, revoked, issuer=ISSUER)
    revoked.add("", clock())  # as an event has it that cannot be read
    assert await whose(tokens, mint(ADA, now=clock()))


async def test_only_so_many_revocations_are_remembered(clock: TestClock) -> None:
    revoked = Revocations(clock, most=2)
    with capture_logs() as logs:
        for number in range(3):
            revoked.add(f"users/{number}", clock())
    assert list(revoked.until) == ["users/1", "users/2"]
    assert [line["event"] for line in logs] == ["revocation_forgotten"]


# Keys ----------------------------------------------------------------------------------------------------------------


class Published:
    """Keys as identity would publish them, and how often they were asked for."""

    def __init__(self, *keys: OKPKey) -> None:
        self.keys, self.asked = list(keys), 0

    async def __call__(self) -> Sequence[Jwk]:
        self.asked += 1
        return [
            Jwk(kty="OKP", crv="Ed25519", x=str(one.as_dict(private=False)["x"]), kid=str(one.kid)) for one in self.keys
        ]


def new_key(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid})


async def test_a_new_key_is_learnt_from_the_first_token_it_signs(clock: TestClock) -> None:
    first, second = new_key("1"), new_key("2")
    published = Published(first)
    tokens = made(clock, published)
    tokens.keyring.pause = 0
    await whose(tokens, mint(ADA, now=clock(), key=first))
    published.keys.append(second)
    assert await whose(tokens, mint(ADA, now=clock(), key=second))


async def test_strange_keys_do_not_make_us_ask_again_and_again(clock: TestClock) -> None:
    published = Published(new_key("1"))
    tokens = made(clock, published)
    for _ in range(5):
        with pytest.raises(TokenInvalid):
            await whose(tokens, mint(ADA, now=clock(), key=new_key("2")))
    assert published.asked == 1


async def test_many_first_tokens_ask_for_the_keys_once(clock: TestClock) -> None:
    published = Published(KEY)
    tokens = made(clock, published)
    await asyncio.gather(*(whose(tokens, mint(uuid4(), now=clock())) for _ in range(10)))
    assert published.asked == 1


async def test_a_withdrawn_key_signs_no_more(clock: TestClock) -> None:
    first, second = new_key("1"), new_key("2")
    published = Published(first, second)
    tokens = made(clock, published)
    await whose(tokens, mint(ADA, now=clock(), key=first))
    published.keys.remove(first)
    tokens.keyring.age = tokens.keyring.pause = 0  # minutes later
    with pytest.raises(TokenInvalid):
        await whose(tokens, mint(ADA, now=clock(), key=first))
    assert await whose(tokens, mint(ADA, now=clock(), key=second))


async def test_keys_of_another_kind_are_left_alone() -> None:
    async def published() -> Sequence[Jwk]:
        return [Jwk(kty="RSA", kid="1"), Jwk(kty="OKP", crv="Ed25519", x="!", kid="2"), *await keys()]

    keyring = Keyring(published)
    await keyring.refresh()
    assert list(keyring.keys) == ["tests"]


@asynccontextmanager
async def identity(port: int = 0) -> AsyncIterator[int]:
    """As much of identity as publishes keys."""

    async def get_jwks(request: GetJwksRequest, context: Any) -> Jwks:
        return Jwks(keys=await keys())

    server = grpc.aio.server()
    serve = grpc.unary_unary_rpc_method_handler(
        get_jwks, request_deserializer=GetJwksRequest.FromString, response_serializer=Jwks.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("rapport.identity.v1.IdentityService", {"GetJwks": serve}),)
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


async def test_keys_come_from_identity(clock: TestClock) -> None:
    async with identity() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await whose(made(clock, keys_of_identity(channel)), mint(ADA, now=clock()))


async def test_while_identity_was_never_reached_a_caller_may_try_again(clock: TestClock) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
        tokens = made(clock, keys_of_identity(channel))
        with pytest.raises(TryAgain):
            await whose(tokens, mint(ADA, now=clock()))


async def test_while_identity_is_away_known_keys_hold(clock: TestClock) -> None:
    async with identity() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        tokens = made(clock, keys_of_identity(channel))
        await whose(tokens, mint(ADA, now=clock()))
    async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
        tokens.keyring.fetch = keys_of_identity(channel)
        tokens.keyring.age = tokens.keyring.pause = 0
        assert await whose(tokens, mint(ADA, now=clock()))


async def test_a_refusal_never_repeats_the_token() -> None:
    token = mint(ADA, now=system_clock(), key=OTHER_KEY)
    async with consulted() as stub:
        said = await refusal_of(stub.Ask(Question(), metadata=(("authorization", f"Bearer {token}"),)))
    assert said.reason == "TOKEN_INVALID"
    assert token[-20:] not in str(said)


async def test_the_platforms_clock_ends_a_token_on_the_wire(clock: TestClock) -> None:
    async with consulted(clock=clock) as stub:
        hers = as_user(ADA, now=clock())
        await stub.Ask(Question(), metadata=hers)
        clock.advance(LIFE)
        assert (await refusal_of(stub.Ask(Question(), metadata=hers))).reason == "TOKEN_INVALID"
