"""The secrets that go out: an authorization code, a refresh token. Each is an authorization's id, what generation of it
this is, and a proof that we made it; so nothing has to be kept, and the same one can be given again.
"""

import hmac
from dataclasses import dataclass
from uuid import UUID

from chassis.settings import SettingsError
from services.identity import base64url

NEEDED = "RAPPORT_OAUTH_KEY_FILE has to hold keys of 32 bytes or more in hex, a line each."
CODE = 0  # the generation of a code; refresh tokens are counted from one
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody showed us, proven to be ours."""

    authorization: UUID
    generation: int


class Codes:
    """Makes them and knows them again."""

    def __init__(self, hexes: str) -> None:
        """By keys in hex, each on a line of its own: the first makes, all are known."""
        try:
            self.keys = [bytes.fromhex(line) for line in hexes.split()]
        except ValueError:
            raise SettingsError(NEEDED) from None
        if not self.keys or any(len(key) < 32 for key in self.keys):
            raise SettingsError(NEEDED)

    def make(self, authorization: UUID, generation: int) -> str:
        said = authorization.bytes + generation.to_bytes(4)
        return base64url.encode(said + proof_of(said, self.keys[0]))

    def read(self, shown: str) -> Shown | None:
        """None where it is none of ours."""
        try:
            raw = base64url.decode(shown) if len(shown) <= LONGEST else b""
        except ValueError:
            return None
        said, proof = raw[:20], raw[20:]
        if len(said) < 20 or not any(hmac.compare_digest(proof, proof_of(said, key)) for key in self.keys):
            return None
        return Shown(UUID(bytes=said[:16]), int.from_bytes(said[16:]))


def proof_of(said: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"oauth" + said, "sha256")
