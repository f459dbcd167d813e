"""Ways in which a provider may misbehave, by the word that a test sends along, and the photos it shows."""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

Claims = dict[str, Any]
CLIENT_ID = "rapport-local"

WRONG_CLAIMS: Mapping[str, Callable[[int], Claims]] = {
    "wrong_nonce": lambda _: {"nonce": "another"},
    "no_nonce": lambda _: {"nonce": None},
    "wrong_aud": lambda _: {"aud": "another-client", "azp": "another-client"},
    "many_auds": lambda _: {"aud": [CLIENT_ID, "another-client"], "azp": None},
    "wrong_azp": lambda _: {"azp": "another-client"},
    "wrong_iss": lambda _: {"iss": "https://accounts.example.net"},
    "expired": lambda now: {"iat": now - 7200, "exp": now - 3600},
    "endless_token": lambda _: {"exp": None},
    "from_the_future": lambda now: {"iat": now + 3600},
    "no_sub": lambda _: {"sub": None},
    "long_sub": lambda _: {"sub": "x" * 256},
    "no_email": lambda _: {"email": None, "email_verified": None},
    "email_verified_as_text": lambda _: {"email_verified": "true"},
}
PICTURES_ELSEWHERE = {
    "photo_of_metadata": "http://169.254.169.254/latest/meta-data/",
    "photo_of_loopback": "https://127.0.0.1/photo.png",
    "photo_of_file": "file:///etc/passwd",
}


def plain(colour: int, edge: int = 96) -> tuple[bytes, str]:
    """A PNG of one colour, that says in a comment who took it and where."""
    row = b"\0" + colour.to_bytes(3) * edge
    parts = (
        chunk(b"IHDR", struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)),
        chunk(b"tEXt", b"Comment\0taken at 52.5 N 13.4 E"),
        chunk(b"IDAT", zlib.compress(row * edge)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts), "image/png"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PHOTOS: Mapping[str, Callable[[int], tuple[bytes, str]]] = {
    "plain": plain,
    "photo_bomb": lambda colour: plain(colour, 5_500),  # 90 kilobytes that unpack to as many megabytes
    "photo_huge": lambda colour: (plain(colour)[0] + bytes(4 << 20), "image/png"),
    "photo_svg": lambda _: (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
    "photo_redirect": plain,
}
