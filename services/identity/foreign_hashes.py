"""Hashes of passwords that other systems made, so that people who are imported keep their passwords.

Each kind is read from the form that its own documentation gives it, computed anew from what a person types, and
compared. What is dearer to check than we bear is refused when it comes, and what is too cheap to guess is never kept as
it came: Argon2id over what the password came to there takes its place. The first sign-in replaces both by Argon2id over
the password itself.

    foreign:$2y$12$...                        as it came
    wrapped:{SSHA}0000...:$argon2id$v=19$...  the kind and the salt, and Argon2id over the digest
"""

import base64
import hashlib
import hmac
import re
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import bcrypt
from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import hash_secret_raw

from chassis.refusal import Violation
from services.identity.refusals import HashTooDear, HashUnknown

FOREIGN, WRAPPED = "foreign:", "wrapped:"
LONGEST = 400  # characters
# The dearest that is taken: about a second of one core each.
BCRYPT_COSTS = range(4, 15)
MOST_ITERATIONS = 2_000_000  # of PBKDF2, for each block of what it makes
MOST_KIB = 128 << 10  # that scrypt and Argon2 fill
SCRYPT_WORK = 1 << 21  # N * r * p
ARGON2_WORK = 512 << 10  # KiB * passes
LANES = range(1, 17)
PHPASS_COSTS = range(7, 17)
# What costs less is guessed too fast to be kept as it came.
CHEAP_BCRYPT, CHEAP_ITERATIONS, CHEAP_SCRYPT, CHEAP_ARGON2 = 9, 100_000, 1 << 16, 8 << 10

ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PHP_SPACE = " \t\n\r\0\x0b"  # what PHP's trim() takes off
B64, MCF = r"[A-Za-z0-9+/]+", r"[./A-Za-z0-9]"

