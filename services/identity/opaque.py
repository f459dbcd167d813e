"""Secrets that are handed out once and mean nothing by themselves: a session's, a client's, a mailed link's."""

import hashlib
import secrets


def make() -> tuple[str, bytes]:
    """A new one, and what is kept of it."""
    secret = secrets.token_urlsafe(32)
    return secret, hash_of(secret)


def hash_of(secret: str) -> bytes:
    # A plain hash will do: 256 random bits cannot be guessed, however fast guesses are.
    return hashlib.sha256(secret.encode()).digest()
