"""The secrets that go out: an authorization code, a refresh token. Each is an authorization's id, what generation of it
this is, and a proof that we made it; so nothing has to be kept, and the same one can be given again.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

CODE = 0  # the generation of a code; refresh tokens are counted from one
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody showed us, proven to be ours."""

    authorization: UUID
    generation: int


class Codes:
    """Makes them and knows them again."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the key has to be 32 bytes or longer")
        self.key = key

    def make(self, authorization: UUID, generation: int) -> str:
        said = authorization.bytes + generation.to_bytes(4)
        return urlsafe_b64encode(said + self.proof(said)).decode().rstrip("=")

    def read(self, shown: str) -> Shown | None:
        """None where it is none of ours."""
        try:
            raw = urlsafe_b64decode(shown + "=" * (-len(shown) % 4)) if len(shown) <= LONGEST else b""
        except ValueError:
            return None
        said, proof = raw[:20], raw[20:]
        if len(said) < 20 or not hmac.compare_digest(proof, self.proof(said)):
            return None
        return Shown(UUID(bytes=said[:16]), int.from_bytes(said[16:]))

    def proof(self, said: bytes) -> bytes:
        return hmac.digest(self.key, b"oauth" + said, "sha256")