Compute: TypeAlias = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A hash that another system made: what a password has to come to, and how it is computed."""

    text: str
    digest: bytes
    compute: Compute
    is_cheap: bool
    bare: str  # the text without the digest

    def is_of(self, password: str) -> bool:
        return hmac.compare_digest(self.compute(password), self.digest)


def read(text: str) -> Foreign:
    """What hash it is, or refuse one of no kind that we take, or too dear to check."""
    for pattern, kind in KINDS:
        if len(text) <= LONGEST and (said := pattern.fullmatch(text)):
            try:
                return kind(said)
            except (NotBase64, UnicodeError):
                break
    raise unknown()


# Kept -----------------------------------------------------------------------------------------------------------------


def is_foreign(known: str) -> bool:
    return known.startswith((FOREIGN, WRAPPED))


def kept(one: Foreign, wrap: Callable[[str], str]) -> str:
    """What is kept of it; `wrap` makes Argon2id of a text."""
    return f"{WRAPPED}{one.bare}:{wrap(one.digest.hex())}" if one.is_cheap else FOREIGN + one.text


def proves(known: str, password: str, hasher: PasswordHasher) -> bool:
    """Whether the password, as it is typed, is the one that `known`, a kept one, was made of."""
    if known.startswith(FOREIGN):
        return read(known.removeprefix(FOREIGN)).is_of(password)
    bare, _, wrapped = known.removeprefix(WRAPPED).rpartition(":")
    try:
        return hasher.verify(wrapped, read(bare).compute(password).hex())
    except VerifyMismatchError:
        return False


# The kinds ------------------------------------------------------------------------------------------------------------


def of_bcrypt(said: re.Match[str]) -> Foreign:
    """OpenBSD's, PHP's and Django's (2a, 2b, 2y), and WordPress' since 6.8. Longer than 72 bytes is cut, as there."""
    cost = int(said["cost"])
    bear(cost in BCRYPT_COSTS)
    salt, before = said["salt"].encode(), said["before"] or ""

    def compute(password: str) -> bytes:
        return bcrypt.hashpw(BEFORE_BCRYPT[before](password)[:72], salt)[-31:]

    return foreign(said, said["digest"].encode(), compute, is_cheap=cost < CHEAP_BCRYPT)


def by_wordpress(password: str) -> bytes:
    said = password.strip(PHP_SPACE).encode()
    return base64.b64encode(hmac.digest(b"wp-sha384", said, "sha384"))


BEFORE_BCRYPT: dict[str, Callable[[str], bytes]] = {
    "": str.encode,
    "bcrypt$": str.encode,
    "bcrypt_sha256$": lambda password: hashlib.sha256(password.encode()).hexdigest().encode(),
    "$wp": by_wordpress,
}


def of_pbkdf2(said: re.Match[str], salt: bytes) -> Foreign:
    """RFC 8018, 5.2."""
    name, iterations, digest = said["name"] or "sha1", int(said["iterations"]), decoded(said["digest"])
    bear(iterations > 0 and 16 <= len(digest) <= 64)
    bear(iterations * -(-len(digest) // hashlib.new(name).digest_size) <= MOST_ITERATIONS)

    def compute(password: str) -> bytes:
        return hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations, len(digest))

    return foreign(said, digest, compute, is_cheap=iterations < CHEAP_ITERATIONS)


def of_scrypt(said: re.Match[str], salt: bytes, n: int) -> Foreign:
    """RFC 7914."""
    r, p, digest = int(said["r"]), int(said["p"]), decoded(said["digest"])
    bear(n > 1 and n & (n - 1) == 0 and r > 0 and p in LANES and 16 <= len(digest) <= 64)
    bear(n * r <= MOST_KIB * 8 and n * r * p <= SCRYPT_WORK)  # N * r * 128 bytes

    def compute(password: str) -> bytes:
        room = 128 * (n * r + r * p) + (1 << 20)
        return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=room, dklen=len(digest))

    return foreign(said, digest, compute, is_cheap=n * r < CHEAP_SCRYPT)


def of_argon2(said: re.Match[str]) -> Foreign:
    """RFC 9106, and the version before it, which states none."""
    kind, version = Type[said["kind"].upper()], int(said["version"] or 16)
    kib, passes, lanes = int(said["kib"]), int(said["passes"]), int(said["lanes"])
    salt, digest = decoded(said["salt"]), decoded(said["digest"])
    bear(lanes in LANES and 8 * lanes <= kib <= MOST_KIB and passes > 0 and kib * passes <= ARGON2_WORK)
    bear(8 <= len(salt) <= 64 and 16 <= len(digest) <= 64)

    def compute(password: str) -> bytes:
        return hash_secret_raw(password.encode(), salt, passes, kib, lanes, len(digest), kind, version)

    return foreign(said, digest, compute, is_cheap=kib * passes < CHEAP_ARGON2)


def of_phpass(said: re.Match[str]) -> Foreign:
    """The portable hashes of phpass: WordPress' until 6.8 (P), which trims what is typed, and phpBB's (H)."""
    cost = ITOA64.index(said["cost"])
    bear(cost in PHPASS_COSTS)
    salt, trims = said["salt"].encode(), said["kind"] == "P"

    def compute(password: str) -> bytes:
        typed = (password.strip(PHP_SPACE) if trims else password).encode()
        digest = hashlib.md5(salt + typed, usedforsecurity=False).digest()
        for _ in range(1 << cost):
            digest = hashlib.md5(digest + typed, usedforsecurity=False).digest()
        return "".join(in_itoa64(digest)).encode()

    return foreign(said, said["digest"].encode(), compute, is_cheap=True)


def in_itoa64(raw: bytes) -> Iterator[str]:
    """Three bytes as four letters, the lowest bits first."""
    for start in range(0, len(raw), 3):
        part = raw[start : start + 3]
        value = int.from_bytes(part, "little")
        for place in range(len(part) + 1):
            yield ITOA64[value >> 6 * place & 63]


def of_ldap_digest(said: re.Match[str]) -> Foreign:
    """RFC 2307 and what OpenLDAP adds to it: base64 of a digest over password and salt, and of the salt."""
    raw, name = base64.b64decode(said["both"], validate=True), "sha1" if said["name"] == "SHA" else said["name"].lower()
    size = hashlib.new(name, usedforsecurity=False).digest_size
    digest, salt = raw[:size], raw[size:]
    if len(digest) < size or bool(salt) != bool(said["salted"]):
        raise unknown()
    bare = said[0][: said.start("both")] + base64.b64encode(bytes(size) + salt).decode()
    return Foreign(said[0], digest, partial(digest_of, name, b"", salt), is_cheap=True, bare=bare)


def of_hex_digest(said: re.Match[str]) -> Foreign:
    """Django's of old: a digest over salt and password, in hexadecimal; the salt may be empty."""
    digest = bytes.fromhex(said["digest"])
    if len(digest) != hashlib.new(said["name"], usedforsecurity=False).digest_size:
        raise unknown()
    return foreign(said, digest, partial(digest_of, said["name"], said["salt"].encode(), b""), is_cheap=True)


