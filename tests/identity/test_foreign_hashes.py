"""Passwords that other systems hashed. What is expected comes from the documentation and the tests of each format."""

import statistics
import time
from dataclasses import replace

import bcrypt
import pytest
from argon2 import extract_parameters
from sqlalchemy import select

from chassis.database import Sessions
from services.identity.models import Credential
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.imports import REFUSED, Import
from tests.identity.people import PASSWORD, Identity
from tests.store import Store
from tests.world import Hands, refused

# The hash, and the password that it was made of.
VECTORS = {
    # crypt_blowfish, wrapper.c
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": "U*U",
    "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": "U*U",
    "$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a": "U*U*U",
    # WordPress 6.8, as its demo for browsers pins it
    "$wp$2y$10$Q1xinFjrZeLWJBvxviIL6u834Fu.evIEFHAUVisQ5O.w9Dm0sMdES": "admin",
    # Django 5.2, tests/auth_tests/test_hashers.py
    "pbkdf2_sha256$1000000$seasalt$r1uLUxoxpP2Ued/qxvmje7UH9PUJBkRrvf9gGPL7Cps=": "lètmein",
    (
        "scrypt$16384$seasalt$8$5$ECMIUp+LMxMSK8xB/IVyba+KYGTI7FTnet025q/1f"
        "/vBAVnnP3hdYqJuRi+mJn6ji6ze3Fbb7JEFPKGpuEf5vw=="
    ): "lètmein",
    "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3": "lètmein",
    "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8": "lètmein",
    "md5$$88a434c88cca4e900f7874cd98123f43": "lètmein",
    "sha1$$6d138ca3ae545631b3abd71a4f076ce759c5700b": "lètmein",
    # passlib, passlib.hash.pbkdf2_digest and passlib.hash.scrypt
    "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44": "password",
    "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E": "password",
    # Authelia, its guides to OpenID Connect clients
    (
        "$pbkdf2-sha512$310000$c8p78n7pUMln0jzvd4aK4Q$JNRBzwAo0ek5qKn50cFzzvE9RXV88h1wJn5KGiHrD0YKtZaR"
        "/nCb2CJPOsKaPK0hjf.9yHxzQGZziziccp6Yng"
    ): "insecure_secret",
    # the reference implementation of Argon2, src/test.c: version 1.3, 1.0, and argon2id
    "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA": "password",
    "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ": "password",
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc": "password",
    # argon2d with four lanes
    "$argon2d$v=19$m=65536,t=4,p=4$PUfIWctZa611rpXSOicEAA$eUtgGpyO1+ylLPGhN8gvRXBXF+Zd97kQIZA7OgX4VIM": "apple123",
    # phpass, test.php, and hashcat's examples for phpBB
    "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0": "test12345",
    "$H$984478476IagS59wHZvyQMArzfx58u.": "hashcat",
    # passlib, passlib.hash.ldap_digest
    "{MD5}X03MO1qnZdYdgyfeuILPmQ==": "password",
    "{SMD5}OqsUXNHIhHbznxrqHoIM+ZT8DmE=": "password",
    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": "password",
    # Ory Kratos, hash/hash_comparator_test.go; OpenLDAP's pw-sha2
    "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a": "test123",
    "{SSHA256}czO44OTV17PcF1cRxWrLZLy9xHd7CWyVYplr1rOhuMlx/7IK": "test123",
    "{SSHA512}xPUl/px+1cG55rUH4rzcwxdOIPSB2TingLpiJJumN2xyDWN4Ix1WQG3ihnvHaWUE8MYNkvMi5rf0C9NYixHsE6Yh59M=": "test123",
    "{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=": "password",
}
CHEAP = [hashed for hashed in VECTORS if hashed.startswith(("$2", "$P", "$H", "{", "md5", "sha1", "$pbkdf2-sha256"))]
SALT = "$2b$04$abcdefghijklmnopqrstuu"


