"""Bytes as text that stands in an address, a header or a token: base64url without padding (RFC 7515, 2)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256


def encode(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def decode(text: str) -> bytes:
    """The bytes; ValueError where it is none."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def digest_of(text: str) -> str:
    """What stands for a text that is not told itself: a PKCE challenge, the `ath` of a proof (RFC 7636, 4.2)."""
    return encode(sha256(text.encode()).digest())
