"""What we have to read again, so that no hash of it will do: sealed, under a key that no database holds.

A file holds keys of 32 bytes in hex, a line each: the first seals, all open (AES-256-GCM).
"""

import hashlib
import secrets
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.settings import SettingsError

MARK, NONCE = 4, 12  # bytes: which key it was, and what makes each sealing another


class Sealer:
    """Seals what is somebody's, and opens it for nobody else's row. `variable` names the file of the keys."""

    def __init__(self, hexes: str, variable: str) -> None:
        needed = f"{variable} has to hold keys of 32 bytes in hex, a line each."
        try:
            keys = [bytes.fromhex(line) for line in hexes.split()]
        except ValueError:
            raise SettingsError(needed) from None
        if not keys or any(len(key) != 32 for key in keys):
            raise SettingsError(needed)
        self.keys = {mark_of(key): AESGCM(key) for key in keys}
        self.first = mark_of(keys[0])

    def seal(self, secret: bytes, *, owner: UUID) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return self.first + nonce + self.keys[self.first].encrypt(nonce, secret, owner.bytes)

    def open(self, sealed: bytes, *, owner: UUID) -> bytes | None:
        """The secret; None where its key is gone, or it was sealed for somebody else."""
        key = self.keys.get(sealed[:MARK])
        if key is None:
            return None
        try:
            return key.decrypt(sealed[MARK : MARK + NONCE], sealed[MARK + NONCE :], owner.bytes)
        except InvalidTag:
            return None

    def is_old(self, sealed: bytes) -> bool:
        """Whether another key than the one in use has sealed it."""
        return sealed[:MARK] != self.first


def mark_of(key: bytes) -> bytes:
    return hashlib.sha256(b"mark" + key).digest()[:MARK]
