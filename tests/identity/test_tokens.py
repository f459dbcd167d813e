import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import OKPKey
from rapport.identity.v1 import identity_pb2 as pb

from chassis.client import as_person
from chassis.database import Sessions
from chassis.settings import Secret, SettingsError
from chassis.time import moment
from chassis.tokens import AUDIENCE, LIFE
from services.identity.models import Algorithm
from services.identity.sessions import IDLE
from services.identity.sessions import LIFE as SESSION_LIFE
from services.identity.settings import Settings
from services.identity.tokens import Signer
from tests.identity.conftest import new_key, served
from tests.identity.people import ADA, SUPPORT, Identity
from tests.tokens import ISSUER
from tests.world import Hands, refused, rsa_key


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unchecked."""
    header, claims = (urlsafe_b64decode(f"{part}==") for part in token.split(".")[:2])
    return json.loads(header), json.loads(claims)


async def jwks(identity: Identity) -> list[pb.Jwk]:
    """The keys of access tokens."""
    keys = (await identity.stub.GetJwks(pb.GetJwksRequest())).keys
    return [one for one in keys if one.kty == "OKP"]


async def test_a_token_says_who_by_which_session_and_for_five_minutes(identity: Identity) -> None:
    ada = await identity.create(ADA, "agent")
    begun = await identity.sign_in()
    signed_in = identity.clock()
    now = identity.clock.advance(timedelta(minutes=2))
    issued = await identity.issue(begun.secret)
    header, claims = parts(issued.access_token)
    jti = claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": ada.name.removeprefix("users/"),
        "sid": begun.session.name.rpartition("/")[2],
        "roles": ["agent"],
        "scope": "",
        "client_id": "store",
        "acr": "pwd",
        "amr": ["pwd"],
        "auth_time": int(signed_in.timestamp()),
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
    }
    assert UUID(jti).version == 4
    assert (header["alg"], header["typ"]) == ("Ed25519", "at+jwt")
    assert moment(issued.expire_time) == now + LIFE
    assert (issued.session, list(issued.roles)) == (begun.session.name, ["agent"])
    assert parts((await identity.issue(begun.secret)).access_token)[1]["jti"] != jti


async def test_a_session_comes_with_its_first_token(identity: Identity) -> None:
    await identity.create(ADA, "agent")
    begun = await identity.sign_in()
    issued = await identity.issue(begun.secret)
    (_, first), (_, second) = parts(begun.access.access_token), parts(issued.access_token)
    assert {**first, "jti": ""} == {**second, "jti": ""}
    for told in (begun.access, issued):
        told.ClearField("access_token")
    assert begun.access == issued


async def test_the_published_key_proves_a_token_and_is_named_by_its_thumbprint(identity: Identity) -> None:
    await identity.create(ADA)
    token = (await identity.issue((await identity.sign_in()).secret)).access_token
    [one] = await jwks(identity)
    assert (one.kty, one.crv, one.use, one.alg) == ("OKP", "Ed25519", "sig", "Ed25519")
    key = OKPKey.import_key({"kty": one.kty, "crv": one.crv, "x": one.x})
    assert one.kid == key.thumbprint() == parts(token)[0]["kid"]
    assert jwt.decode(token, key, algorithms=["Ed25519"]).claims["iss"] == ISSUER


async def test_no_token_outlives_its_session(identity: Identity) -> None:
    await identity.create(ADA)
    begun, began = await identity.sign_in(), identity.clock()
    while identity.clock() + IDLE < began + SESSION_LIFE:
        identity.clock.advance(IDLE - timedelta(hours=1))
        await identity.issue(begun.secret)
    identity.clock.now = began + SESSION_LIFE - timedelta(seconds=90)
    assert moment((await identity.issue(begun.secret)).expire_time) == began + SESSION_LIFE


async def test_keys_are_changed_without_anybody_being_signed_out(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    old, new = settings.signing_key.value, new_key()
    async with served(settings, sessions, clock) as identity:
        ada = await identity.create(ADA)
        begun = await identity.sign_in()
        before = (await identity.issue(begun.secret)).access_token
        [old_key] = await jwks(identity)
    async with served(replace(settings, signing_key=Secret(f"{new}\n{old}")), sessions, clock) as identity:
        after = (await identity.issue(begun.secret)).access_token
        new_jwk, still = await jwks(identity)
        assert still == old_key
        assert parts(after)[0]["kid"] == new_jwk.kid != old_key.kid
        for token in (before, after):
            asked = pb.GetUserRequest(name=ada.name)
            assert await identity.stub.GetUser(asked, metadata=as_person(token)) == ada
    async with served(replace(settings, signing_key=Secret(new)), sessions, clock) as identity:
        assert [one.kid for one in await jwks(identity)] == [new_jwk.kid]
        with refused("TOKEN_INVALID"):
            await identity.stub.GetUser(pb.GetUserRequest(name=ada.name), metadata=as_person(before))


async def test_a_token_for_a_service_is_none_for_a_person(identity: Identity) -> None:
    ada = await identity.create(ADA)
    with refused("TOKEN_INVALID"):
        await identity.stub.GetUser(pb.GetUserRequest(name=ada.name), metadata=as_person(SUPPORT[0][1]))


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def public(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize(
    "file",
    [
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----",
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed448.Ed448PrivateKey.generate()),
        public(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["empty", "nonsense", "hollow", "rsa", "p256", "ed448", "public"],
)
def test_a_key_that_cannot_sign_stops_the_start_with_a_sentence(file: str) -> None:
    with pytest.raises(SettingsError, match="Ed25519 keys in PEM, the first of them private"):
        Signer(file, rsa_key(), issuer=ISSUER)


def test_a_key_that_only_checks_may_follow_one_that_signs() -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    assert len(Signer(f"{new_key()}{public(other)}", rsa_key(), issuer=ISSUER).published()) == 4
    assert all("d" not in key for key in Signer(new_key(), rsa_key(), issuer=ISSUER).published())


P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "file",
    [
        "",
        "nonsense",
        new_key(),
        pem(P256),
        rsa_key() + pem(ec.generate_private_key(ec.SECP384R1())),
        public(P256) + pem(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "nonsense", "ed25519", "p256 alone", "p384", "p256 public"],
)
def test_an_id_token_key_that_cannot_sign_stops_the_start_with_a_sentence(file: str) -> None:
    with pytest.raises(SettingsError, match="RSA keys in PEM, and may hold P-256 keys, the first of each kind private"):
        Signer(new_key(), file, issuer=ISSUER)


def test_without_a_key_for_it_there_is_no_es256() -> None:
    alone = Signer(new_key(), pem(rsa.generate_private_key(65537, 2048)), issuer=ISSUER)
    assert not alone.can_sign(Algorithm.ES256)
    assert "ES256" not in {one["alg"] for one in alone.published()}
    assert Signer(new_key(), rsa_key(), issuer=ISSUER).can_sign(Algorithm.ES256)
