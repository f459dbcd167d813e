"""Ceremonies: what a browser and a passkey are asked to sign, and whether they have (WebAuthn, level 3, 7.1 and 7.2).

A challenge is worked out and not kept: a random number, when it ends, whose and what for it is, and a proof that we
made it. So anybody may ask for one, and no table grows. One that was signed is kept until it ends: it is good once.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from uuid import UUID

from services.identity.models import Passkey, User
from services.identity.refusals import PasskeyRefused

# The library is loaded with the first passkey: what is loaded at the start keeps everybody waiting when a process comes
# back, and this takes as long as a third of the rest.
if TYPE_CHECKING:
    from webauthn.helpers.structs import AuthenticationCredential, RegistrationCredential

LASTS = timedelta(minutes=5)
ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256, as COSE counts them (RFC 9053, RFC 8812)
RANDOM, END = 16, 8  # bytes
What = Literal["add", "sign in"]
NOBODY = UUID(int=0)
# What Python's own readers raise at what is no credential at all, beside the library's own.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that a browser has made."""

    challenge: bytes
    credential_id: bytes
    public_key: bytes  # COSE
    sign_count: int
    is_synced: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """What a passkey has proven."""

    challenge: bytes
    sign_count: int


class Ceremonies:
    """At the store's own address, and nowhere else."""

    def __init__(self, hexes: str, public_url: str) -> None:
        """By the keys of RAPPORT_FACTOR_KEY_FILE: the first makes challenges, all are known."""
        self.keys = [hmac.digest(bytes.fromhex(line), b"passkey challenge", "sha256") for line in hexes.split()]
        there = urlsplit(public_url)
        self.origin, self.party = f"{there.scheme}://{there.netloc}", there.hostname or ""
        self.store = there.netloc  # what apps and passkeys are shown for our name

    # What is asked

    def adding(self, user: User, known: list[Passkey], *, now: datetime) -> str:
        """PublicKeyCredentialCreationOptionsJSON: a key that can be found without an address, and is unlocked."""
        import webauthn
        from webauthn.helpers.cose import COSEAlgorithmIdentifier
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        options = webauthn.generate_registration_options(
            rp_id=self.party,
            rp_name=self.store,
            user_id=user.id.bytes,
            user_name=user.email,
            user_display_name=user.display_name or user.email,
            challenge=self.challenge("add", user.id, now),
            timeout=int(LASTS.total_seconds() * 1000),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id) for one in known],
            supported_pub_key_algs=list(map(COSEAlgorithmIdentifier, ALGORITHMS)),
        )
        return webauthn.options_to_json(options)

    def signing_in(self, *, now: datetime) -> str:
        """PublicKeyCredentialRequestOptionsJSON: any passkey of this store, unlocked."""
        import webauthn
        from webauthn.helpers.structs import UserVerificationRequirement

        options = webauthn.generate_authentication_options(
            rp_id=self.party,
            challenge=self.challenge("sign in", NOBODY, now),
            timeout=int(LASTS.total_seconds() * 1000),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    # What is answered

    def added(self, credential: str, user: UUID, *, now: datetime) -> Made:
        """The passkey that a browser made for the user."""
        import webauthn
        from webauthn.helpers import parse_registration_credential_json as parse_registration
        from webauthn.helpers.cose import COSEAlgorithmIdentifier
        from webauthn.helpers.exceptions import WebAuthnException
        from webauthn.helpers.structs import CredentialDeviceType

        try:
            read = parse_registration(credential)
            challenge = self.challenge_in(read, "add", user, now)
            made = webauthn.verify_registration_response(
                credential=read,
                expected_challenge=challenge,
                expected_rp_id=self.party,
                expected_origin=self.origin,
                require_user_verification=True,
                supported_pub_key_algs=list(map(COSEAlgorithmIdentifier, ALGORITHMS)),
            )
        except (WebAuthnException, *MALFORMED):
            raise refused() from None
        is_synced = made.credential_device_type is CredentialDeviceType.MULTI_DEVICE
        return Made(challenge, made.credential_id, made.credential_public_key, made.sign_count, is_synced)

    def read(self, credential: str) -> "AuthenticationCredential":
        """What a passkey says of itself, unproven."""
        from webauthn.helpers import parse_authentication_credential_json
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            return parse_authentication_credential_json(credential)
        except (WebAuthnException, *MALFORMED):
            raise refused() from None

    def signed(self, read: "AuthenticationCredential", passkey: Passkey, *, now: datetime) -> Signed:
        """What the passkey has proven by it. Whether it counts on is for the caller to say."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        if read.response.user_handle != passkey.user_id.bytes:
            raise refused()
        try:
            challenge = self.challenge_in(read, "sign in", NOBODY, now)
            proven = webauthn.verify_authentication_response(
                credential=read,
                expected_challenge=challenge,
                expected_rp_id=self.party,
                expected_origin=self.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except (WebAuthnException, *MALFORMED):
            raise refused() from None
        return Signed(challenge, proven.new_sign_count)

    # Challenges

    def challenge(self, what: What, user: UUID, now: datetime) -> bytes:
        said = secrets.token_bytes(RANDOM) + int((now + LASTS).timestamp()).to_bytes(END)
        return said + proof_of(said, what, user, self.keys[0])

    def challenge_in(
        self, read: "RegistrationCredential | AuthenticationCredential", what: What, user: UUID, now: datetime
    ) -> bytes:
        """The challenge that was signed, which has to be ours, for this, and not over."""
        from webauthn.helpers import parse_client_data_json

        client = parse_client_data_json(read.response.client_data_json)
        said, proof = client.challenge[: RANDOM + END], client.challenge[RANDOM + END :]
        if client.cross_origin or not any(
            hmac.compare_digest(proof, proof_of(said, what, user, key)) for key in self.keys
        ):
            raise refused()
        if int.from_bytes(said[RANDOM:]) <= now.timestamp():
            raise refused()
        return client.challenge


def proof_of(said: bytes, what: What, user: UUID, key: bytes) -> bytes:
    return hmac.digest(key, said + user.bytes + what.encode(), "sha256")


def refused() -> PasskeyRefused:
    return PasskeyRefused("That passkey cannot be used here.")