async def hashes(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list(await session.scalars(select(Credential.password_hash)))


async def test_every_kind_signs_in_and_is_argon2id_afterwards(
    identity: Identity, settings: Settings, sessions: Sessions
) -> None:
    run = await Import.begin(identity)
    people = {f"p{number}@example.org": password for number, password in enumerate(VECTORS.values())}
    await run.send(*({"email": email, "hashed": one} for email, one in zip(people, VECTORS, strict=True)))
    assert len(await hashes(sessions)) == len(VECTORS)
    for email, password in people.items():
        with refused("SIGN_IN_FAILED"):
            await identity.sign_in(email, f"{password}!")
        assert (await identity.sign_in(email, password)).secret
        assert (await identity.sign_in(email, password)).secret
    asked = (settings.password_memory_kib, settings.password_passes, settings.password_lanes)
    for one in await hashes(sessions):
        assert one.startswith("$argon2id$v=19$")
        price = extract_parameters(one)
        assert (price.memory_cost, price.time_cost, price.parallelism) == asked


async def test_what_is_guessed_fast_is_never_kept_as_it_came(identity: Identity, sessions: Sessions) -> None:
    run = await Import.begin(identity)
    await run.send(*({"email": f"p{number}@example.org", "hashed": one} for number, one in enumerate(CHEAP)))
    kept = "\n".join(await hashes(sessions))
    assert kept.count(":$argon2id$") == len(CHEAP) > 10
    assert [one for one in CHEAP if one[-20:] in kept] == []


BCRYPT, SCRYPT = "$2b${}$abcdefghijklmnopqrstuu" + "a" * 31, "$scrypt$ln={},r={},p={}$c2FsdHNhbHQ$" + "A" * 43
ARGON2 = "$argon2id$v=19$m={},t={},p={}$c2FsdHNhbHQ$" + "A" * 43
PBKDF2 = "$pbkdf2-sha256$i={}$c2FsdHNhbHQ$"
TOO_DEAR = [
    BCRYPT.format("15"),
    BCRYPT.format("31"),
    BCRYPT.format("03"),
    PBKDF2.format(2_000_001) + "A" * 43,
    PBKDF2.format(1_000_001) + "A" * 86,  # of which two blocks are made
    PBKDF2.format(0) + "A" * 43,
    PBKDF2.format(99_999_999) + "A" * 43,
    PBKDF2.format(1_000) + "A" * 200,
    SCRYPT.format(18, 8, 1),
    SCRYPT.format(99, 1, 1),
    SCRYPT.format(17, 8, 3),
    SCRYPT.format(10, 8, 17),
    SCRYPT.format(0, 8, 1),
    "scrypt$16383$seasalt$8$5$" + "A" * 43 + "=",
    ARGON2.format(131_073, 1, 1),
    ARGON2.format(131_072, 5, 1),
    ARGON2.format(64, 9_999, 16),
    ARGON2.format(65_536, 2, 17),
    ARGON2.format(65_536, 0, 1),
    ARGON2.format(7, 1, 1),
    "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$" + "A" * 43,  # four bytes of salt
    "$P$Z12345678" + "a" * 22,
]
UNKNOWN = [
    "brass kettle at dawn",
    "$1$gwvn5BO0$3dyk8j.UTcsNUPrLMsU6/0",
    "$6$salt$hash",
    "{CRYPT}$1$gwvn5BO0$3dyk8j.UTcsNUPrLMsU6/0",
    "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",  # without a salt
    "{SHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a",  # with one
    "{MD5}A",
    "md5$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8",
    "88a434c88cca4e900f7874cd98123f43",
    "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$argon2id$v=18$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "wrapped:md5$$0:$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "foreign:md5$$88a434c88cca4e900f7874cd98123f43",
    "pbkdf2_sha256$1000000$seasalt$" + "A" * 45,
    BCRYPT.format("\u0661\u0660"),  # ten, and no digits of ours
]


@pytest.mark.parametrize(("reason", "kind"), [("HASH_TOO_DEAR", TOO_DEAR), ("HASH_UNKNOWN", UNKNOWN)])
async def test_what_we_cannot_check_or_not_bear_is_refused_with_its_row(
    identity: Identity, sessions: Sessions, reason: str, kind: list[str]
) -> None:
    run = await Import.begin(identity)
    told = await run.send(*({"email": f"p{number}@example.org", "hashed": one} for number, one in enumerate(kind)))
    assert {(one.outcome, one.field) for one in told} == {(REFUSED, "password_hash")}
    assert [(one.reason, hashed) for one, hashed in zip(told, kind, strict=True) if one.reason != reason] == []
    assert await hashes(sessions) == []


async def test_bcrypt_heeds_72_bytes_of_a_password_as_it_did_elsewhere(identity: Identity) -> None:
    long = "ä" * 60  # 120 bytes
    hashed = bcrypt.hashpw(long.encode()[:72], SALT.encode()).decode()
    run = await Import.begin(identity)
    await run.send({"email": "ada@example.org", "hashed": hashed})
    assert (await identity.sign_in(password=long)).secret
    with refused("SIGN_IN_FAILED"):  # all of it is heeded from now on
        await identity.sign_in(password="ä" * 59)
    assert (await identity.sign_in(password=long)).secret


async def test_what_was_typed_is_what_was_hashed_elsewhere_however_it_is_written(identity: Identity) -> None:
    typed = "a\u0308 \ufb01ne password"  # which we write otherwise before we hash it
    hashed = bcrypt.hashpw(typed.encode(), SALT.encode()).decode()
    run = await Import.begin(identity)
    await run.send({"email": "ada@example.org", "hashed": hashed})
    assert (await identity.sign_in(password=typed)).secret
    assert (await identity.sign_in(password="ä fine password")).secret


async def test_wordpress_trims_what_is_typed(identity: Identity) -> None:
    run = await Import.begin(identity)
    await run.send({"email": "ada@example.org", "hashed": "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"})
    assert (await identity.sign_in(password=" test12345\n")).secret


PEOPLE, SLOWER = 12, 1.7


@pytest.mark.parametrize("cost", [5, 10])
async def test_hashes_from_elsewhere_tell_nothing_by_their_time(
    settings: Settings, sessions: Sessions, clock: Hands, cost: int
) -> None:
    """Whoever has no account is compared with the hash of somebody who has one."""
    async with served(replace(settings, password_memory_kib=1_024), sessions, clock) as identity:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()
        run = await Import.begin(identity)
        await run.send(*({"email": f"known{number}@example.org", "hashed": hashed} for number in range(PEOPLE)))
        took = dict[str, list[float]]({"known": [], "other": []})
        for number in range(PEOPLE):
            for kind, seconds in took.items():
                began = time.perf_counter()
                with refused("SIGN_IN_FAILED"):
                    await identity.sign_in(f"{kind}{number}@example.org", "not the password of anybody")
                seconds.append(time.perf_counter() - began)
    known, other = (statistics.median(one) for one in took.values())
    assert 1 / SLOWER < known / other < SLOWER


@pytest.mark.xdist_group("store")
async def test_over_http_every_kind_signs_in_and_no_log_holds_a_hash(store: Store) -> None:
    admin = store.bearer(store.register("alma", "admin").user, "admin")
    mark = store.register().email.partition("@")[0]
    people = {f"{mark}-{number}@example.org": password for number, password in enumerate(VECTORS.values())}
    rows = [
        {"rowNumber": number, "user": {"email": email}, "emailVerified": True, "passwordHash": hashed}
        for number, (email, hashed) in enumerate(zip(people, VECTORS, strict=True), start=1)
    ]
    async with store.http() as http:
        run = (await http.post("/v1/userImports", json={"userImport": {}}, headers=admin)).raise_for_status().json()
        path = f"/v1/{run['name']}:importUsers"
        told = (await http.post(path, json={"rows": rows}, headers=admin)).raise_for_status().json()
        assert {one["outcome"] for one in told["results"]} == {"CREATED"}
        broken = [
            one | {"rowNumber": number, "passwordHash": f"{one['passwordHash']}!"}
            for number, one in enumerate(rows, start=1_000)
        ]
        told = (await http.post(path, json={"rows": broken}, headers=admin)).raise_for_status().json()
        assert {one["reason"] for one in told["results"]} == {"HASH_UNKNOWN"}
        for email, password in people.items():
            answer = await http.post("/session", json={"email": email, "password": password})
            assert answer.status_code == 200, email
    logs = "".join(store.written(process) for process in ("gateway", "identity"))
    assert "ImportUsers" in logs
    assert [one for one in (*VECTORS, *people) if one in logs] == []