def digest_of(name: str, before: bytes, after: bytes, password: str) -> bytes:
    return hashlib.new(name, before + password.encode() + after, usedforsecurity=False).digest()


# What they are made of ------------------------------------------------------------------------------------------------


def foreign(said: re.Match[str], digest: bytes, compute: Compute, *, is_cheap: bool) -> Foreign:
    start, end = said.span("digest")
    bare = said[0][:start] + "0" * (end - start) + said[0][end:]  # which reads as a digest in every alphabet
    return Foreign(said[0], digest, compute, is_cheap, bare)


def unknown() -> HashUnknown:
    why = "This is no hash of a kind that we take."
    return HashUnknown(why, violations=[Violation("password_hash", "HASH_UNKNOWN", why)])


def bear(bearable: bool) -> None:
    if not bearable:
        why = "What this hash was made with lies outside of what we check."
        raise HashTooDear(why, violations=[Violation("password_hash", "HASH_TOO_DEAR", why)])


def decoded(text: str) -> bytes:
    """Base64 with or without its end, and with `.` for `+`, as passlib writes it."""
    bare = text.rstrip("=").replace(".", "+")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)  # other digits are numbers to us, and none to what computes


PBKDF2 = r"pbkdf2(?:{dash}(?P<name>sha1|sha256|sha512))?"
KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Foreign]], ...] = (
    (
        form(
            rf"(?P<before>\$wp|bcrypt\$|bcrypt_sha256\$)?(?P<salt>\$2[aby]\$(?P<cost>\d\d)\${MCF}{{22}})(?P<digest>{MCF}{{31}})"
        ),
        of_bcrypt,
    ),
    (  # Django's, whose salt is a text
        form(
            rf"{PBKDF2.format(dash='_')}\$(?P<iterations>\d{{1,8}})\$(?P<salt>[^$]{{1,64}})\$(?P<digest>{B64})={{0,2}}"
        ),
        lambda said: of_pbkdf2(said, said["salt"].encode()),
    ),
    (  # in the PHC form, and as passlib writes it
        form(
            rf"\${PBKDF2.format(dash='-')}\$(?:i=)?(?P<iterations>\d{{1,8}})(?:,l=\d{{1,3}})?"
            r"\$(?P<salt>[A-Za-z0-9+/.]+)\$(?P<digest>[A-Za-z0-9+/.]+)"
        ),
        lambda said: of_pbkdf2(said, decoded(said["salt"])),
    ),
    (
        form(
            r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,3}),p=(?P<p>\d{1,3})"
            rf"\$(?P<salt>{B64})\$(?P<digest>{B64})"
        ),
        lambda said: of_scrypt(said, decoded(said["salt"]), 1 << int(said["ln"])),
    ),
    (
        form(
            rf"scrypt\$(?P<n>\d{{1,8}})\$(?P<salt>[^$]{{1,64}})\$(?P<r>\d{{1,3}})\$(?P<p>\d{{1,3}})\$(?P<digest>{B64})={{0,2}}"
        ),
        lambda said: of_scrypt(said, said["salt"].encode(), int(said["n"])),
    ),
    (
        form(
            r"(?:argon2)?\$argon2(?P<kind>id|i|d)\$(?:v=(?P<version>16|19)\$)?"
            r"m=(?P<kib>\d{1,8}),t=(?P<passes>\d{1,4}),p=(?P<lanes>\d{1,3})"
            rf"\$(?P<salt>{B64})\$(?P<digest>{B64})"
        ),
        of_argon2,
    ),
    (form(rf"\$(?P<kind>[PH])\$(?P<cost>{MCF})(?P<salt>{MCF}{{8}})(?P<digest>{MCF}{{22}})"), of_phpass),
    (form(rf"\{{(?P<salted>S?)(?P<name>MD5|SHA|SHA256|SHA512)\}}(?P<both>{B64}={{0,2}})"), of_ldap_digest),
    (
        form(r"(?P<name>md5|sha1)\$(?P<salt>[^$]{0,64})\$(?P<digest>(?:[0-9a-f]{8}){4,5})"),
        of_hex_digest,
    ),
)
