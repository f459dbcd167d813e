"""Lists of passwords that are known to others, as a file that says of each whether it is among them: a Bloom filter, so
that a billion fit where their text would not, and so that the file is nobody's list of passwords.

    python -m services.identity.blocklists 0.000001 LIST.txt FILE          a password a line, in UTF-8
    python -m services.identity.blocklists --sha1 0.001 LIST.txt FILE      the SHA-1 of each in hex, a line each; what
                                                                            follows a colon is left out

The file: 32 bytes of head (8 that say what it is, the number of bits a password has, the number of bits in all and of
passwords, each a big-endian integer of 8 bytes), then the bits, least significant first. Of the SHA-1 of a password in
UTF-8 the first 8 bytes are a, the next 8 are b, made odd; its bits are (a + i * b) modulo all, for i from 0.

It says yes to what is in it, and at the rate it was built for to what is not: one in a million of good passwords is
refused by what we ship. SHA-1 serves to find things here, not to hide them, and lists are handed on by it.
"""

import hashlib
import math
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from chassis.settings import SettingsError

KIND = b"rapport\x01"
HEAD = struct.Struct(">8sQQQ")
MOST_BITS = 64  # of a password
log = structlog.get_logger()


class Malformed(Exception):  # noqa: N818 - says what the file is
    """No such file as this module writes."""


class Blocklist:
    """One file, of which as many bytes are read as a password has bits. Were it mapped, who cuts it short would end the
    process."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        head = os.pread(self.file, HEAD.size, 0)
        if len(head) != HEAD.size:
            raise Malformed
        kind, self.each, self.all, self.many = HEAD.unpack(head)
        whole = HEAD.size + (self.all + 7) // 8
        if kind != KIND or not 0 < self.each <= MOST_BITS or not self.all or path.stat().st_size != whole:
            raise Malformed

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)

    def __contains__(self, password: str) -> bool:
        return all(self.has(bit) for bit in bits_of(sha1(password), self.each, self.all))

    def has(self, bit: int) -> int:
        found = os.pread(self.file, 1, HEAD.size + (bit >> 3))
        if not found:
            raise Malformed
        return found[0] >> (bit & 7) & 1


class Mounted:
    """The operator's own file, read anew when another one has taken its place. "" is no file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path) if path else None
        self.seen: tuple[int, int, int] | None = None
        self.present: Blocklist | None = None
        if self.path is not None:
            try:
                self.look(self.path)
            except (OSError, Malformed):
                raise SettingsError(
                    "RAPPORT_BREACHED_PASSWORDS has to name a file that services.identity.blocklists wrote."
                ) from None

    def __contains__(self, password: str) -> bool:
        if self.path is None:
            return False
        try:
            self.look(self.path)
        except (OSError, Malformed):
            log.error("blocklist_unreadable")  # the one before holds on
        try:
            return self.present is not None and password in self.present
        except (OSError, Malformed):  # it was cut short where it is
            log.error("blocklist_unreadable")
            return False

    def look(self, path: Path) -> None:
        found = path.stat()
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self.seen:
            self.present, self.seen = Blocklist(path), seen


def sha1(password: str) -> bytes:
    return hashlib.sha1(password.encode(), usedforsecurity=False).digest()


def bits_of(digest: bytes, each: int, every: int) -> Iterator[int]:
    first, step = int.from_bytes(digest[:8]), int.from_bytes(digest[8:16]) | 1
    return ((first + number * step) % every for number in range(each))


# Building -------------------------------------------------------------------------------------------------------------


def built(digests: Iterable[bytes], many: int, rate: float) -> bytes:
    """The file that holds so many digests, and is wrong about others at the rate."""
    every = max(math.ceil(-many * math.log(rate) / math.log(2) ** 2), 8)
    each = max(round(every / max(many, 1) * math.log(2)), 1)
    bits = bytearray((every + 7) // 8)
    for digest in digests:
        for bit in bits_of(digest, each, every):
            bits[bit >> 3] |= 1 << (bit & 7)
    return HEAD.pack(KIND, each, every, many) + bits


def of_passwords(lines: Iterable[str]) -> Iterator[bytes]:
    return (sha1(line.rstrip("\r\n")) for line in lines)


def of_digests(lines: Iterable[str]) -> Iterator[bytes]:
    return (bytes.fromhex(line.partition(":")[0]) for line in lines)


def main(arguments: list[str]) -> None:
    *options, rate, source, target = arguments
    read = of_digests if options == ["--sha1"] else of_passwords
    with Path(source).open(encoding="utf-8") as lines:
        many = sum(1 for _ in lines)
        lines.seek(0)
        written = built(read(lines), many, float(rate))
    new = Path(f"{target}.new")
    new.write_bytes(written)
    new.replace(target)  # whole, for who has the one before open
    sys.stdout.write(f"{many} passwords, {len(written)} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
