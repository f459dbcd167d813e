"""A device that keeps passkeys, as far as a browser lets it speak: it makes keys and signs with them (WebAuthn)."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, SYNCABLE, SYNCED, HAS_KEY = 1, 4, 8, 16, 64


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def raw(said: str) -> bytes:
    return urlsafe_b64decode(said + "=" * (-len(said) % 4))


@dataclass
class Authenticator:
    """One passkey, and the browser in front of it. What a test gets wrong on purpose is an attribute."""

    origin: str = "https://store.example.org"
    party: str = "store.example.org"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    counts: bool = True
    user: bytes = b""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    client: dict[str, Any] = field(default_factory=dict)

    def create(self, options: str) -> str:
        """RegistrationResponseJSON."""
        asked = json.loads(options)
        assert asked["authenticatorSelection"]["residentKey"] == "required"
        self.user = raw(asked["user"]["id"])
        data = self.data(HAS_KEY) + bytes(16) + len(self.id).to_bytes(2) + self.id + self.public_key()
        made = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        said = {"clientDataJSON": text(self.said("webauthn.create", asked)), "attestationObject": text(made)}
        return self.credential(said)

    def get(self, options: str) -> str:
        """AuthenticationResponseJSON."""
        asked = json.loads(options)
        assert asked["userVerification"] == "required"
        self.count += self.counts
        data, client = self.data(), self.said("webauthn.get", asked)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        said = {
            "clientDataJSON": text(client),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": text(self.user),
        }
        return self.credential(said)

    def credential(self, response: dict[str, str]) -> str:
        said = {"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response}
        return json.dumps(said | {"clientExtensionResults": {}, "authenticatorAttachment": "platform"})

    def data(self, more: int = 0) -> bytes:
        return hashlib.sha256(self.party.encode()).digest() + bytes([self.flags | more]) + self.count.to_bytes(4)

    def said(self, kind: str, asked: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": asked["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | self.client).encode()

    def public_key(self) -> bytes:
        """In COSE (RFC 9053, 7.1): ES256 on P-256."""
        point = self.key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})
