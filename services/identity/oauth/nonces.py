"""Nonces that proofs of possession say back (DPoP, RFC 9449, 8): who does so shows that the proof was signed a few
minutes ago at most, whatever the clock says of whoever signed it.

A nonce is the minute it was made in, and a proof that we made it: nothing is kept, and every replica knows it.
"""

import hmac
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.identity import base64url

EVERY = 60  # seconds: those that are asked in one of these get the same
KEPT = 5  # of those it is good in, the one it was made in included: four minutes at the least
LONGEST = 64
PURPOSE = b"DPoP-Nonce"


class Nonces:
    """Makes them and knows them again."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """By keys of which each has its own for this: the first makes, all are known."""
        self.keys = [HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(key) for key in keys]

    def make(self, *, now: datetime) -> str:
        return made(self.keys[0], step_of(now))

    def is_good(self, nonce: str, *, now: datetime) -> bool:
        """Whether it is one of ours, of these minutes; or of the next, where another replica's clock is ahead."""
        if len(nonce) > LONGEST or not nonce.isascii():
            return False
        here = step_of(now)
        known = [made(key, step) for key in self.keys for step in range(here - KEPT + 1, here + 2)]
        return any(hmac.compare_digest(nonce.encode(), one.encode()) for one in known)


def step_of(now: datetime) -> int:
    return int(now.timestamp()) // EVERY


def made(key: bytes, step: int) -> str:
    said = step.to_bytes(8)
    return base64url.encode(hmac.digest(key, said, "sha256")[:16])
